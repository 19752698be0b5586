"""What the sources prove about the index's members: a proposal, its publication as a version, and what follows."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypedDict

from mag7.constituents.applying import add_rows, apply_edits
from mag7.constituents.decision import Decision, Evidence, list_changed_sessions
from mag7.constituents.facts import Facts
from mag7.constituents.identities import Identity, Wanted
from mag7.constituents.propose import propose
from mag7.index.facts import IndexFacts, digest_tables, name_version, read_facts
from mag7.lake.fact_log import FactEntry, FactLog, FactsMissingError, FactSource, FactsOvertakenError, list_row_changes
from mag7.lake.keys import document_key, fact_doubt_key
from mag7.lake.objects import ObjectStore
from mag7.market.document import list_document_lines
from mag7.market.identity import ISSUER_UNCONFIRMED
from mag7.polygon.bodies import parse_ticker_details
from mag7.polygon.collect import ticker_details
from mag7.polygon.errors import BodyInvalidError
from mag7.polygon.source import SIMULATED, name_declared_source
from mag7.sessions import last_closed_session, list_sessions, next_session, previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.collector import Collector
from mag7.tasks.connections import open_store
from mag7.tasks.facts import pin_newest, with_facts
from mag7.tasks.published import read_published
from mag7.tasks.questions import list_answers, store_questions
from mag7.tasks.reports import write_report
from mag7.tasks.request import Asking
from mag7.tasks.sources import gather
from mag7.tasks.window import Window, list_window

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

log = logging.getLogger(__name__)

PROPOSAL: Final = "proposal"
ROUNDS: Final = 3
"""How often the provider is asked who symbols are, and the proposal made again with what it said."""

TRIES: Final = 3
"""How often a proposal is made again where somebody else published a version meanwhile."""

UNCONFIRMED_SESSIONS: Final = 5
"""Of so many sessions before the run's the published lines are looked at for CIKs that no table has."""

HTTP_NOT_FOUND: Final = 404
FIRST: Final = date(2020, 11, 30)


class Outcome(TypedDict):
    """What a run changed: the version before and after, questions to ask, and published sessions to build again."""

    before: str
    after: str
    questions: list[str]
    repair: list[str]


@dataclass(frozen=True)
class Proposal:
    """A proposal made from one version: its tables, the decision, and where the facts come from."""

    base: FactEntry
    facts: IndexFacts
    decision: Decision
    tables: dict[str, bytes]

    @property
    def changed(self) -> bool:
        """Whether the tables differ from those of the version that it was made from."""
        return digest_tables(self.tables) != dict(self.base.tables)


@with_facts
def propose_facts(window: Window) -> dict[str, Any]:
    """Make a proposal and report it; nothing is published yet."""
    store = open_store(read_settings())
    (session,) = list_window(window)
    report = describe(make_proposal(store, read_settings(), session))
    write_report(store, window["run"], PROPOSAL, report)
    for line in report["lines"]:
        log.info("%s", line)
    return {name: report[name] for name in ("base", "confirmed_through", "edits", "questions")}


def make_proposal(store: ObjectStore, settings: Settings, session: date) -> Proposal:
    """Make a proposal from the newest version and everything at hand on the evening of a session."""
    facts_log = FactLog(store)
    base = facts_log.newest()
    if base is None:
        raise FactsMissingError(f"{store.uri('facts/')} holds no version of the facts: run mag7_setup, then this again")
    before = facts_log.read_tables(base)
    confirmed = read_facts(before).confirmed_through
    gathered = gather(store, confirmed)
    tables = add_rows(before, gathered.rows)
    facts = read_facts(tables, source=base.source)
    simulated = name_declared_source(settings.polygon_base_url, settings.polygon_source) == SIMULATED
    identities: list[Identity] = []
    asked: set[Wanted] = set()
    collector: Collector | None = None
    if unconfirmed := list_unconfirmed(store, session):
        # What was published under an unknown CIK is proposed as a new period of its company's.
        collector = Collector(settings, Asking.MISSING)
        identities, asked = _ask_identities(collector, unconfirmed), set(unconfirmed)
    for _ in range(ROUNDS):
        evidence = Evidence(gathered.readings, gathered.announcements, tuple(identities), tuple(list_answers(store)))
        decision = propose(_narrow(facts), evidence, session, simulated=simulated)
        wanted = [one for one in decision.wanted if one not in asked]
        if not wanted:
            break
        collector = collector or Collector(settings, Asking.MISSING)
        identities += _ask_identities(collector, wanted)
        asked |= set(wanted)
    tables = apply_edits(tables, decision.edits)
    return Proposal(base, read_facts(tables, source=base.source), decision, tables)


