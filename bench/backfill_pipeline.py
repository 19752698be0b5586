"""How long a backfill takes with a real scheduler: from the first call to the last loaded row, with Spark and checks.

It runs ``airflow backfill create`` once in a new folder, with Airflow's services on PostgreSQL (LocalExecutor), the
sandbox and the offline market, and has a timeout. ``python -m bench.backfill_pipeline [--from-date 2022-01-01]
[--months 12]`` prints tables.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.figures import record
from bench.machine import describe_machine, print_machine, read_load
from mag7.lake.keys import run_segment
from mag7.lake.objects import ObjectMissingError
from mag7.lake.tables import list_tables
from mag7.runs.record import Failure, read_section
from mag7.sessions import list_sessions
from sandbox.airflow_home import TaskRun
from sandbox.provision import open_stack
from sandbox.scheduler import LocalAirflow, ScheduledRun, run_scheduler
from sandbox.stack import Stack, run_stack
from sandbox.tally import SessionRows, count_rows, count_served

DAG = "mag7_backfill"
FIRST_MONTH, MONTHS = date(2022, 1, 1), 12
FIRST_SESSION = date(2020, 11, 30)
ALL_SESSIONS = 1_017
"""From 2020-11-30 to 2024-12-13: the whole history."""

ACTIVE_RUNS = 2
START_SECONDS, MONTH_SECONDS = 300.0, 600.0
"""Timeout of a backfill: seconds to start, and seconds for each month."""

STAGES = {
    "collect": "collect",
    "build_market_data": "build",
    "check_coverage": "build",
    "transform": "transform",
    "check": "check",
    "publish_sessions": "publish",
    "publish_splits": "publish",
    "load": "load",
}
"""A task's stage by its name or that of its group; all other tasks count as "other"."""

OTHER = "other"
ORDER = ("collect", "build", "transform", "check", "publish", "load", OTHER)


class BackfillFailedError(Exception):
    """A month failed for another reason than refused sessions, or sessions are missing."""


@dataclass(frozen=True)
class Month:
    """One DAG run: its month, state, sessions, seconds from start to end, tasks, and its message if it failed."""

    month: str
    state: str
    sessions: int
    seconds: float
    tasks: tuple[TaskRun, ...]
    failure: str | None


@dataclass(frozen=True)
class Backfill:
    """A whole backfill: seconds from the command to the last run's end, seconds of Airflow's start, and the results."""

    seconds: float
    start_seconds: float
    active_runs: int
    calls: int
    months: tuple[Month, ...]
    sessions: tuple[str, ...]
    rows: tuple[SessionRows, ...]


@dataclass(frozen=True)
class StageTime:
    """A stage's time: seconds in which at least one of its tasks ran, and the sum over all its tasks."""

    wall: float
    tasks: float


def measure(first: date = FIRST_MONTH, months: int = MONTHS, active_runs: int = ACTIVE_RUNS) -> dict[str, Any]:
    """Backfill ``months`` months in a new folder and return the figures; raises BackfillFailedError."""
    return summarise(run_backfill(first, months, active_runs))


def run_backfill(first: date, months: int, active_runs: int, *, preload: bool = False) -> Backfill:
    """Backfill ``months`` months from that of ``first`` on, in a new folder that is deleted afterwards.

    With ``preload`` the scheduler imports the modules of the tasks once, unlike an unmodified Airflow.
    """
    last = end_of_months(first, months)
    with TemporaryDirectory(prefix="bench-backfill-") as folder:
        home = Path(folder)
        # PostgreSQL runs under another account if this process is root.
        home.chmod(0o755)
        began = time.monotonic()
        with run_stack(home, {}) as stack, run_scheduler(stack, preload=preload) as airflow:
            airflow.unpause(DAG)
            started = time.monotonic()
            run_ids = airflow.backfill(DAG, first, last, max_active_runs=active_runs)
            runs = airflow.wait_for_runs(DAG, run_ids, START_SECONDS + months * MONTH_SECONDS)
            seconds = time.monotonic() - started
            place = open_stack(stack)
            sessions = tuple(day.isoformat() for day in list_sessions(max(first, FIRST_SESSION), last))
            return Backfill(
                seconds,
                started - began,
                active_runs,
                count_served(stack),
                tuple(read_month(airflow, stack, run, sessions) for run in runs),
                sessions,
                tuple(count_rows(place.warehouse)),
            )


