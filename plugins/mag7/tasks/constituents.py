"""What the sources prove about the index's members: a proposal, its publication as a version, and what follows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final, TypedDict

from mag7.constituents.applying import apply_edits
from mag7.constituents.decision import Decision, ProposalInputs, list_changed_sessions
from mag7.constituents.facts import Facts
from mag7.constituents.identities import Identity, Wanted
from mag7.constituents.propose import propose
from mag7.index.facts import IndexFacts, digest_tables, name_version, read_facts
from mag7.lake.fact_log import FactEntry, FactLog, FactsMissingError, FactSource, FactsOvertakenError, list_row_changes
from mag7.lake.keys import document_key, used_rows_key
from mag7.lake.objects import ObjectStore
from mag7.market.identity import ISSUER_UNCONFIRMED
from mag7.polygon.bodies import parse_ticker_details
from mag7.polygon.calls import ticker_details
from mag7.polygon.errors import BodyInvalidError, UnreachableError
from mag7.polygon.source import SIMULATED, name_declared_source
from mag7.runs.record import Section, write_section
from mag7.sessions import last_closed_session, list_sessions, next_session, previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.collector import Collector
from mag7.tasks.connections import open_store
from mag7.tasks.doubt import find_evening, write_doubt
from mag7.tasks.facts import pin_newest, with_facts
from mag7.tasks.published import read_published
from mag7.tasks.questions import Recorded, list_answers, store_questions
from mag7.tasks.received import RowFile, add_row_files, gather, mark_used, sort_rows
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

BY_HAND: Final = "person: the inbox"
ROUNDS: Final = 3
"""How often the provider is asked who symbols are, and the proposal made again with what it said."""

TRIES: Final = 3
"""How often a proposal is made again where somebody else published a version meanwhile."""

UNCONFIRMED_SESSIONS: Final = 5
"""How many published sessions before the run's are searched for CIKs that no table has."""

HTTP_NOT_FOUND: Final = 404
FIRST: Final = date(2020, 11, 30)


class Outcome(TypedDict):
    """What a run changed: the version before and after, questions to ask, and published sessions to build again.

    ``failures`` say which sources could not be used while the proposal was made.
    """

    before: str
    after: str
    questions: list[str]
    repair: list[str]
    failures: list[str]


