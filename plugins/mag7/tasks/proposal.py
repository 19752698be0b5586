"""Propose changes of the index's members from all stored files and the provider's responses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from mag7.constituents.applying import apply_edits
from mag7.constituents.decision import Decision, ProposalInputs
from mag7.constituents.facts import Facts
from mag7.constituents.identities import Identity, Wanted
from mag7.constituents.propose import propose
from mag7.index.facts import IndexFacts, digest_tables, read_facts
from mag7.lake.fact_log import FactEntry, FactLog, FactsMissingError
from mag7.lake.objects import ObjectStore
from mag7.market.identity import ISSUER_UNCONFIRMED
from mag7.polygon.calls import ticker_details
from mag7.polygon.errors import BodyInvalidError, UnreachableError
from mag7.polygon.response_bodies import parse_ticker_details
from mag7.polygon.source import SIMULATED, name_declared_source
from mag7.runs.record import Section, write_section
from mag7.sessions import list_sessions, previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.collector import Collector
from mag7.tasks.connections import open_store
from mag7.tasks.doubt import find_evening
from mag7.tasks.facts import with_facts
from mag7.tasks.published import read_published
from mag7.tasks.questions import list_answers
from mag7.tasks.request import Asking
from mag7.tasks.row_files import add_row_files, sort_rows
from mag7.tasks.stored_files import RowFile, gather
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

ROUNDS: Final = 3
"""Proposals of a run at most: after each, the provider is asked to identify the symbols that it lacks."""

UNCONFIRMED_SESSIONS: Final = 5
"""Published sessions before the run's that are searched for CIKs that no table has."""

HTTP_NOT_FOUND: Final = 404


