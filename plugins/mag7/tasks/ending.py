"""How a run ended, seen from its last tasks: the states of the others, and the reports that they left."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mag7.lake.keys import run_segment
from mag7.lake.objects import ObjectStore
from mag7.tasks.backfill import RANGE
from mag7.tasks.check import CHECKS
from mag7.tasks.corrections import CORRECTIONS
from mag7.tasks.document import COVERAGE
from mag7.tasks.publish import WAREHOUSE
from mag7.tasks.refusals import join_refusals
from mag7.tasks.reports import FAILURE, read_report_if_any
from mag7.tasks.summary import SUMMARY
from mag7.tasks.window import Window

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

PUBLISHING, LOADING = "publish_sessions", "load.reconcile"
"""The tasks after whose success sessions are in the lake, and in the warehouse."""

WRITERS = {
    RANGE: "resolve_window",
    CORRECTIONS: "add_corrected",
    COVERAGE: "check_coverage",
    CHECKS: "check.judge_checks",
    WAREHOUSE: LOADING,
    SUMMARY: "summarise",
}
"""By report, the task that writes it: where that has not ended, the report is of an earlier attempt of the run."""

ENDED = frozenset({"success", "failed"})
NOTHING_TO_DO = "skipped"
"""The state of a backfill's first task where every session is complete: it has reported that."""

MANIFEST, ALERT = "write_run_manifest", "send_alert"
"""The tasks that tell of a run; how they end themselves does not say how the run did."""

MAPPED = re.compile(r"_\d+$")
"""What Airflow appends to a mapped task's id to tell its instances apart."""


@dataclass(frozen=True)
class Ending:
    """How a run ended: the states of its tasks by id, its sessions (None: not resolved), its reports by name.

    ``late`` is by how much it ended after it was due, where that is late.
    """

    dag_id: str
    run_id: str
    states: Mapping[str, str]
    sessions: Sequence[str] | None
    reports: Mapping[str, dict[str, Any]]
    late: timedelta | None = None

    @property
    def run(self) -> str:
        """The run's path segment in the lake."""
        return run_segment(self.dag_id, self.run_id)

    @property
    def idle(self) -> bool:
        """Whether every session was complete, so that nothing was done."""
        return self.states.get(WRITERS[RANGE]) == NOTHING_TO_DO

    @property
    def failed(self) -> list[str]:
        """The tasks that failed, but for those that tell of the run; a mapped one once."""
        failed = {MAPPED.sub("", task) for task, state in self.states.items() if state == "failed"}
        return sorted(failed - {MANIFEST, ALERT})

    @property
    def refused(self) -> dict[str, list[str]]:
        """Sessions that a gate refused, and why."""
        return join_refusals(*(self.reports.get(name) for name in (RANGE, COVERAGE, CHECKS)))


def read_ending(
    ti: Any, dag_run: DagRunProtocol, window: Window | None, store: ObjectStore | None, late: timedelta | None = None
) -> Ending:
    """Read how the run of a task instance ended; without a ``store`` there are no reports."""
    known: Mapping[str, Mapping[str, Any]] = ti.get_task_states(dag_id=ti.dag_id, run_ids=[dag_run.run_id])
    states = {task: str(state) for task, state in known.get(dag_run.run_id, {}).items()}
    run = run_segment(ti.dag_id, dag_run.run_id)
    return Ending(
        ti.dag_id,
        dag_run.run_id,
        states=states,
        sessions=window["sessions"] if window else None,
        reports=_read_reports(store, run, states) if store else {},
        late=late,
    )


def _read_reports(store: ObjectStore, run: str, states: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Read the reports of this attempt of a run: an earlier one may have left others, since any task can be cleared."""
    names = [
        name
        for name, writer in WRITERS.items()
        if states.get(writer) in (ENDED | {NOTHING_TO_DO} if name == RANGE else ENDED)
    ]
    failed = {MAPPED.sub("", task) for task, state in states.items() if state == "failed"}
    found = {name: read_report_if_any(store, run, name) for name in names}
    failure = read_report_if_any(store, run, FAILURE)
    found[FAILURE] = failure if failure and failure["task"] in failed else None
    return {name: report for name, report in found.items() if report is not None}
