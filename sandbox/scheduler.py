"""A real Airflow beside the sandbox (LocalExecutor on PostgreSQL) for tests and benchmarks.

The services are those of ``make ui``. Runs are triggered through the REST API or ``airflow backfill create``, and
waited for with a timeout. The scheduler can be killed with all its tasks, and started again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sandbox.airflow_home import TaskRun, run_airflow
from sandbox.postgres import find_free_port, find_programs, run_postgres
from sandbox.services import (
    AIRFLOW,
    SCHEDULER,
    Services,
    check_alive,
    describe_environment,
    kill_session,
    run_services,
    start_service,
)
from sandbox.stack import Stack
from sandbox.trigger import DEVELOPMENT_PASSWORD, ENDED, AirflowApi, AirflowRefusedError

PARALLELISM = 8
PRELOADED = "sandbox.preloaded"
PAGE = 100
"""The largest page of the REST API."""

POLL_SECONDS = 2.0
QUICK_RECOVERY = {
    # A killed scheduler stays "running" in the database until its heartbeat is older than the threshold. Only then
    # are its tasks orphans, which the next check resets without waiting for the task's own heartbeat timeout.
    # The threshold must be longer than a scheduler loop on a busy machine, or the scheduler counts itself as dead.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    # For a task that dies while its scheduler runs on.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
}
"""Airflow's defaults are 5, 30, 300, 300 and 10 s: a killed task would wait up to five and a half minutes."""

FEW_PARSES = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600"}
"""No DAG file changes during a run: parsing them twice a minute would only take time from the tasks."""


class RunsNotEndedError(Exception):
    """DAG runs did not reach a state in time; the message gives their progress."""


@dataclass(frozen=True)
class ScheduledRun:
    """A DAG run as Airflow shows it; times in UTC, None where there are none."""

    run_id: str
    run_type: str
    state: str
    logical_date: datetime | None
    start: datetime | None
    end: datetime | None

    @property
    def ended(self) -> bool:
        """Whether the run is in a final state."""
        return self.state in ENDED


@dataclass(frozen=True)
class ScheduledTask(TaskRun):
    """A task instance with the number of its newest try, from 1; 0 where it was never scheduled."""

    try_number: int