def end_of_months(first: date, months: int) -> date:
    """Return the last day of the last month."""
    count = first.year * 12 + first.month - 1 + months
    return date(count // 12, count % 12 + 1, 1) - timedelta(days=1)


def read_month(airflow: LocalAirflow, stack: Stack, run: ScheduledRun, sessions: Iterable[str]) -> Month:
    """Read the result of one run."""
    logical = run.logical_date or datetime.now(UTC)
    month = logical.strftime("%Y-%m")
    seconds = (run.end - run.start).total_seconds() if run.start and run.end else 0.0
    return Month(
        month,
        run.state,
        sum(day.startswith(month) for day in sessions),
        seconds,
        tuple(airflow.list_tasks(DAG, run.run_id)),
        read_failure(stack, run.run_id) if run.state != "success" else None,
    )


def read_failure(stack: Stack, run_id: str) -> str:
    """Return the message of a failed run."""
    try:
        return read_section(open_stack(stack).store, run_segment(DAG, run_id), Failure).message
    except ObjectMissingError:
        return "failed without a word in its record"


def time_stages(tasks: Iterable[TaskRun]) -> dict[str, StageTime]:
    """Add up the tasks' times by stage."""
    spans: dict[str, list[tuple[datetime, datetime]]] = {stage: [] for stage in ORDER}
    for task in tasks:
        if task.start and task.end:
            spans[find_stage(task.task_id)].append((task.start, task.end))
    return {
        stage: StageTime(cover(found), sum((end - start).total_seconds() for start, end in found))
        for stage, found in spans.items()
    }


def find_stage(task_id: str) -> str:
    """Return a task's stage by its name or that of its outermost group."""
    return STAGES.get(task_id) or STAGES.get(task_id.partition(".")[0], OTHER)


def cover(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """Return the seconds that at least one of these spans covers."""
    covered, reached = 0.0, datetime.min.replace(tzinfo=UTC)
    for start, end in sorted(spans):
        if end > reached:
            covered += (end - max(start, reached)).total_seconds()
            reached = end
    return covered


def account(done: Backfill) -> dict[str, list[str]]:
    """Divide the requested sessions into loaded ones, refused ones (named by a failed run), and all others."""
    present = {row.session for row in done.rows if row.table == "concentration_metrics"}
    words = " ".join(month.failure or "" for month in done.months)
    refused = [day for day in done.sessions if day not in present and f"{day} refused" in words]
    lost = [day for day in done.sessions if day not in present and day not in refused]
    return {"loaded": [day for day in done.sessions if day in present], "refused": refused, "lost": lost}


def summarise(done: Backfill) -> dict[str, Any]:
    """Reduce a backfill to the recorded figures; raises BackfillFailedError where a session is missing."""
    accounted = account(done)
    if accounted["lost"]:
        failures = "; ".join(f"{month.month} {month.state}: {month.failure}" for month in done.months if month.failure)
        raise BackfillFailedError(f"not accounted for: {', '.join(accounted['lost'])} ({failures or 'no run failed'})")
    stages = time_stages(task for month in done.months for task in month.tasks)
    a_session = done.seconds / max(len(done.sessions), 1)
    return {
        "backfill_months": len(done.months),
        "backfill_sessions": len(done.sessions),
        "backfill_seconds": round(done.seconds, 1),
        "backfill_start_seconds": round(done.start_seconds, 1),
        "backfill_active_runs": done.active_runs,
        "backfill_seconds_a_session": round(a_session, 2),
        "backfill_seconds_whole_history": round(a_session * ALL_SESSIONS),
        "backfill_calls": done.calls,
        "backfill_tasks": sum(len(month.tasks) for month in done.months),
        "backfill_stages_wall": {stage: round(spent.wall, 1) for stage, spent in stages.items()},
        "backfill_stages_tasks": {stage: round(spent.tasks, 1) for stage, spent in stages.items()},
        "backfill_rows_a_session": {name: list(bounds) for name, bounds in bound_rows(done).items()},
        "backfill_duplicates": sum(row.duplicates for row in done.rows),
        "backfill_loaded": len(accounted["loaded"]),
        "backfill_refused": accounted["refused"],
    }


def bound_rows(done: Backfill) -> dict[str, tuple[int, int]]:
    """Return each table's fewest and most rows of a loaded session."""
    loaded = account(done)["loaded"]
    counts = {table.name: Counter(dict.fromkeys(loaded, 0)) for table in list_tables()}
    for row in done.rows:
        counts[row.table][row.session] = row.rows
    return {name: (min(found.values(), default=0), max(found.values(), default=0)) for name, found in counts.items()}


def print_table(done: Backfill) -> None:
    """Print time by month and by stage, rows of a session, duplicates, and counts of sessions."""
    print(f"{DAG} by a real scheduler, {done.active_runs} months at once; seconds of tasks by stage")
    print("month    state    sessions  seconds  tasks" + "".join(f"{stage:>11}" for stage in ORDER))
    for month in done.months:
        spent = time_stages(month.tasks)
        print(
            f"{month.month}  {month.state:<8}{month.sessions:9d}{month.seconds:9.1f}{len(month.tasks):7d}"
            + "".join(f"{spent[stage].tasks:11.1f}" for stage in ORDER)
        )
    every = time_stages(task for month in done.months for task in month.tasks)
    print_sums("all tasks", {stage: spent.tasks for stage, spent in every.items()})
    print_sums("wall, any task", {stage: spent.wall for stage, spent in every.items()})
    print_outcome(done)


def print_sums(name: str, seconds: Mapping[str, float]) -> None:
    """Print one line of seconds below the stages."""
    print(f"{name:<40}" + "".join(f"{seconds[stage]:11.1f}" for stage in ORDER))


def print_outcome(done: Backfill) -> None:
    """Print sessions, rows and duplicates."""
    accounted, count = account(done), max(len(done.sessions), 1)
    print(
        f"{len(done.sessions)} sessions in {done.seconds:.0f} s ({done.seconds / count:.2f} s a session; {ALL_SESSIONS}"
        f" would take {done.seconds / count * ALL_SESSIONS / 60:.0f} min), {done.calls} calls,"
        f" Airflow's start {done.start_seconds:.0f} s before"
    )
    bounds = bound_rows(done)
    print("rows a session: " + ", ".join(f"{name} {low} to {high}" for name, (low, high) in bounds.items()))
    print(
        f"duplicates {sum(row.duplicates for row in done.rows)}; sessions loaded {len(accounted['loaded'])},"
        f" refused {len(accounted['refused'])}, not accounted for {len(accounted['lost'])}"
    )
    for month in done.months:
        if month.failure:
            print(f"{month.month}: {month.failure}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.backfill_pipeline", description=__doc__)
    parser.add_argument("--from-date", type=date.fromisoformat, default=FIRST_MONTH, help="default: %(default)s")
    parser.add_argument("--months", type=int, default=MONTHS, help="default: %(default)s")
    parser.add_argument("--max-active-runs", type=int, default=ACTIVE_RUNS, help="default: %(default)s")
    parser.add_argument("--preload", action="store_true", help="let the scheduler import the modules of the tasks")
    parser.add_argument("--record", action="store_true", help="write the figures into docs/figures.json")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    print_machine(machine)
    done = run_backfill(options.from_date, options.months, options.max_active_runs, preload=options.preload)
    print_table(done)
    print(f"load at the end {read_load()}")
    figures = summarise(done)
    if options.record:
        record("backfill_pipeline", figures, machine)


if __name__ == "__main__":
    main()
