"""Build each session's document from the stored responses, and check its coverage."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import cast

from mag7.index.constituents import list_lines
from mag7.index.pinned import pinned_facts
from mag7.lake.keys import staged_document_key
from mag7.lake.objects import ObjectStore
from mag7.market.changes import list_changes
from mag7.market.concentration import CoverageBounds, NothingPricedError, list_refusals
from mag7.market.document import Document, encode_document
from mag7.market.figures import SessionFigures, compute_figures, write_document
from mag7.market.input_reader import InputReader, open_inputs
from mag7.polygon.answers import AnswerStore, MixedSourcesError, require_one_source
from mag7.polygon.source import SIMULATED
from mag7.runs.progress import Progress
from mag7.runs.record import Built, read_section, write_section
from mag7.runs.refusal import SessionRefusedError, refusal_sentence
from mag7.settings import Settings, read_settings
from mag7.tasks.collect import list_seven_outside
from mag7.tasks.collector import AnswerBook
from mag7.tasks.connections import open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.last_known import add_last_known
from mag7.tasks.published import read_published
from mag7.tasks.window import Window, list_window, with_sessions

log = logging.getLogger(__name__)

CHANGES_SHOWN = 40


@with_facts
def build_market_data(window: Window, sessions_of_run: int | None = None) -> dict[str, str]:
    """Write every session's document to staging; returns the keys by session.

    Records what coverage forbids, and the differences from the published document. The window may be a part of a run's:
    given the number of all its sessions, the task logs the run's progress.

    A session without a document, because nothing of it is priced or its responses are of two sources, is refused like
    one with too little coverage. The others go on.
    """
    settings = read_settings()
    store = open_store(settings)
    reader = open_inputs(AnswerBook(AnswerStore(store)), settings.counts_frozen_before)
    keys: dict[str, str] = {}
    refusals: dict[str, list[str]] = {}
    changes: dict[str, list[str]] = {}
    part, sessions = window["sessions"][0], list_window(window)
    progress = Progress(store, window["run"], sessions_of_run, f"documents-{part}") if sessions_of_run else None
    for done, session in enumerate(sessions):
        if progress:
            progress.tell(sessions=done, unbuilt=len(sessions) - done)
        try:
            figures = compute_session(reader, session, store)
            document = write_session(figures)
        except (NothingPricedError, MixedSourcesError) as refused:
            refusals[session.isoformat()] = [str(refused)]
            continue
        key = staged_document_key(window["run"], session)
        store.put(key, encode_document(document), "application/json")
        keys[session.isoformat()] = key
        changes |= _compare_with_published(store, session, document)
        refusals[session.isoformat()] = judge_coverage(figures, settings)
        _log_figures(figures)
    write_section(store, window["run"], Built(refused=refusals, changes=changes), part)
    if progress:
        progress.tell(sessions=len(sessions))
    return keys


def _compare_with_published(store: ObjectStore, session: date, document: Document) -> dict[str, list[str]]:
    """Return, by session, the differences from the published document; nothing where none is published yet."""
    published = read_published(store, session)
    if published is None:
        return {}
    changes = list_changes(published, document)
    shown = "; ".join(changes[:CHANGES_SHOWN]) + (
        f"; and {len(changes) - CHANGES_SHOWN} more" * (len(changes) > CHANGES_SHOWN)
    )
    found = f"{len(changes)} changes: {shown}" if changes else "the same"
    log.info("%s compared with the published document: %s", session, found)
    return {session.isoformat(): changes}


def compute_session(reader: InputReader, session: date, store: ObjectStore | None = None) -> SessionFigures:
    """Work out a session's figures from the stored responses; raises NothingPricedError where no company is priced.

    ``store`` is the lake with the earlier published sessions: in coverage, a company without a cap counts with its last
    published one.
    """
    lines, splits = list_lines(session), reader.splits.table(session)
    inputs = reader.read_lines(session, lines)
    if store is not None:
        inputs = add_last_known(store, session, inputs, splits)
    outside = reader.read_lines(session, list_seven_outside(session, lines))
    return compute_figures(session, inputs, outside, splits)


def write_session(figures: SessionFigures) -> Document:
    """Compose a session's document with the source and the newest time of its responses.

    Raises MixedSourcesError, and FactsSimulatedError where facts of the simulated market meet other responses.
    """
    answers = figures.answers
    # Every priced figure rests on a completed response, so there is a source.
    source = cast("str", require_one_source(answers))
    pinned_facts().require_source(source, SIMULATED)
    return write_document(figures, source, max(answer.time for answer in answers))


def judge_coverage(figures: SessionFigures, settings: Settings) -> list[str]:
    """List the reasons, one sentence each, why a session's coverage forbids publishing it."""
    bounds = CoverageBounds(Decimal(str(settings.minimum_companies_pct)), Decimal(str(settings.minimum_cap_pct)))
    return list_refusals(figures.concentration, figures.missing_seven, bounds)


def check_coverage(window: Window, parts: Sequence[Window] | None = None) -> Window:
    """Return the window of the sessions with enough coverage; raises SessionRefusedError when none is left.

    ``parts`` are those of the window that mapped tasks built; None where one task built all of it.
    """
    store = open_store(read_settings())
    names = [part["sessions"][0] for part in parts or [window]]
    built = [read_section(store, window["run"], Built, name) for name in names]
    refusals = {day: reasons for part in built for day, reasons in part.refused.items()}
    changes = {day: found for part in built for day, found in part.changes.items()}
    write_section(store, window["run"], Built(refused=refusals, changes=changes))
    for session, reasons in refusals.items():
        for reason in reasons:
            log.error("%s refused: %s", session, reason)
    accepted = [session for session in list_window(window) if not refusals.get(session.isoformat())]
    if not accepted:
        raise SessionRefusedError(refusal_sentence(refusals))
    return with_sessions(window, accepted)


def _log_figures(figures: SessionFigures) -> None:
    concentration = figures.concentration
    log.info(
        "%s: %.4f %% of the index by company, line sum %s, %d of %d companies priced, quality %s",
        figures.session,
        concentration.mag7_pct_of_sp500,
        "incomplete" if concentration.line_sum_mag7_pct is None else f"{concentration.line_sum_mag7_pct:.4f} %",
        concentration.coverage.companies_priced,
        concentration.coverage.companies_expected,
        concentration.quality,
    )
    for failed in figures.failed:
        log.warning("%s %s failed: %s", figures.session, failed.line.ticker, failed.reason)
    for refused in figures.splits.list_refused():
        log.warning("%s: the provider lists a split that does not apply: %s", figures.session, refused)