class LocalAirflow:
    """Airflow's running services, and calls to them."""

    def __init__(
        self, home: Path, port: int, environment: Mapping[str, str], services: Services, *, scheduler: str = AIRFLOW
    ) -> None:
        self.home = home
        self.environment = dict(environment)
        self._scheduler = scheduler
        self._port = port
        self._services = services
        self.api = AirflowApi(f"http://127.0.0.1:{port}", DEVELOPMENT_PASSWORD)

    def unpause(self, dag_id: str) -> None:
        """Unpause a DAG as soon as its file is parsed."""
        self.api.wait_for_dag(dag_id)
        self.api.unpause(dag_id)

    def pause(self, dag_id: str) -> None:
        """Pause a DAG: the scheduler starts no more of its tasks."""
        self.api.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": True})

    def trigger(self, dag_id: str, conf: Mapping[str, Any], logical_date: date | None = None) -> str:
        """Trigger a run, without a logical date unless one is given; returns the run's id."""
        return self.api.trigger(dag_id, logical_date.isoformat() if logical_date else None, conf)

    def backfill(
        self, dag_id: str, first: date, last: date, *, max_active_runs: int, reprocess: str | None = None
    ) -> list[str]:
        """Run ``airflow backfill create``; returns the ids of the DAG's runs between two logical dates.

        ``reprocess`` is its reprocess behaviour. Raises AirflowCommandError with the command's last lines.
        """
        run_airflow(
            self.environment,
            *("backfill", "create", "--dag-id", dag_id, "--from-date", str(first), "--to-date", str(last)),
            *("--max-active-runs", str(max_active_runs)),
            *(("--reprocess-behavior", reprocess) if reprocess else ()),
        )
        return [
            run.run_id
            for run in self.list_runs(dag_id)
            if run.logical_date is not None and first <= run.logical_date.date() <= last
        ]

    def list_runs(self, dag_id: str) -> list[ScheduledRun]:
        """List a DAG's runs by logical date, those without one last."""
        entries = self._read_pages(f"/api/v2/dags/{dag_id}/dagRuns", "dag_runs", "order_by=logical_date")
        return [_read_run(entry) for entry in entries]

    def read_run(self, dag_id: str, run_id: str) -> ScheduledRun:
        """Read the current state of one run."""
        return _read_run(self.api.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}"))

    def list_tasks(self, dag_id: str, run_id: str) -> list[ScheduledTask]:
        """List a run's task instances, with the newest try of each."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances"
        return [
            ScheduledTask(
                str(entry["task_id"]),
                int(entry["map_index"]),
                entry["state"],
                _read_time(entry["start_date"]),
                _read_time(entry["end_date"]),
                int(entry["try_number"]),
            )
            for entry in self._read_pages(path, "task_instances", "order_by=id")
        ]

    def wait_for_runs(self, dag_id: str, run_ids: Collection[str], seconds: float) -> list[ScheduledRun]:
        """Wait until runs have ended, whatever their state; raises RunsNotEndedError after ``seconds``."""

        def ended() -> bool:
            return all(self.read_run(dag_id, run_id).ended for run_id in run_ids)

        self.wait_until(ended, seconds, lambda: self._describe_runs(dag_id, run_ids))
        return [self.read_run(dag_id, run_id) for run_id in run_ids]

    def wait_until(self, reached: Callable[[], bool], seconds: float, describe: Callable[[], str]) -> None:
        """Poll a condition every two seconds until it holds; while Airflow does not respond, it does not hold.

        Raises RunsNotEndedError with the description, and ServerNotReadyError when a service has ended.
        """
        deadline = time.monotonic() + seconds
        while not _is_reached(reached):
            check_alive(self._services, self.home)
            if time.monotonic() > deadline:
                raise RunsNotEndedError(f"not reached within {seconds:.0f} s: {describe()}; logs: {self.home}")
            time.sleep(POLL_SECONDS)

    def kill_scheduler(self) -> None:
        """Kill the scheduler, its workers and all tasks with SIGKILL, so that none of them can clean up."""
        kill_session(self._services.pop(SCHEDULER))

    def start_scheduler(self) -> None:
        """Start the scheduler after it was killed; its old tasks are reset after the times of QUICK_RECOVERY."""
        self._services[SCHEDULER] = start_service(SCHEDULER, self._port, self.home, self.environment, self._scheduler)

    def _read_pages(self, path: str, name: str, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self.api.call("GET", f"{path}?{query}&limit={PAGE}&offset={len(found)}")
            found += page[name]
            if not page[name] or len(found) >= int(page["total_entries"]):
                return found

    def _describe_runs(self, dag_id: str, run_ids: Collection[str]) -> str:
        described = []
        for run_id in run_ids:
            left = [
                f"{task.task_id}[{task.map_index}] {task.state}"
                for task in self.list_tasks(dag_id, run_id)
                if task.state in {"queued", "running", "scheduled", "up_for_retry", "failed"}
            ]
            described.append(f"{run_id} {self.read_run(dag_id, run_id).state} ({', '.join(left[:5])})")
        return json.dumps(described)


@contextmanager
def run_scheduler(
    stack: Stack, *, parallelism: int = PARALLELISM, preload: bool = False, change: Mapping[str, str] | None = None
) -> Iterator[LocalAirflow]:
    """Run Airflow's services on free ports beside a stack that they set up, until the block ends; they are healthy.

    ``change`` is added to the environment of services and tasks. With ``preload`` the scheduler imports the modules of
    the tasks once: tests take a fraction of the time, but a benchmark would measure something else. Airflow's state is
    in the stack's folder, which the account of PostgreSQL must be able to reach.
    """
    home, port = stack.folder / "scheduler", find_free_port()
    home.mkdir(exist_ok=True)
    with run_postgres(home / "postgres", find_programs()) as database:
        environment = (
            describe_environment(stack, home, port)
            | {
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
                "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
                "AIRFLOW__CORE__PARALLELISM": str(parallelism),
            }
            | QUICK_RECOVERY
            | FEW_PARSES
            | dict(change or {})
        )
        scheduler = PRELOADED if preload else AIRFLOW
        with run_services(port, home, environment, scheduler=scheduler) as services:
            yield LocalAirflow(home, port, environment, services, scheduler=scheduler)


def _is_reached(reached: Callable[[], bool]) -> bool:
    """Check the condition once; on a machine that is busy with Spark the API may time out."""
    try:
        return reached()
    except AirflowRefusedError as refused:
        if refused.status is not None:
            raise
        return False


def _read_run(entry: Mapping[str, Any]) -> ScheduledRun:
    return ScheduledRun(
        str(entry["dag_run_id"]),
        str(entry["run_type"]),
        str(entry["state"]),
        _read_time(entry["logical_date"]),
        _read_time(entry["start_date"]),
        _read_time(entry["end_date"]),
    )


def _read_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
