"""The end of a run: a summary for people and programs, and a last word on sessions that were refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from mag7.lake.keys import document_key
from mag7.market.document import Document
from mag7.market.explain import explain_line
from mag7.settings import read_settings
from mag7.tasks.check import CHECKS
from mag7.tasks.collector import Counts, add_counts
from mag7.tasks.connections import open_store
from mag7.tasks.document import CHANGES, COVERAGE
from mag7.tasks.publish import WAREHOUSE
from mag7.tasks.refusals import SessionRefusedError, refusal_sentence
from mag7.tasks.reports import drop_failure, read_report, write_report
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

SUMMARY = "summary"


def summarise(
    window: Window, counts: Sequence[Counts | Sequence[Counts]], explain: str | None = None
) -> dict[str, dict[str, int]]:
    """Report every published session with its figures, explaining one line where asked; returns rows by session.

    ``counts`` is what each collecting task counted; a mapped task's is a sequence.
    """
    store = open_store(read_settings())
    loaded = read_report(store, window["run"], WAREHOUSE)
    rows: dict[str, dict[str, int]] = loaded["rows"]
    checks = read_report(store, window["run"], CHECKS)["checks"]
    documents = [json.loads(store.get(document_key(session))) for session in list_window(window)]
    sessions = [summarise_session(document) for document in documents]
    explained = [explain_line(document, explain) for document in documents] if explain else []
    write_report(
        store,
        window["run"],
        SUMMARY,
        {
            "sessions": sessions,
            "checks": checks,
            "rows_loaded": rows,
            "splits_loaded": loaded["splits"],
            "calls": add_counts(counts)["requests"],
            "changes": read_report(store, window["run"], CHANGES),
            "explained": explained,
        },
    )
    for session in sessions:
        log.info("%s", tabulate_session(session))
    for text in explained:
        log.info("%s", text)
    drop_failure(store, window["run"])
    return rows


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
        "ranking": document["rankings"]["by_market_cap"],
        "failed_collections": document["sp500_details"]["failed_tickers"],
    }


def tabulate_session(session: dict[str, Any]) -> str:
    """Lay out a session's seven and its two concentration figures in one plain table."""
    lines = [f"session {session['trading_date']}, source {session['source']}, quality {session['quality']}"]
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
    store = open_store(read_settings())
    coverage: dict[str, list[str]] = read_report(store, window["run"], COVERAGE)
    checks: dict[str, list[str]] = read_report(store, window["run"], CHECKS)["refused"]
    refused = {session: reasons for session, reasons in {**coverage, **checks}.items() if reasons}
    if refused:
        published = [session for session in window["sessions"] if session not in refused]
        raise SessionRefusedError(refusal_sentence(refused, published))
    log.info("no session of this run was refused")