def list_unconfirmed(store: ObjectStore, session: date) -> list[Wanted]:
    """List the symbols of lines that were published under a CIK which no table has, on that session and the one before.

    Looks at the sessions shortly before one: their responses are kept, so that asking costs no call.
    """
    found: set[Wanted] = set()
    for day in list_sessions(previous_session(session, UNCONFIRMED_SESSIONS), session):
        document = read_published(store, day)
        for line in list_document_lines(document) if document is not None else ():
            if ISSUER_UNCONFIRMED in line["flags"]:
                found |= {Wanted(line["symbol"], day), Wanted(line["symbol"], previous_session(day))}
    return sorted(found)


def _narrow(facts: IndexFacts) -> Facts:
    return Facts(facts.membership, facts.symbols, facts.ciks, facts.figis)


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
    return publish_proposal(store, settings, session, decided_by="rule", since=window["facts"])


def publish_answer(dag_run: DagRunProtocol, verdict: str) -> Outcome:
    """Publish what a person's answer changes, on the evening of the last closed session."""
    settings, store = read_settings(), open_store(read_settings())
    pin_newest(store, settings)
    log.info("the answer: %s", verdict)
    return publish_proposal(store, settings, last_closed_session(dag_run.run_after), decided_by="a person")


def publish_proposal(
    store: ObjectStore, settings: Settings, session: date, *, decided_by: str, since: str = ""
) -> Outcome:
    """Make a proposal on the newest version and publish it; ``decided_by`` says whether a rule or a person decided.

    What must be built again is what changed since the version ``since``: a task that is repeated after it published
    lists it again. Without a name it is what the proposal changes.
    """
    overtaken: FactsOvertakenError | None = None
    for _ in range(TRIES):
        proposal = make_proposal(store, settings, session)
        try:
            entry = _append(store, proposal, decided_by) if proposal.changed else proposal.base
        except FactsOvertakenError as other:
            overtaken = other
            continue
        first = FactLog(store).find(since) if since else proposal.base
        before = read_facts(FactLog(store).read_tables(first))
        repair = list_repairs(store, before, proposal.facts, session)
        _write_doubt(store, proposal)
        log.info("facts %s; to build again: %s", entry.name, ", ".join(map(str, repair)) or "nothing")
        return {
            "before": proposal.base.name,
            "after": entry.name,
            "questions": store_questions(store, proposal.decision.questions, session),
            "repair": [day.isoformat() for day in repair],
        }
    raise overtaken or FactsOvertakenError("no version could be published")


def _append(store: ObjectStore, proposal: Proposal, decided_by: str) -> FactEntry:
    base, decision = proposal.base, proposal.decision
    digests = digest_tables(proposal.tables)
    sources = {
        digest: FactSource(edit.decided.source or edit.decided.by, digest)
        for edit in decision.edits
        for digest in edit.decided.digests
    }
    rules = sorted({edit.decided.by for edit in decision.edits}) or [decided_by]
    entry = FactEntry(
        number=base.number + 1,
        version=name_version(digests),
        source=SIMULATED if decision.simulated or base.source == SIMULATED else base.source,
        known_since=datetime.now(UTC),
        decided_by="; ".join(rules),
        supersedes=base.version,
        tables=digests,
        sources=tuple(sources.values()),
        changes=list_row_changes(FactLog(store).read_tables(base), proposal.tables),
        note=f"the evening of {decision.session}: confirmed through {decision.confirmed_through}",
    )
    return FactLog(store).append(entry, proposal.tables)


