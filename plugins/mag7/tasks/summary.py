"""The end of a run: what was published, for its log and record, and a failure where sessions were refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from mag7.index.fact_ages import list_due
from mag7.index.pinned import pinned_facts
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.market.document import Document, decode_document
from mag7.market.explain import explain_line
from mag7.market.profile import profile_document
from mag7.runs import record
from mag7.runs.refusal import SessionRefusedError, refusal_sentence
from mag7.runs.table import tabulate_run, tabulate_session
from mag7.settings import read_settings
from mag7.tasks.collector import CallCounts, add_call_counts
from mag7.tasks.connections import open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

SESSIONS_TABULATED = 6
"""Most sessions that have a table each: as many as a scheduled run and its corrections."""

CollectedCounts = Sequence[CallCounts | Sequence[CallCounts]]
"""The call counts of each collecting task; those of a mapped task are a sequence."""


@with_facts
def summarise(
    window: Window, counts: CollectedCounts, seconds: Mapping[str, float], explain: str | None = None
) -> dict[str, int]:
    """Log and record the run's outcome: figures of published sessions, refused sessions, and a line to explain.

    ``seconds`` are the seconds of each stage. Returns how many sessions were published, complete and refused.
    """
    store, run = open_store(read_settings()), window["run"]
    refused, asked = read_refused(store, run), record.find_section(store, run, record.Asked)
    record.read_section(store, run, record.Loaded)
    sessions, explained = {}, []
    for document in _read_documents(store, window):
        sessions[document.trading_date.isoformat()] = profile_document(document)
        explained += [explain_line(document, explain)] if explain else []
        if len(window["sessions"]) <= SESSIONS_TABULATED:
            log.info("%s", tabulate_session(document))
    counted, due = add_call_counts(counts), list_due(pinned_facts(), list_window(window)[-1])
    summary = record.Summary(
        sessions=sessions,
        calls=counted["requests"],
        bytes=counted["bytes"],
        facts_due=due,
        explained=explained,
        seconds_by_stage=dict(seconds),
    )
    record.write_section(store, run, summary)
    complete = len(asked.complete) if asked else 0
    for text in (tabulate_run(summary, complete, refused), *explained):
        log.info("%s", text)
    for sentence in due:
        log.warning("due: %s", sentence)
    store.delete([record.section_key(run, record.Failure)])
    return {"published": len(sessions), "complete": complete, "refused": len(refused)}


def _read_documents(store: ObjectStore, window: Window) -> Iterator[Document]:
    """Read the published documents of a window's sessions, one at a time: a window can span years."""
    for session in list_window(window):
        key = document_key(session)
        yield decode_document(store.get(key), store.uri(key))


def read_refused(store: ObjectStore, run: str) -> record.Reasons:
    """Read the refused sessions of a run and why; raises ObjectMissingError where a gate wrote no section."""
    for gate in (record.Built, record.Checks):
        record.read_section(store, run, gate)
    return record.read_record(store, run).refused


def report_refusals(window: Window) -> None:
    """Fail the run if any session of its window was refused, whatever the outcome of the others."""
    refused = read_refused(open_store(read_settings()), window["run"])
    if refused:
        published = [session for session in window["sessions"] if session not in refused]
        raise SessionRefusedError(refusal_sentence(refused, published))
    log.info("no session of this run was refused")