@dataclass(frozen=True)
class Proposal:
    """A proposal based on one version: its tables, the decision, and the files of rows that they hold.

    ``failures`` name the sources that could not be used, ``early`` the rows that wait until files confirm their
    sessions.
    """

    base: FactEntry
    facts: IndexFacts
    decision: Decision
    tables: dict[str, bytes]
    rows: tuple[RowFile, ...]
    failures: tuple[str, ...]
    early: tuple[RowFile, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the tables differ from those of the base version."""
        return digest_tables(self.tables) != dict(self.base.tables)


class Proposed(Section):
    """The changes that a run proposes, as its record stores them; ``lines`` are for the log."""

    base: str
    confirmed_through: str
    edits: list[str]
    questions: list[str]
    doubtful: list[str]
    lines: list[str]


@with_facts
def propose_facts(window: Window) -> dict[str, Any]:
    """Make a proposal and record it; nothing is published yet."""
    store = open_store(read_settings())
    (session,) = list_window(window)
    proposed = describe(make_proposal(store, read_settings(), session))
    write_section(store, window["run"], proposed)
    for line in proposed.lines:
        log.info("%s", line)
    return proposed.model_dump(exclude={"doubtful", "lines"})


def make_proposal(store: ObjectStore, settings: Settings, session: date) -> Proposal:
    """Make a proposal for a session from the newest version and all files at hand."""
    facts_log = FactLog(store)
    base = facts_log.newest()
    if base is None:
        raise FactsMissingError(
            f"{store.uri('facts/')} holds no version of the facts: run mag7_setup, then run this again"
        )
    before = facts_log.read_tables(base)
    gathered = gather(store, read_facts(before).confirmed_through)
    inputs = ProposalInputs(gathered.readings, gathered.announcements, (), tuple(list_answers(store)))
    evening = find_evening(store, session)
    unconfirmed = list_unconfirmed(store, evening)
    rows, early = gathered.rows, tuple[RowFile, ...]()
    while True:
        added = add_row_files(before, rows)
        facts = read_facts(added.tables, source=base.source)
        decision, silent = _decide(settings, facts, inputs, evening, unconfirmed)
        used, waiting = sort_rows(added.used, decision.edits)
        if not waiting:
            break
        rows, early = tuple(one for one in rows if one not in waiting), (*early, *waiting)
    tables = apply_edits(added.tables, decision.edits)
    failures = (*gathered.failures, *silent, *(f"{one.key}: {why}" for one, why in added.refused))
    return Proposal(base, read_facts(tables, source=base.source), decision, tables, used, failures, early)


def _decide(
    settings: Settings, facts: IndexFacts, inputs: ProposalInputs, session: date, unconfirmed: Sequence[Wanted]
) -> tuple[Decision, tuple[str, ...]]:
    """Decide, and ask the provider to identify symbols; also returns why it could not be asked.

    ``unconfirmed`` lines were published under an unknown CIK, which is proposed as a new period of their company.
    """
    simulated = name_declared_source(settings.polygon_base_url, settings.polygon_source) == SIMULATED
    asked: set[Wanted] = set()
    collector: Collector | None = None
    for _ in range(ROUNDS):
        decision = propose(Facts.of(facts), inputs, session, simulated=simulated)
        wanted = [one for one in dict.fromkeys((*unconfirmed, *decision.wanted)) if one not in asked]
        if not wanted:
            break
        collector = collector or Collector(settings, Asking.MISSING)
        try:
            found = _ask_identities(collector, wanted)
        except UnreachableError as silent:
            log.error("%s; changes that need it wait", silent)  # noqa: TRY400 - one line is enough
            return decision, (f"the provider's ticker details: {silent}",)
        inputs = replace(inputs, identities=(*inputs.identities, *found))
        asked |= set(wanted)
    return decision, ()


def list_unconfirmed(store: ObjectStore, session: date) -> list[Wanted]:
    """List the symbols of lines that were published under a CIK that no table has, on that session and the one before.

    Looks at the sessions just before ``session``: their responses are stored, so asking costs no call.
    """
    found: set[Wanted] = set()
    for day in list_sessions(previous_session(session, UNCONFIRMED_SESSIONS), session):
        document = read_published(store, day)
        for line in document.lines if document is not None else ():
            if ISSUER_UNCONFIRMED in line.flags:
                found |= {Wanted(line.symbol, day), Wanted(line.symbol, previous_session(day))}
    return sorted(found)


def _ask_identities(collector: Collector, wanted: Sequence[Wanted]) -> list[Identity]:
    """Ask the provider to identify symbols; those without a response stay unknown."""
    collector.ask_optional(ticker_details(one.symbol, one.day) for one in wanted)
    found: list[Identity] = []
    for one in wanted:
        answer = collector.book.details(one.symbol, one.day)
        if answer is None or not answer.completed:
            continue
        simulated = answer.source == SIMULATED
        if answer.status == HTTP_NOT_FOUND:
            found.append(Identity(one.symbol, one.day, known=False, simulated=simulated))
            continue
        try:
            details = parse_ticker_details(answer.body, one.symbol)
        except BodyInvalidError as invalid:
            log.warning("%s: %s", one.symbol, invalid)
            continue
        found.append(
            Identity(one.symbol, one.day, True, details.name, details.cik, details.share_class_figi, simulated)
        )
    return found


def describe(proposal: Proposal) -> Proposed:
    """Describe a proposal for the run's record and the log."""
    decision = proposal.decision
    edits = [
        f"{edit.table.value}: {_show(edit.before)} -> {_show(edit.after)} ({edit.decided.by}: {edit.decided.why})"
        for edit in decision.edits
    ]
    lines = [
        f"confirmed through {decision.confirmed_through}, before {decision.confirmed_before}",
        *edits,
        *(f"question {question.id}: {question.text}" for question in decision.questions),
        *(f"waits until files confirm its sessions: {one.key}" for one in proposal.early),
        *(f"not used: {refused}" for refused in (*proposal.failures, *decision.refused)),
        *(f"open: {reason}" for reason in decision.reasons),
    ]
    return Proposed(
        base=proposal.base.name,
        confirmed_through=decision.confirmed_through.isoformat(),
        edits=edits,
        questions=[question.id for question in decision.questions],
        doubtful=list(decision.doubtful),
        lines=lines,
    )


def _show(row: Any) -> str:
    return "none" if row is None else ",".join(row.values())