def list_repairs(store: ObjectStore, before: IndexFacts, after: IndexFacts, last: date) -> list[date]:
    """List the published sessions that a new version changes, and those that rest on them: each session after.

    A session changes where its lines, symbols or CIKs do, or where its members become confirmed.
    """
    changed = set(list_changed_sessions(_narrow(before), _narrow(after), FIRST, last))
    rests = {next_session(day) for day in changed}
    changed |= {day for day in rests if day <= last}
    through = before.confirmed_through, after.confirmed_through
    changed |= set(list_sessions(next_session(min(through)), max(through))) if through[0] != through[1] else set()
    return sorted(day for day in changed if any(store.list(document_key(day))))


def _write_doubt(store: ObjectStore, proposal: Proposal) -> None:
    """Leave what is in doubt for the daily run: which symbols, and what part of the index they are."""
    decision = proposal.decision
    content = {
        "session": decision.session.isoformat(),
        "confirmed_through": decision.confirmed_through.isoformat(),
        "symbols": list(decision.doubtful),
        "pct": None if decision.doubtful_pct is None else float(decision.doubtful_pct),
        "questions": [question.id for question in decision.questions],
        "reasons": list(decision.reasons),
    }
    store.put(fact_doubt_key(), json.dumps(content, indent=1).encode(), "application/json")


def describe(proposal: Proposal) -> dict[str, Any]:
    """Describe a proposal for its report and the log."""
    decision = proposal.decision
    edits = [
        f"{edit.table.value}: {_show(edit.before)} -> {_show(edit.after)} ({edit.decided.by}: {edit.decided.why})"
        for edit in decision.edits
    ]
    lines = [
        f"confirmed through {decision.confirmed_through}, before {decision.confirmed_before}",
        *edits,
        *(f"question {question.id}: {question.text}" for question in decision.questions),
        *(f"not used: {refused}" for refused in decision.refused),
        *(f"open: {reason}" for reason in decision.reasons),
    ]
    return {
        "base": proposal.base.name,
        "confirmed_through": decision.confirmed_through.isoformat(),
        "edits": edits,
        "questions": [question.id for question in decision.questions],
        "doubtful": list(decision.doubtful),
        "lines": lines,
    }


def _show(row: Any) -> str:
    return "none" if row is None else ",".join(row.values())


MOST_DOUBT: Final = Decimal("0.5")
"""Per cent of the index that may be in doubt before a session of provisional members is refused."""


class MembersInDoubtError(FactsMissingError):
    """Too much of the index is in doubt to publish a session of it."""


def require_members(store: ObjectStore, facts: IndexFacts, sessions: Sequence[date]) -> None:
    """Raise MembersInDoubtError where sessions of provisional members are asked for and too much of them is in doubt.

    Warns from ten provisional sessions on.
    """
    for reason in find_doubt(store, facts, sessions).values():
        raise MembersInDoubtError(reason)


def find_doubt(store: ObjectStore, facts: IndexFacts, sessions: Sequence[date]) -> dict[str, str]:
    """Give for each session of provisional members why it may not be published, where too much of them is in doubt.

    Warns from ten provisional sessions on.
    """
    provisional = [day for day in sessions if facts.membership.is_provisional(day)]
    if not provisional:
        return {}
    waiting = len(list_sessions(next_session(facts.confirmed_through), provisional[-1]))
    if waiting >= 10:
        log.warning(
            "the members of %s are those of %s, %d sessions before: put holdings of IVV and SPY of a session since into"
            " inbox/ of the bucket and run mag7_constituents",
            provisional[-1],
            facts.confirmed_through,
            waiting,
        )
    found = store.find(fact_doubt_key())
    doubt = json.loads(found.body) if found is not None else {}
    if doubt.get("confirmed_through") != facts.confirmed_through.isoformat() or doubt.get("pct") is None:
        return {}
    if Decimal(str(doubt["pct"])) <= MOST_DOUBT:
        return {}
    reason = (
        f"{doubt['pct']:.2f} % of the index is in doubt ({', '.join(doubt['symbols'])}), at most {MOST_DOUBT} % may"
        f" be: answer the questions of mag7_decide, or put holdings of IVV and SPY of a session after "
        f"{previous_session(provisional[0])} into inbox/ of the bucket and run mag7_constituents"
    )
    return {day.isoformat(): reason for day in provisional}
