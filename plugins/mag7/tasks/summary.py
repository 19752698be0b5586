"""The end of a run: a summary for people and programs, and a last word on sessions that were refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mag7.index.fact_ages import list_due
from mag7.index.pinned import pinned_facts
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.market.document import Document
from mag7.market.explain import explain_line
from mag7.settings import read_settings
from mag7.tasks.backfill import RANGE
from mag7.tasks.check import CHECKS
from mag7.tasks.collector import Counts, add_counts
from mag7.tasks.connections import open_store
from mag7.tasks.document import CHANGES, COVERAGE
from mag7.tasks.facts import with_facts
from mag7.tasks.publish import WAREHOUSE
from mag7.tasks.refusals import SessionRefusedError, join_refusals, refusal_sentence
from mag7.tasks.reports import drop_failure, read_report, read_report_if_any, write_report
from mag7.tasks.run_note import write_note
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

SUMMARY = "summary"


@with_facts
def summarise(
    window: Window, counts: Sequence[Counts | Sequence[Counts]], explain: str | None = None
) -> dict[str, dict[str, int]]:
    """Report every published session with its figures, explaining one line where asked; returns rows by session.

    ``counts`` is what each collecting task counted; a mapped task's is a sequence.
    """
    store = open_store(read_settings())
    sessions, explained = [], []
    for document in read_documents(store, window):
        sessions.append(summarise_session(document))
        explained += [explain_line(document, explain)] if explain else []
    report = collect_reports(store, window, counts) | {"sessions": sessions, "explained": explained}
    write_report(store, window["run"], SUMMARY, report)
    for session in sessions:
        log.info("%s", tabulate_session(session))
    for sentence in report["facts_due"]:
        log.warning("due: %s", sentence)
    for text in explained:
        log.info("%s", text)
    drop_failure(store, window["run"])
    rows: dict[str, dict[str, int]] = report["rows_loaded"]
    return rows


@with_facts
def summarise_range(
    window: Window, counts: Sequence[Counts | Sequence[Counts]], seconds: Mapping[str, float]
) -> dict[str, int]:
    """Report what a backfill did: a line for each session, and which were complete, published and refused.

    ``seconds`` is what the tasks of each stage took, added up. Returns the numbers.
    """
    store = open_store(read_settings())
    run = window["run"]
    asked = read_report(store, run, RANGE)
    refused = read_refusals(store, run)
    sessions = [summarise_session(document) for document in read_documents(store, window)]
    report = collect_reports(store, window, counts) | {
        "sessions": sessions,
        "asked": asked["asked"],
        "complete": asked["complete"],
        "refused": refused,
        "bytes": add_counts(counts)["bytes"],
        "seconds_by_stage": dict(seconds),
    }
    write_report(store, run, SUMMARY, report)
    log.info("%s", tabulate_range(report))
    write_note(say_range(report))
    drop_failure(store, run)
    return {"published": len(sessions), "complete": len(asked["complete"]), "refused": len(refused)}


def read_documents(store: ObjectStore, window: Window) -> Iterator[Document]:
    """Read the published documents of a window's sessions, one at a time: a window may be years."""
    for session in list_window(window):
        yield json.loads(store.get(document_key(session)))


def collect_reports(store: ObjectStore, window: Window, counts: Sequence[Counts | Sequence[Counts]]) -> dict[str, Any]:
    """Join what the run's tasks reported: checks, rows loaded, calls and changes."""
    loaded = read_report(store, window["run"], WAREHOUSE)
    return {
        "checks": read_report(store, window["run"], CHECKS)["checks"],
        "rows_loaded": loaded["rows"],
        "splits_loaded": loaded["splits"],
        "calls": add_counts(counts)["requests"],
        "changes": read_report(store, window["run"], CHANGES),
        "facts_due": list_due(pinned_facts(), list_window(window)[-1]),
    }


def read_refusals(store: ObjectStore, run: str) -> dict[str, list[str]]:
    """Read which sessions of a run were refused, and why: by coverage, by checks, or before they were asked about."""
    return join_refusals(
        read_report_if_any(store, run, RANGE), read_report(store, run, COVERAGE), read_report(store, run, CHECKS)
    )