@dataclass(frozen=True)
class Proposal:
    """A proposal made from one version: its tables, the decision, and the files of rows that they hold.

    ``failures`` say which sources could not be used, ``early`` which rows wait until files confirm their sessions.
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
        """Whether the tables differ from those of the version that it was made from."""
        return digest_tables(self.tables) != dict(self.base.tables)


class Proposed(Section):
    """What an evening proposes to change, as the run's record has it; ``lines`` say it to people."""

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
    """Make a proposal from the newest version and everything at hand on the evening of a session."""
    facts_log = FactLog(store)
    base = facts_log.newest()
    if base is None:
        raise FactsMissingError(f"{store.uri('facts/')} holds no version of the facts: run mag7_setup, then this again")
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
    """Decide, and ask the provider meanwhile who symbols are; also returns why it could not be asked.

    ``unconfirmed`` were published under an unknown CIK, which is proposed as a new period of their company's.
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
    """List the symbols of lines that were published under a CIK which no table has, on that session and the one before.

    Looks at the sessions shortly before one: their responses are kept, so that asking costs no call.
    """
    found: set[Wanted] = set()
    for day in list_sessions(previous_session(session, UNCONFIRMED_SESSIONS), session):
        document = read_published(store, day)
        for line in document.lines if document is not None else ():
            if ISSUER_UNCONFIRMED in line.flags:
                found |= {Wanted(line.symbol, day), Wanted(line.symbol, previous_session(day))}
    return sorted(found)


def _ask_identities(collector: Collector, wanted: Sequence[Wanted]) -> list[Identity]:
    """Ask the provider who symbols are; what it does not answer stays unknown."""
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


@with_facts
def publish_facts(window: Window) -> Outcome:
    """Publish what the proposal changes as a version, store new questions, and list what must be built again.

    Where somebody else published a version since the proposal was made, it is made again from that one.
    """
    settings, store = read_settings(), open_store(read_settings())
    (session,) = list_window(window)
    return publish_proposal(store, settings, session, since=window["facts"], run=window["run"])


def publish_answer(recorded: Recorded) -> Outcome:
    """Publish what a person's answer changes, on the newest evening: the question may have waited for weeks.

    What is a question after it is stored and asked by the next evening.
    """
    settings, store = read_settings(), open_store(read_settings())
    pin_newest(store, settings)
    log.info("the answer: %s", recorded["verdict"])
    return publish_proposal(store, settings, last_closed_session(datetime.now(UTC)), since=recorded["facts"])


def publish_proposal(
    store: ObjectStore, settings: Settings, session: date, *, since: str = "", run: str = ""
) -> Outcome:
    """Make a proposal on the newest version and publish it.

    ``since`` names the version that published sessions are compared with: that of the run's begin, so that a second try
    lists what the first one published. ``run`` is the one that asks persons; without it no question is stored.
    """
    overtaken: FactsOvertakenError | None = None
    for _ in range(TRIES):
        proposal = make_proposal(store, settings, session)
        try:
            entry = _append(store, proposal) if proposal.changed else proposal.base
        except FactsOvertakenError as other:
            overtaken = other
            continue
        mark_used(store, proposal.rows)
        facts_log = FactLog(store)
        first = facts_log.find(since) if since else proposal.base
        before = read_facts(facts_log.read_tables(first))
        last = max(proposal.decision.session, last_closed_session(datetime.now(UTC)))
        repair = list_repairs(store, before, proposal.facts, last) if first.name != entry.name else []
        write_doubt(store, proposal.decision)
        log.info("facts %s; %d sessions to build again: %s", entry.name, len(repair), ", ".join(map(str, repair)))
        return {
            "before": first.name,
            "after": entry.name,
            "questions": _store_questions(store, proposal.decision, run),
            "repair": [day.isoformat() for day in repair],
            "failures": list(proposal.failures),
        }
    raise overtaken or FactsOvertakenError("no version could be published")


def _store_questions(store: ObjectStore, decision: Decision, run: str) -> list[str]:
    return store_questions(store, decision.questions, decision.session, run) if run else []


def _append(store: ObjectStore, proposal: Proposal) -> FactEntry:
    base, decision = proposal.base, proposal.decision
    digests = digest_tables(proposal.tables)
    sources = {
        digest: FactSource(edit.decided.source or edit.decided.by, digest)
        for edit in decision.edits
        for digest in edit.decided.digests
    }
    rows = [
        FactSource(one.table.name, sha256(one.table.body).hexdigest(), used_rows_key(one.key)) for one in proposal.rows
    ]
    decided = {edit.decided.by for edit in decision.edits} | ({BY_HAND} if rows else set())
    entry = FactEntry(
        number=base.number + 1,
        version=name_version(digests),
        source=SIMULATED if decision.simulated or base.source == SIMULATED else base.source,
        known_since=datetime.now(UTC),
        decided_by="; ".join(sorted(decided)),
        supersedes=base.version,
        tables=digests,
        sources=(*sources.values(), *rows),
        changes=list_row_changes(FactLog(store).read_tables(base), proposal.tables),
        note=f"the evening of {decision.session}: confirmed through {decision.confirmed_through}",
    )
    return FactLog(store).append(entry, proposal.tables)


def list_repairs(store: ObjectStore, before: IndexFacts, after: IndexFacts, last: date) -> list[date]:
    """List the published sessions that a new version changes, and those that rest on them: each session after.

    A session changes where its lines, symbols or CIKs do, or where its members become confirmed.
    """
    changed = set(list_changed_sessions(Facts.of(before), Facts.of(after), FIRST, last))
    rests = {next_session(day) for day in changed}
    changed |= {day for day in rests if day <= last}
    through = before.confirmed_through, after.confirmed_through
    changed |= set(list_sessions(next_session(min(through)), max(through))) if through[0] != through[1] else set()
    return sorted(day for day in changed if any(store.list(document_key(day))))


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
