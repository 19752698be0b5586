"""Airflow beside the sandbox: creates its database once, runs its commands, and reads the state of its tasks."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.stack import ROOT, Stack

POOL = {
    "polygon": {"slots": 4, "description": "mapped tasks that ask the market data provider", "include_deferred": False}
}
COMMAND_SECONDS = 300.0
PROGRESS_SECONDS = 15.0
_PROGRESS = re.compile(r"\d+ of \d+ sessions built, [^\[\n]*")
_TASK_STARTS = re.compile(r"\[DAG TEST\] starting task_id=(\S+)")


class AirflowCommandError(Exception):
    """An Airflow command failed; the message holds its last lines."""


@dataclass(frozen=True)
class TaskRun:
    """The state of one task instance; times in UTC, None where it did not start or end."""

    task_id: str
    map_index: int
    state: str | None
    start: datetime | None
    end: datetime | None


def prepare_airflow(stack: Stack) -> None:
    """Create Airflow's database and pool for this stack unless they exist; raises AirflowCommandError."""
    done = stack.airflow_home / "prepared"
    if done.exists():
        return
    stack.airflow_home.mkdir(parents=True, exist_ok=True)
    migrate_database(stack.environment())
    done.touch()


def migrate_database(environment: Mapping[str, str]) -> None:
    """Migrate Airflow's database and write the pool into it; raises AirflowCommandError."""
    run_airflow(environment, "db", "migrate")
    import_entries(environment, "pools", POOL)


def import_entries(environment: Mapping[str, str], kind: str, entries: object, *options: str) -> None:
    """Write pools or connections into Airflow's database; raises AirflowCommandError."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{kind}.json"
        file.write_text(json.dumps(entries))
        run_airflow(environment, kind, "import", *options, str(file))


def run_airflow(environment: Mapping[str, str], *command: str) -> None:
    """Run an Airflow command; raises AirflowCommandError with its last lines where it fails."""
    finished = subprocess.run(
        airflow_command(*command),
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if finished.returncode:
        last = " | ".join((finished.stdout + finished.stderr).strip().splitlines()[-3:])
        raise AirflowCommandError(f"airflow {' '.join(command)} ended with code {finished.returncode}: {last}")


def airflow_command(*arguments: str) -> list[str]:
    """Give the command line of an Airflow command in this environment."""
    return [sys.executable, "-m", "airflow", *arguments]


def _stay_silent(task_id: str) -> None:
    """Report nothing."""


def run_dag(
    stack: Stack,
    dag_id: str,
    day: str,
    conf: Mapping[str, object],
    *,
    log: Path,
    say: Callable[[str], None] = _stay_silent,
) -> int:
    """Run ``airflow dags test`` for a date; its whole output goes to a log file. Returns the exit code.

    ``say`` gets each task's id when the task starts, once for a mapped task, and every so often the progress of a long
    task. The command ends with this function, also on an interrupt.
    """
    command = airflow_command("dags", "test", dag_id, day, "-c", json.dumps(conf))
    started_tasks: set[str] = set()
    said = time.monotonic()
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=ROOT, env=stack.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                output.write(line)
                output.flush()
                started, progress = _TASK_STARTS.search(line), _PROGRESS.search(line)
                if started and started[1] not in started_tasks:
                    started_tasks.add(started[1])
                    say(started[1])
                elif progress and time.monotonic() - said >= PROGRESS_SECONDS:
                    said = time.monotonic()
                    say(f"  {progress[0].strip()}")
        except BaseException:
            process.kill()
            raise
    return process.returncode


def find_run(stack: Stack, dag_id: str, since: datetime) -> str | None:
    """Find the newest run of a DAG that was triggered at or after a time; None where there is none."""
    query = "SELECT run_id, run_after FROM dag_run WHERE dag_id = ? ORDER BY id DESC"
    with closing(_connect(stack)) as connection:
        for run_id, asked in connection.execute(query, [dag_id]):
            moment = _parse(asked)
            if moment and moment >= since:
                return str(run_id)
    return None


def list_runs(stack: Stack, dag_id: str) -> list[tuple[str, str]]:
    """List the ids of a DAG's runs and their states, oldest first."""
    with closing(_connect(stack)) as connection:
        return connection.execute("SELECT run_id, state FROM dag_run WHERE dag_id = ? ORDER BY id", [dag_id]).fetchall()


def read_conf(stack: Stack, dag_id: str, run_id: str) -> dict[str, Any]:
    """Read the configuration of a run."""
    query = "SELECT conf FROM dag_run WHERE dag_id = ? AND run_id = ?"
    with closing(_connect(stack)) as connection:
        (conf,) = connection.execute(query, [dag_id, run_id]).fetchone()
    found: dict[str, Any] = json.loads(conf)
    return found


def list_task_runs(stack: Stack, dag_id: str, run_id: str) -> list[TaskRun]:
    """List the task instances of a run by start."""
    query = """
        SELECT task_id, map_index, state, start_date, end_date FROM task_instance
        WHERE dag_id = ? AND run_id = ? ORDER BY start_date
    """
    with closing(_connect(stack)) as connection:
        rows = connection.execute(query, [dag_id, run_id]).fetchall()
    return [TaskRun(task, index, state, _parse(start), _parse(end)) for task, index, state, start, end in rows]


def list_asset_events(stack: Stack, run_id: str) -> list[tuple[str, dict[str, Any]]]:
    """List the asset events that a run emitted: each asset's URI and the event's extra."""
    query = """
        SELECT asset.uri, asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_event.asset_id
        WHERE asset_event.source_run_id = ? ORDER BY asset.uri
    """
    with closing(_connect(stack)) as connection:
        return [(uri, json.loads(extra)) for uri, extra in connection.execute(query, [run_id])]


def _connect(stack: Stack) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{stack.airflow_home / 'airflow.db'}?mode=ro", uri=True)


def _parse(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
