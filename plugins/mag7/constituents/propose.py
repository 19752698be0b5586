"""The rules by which files, statements and persons change the index's tables.

A holdings file proves the set of lines, give or take a session; a statement gives a change its date. So a stated change
is confirmed by the first files of its date that show it. If two sources or a person state it, it applies before that as
provisional. A change that nobody stated is accepted where both funds show it in two successive files and it is small;
otherwise it becomes a question. Everything after the last confirmed session is worked out again each time, from all
inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from mag7.constituents.announcements import Action
from mag7.constituents.building import Build, Builder, Change
from mag7.constituents.comparing import Proof, Shown, compare, prove
from mag7.constituents.confirming import Confirmed, find_confirmed
from mag7.constituents.decision import Decision, ProposalInputs
from mag7.constituents.differences import (
    Difference,
    Finder,
    add_up,
    becomes_question,
    decide_by_rule,
    find_objection,
    find_renames,
    group_by_date,
    name_lines,
)
from mag7.constituents.facts import Decided, Facts, cut_back, list_edits
from mag7.constituents.identities import Identities, Wanted
from mag7.constituents.new_ciks import add_new_ciks
from mag7.constituents.questions import Item, Kind, Question, Verdict
from mag7.constituents.readings import HeldLine, Reading
from mag7.constituents.sources import select
from mag7.constituents.statements import Statement, from_item
from mag7.constituents.timeline import Timeline
from mag7.index.names import normalize_name
from mag7.index.seven import SEVEN
from mag7.sessions import get_session, list_sessions, next_session, previous_session

FEWEST_LINES: Final = 500
MOST_LINES: Final = 506
OLD_SESSIONS: Final = 10
"""Sessions after the confirmed one at which missing files become a question."""


def propose(facts: Facts, inputs: ProposalInputs, session: date, *, simulated: bool = False) -> Decision:
    """Work out what the inputs of a session's evening prove.

    ``simulated`` says whether simulated inputs may be used. The result depends on the arguments alone: proposing again
    on its ``facts`` with the same inputs gives no edits. Raises NotASessionError for a day that is not a session, and
    FactTableInvalidError where the tables would contradict themselves.
    """
    get_session(session)
    return _Proposal(facts, inputs, session, simulated=simulated).decide()


@dataclass(frozen=True)
class _Compared:
    """The tables with statements applied, and every file compared with them, by fund and in order."""

    build: Build
    files: Mapping[str, list[Shown]]

    @property
    def timeline(self) -> Timeline:
        return self.build.timeline

    def prove(self) -> dict[Change, Proof]:
        """Find what the files prove about each change."""
        return prove(self.build.changes, (one for mine in self.files.values() for one in mine))


@dataclass(frozen=True)
class _Outcome:
    """Differences sorted by their outcome."""

    accepted: tuple[Statement, ...]
    open: tuple[Difference, ...]
    questions: tuple[Question, ...]
    reasons: tuple[str, ...]


class _Proposal:
    """One evening's decision."""

    def __init__(self, facts: Facts, inputs: ProposalInputs, session: date, *, simulated: bool) -> None:
        self._given, self._session, self._answers = facts, session, tuple(inputs.answers)
        self._facts = cut_back(facts)
        self._confirmed = facts.confirmed_through
        base = Timeline(self._facts)
        self._used = select(inputs, base, self._confirmed, session, simulated=simulated)
        self._identities = Identities(self._used.identities)
        names = {line.symbol: line.name for mine in self._used.readings.values() for one in mine for line in one.lines}
        self._builder = Builder(self._facts, self._identities, names, session)
        self._refused = list(self._used.refused)
        self._wanted: set[Wanted] = set()
        self._held: dict[str, Mapping[str, HeldLine]] = {}

    def decide(self) -> Decision:
        kept, waiting = self._choose_statements(self._used.statements)
        state = self._build(kept)
        renames = find_renames(state.timeline, self._find(state))
        kept = (*kept, *renames)
        state = self._build(kept) if renames else state
        stated = {(one.action, one.symbol) for one in waiting}
        found = [one for one in self._find(state) if (one.item.action, one.item.symbol) not in stated]
        outcome = self._sort(state, found)
        state = self._build((*kept, *outcome.accepted)) if outcome.accepted else state
        self._refused += state.build.unusable.values()
        add_new_ciks(state.timeline, self._used.identities, self._session)
        confirmed = find_confirmed(
            self._confirmed,
            self._session,
            readings=[one for mine in self._used.readings.values() for one in mine],
            proofs=state.prove(),
            waiting=[*waiting, *state.build.unusable],
            differences=[one.item for one in outcome.open],
        )
        return self._finish(state.build, waiting, outcome, confirmed)

    def _build(self, statements: Iterable[Statement]) -> _Compared:
        build = self._builder.build(statements)
        self._wanted |= build.wanted
        files = {
            fund: [compare(build.timeline, one, self._is_other) for one in mine]
            for fund, mine in self._used.readings.items()
        }
        return _Compared(build, files)

    def _choose_statements(
        self, statements: Sequence[Statement]
    ) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
        """Divide statements into those that apply and those that wait for files; refuse those that files deny."""
        state = self._build(statements)
        by_statement = {change.statement: (change, proof) for change, proof in state.prove().items()}
        unknown = {one.effective for one in state.build.unusable if one.action is Action.JOINS}
        kept: list[Statement] = []
        waiting: list[Statement] = []
        for one in statements:
            change, proof = by_statement.get(one, (None, None))
            if one.forced is not None or change is None or proof is None or proof.shown or proof.early:
                kept.append(one)
            elif proof.denied:
                self._refused.append(f"{', '.join(sorted(one.sources))}: {one.subject}, but files since do not show it")
            elif one.effective > self._confirmed:
                applies = one.effective not in unknown and self._applies(one, change, state.timeline)
                (kept if applies else waiting).append(one)
        return tuple(kept), tuple(waiting)

    def _applies(self, one: Statement, change: Change, timeline: Timeline) -> bool:
        """Return whether a statement applies before files show it."""
        if not one.is_enough or not FEWEST_LINES <= len(timeline.members(one.effective)) <= MOST_LINES:
            return False
        return bool(one.persons) or change.ticker not in SEVEN or change.action is not Action.LEAVES

    def _is_other(self, timeline: Timeline, ticker: str, line: HeldLine, reading: Reading) -> bool:
        """Return whether a symbol now is another company's than the line that has it in our tables."""
        earlier = self._earlier_security(line, reading)
        identity = self._identities.find_until(line.symbol, reading.as_of)
        if identity is None and earlier is False:
            # The security changed: the provider's details must say whose it is.
            self._wanted.add(Wanted(line.symbol, reading.as_of))
        if identity is None or identity.cik is None or (stay := timeline.line(ticker)) is None:
            return False
        if identity.cik in timeline.ciks.all_of(stay.issuer):
            return False
        if identity.share_class_figi in timeline.figis.all_of(ticker):
            return False
        if identity.cik in timeline.ciks.owners:
            return True
        return not earlier and normalize_name(identity.name) != normalize_name(stay.company)

    def _earlier_security(self, line: HeldLine, reading: Reading) -> bool | None:
        """Return whether the fund's previous file has the same security under a symbol; None where it is not known."""
        before = [other for other in self._used.readings[reading.fund] if other.as_of < reading.as_of]
        known = self._by_symbol(before[-1]).get(line.symbol) if before and (line.cusip or line.isin) else None
        return None if known is None else line.is_same_security(known)

    def _by_symbol(self, reading: Reading) -> Mapping[str, HeldLine]:
        if reading.sha256 not in self._held:
            self._held[reading.sha256] = {line.symbol: line for line in reading.lines}
        return self._held[reading.sha256]

    def _find(self, state: _Compared) -> tuple[Difference, ...]:
        found = Finder(state.timeline, state.files, self._identities, self._confirmed).find()
        for one in found:
            if one.item.action is Action.JOINS and one.identity is None:
                days = {one.item.effective, min(one.item.latest, self._session)}
                self._wanted |= {Wanted(one.item.symbol, day) for day in days}
        return found

    def _sort(self, state: _Compared, found: Iterable[Difference]) -> _Outcome:
        """Accept each change by rule, make it a question, or wait. A change is all differences of one date."""
        accepted: list[Statement] = []
        still: list[Difference] = []
        questions, reasons = [], []
        rejected = [one for one in found if self._is_rejected(one)]
        if rejected:
            reasons.append(f"files show what a person rejected: {name_lines(rejected)}")
        for group in group_by_date(one for one in found if one not in rejected):
            twice = all(one.is_in_two_files_of_two_funds for one in group)
            objection = find_objection(group) if twice else "not in two successive files of two funds"
            objection = objection or self._object_to_count(state.timeline, group)
            if objection is None:
                accepted += [from_item(one.item, decide_by_rule(one)) for one in group]
                continue
            still += group
            named = name_lines(group)
            reasons.append(f"files show what nobody stated: {named}; {objection}")
            if all(becomes_question(one, state.files) for one in group):
                text = f"{named} since {group[0].item.effective}, as files show; nobody stated it, and {objection}"
                question = Question(Kind.UNSTATED, tuple(one.item for one in group), text, group[0].item.effective)
                questions.append(replace(question, again=self._count_decided(question)))
        return _Outcome(tuple(accepted), tuple(still), tuple(questions), tuple(reasons))

    def _object_to_count(self, timeline: Timeline, group: Sequence[Difference]) -> str | None:
        joins = sum(one.item.action is Action.JOINS for one in group)
        count = len(timeline.members(group[0].item.effective)) + joins - (len(group) - joins)
        if FEWEST_LINES <= count <= MOST_LINES:
            return None
        return f"the index would have {count} lines"

    def _count_decided(self, question: Question) -> int:
        """Count how often persons accepted or rejected the same subjects: each later question is a new one."""
        subjects = sorted(item.subject for item in question.items)
        return sum(
            sorted(item.subject for item in answer.question.items) == subjects
            for answer in self._answers
            if answer.verdict is not Verdict.LEFT_OPEN and answer.question.kind is question.kind
        )

    def _is_rejected(self, one: Difference) -> bool:
        """Return whether a person rejected the difference and no fund began to show it after that."""
        return any(
            item.is_about(one.item) and not one.arose_after(item.latest)
            for answer in self._answers
            if answer.verdict is Verdict.REJECTED
            for item in answer.question.items
        )

    def _finish(self, build: Build, waiting: Sequence[Statement], outcome: _Outcome, confirmed: Confirmed) -> Decision:
        through = confirmed.through
        facts = build.timeline.to_facts(through)
        names = ", ".join(f"{fund} {mine[-1].as_of}" for fund, mine in sorted(self._used.readings.items()))
        digests = tuple(mine[-1].sha256 for _, mine in sorted(self._used.readings.items()))
        agreed = Decided("rule: files agree", f"holdings of {names}", digests, f"holdings of {names}")
        withdrawn = Decided("rule: nothing states it", "no source states it any more, or files do not show it", digests)
        later = (change for change in build.changes if change.effective > through)
        provisional = tuple(dict.fromkeys(_to_item(change, build.timeline) for change in later))
        doubtful = {one.symbol for one in provisional if one.effective <= self._session}
        doubtful |= {one.symbol for one in waiting if one.effective <= self._session}
        doubtful |= {one.item.symbol for one in outcome.open}
        missing = self._ask_for_files()
        return Decision(
            session=self._session,
            facts=facts,
            edits=list_edits(self._given, facts, build.timeline.decided, agreed, withdrawn),
            confirmed_before=self._confirmed,
            confirmed_through=through,
            provisional=provisional,
            questions=(*missing, *outcome.questions),
            wanted=tuple(sorted(self._wanted)),
            refused=tuple(dict.fromkeys(self._refused)),
            reasons=(*confirmed.reasons, *outcome.reasons),
            doubtful=tuple(sorted(doubtful)),
            doubtful_pct=add_up(outcome.open),
            simulated=self._used.simulated,
        )

    def _ask_for_files(self) -> tuple[Question, ...]:
        """Ask for files where the list is old and there are no newer files."""
        newest = max((mine[-1].as_of for mine in self._used.readings.values()), default=date.min)
        since = len(list_sessions(next_session(self._confirmed), self._session))
        if newest > self._confirmed or since < OLD_SESSIONS:
            return ()
        text = (
            f"the list is confirmed through {self._confirmed}, {since} sessions ago, and there is no newer file of a "
            f"fund: put the holdings of IVV and of SPY as of {previous_session(self._session)} into the inbox"
        )
        return (Question(Kind.FILES_MISSING, (), text, next_session(self._confirmed)),)


def _to_item(change: Change, timeline: Timeline) -> Item:
    stay = timeline.line(change.ticker)
    company = stay.company if stay is not None else change.symbol
    cik = timeline.ciks.on(stay.issuer, change.effective) if stay is not None else None
    seen = tuple(sorted(change.statement.sources))
    day = change.effective
    return Item(change.action, change.symbol, change.ticker, company, cik, day, day, day, seen_in=seen)