def say_range(report: Mapping[str, Any]) -> str:
    """Say in one sentence what a backfill did."""
    return (
        f"{len(report['sessions'])} sessions published and loaded, {len(report['complete'])} were complete,"
        f" {len(report['refused'])} refused; {report['calls']} calls, {report['bytes'] / 1e6:.1f} MB"
    )


def tabulate_range(report: Mapping[str, Any]) -> str:
    """Lay out a backfill's sessions, one a line, with what was refused and what each stage took."""
    lines = [say_range(report)]
    for session in report["sessions"]:
        line_sum = session["line_sum_mag7_pct"]
        lines.append(
            f"{session['trading_date']}  {session['mag7_pct_of_sp500']:8.4f} % by company,"
            f" {'no' if line_sum is None else f'{line_sum:8.4f} % by'} line sum, {session['companies']} companies,"
            f" quality {session['quality']}, source {session['source']}"
        )
    lines += [f"{day}  refused: {'; '.join(reasons)}" for day, reasons in report["refused"].items()]
    stages = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in report["seconds_by_stage"].items())
    lines.append(f"seconds of tasks by stage: {stages}")
    return "\n".join(lines)


def add_stages(finished: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Add up the seconds that a run's tasks took, by task group or task; ``finished`` as Airflow's breadcrumbs.

    Tasks that never ran have no seconds.
    """
    seconds: dict[str, float] = {}
    for task in finished:
        if task["duration"] is None:
            continue
        stage = str(task["task_id"]).partition(".")[0]
        seconds[stage] = seconds.get(stage, 0.0) + task["duration"]
    return {stage: round(total, 1) for stage, total in seconds.items()}


def summarise_session(document: Document) -> dict[str, Any]:
    """Take the figures that people ask for out of a published document."""
    metrics = document["concentration_metrics"]
    return {
        "trading_date": document["trading_date"],
        "source": document["source"],
        "mag7_pct_of_sp500": metrics["mag7_pct_of_sp500"],
        "line_sum_mag7_pct": metrics["line_sum_mag7_pct"],
        "total_mag7_market_cap": metrics["total_mag7_market_cap"],
        "sp500_total_market_cap": metrics["sp500_total_market_cap"],
        "line_sum_market_cap": metrics["line_sum_market_cap"],
        "companies": metrics["companies_priced"],
        "coverage_pct": metrics["coverage_pct"],
        "quality": metrics["quality"],
        "membership_provisional": metrics.get("membership_provisional", False),
        "facts": document.get("facts"),
        "ranking": document["rankings"]["by_market_cap"],
        "failed_collections": document["sp500_details"]["failed_tickers"],
    }


def tabulate_session(session: dict[str, Any]) -> str:
    """Lay out a session's seven and its two concentration figures in one plain table."""
    lines = [f"session {session['trading_date']}, source {session['source']}, quality {session['quality']}"]
    if session["membership_provisional"]:
        lines.append(f"members provisional: confirmed through {session['facts']['members_confirmed_through']}")
    lines.append(f"{'':<3}{'':<7}{'market cap, USD':>26}{'of the seven':>14}{'of the index':>14}")
    for company in session["ranking"]:
        of_index = company["pct_of_sp500"]
        lines.append(
            f"{company['ranking']:<3}{company['ticker']:<7}{company['market_cap']:>26,.2f}"
            f"{company['pct_of_mag7']:>12.2f} %{'not in it' if of_index is None else f'{of_index:.2f} %':>14}"
        )
    line_sum = session["line_sum_mag7_pct"]
    lines.append(f"the seven in the index, by company: {session['mag7_pct_of_sp500']:.4f} %")
    lines.append(
        "the same by line sum, as published elsewhere (two-line companies counted twice): "
        + ("not available, a line is missing" if line_sum is None else f"{line_sum:.4f} %")
    )
    return "\n".join(lines)


def report_refusals(window: Window) -> None:
    """Fail the run if any session of its window was refused, whatever became of the others."""
    refused = read_refusals(open_store(read_settings()), window["run"])
    if refused:
        published = [session for session in window["sessions"] if session not in refused]
        raise SessionRefusedError(refusal_sentence(refused, published))
    log.info("no session of this run was refused")
