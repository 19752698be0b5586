"""Applying statements to the tables, in the order of their dates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

from mag7.constituents.announcements import Action
from mag7.constituents.facts import Decided, Facts
from mag7.constituents.identities import Identities, Identity, Wanted
from mag7.constituents.placing import find_lines, place_joiner
from mag7.constituents.statements import Statement
from mag7.constituents.timeline import Timeline
from mag7.sessions import previous_session


@dataclass(frozen=True)
class Change:
    """What a statement changes of a line; ``symbol`` is its symbol from then on, ``former`` the one before."""

    action: Action
    ticker: str
    symbol: str
    former: str | None
    effective: date
    statement: Statement


@dataclass
class Build:
    """The tables with statements applied, the changes, and the reasons why other statements could not be applied."""

    timeline: Timeline
    changes: list[Change] = field(default_factory=list)
    unusable: dict[Statement, str] = field(default_factory=dict)
    wanted: set[Wanted] = field(default_factory=set)


@dataclass(frozen=True)
class Builder:
    """Applies statements to the confirmed tables, as of the evening of a session."""

    facts: Facts
    identities: Identities
    names: Mapping[str, str]
    session: date

    def build(self, statements: Iterable[Statement]) -> Build:
        """Apply statements by date; lines that leave or are renamed come first, so that their symbols are free."""
        build = Build(Timeline(self.facts))
        ordered = sorted(statements, key=lambda one: (one.effective, one.action, one.symbol, one.forced is None))
        for effective, given in groupby(ordered, key=lambda one: one.effective):
            stated = list(given)
            leaving = {one.symbol for one in stated if one.action is not Action.JOINS}
            todo = [one for one in stated if not self._is_done(build.timeline, one, leaving)]
            renamed = self._find_renames(build, effective, todo)
            for one in todo:
                if one.action is not Action.JOINS and one not in renamed:
                    self._leave_or_rename(build, one, leaving)
            for one in todo:
                if one.action is Action.JOINS and one not in renamed:
                    self._join(build, one)
        return build

    def _is_done(self, timeline: Timeline, one: Statement, leaving: Collection[str]) -> bool:
        """Return whether the tables have the change already, on its date or on the last confirmed session."""
        confirmed = self.facts.confirmed_through
        if one.effective <= confirmed:
            inside = [timeline.find_member(one.new_symbol or one.symbol, day) for day in (one.effective, confirmed)]
            return None in inside if one.action is Action.LEAVES else any(inside)
        if one.action is Action.LEAVES:
            # It left before this statement's date.
            left = timeline.find_member(one.symbol, previous_session(one.effective)) is None
            return left and timeline.find_member(one.symbol, confirmed) is not None
        # Another company may take a symbol that becomes free on this date.
        symbol = one.new_symbol or one.symbol
        return symbol not in leaving and timeline.find_member(symbol, one.effective) is not None

    def _find_renames(self, build: Build, effective: date, todo: list[Statement]) -> set[Statement]:
        """Apply and return renames: pairs of a line that leaves and a line that joins that are one company."""
        leaving = {one.symbol: one for one in todo if one.action is Action.LEAVES}
        found: set[Statement] = set()
        for one in todo:
            identity = self._ask(build, one) if one.action is Action.JOINS and leaving else None
            if identity is None:
                continue
            placement = place_joiner(build.timeline, one.symbol, effective, identity, leaving)
            former = build.timeline.symbol(placement.stay.ticker, previous_session(effective))
            if placement.renamed and former != one.symbol:
                build.timeline.rename(placement.stay.ticker, one.symbol, effective, one.decided)
                for stated in (leaving[former], one):
                    build.changes.append(
                        Change(Action.RENAMED, placement.stay.ticker, one.symbol, former, effective, stated)
                    )
                found |= {one, leaving[former]}
        return found

    def _leave_or_rename(self, build: Build, one: Statement, leaving: Collection[str]) -> None:
        eve = previous_session(one.effective)
        ticker = build.timeline.find_member(one.symbol, eve)
        if ticker is None and one.forced is not None and one.new_symbol is None:
            # A person reverses its joining on that date.
            ticker = build.timeline.find_member(one.symbol, one.effective)
        if ticker is None:
            build.unusable[one] = f"{one.subject}: no line of the index has that symbol on the session before"
        elif one.new_symbol is not None:
            build.timeline.rename(ticker, one.new_symbol, one.effective, one.decided)
            build.changes.append(Change(one.action, ticker, one.new_symbol, one.symbol, one.effective, one))
        elif other := self._stays_without(build.timeline, ticker, eve, leaving):
            build.unusable[one] = (
                f"{one.subject}: it is the main line of its company, whose line {other} stays in the index; from that "
                f"date on, make {other} the main line by hand, under a key of its own"
            )
        else:
            build.timeline.leave(ticker, one.effective, one.decided)
            build.changes.append(Change(one.action, ticker, one.symbol, one.symbol, one.effective, one))

    @staticmethod
    def _stays_without(timeline: Timeline, ticker: str, eve: date, leaving: Collection[str]) -> str | None:
        """Return a line of a company that would stay in the index without the company's main line."""
        line, members = timeline.line(ticker), timeline.members(eve)
        if line is None or not line.main_line:
            return None
        others = (other for other in timeline.lines_of(line.issuer) if other != ticker and other in members)
        return next((members[other] for other in others if members[other] not in leaving), None)

    def _join(self, build: Build, one: Statement) -> None:
        identity = self._ask(build, one)
        if identity is None and one.forced is not None and one.forced.by.startswith("person"):
            identity = Identity(one.symbol, one.effective, name=self.names.get(one.symbol))
        if identity is None:
            build.unusable[one] = f"{one.subject}: the provider has no details of {one.symbol} yet"
            return
        timeline = build.timeline
        former = timeline.find_member(one.symbol, previous_session(one.effective))
        same = former is not None and former in find_lines(timeline, identity)
        if former is not None and same and one.forced is not None:
            # A person reverses its leaving on that date.
            timeline.stay(former, one.effective, one.decided)
            build.changes.append(Change(one.action, former, one.symbol, None, one.effective, one))
            return
        if same:
            build.unusable[one] = (
                f"{one.subject}: {one.symbol} is still the symbol of {former} by the provider's details"
            )
            return
        stay = place_joiner(timeline, one.symbol, one.effective, identity, ()).stay
        if stay.ticker in timeline.members(one.effective):
            symbol = timeline.symbol(stay.ticker, one.effective)
            build.unusable[one] = f"{one.subject}: {stay.company} is in the index under the symbol {symbol}"
            return
        timeline.join(stay, one.symbol, one.decided)
        source = f"the provider's ticker details of {one.symbol}{' (simulated)' if identity.simulated else ''}"
        decided = Decided(one.decided.by, source, one.digests, source)
        if identity.cik is not None and identity.cik not in timeline.ciks.owners:
            timeline.add_cik(stay.issuer, identity.cik, decided)
        if identity.share_class_figi is not None and identity.share_class_figi not in timeline.figis.owners:
            timeline.add_figi(stay.ticker, identity.share_class_figi, decided)
        build.changes.append(Change(one.action, stay.ticker, one.symbol, None, one.effective, one))

    def _ask(self, build: Build, one: Statement) -> Identity | None:
        """Return the identity of a symbol on its date, or today if the date is in the future; else want its details."""
        day = min(one.effective, self.session)
        identity = self.identities.find(one.symbol, day)
        if identity is None or identity.day != day:
            build.wanted.add(Wanted(one.symbol, day))
        return identity if identity is not None and identity.known else None
