"""One DAG run as a command on the sandbox: prepare, run to the end, read the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mag7.lake.keys import run_segment
from mag7.lake.objects import ObjectStore
from mag7.runs.record import RunRecord, read_record
from sandbox.airflow_home import TaskRun, find_run, list_task_runs, prepare_airflow, run_dag
from sandbox.provision import open_stack
from sandbox.setup import set_up_sandbox
from sandbox.stack import Stack

LAST_TASK = "report_refusals"


@dataclass(frozen=True)
class DagRun:
    """A run that has ended: its tasks, the lake, its segment of the lake's keys, and Airflow's log."""

    tasks: Sequence[TaskRun]
    store: ObjectStore
    segment: str
    log: Path

    @property
    def failed(self) -> list[str]:
        """The ids of the tasks that failed."""
        return [task.task_id for task in self.tasks if task.state == "failed"]

    @property
    def succeeded(self) -> bool:
        """Whether every task ran and succeeded, the last one included."""
        return any(task.task_id == LAST_TASK for task in self.tasks) and all(
            task.state == "success" for task in self.tasks
        )

    def read_record(self) -> RunRecord:
        """Read the record that the run left."""
        return read_record(self.store, self.segment, {task.task_id: task.state or "" for task in self.tasks})

    def explain_failure(self) -> str:
        """Give the reason of a failure: the one in the run's record, or the failed tasks."""
        if failure := read_record(self.store, self.segment).failure:
            return failure.message
        return (
            f"{', '.join(self.failed) or 'the run'} failed without a word in its record: its error is at the log's end"
        )

    def read_last_words(self) -> str:
        """Give the last line that Airflow wrote."""
        said = self.log.read_text(errors="replace").split("\n")
        return next((line[:300] for line in reversed(said) if line.strip()), "Airflow said nothing")


def prepare(stack: Stack, dag_id: str, period: str) -> None:
    """Prepare Airflow and the sandbox for a run of a date or a range."""
    say(f"{dag_id} for {period}, source {stack.source}, sandbox {stack.folder}")
    prepare_airflow(stack)
    if set_up_sandbox(stack.environment(), stack.folder / "setup.log"):
        say("set up by mag7_setup")


def run_to_end(stack: Stack, dag_id: str, day: str, conf: Mapping[str, object], log_name: str) -> DagRun:
    """Run a DAG on a stack that is prepared; prints each task as it starts."""
    log = stack.folder / f"{log_name}.log"
    began = datetime.now(UTC)
    run_dag(stack, dag_id, day, conf, log=log, say=lambda task: say(f"  {task}"))
    run_id = find_run(stack, dag_id, began)
    tasks = list_task_runs(stack, dag_id, run_id) if run_id else []
    return DagRun(tasks, open_stack(stack).store, run_segment(dag_id, run_id or ""), log)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)
