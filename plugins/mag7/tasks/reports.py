"""Small JSON reports that a run leaves in the lake, for people and for programs that watch it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mag7.errors import Mag7Error
from mag7.lake.keys import report_key, run_segment
from mag7.lake.objects import ObjectStore

if TYPE_CHECKING:
    from airflow.sdk import Context

FAILURE = "failure"


def write_report(store: ObjectStore, run: str, name: str, content: dict[str, Any]) -> None:
    """Write a report of a run, replacing an earlier one of that name."""
    body = json.dumps(content, indent=1, default=str).encode()
    store.put(report_key(run, name), body, "application/json")


def read_report(store: ObjectStore, run: str, name: str) -> dict[str, Any]:
    """Read a report of a run; raises ObjectMissingError where the run left none."""
    content: dict[str, Any] = json.loads(store.get(report_key(run, name)))
    return content


def clear_reports(store: ObjectStore, run: str) -> None:
    """Delete what an earlier attempt of the same run left, so that nobody takes it for this one's."""
    store.delete([stored.key for stored in store.list(report_key(run, "").removesuffix(".json"))])


def report_failure(context: Context) -> None:
    """Leave a failed task's error as the run's failure report; Airflow calls this as on_failure_callback.

    The first failure of a run is its cause: a later one does not replace it. Where the lake itself cannot be
    written to, Airflow logs that as the callback's own error beside the task's.
    """
    from mag7.settings import read_settings
    from mag7.tasks.connections import open_store

    ti, dag_run = context["ti"], context["dag_run"]
    run = run_segment(ti.dag_id, dag_run.run_id)
    error = context.get("exception")
    store = open_store(read_settings())
    if any(True for _ in store.list(report_key(run, FAILURE))):
        return
    kind = type(error).__name__ if error else "unknown"
    write_report(
        store,
        run,
        FAILURE,
        {"task": ti.task_id, "error": kind, "message": str(error), "ours": isinstance(error, Mag7Error)},
    )
