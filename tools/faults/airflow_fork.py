"""Airflow, loaded once and forked for every run, so that a run's process can be killed at any moment.

It reads one JSON object on each line, the job of a run: ``{"dag", "run", "conf", "clear", "share", "warm",
"environment", "log"}``. It writes JSON lines: ``{"pid"}`` of the child that drives the run; ``{"cleared"}``, the task
that ``share`` chose, if there was one to clear; ``{"task", "map_index"}`` when a task instance starts; ``{"state"}``
when the run has ended; and ``{"code"}`` when the child has ended.

The child is the scheduler loop of ``airflow dags test`` for one run, which it starts or continues. A task that was
running when an earlier child was killed is handled like a task whose process got SIGKILL: it is retried, if it has
retries left.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tools.faults.planted import PLANTS

Job = dict[str, Any]
Say = Callable[[dict[str, Any]], None]

LONGEST_RUN_SECONDS = 240.0
_HEAVY = ("pandas", "pandas_market_calendars", "pyarrow.parquet", "pyarrow.compute", "boto3", "polygon", "urllib3",
          "airflow.providers.amazon.aws.hooks.base_aws", "airflow.providers.amazon.aws.hooks.redshift_data",
          "airflow.providers.amazon.aws.hooks.athena", "airflow.providers.amazon.aws.hooks.glue")  # fmt: skip


def main() -> None:
    """Run jobs until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    with Path(os.environ["FAULTS_WARM_LOG"]).open("ab") as log:
        _redirect(log.fileno())
    if planted := os.environ.get("FAULTS_PLANTED"):
        PLANTS[planted]()
    dags = _warm_up()

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")

    say({"ready": sorted(dags)})
    for line in sys.stdin:
        job = json.loads(line)
        if job["warm"]:
            say({"code": _drive_and_report(dags, job, say)})
            _let_go_of_threads()
            continue
        child = os.fork()
        if child == 0:
            os._exit(_drive_and_report(dags, job, say))
        say({"pid": child})
        _, status = os.waitpid(child, 0)
        say({"code": os.waitstatus_to_exitcode(status)})


def _redirect(target: int) -> None:
    for stream in (1, 2):
        os.dup2(target, stream)


def _warm_up() -> dict[str, Any]:
    """Import the modules of the tasks and write the DAGs into Airflow's database; returns the DAGs by id."""
    from importlib import import_module

    for module in _HEAVY:
        import_module(module)
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.sdk.definitions.dag import _run_task  # noqa: F401
    from airflow.sdk.execution_time import task_runner  # noqa: F401
    from airflow.sdk.execution_time.supervisor import in_process_api_server

    manager: Any = DagBundlesManager()  # type: ignore[no-untyped-call]
    manager.sync_bundles_to_db()
    dags: dict[str, Any] = {}
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle.version)
        dags |= bag.dags
    _ = in_process_api_server().app
    _warm_services()
    _let_go_of_threads()
    return dags


def _let_go_of_threads() -> None:
    """Close the database and end the in-process API's thread, which would not survive a fork."""
    import gc

    from airflow import settings
    from airflow.sdk.execution_time.supervisor import in_process_api_server

    with contextlib.suppress(AttributeError):
        del in_process_api_server().transport
    gc.collect()
    settings.dispose_orm(do_log=False)
    gc.freeze()


def _warm_services() -> None:
    """Read AWS's service descriptions and the fact tables once: short tasks spend most of their time on them."""
    import functools

    import boto3
    import botocore.session
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from mag7.index.facts import load_packaged_facts, pin_facts
    from mag7.tasks.collect import list_session_lines

    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    for service in ("s3", "glue", "athena", "redshift-data", "logs", "sts"):
        boto3.Session().client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    # Each client would read the source files of its call stack for a header.
    AwsGenericHook._get_caller = lambda *_: "faults"  # type: ignore[method-assign]
    pin_facts(load_packaged_facts())
    list_session_lines(date(2024, 12, 13))


def _drive_and_report(dags: dict[str, Any], job: Job, say: Say) -> int:
    os.environ.update(job["environment"])
    with Path(job["log"]).open("ab") as log:
        _redirect(log.fileno())
    from airflow import settings

    settings.configure_orm()  # type: ignore[no-untyped-call]
    try:
        say({"state": Run(dags[job["dag"]], job, say).drive()})
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


