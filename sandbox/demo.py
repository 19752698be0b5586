"""``make demo``: one session through the real daily DAG against the local sandbox, and its result.

Usage: python -m sandbox.demo [--date YYYY-MM-DD|latest] [--again] [--corrections] [--rebuild [--through YYYY-MM-DD]]
    [--explain TICKER] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mag7.lake.keys import document_key
from mag7.market.document import Document, decode_document
from mag7.runs.record import Built, Checks, Loaded, Summary, read_section
from mag7.runs.table import tabulate_session
from sandbox import dag_run
from sandbox.airflow_home import TaskRun
from sandbox.command import CANNOT_START, EXAMPLE, DateInvalidError, fail, read_day, run_as_command
from sandbox.cost import describe_session_cost
from sandbox.dag_run import DagRun, say
from sandbox.stack import ROOT, Stack, run_stack
from sandbox.tally import count_served

DAG = "mag7_daily"
FIRST_SESSION = "2020-11-30"
SUMMARY_FILE = "summary.json"
STAGES = {
    "resolve_session": "resolve",
    "build_market_data": "build",
    "check_coverage": "build",
    "publish_splits": "publish",
    "publish_sessions": "publish",
    "summarise": "summary",
    "report_refusals": "summary",
    "write_run_manifest": "summary",
    "send_alert": "summary",
}
PUBLISHING_TASK = "publish_sessions"
CHANGES_SHOWN = 12
FIGURES = (
    "mag7_pct_of_sp500",
    "line_sum_mag7_pct",
    "total_mag7_market_cap",
    "sp500_total_market_cap",
    "line_sum_market_cap",
    "coverage_pct",
    "quality",
    "membership_provisional",
)
"""The metrics of a session that the summary repeats."""
RAN = ("success", "failed")


@dataclass(frozen=True)
class Outcome:
    """The result of a demonstration: its summary, and whether the session was published."""

    summary: dict[str, Any]
    published: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one session and print the result; returns the exit code."""
    options = _parse(arguments)
    summary_file = options.home / SUMMARY_FILE
    started = time.monotonic()
    try:
        day = read_day("DATE", options.date, datetime.now(UTC)).isoformat()
        params = _read_params(options, day)
        with run_stack(options.home, os.environ) as stack:
            prepare(stack, day, params)
            # The last summary is kept until a run begins.
            summary_file.unlink(missing_ok=True)
            outcome = demonstrate(stack, day, params, started=started)
    except CANNOT_START as error:
        return fail("demo", error)
    summary_file.write_text(json.dumps(outcome.summary, indent=1))
    return 0 if outcome.published else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--date", default=EXAMPLE, help="the session, or latest (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="ask the provider again for responses that are stored")
    parser.add_argument("--corrections", action="store_true", help="ask again for the closes of the sessions before")
    parser.add_argument(
        "--rebuild", action="store_true", help="build published sessions from stored responses, no calls"
    )
    parser.add_argument("--through", default=None, help="last session of a range to rebuild")
    parser.add_argument("--explain", default=None, help="ticker whose figures are explained")
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where the sandbox keeps its state")
    return parser.parse_args(arguments)


def _read_params(options: argparse.Namespace, day: str) -> dict[str, Any]:
    """Give the DAG's params from the command line; those left out keep their defaults."""
    params = {
        "collect_again": options.again,
        "collect_corrections": options.corrections,
        "explain": options.explain,
    }
    if options.rebuild:
        through = read_day("THROUGH", options.through, datetime.now(UTC)).isoformat() if options.through else day
        if through < day:
            raise DateInvalidError(f"THROUGH={through} is before DATE={day}")
        params |= {"rebuild": True, "trading_date": day, "through": through}
    return {name: value for name, value in params.items() if value is not None}


def prepare(stack: Stack, day: str, params: Mapping[str, Any]) -> None:
    """Prepare Airflow and the sandbox for a run, and say how long it takes on a slow plan."""
    dag_run.prepare(stack, DAG, day)
    if "rebuild" not in params and (
        cost := describe_session_cost(stack, date.fromisoformat(day), again=params["collect_again"])
    ):
        say(cost)


def demonstrate(stack: Stack, day: str, params: Mapping[str, Any], *, started: float) -> Outcome:
    """Run the DAG for a date on a prepared stack, and print the result."""
    served = count_served(stack)
    run = dag_run.run_to_end(stack, DAG, day, params, f"dags-test-{day}")
    if not any(task.state for task in run.tasks):
        early = "Airflow runs none for a date before the DAG's start, yet calls that a success"
        reason = f"{early}; ask for a session from {FIRST_SESSION} on" if day < FIRST_SESSION else run.read_last_words()
        return _refuse(day, f"no task ran for {day}: {reason}", run.log, started)
    if not run.succeeded:
        published = any(task.task_id == PUBLISHING_TASK and task.state in RAN for task in run.tasks)
        return _refuse(day, run.explain_failure(), run.log, started, published=published)
    calls = count_served(stack) - served if stack.simulated else None
    return _summarise(run, day, started, calls=calls)