class Run:
    """One DAG run in Airflow's database."""

    def __init__(self, dag: Any, job: Job, say: Say) -> None:
        from airflow.serialization.serialized_objects import DagSerialization

        self._dag, self._job, self._say = dag, job, say
        scheduled: Any = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
        # Serialization leaves these out, and the end of a run needs them.
        scheduled.on_success_callback = dag.on_success_callback
        scheduled.on_failure_callback = dag.on_failure_callback
        self._scheduled = scheduled

    def drive(self) -> str:
        """Run the tasks until the run has ended; returns its state."""
        from airflow.sdk.definitions.dag import _run_task
        from airflow.utils.session import create_session

        until = time.monotonic() + LONGEST_RUN_SECONDS
        with create_session() as session:
            run = self._open(session)
            while run.state == "running":
                if time.monotonic() > until:
                    raise TimeoutError(f"{run.run_id} did not end within {LONGEST_RUN_SECONDS:.0f} s")
                for ti in self._schedule(run, session):
                    self._say({"task": ti.task_id, "map_index": ti.map_index})
                    try:
                        _run_task(ti=ti, task=self._dag.task_dict[ti.task_id], run_triggerer=True)
                    except Exception:
                        import traceback

                        traceback.print_exc()
            return str(run.state)

    def _open(self, session: Any) -> Any:
        """Find the run and make its cleared or killed tasks ready; or create the run."""
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        wanted = select(DagRun).where(DagRun.dag_id == self._dag.dag_id, DagRun.run_id == self._job["run"])
        run = session.scalar(wanted)
        if run is None:
            return self._begin(session)
        run.dag = self._scheduled
        for ti in run.get_task_instances(session=session):
            if ti.state in {"running", "queued"}:
                ti.end_date = datetime.now(UTC)
                ti.state = "up_for_retry" if ti.try_number <= ti.max_tries else "failed"
        session.commit()
        self._clear(run, session)
        return session.scalar(wanted.execution_options(populate_existing=True))

    def _clear(self, run: Any, session: Any) -> None:
        """Clear as an operator would: failed tasks or a named task, and one task that succeeded."""
        clear, share = self._job["clear"], self._job["share"]
        succeeded = self._list_succeeded(run, session)
        if clear == "failed":
            self._scheduled.clear(run_id=self._job["run"], only_failed=True, dag_run_state="running", session=session)
        elif clear is not None:
            self._clear_from(clear, session)
        if share is not None and succeeded:
            chosen = succeeded[int(share * len(succeeded))]
            if self._clear_from(chosen, session):
                self._say({"cleared": chosen})
        session.commit()

    def _clear_from(self, task: str, session: Any) -> int:
        """Clear a task with its downstream tasks; returns the number of task instances."""
        subset = self._scheduled.partial_subset([task], include_downstream=True, include_upstream=False)
        return int(subset.clear(run_id=self._job["run"], dag_run_state="running", session=session))

    def _list_succeeded(self, run: Any, session: Any) -> list[str]:
        """List the run's successful tasks, without teardown tasks, which have no downstream tasks."""
        done = {ti.task_id for ti in run.get_task_instances(state=["success"], session=session)}
        return sorted(task for task in done if not self._dag.task_dict[task].is_teardown)

    def _begin(self, session: Any) -> Any:
        from airflow.models.dagrun import get_or_create_dagrun
        from airflow.utils.types import DagRunTriggeredByType

        now = datetime.now(UTC)
        run = get_or_create_dagrun(
            dag=self._scheduled,
            run_id=self._job["run"],
            start_date=now,
            logical_date=None,
            data_interval=None,
            run_after=now,
            conf=self._job["conf"],
            triggered_by=DagRunTriggeredByType.TEST,
            triggering_user_name="faults",
            session=session,
        )
        run.dag = self._scheduled
        session.commit()
        return run

    def _schedule(self, run: Any, session: Any) -> list[Any]:
        """List the task instances that are due, each on its next try."""
        session.expire_all()
        for ti in run.get_task_instances(state=["up_for_retry"], session=session):
            ti.end_date = datetime.now(UTC) - timedelta(days=1)  # no retry delay here
        session.commit()
        ready, _ = run.update_state(session=session)
        for ti in ready:
            if ti.state != "up_for_reschedule":
                ti.try_number += 1
            ti.state, ti.scheduled_dttm = "scheduled", datetime.now(UTC)
        session.commit()
        return sorted(
            run.get_task_instances(state=["scheduled"], session=session), key=lambda ti: (ti.task_id, ti.map_index)
        )


if __name__ == "__main__":
    main()