def _refuse(day: str, reason: str, logs: Path, started: float, *, published: bool = False) -> Outcome:
    changed = "The session was being published: run it again" if published else "Nothing that anyone reads has changed"
    say(f"\nREFUSED {day}: {reason}\n\n{changed}. The whole log: {logs}")
    return Outcome({"trading_date": day, "refused": reason, "seconds": round(time.monotonic() - started, 1)}, False)


def _summarise(run: DagRun, day: str, started: float, *, calls: int | None) -> Outcome:
    store, segment = run.store, run.segment
    collected, changes = read_section(store, segment, Summary), read_section(store, segment, Built).changes
    checks, loaded = read_section(store, segment, Checks).checks, read_section(store, segment, Loaded)
    keys = {one: document_key(date.fromisoformat(one)) for one in collected.sessions}
    documents = {one: decode_document(store.get(key), store.uri(key)) for one, key in keys.items()}
    # Corrected sessions come before the requested one; a rebuild summarizes its first session.
    document = documents.get(day) or next(iter(documents.values()))
    stages = time_stages(run.tasks)
    summary = {
        **_take_figures(document),
        "checks": [check.model_dump() for check in checks],
        "rows_loaded": loaded.rows[document.trading_date.isoformat()],
        "splits_loaded": loaded.splits,
        "calls": collected.calls if calls is None else calls,
        "changes": changes,
        "stages": stages,
        "seconds": round(time.monotonic() - started, 1),
    }
    for found in documents.values():
        say("\n" + tabulate_session(found))
    for text in collected.explained:
        say(text)
    say(_tabulate_changes(changes))
    say(_tabulate_run(summary, stages))
    return Outcome(summary, True)


def _take_figures(document: Document) -> dict[str, Any]:
    """Take from a published document what summary.json repeats."""
    metrics, ranking = document.concentration_metrics, document.rankings.by_market_cap
    return {
        "trading_date": document.trading_date.isoformat(),
        "source": document.source,
        **{name: getattr(metrics, name) for name in FIGURES},
        "companies": metrics.companies_priced,
        "facts": document.facts.model_dump(mode="json"),
        "ranking": [{"ticker": item.ticker, "market_cap": item.market_cap} for item in ranking],
        "failed_collections": [failed.model_dump() for failed in document.sp500_details.failed_tickers],
    }


def _tabulate_changes(changes: Mapping[str, Sequence[str]]) -> str:
    """List what differs from what was published before, by session; a new session has no entry."""
    lines = []
    for session, found in changes.items():
        lines.append(f"{session} against what was published: {len(found) or 'no'} changes")
        lines += [f"  {change}" for change in found[:CHANGES_SHOWN]]
        if len(found) > CHANGES_SHOWN:
            lines.append(f"  and {len(found) - CHANGES_SHOWN} more: .sandbox/{SUMMARY_FILE} has them all")
    return "\n".join(lines) or "published for the first time"


def time_stages(tasks: Sequence[TaskRun]) -> dict[str, float]:
    """Add up the seconds of the tasks of each stage, in the order in which the stages began."""
    seconds: dict[str, float] = {}
    for task in tasks:
        if task.start and task.end:
            stage = STAGES.get(task.task_id, task.task_id.split(".")[0])
            seconds[stage] = seconds.get(stage, 0.0) + (task.end - task.start).total_seconds()
    return {stage: round(spent, 2) for stage, spent in seconds.items()}


def _tabulate_run(summary: Mapping[str, Any], stages: Mapping[str, float]) -> str:
    passed = sum(check["passed"] for check in summary["checks"])
    lines = [
        f"companies priced {summary['companies']}, coverage by cap {summary['coverage_pct']:.2f} %,"
        f" failed lines {len(summary['failed_collections'])}",
        f"checks passed {passed} of {len(summary['checks'])}",
        "rows in the warehouse: "
        + ", ".join(f"{table} {rows}" for table, rows in summary["rows_loaded"].items())
        + f"; splits known {summary['splits_loaded']}",
        f"calls to the provider: {summary['calls']}",
        "seconds by stage: " + ", ".join(f"{stage} {spent:.1f}" for stage, spent in stages.items()),
        f"seconds in all: {summary['seconds']}",
    ]
    if summary["source"] == "simulated":
        lines.append("source: SIMULATED. Prices and counts of all but the seven's recorded days are invented.")
    return "\n".join(lines)


if __name__ == "__main__":
    run_as_command("demo", main)
