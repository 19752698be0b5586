"""Differences between funds' files and the list that nobody stated, and the rules that decide on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Final

from mag7.constituents.announcements import Action
from mag7.constituents.comparing import Shown, Sighting, date_difference, find_sightings
from mag7.constituents.facts import Decided
from mag7.constituents.identities import Identities, Identity
from mag7.constituents.placing import find_lines
from mag7.constituents.questions import Item
from mag7.constituents.readings import HeldLine
from mag7.constituents.statements import BOTH_FUNDS, SAME_COMPANY, Statement
from mag7.constituents.timeline import Timeline
from mag7.index.seven import SEVEN
from mag7.sessions import list_sessions, next_session

MOST_PAIRS: Final = 5
LARGEST_PCT: Final = Decimal("0.5")
LISTED: Final = 12
"""A question's text names its lines up to this number; its items always list all."""
WAIT_FILES: Final = 3
"""Files of one fund after which a difference becomes a question, although the other fund's files are missing."""
GAP_SESSIONS: Final = 4
"""Where files are further apart than this, a difference becomes a question at once, as no daily file will follow."""


@dataclass(frozen=True)
class Difference:
    """A line that joins or leaves, which the newest file of a fund shows and nobody stated."""

    item: Item
    line: HeldLine | None
    sightings: Mapping[str, Sighting]
    weight: Decimal | None
    identity: Identity | None = None

    @property
    def is_in_two_files_of_two_funds(self) -> bool:
        """Return whether at least two funds show it, in at least two successive files each."""
        return sum(one.times >= 2 for one in self.sightings.values()) >= 2

    def arose_after(self, day: date) -> bool:
        """Return whether a fund that shows it had a file without it after a day."""
        return any(one.before is not None and one.before > day for one in self.sightings.values())


@dataclass(frozen=True)
class Finder:
    """Finds differences between the list and files (by fund, in order)."""

    timeline: Timeline
    files: Mapping[str, list[Shown]]
    identities: Identities
    confirmed: date

    def find(self) -> tuple[Difference, ...]:
        """List the differences of the funds' newest files."""
        newest = [mine[-1] for mine in self.files.values()]
        joins = {symbol: line for one in newest for symbol, line in one.strangers.items()}
        leaves = {ticker for one in newest for ticker in one.missing}
        found = [self._joining(symbol, line) for symbol, line in joins.items()]
        found += [self._leaving(ticker) for ticker in leaves]
        return tuple(sorted(found, key=lambda one: (one.item.effective, one.item.action, one.item.symbol)))

    def _joining(self, symbol: str, line: HeldLine) -> Difference:
        sightings, dates = self._sight(lambda one: symbol in one.strangers)
        identity = self.identities.find(symbol, dates[2])
        if identity is None or not identity.known:
            # A fund shows some changes on the session before, when the provider does not know the new symbol yet.
            identity = self.identities.find(symbol, dates[1])
            if identity is not None and identity.known:
                dates = dates[0], dates[1], min(identity.day, dates[1])
            else:
                identity = None
        weight = self._weigh(lambda one: symbol if symbol in one.strangers else None)
        item = self._make(Action.JOINS, symbol, sightings, dates, weight)
        ticker = next(iter(find_lines(self.timeline, identity)), None) if identity else None
        company = identity.name if identity and identity.name else line.name
        cik = identity.cik if identity else None
        return Difference(item(ticker, company, cik), line, sightings, weight, identity)

    def _leaving(self, ticker: str) -> Difference:
        sightings, dates = self._sight(lambda one: ticker in one.missing, leaves=True)
        stay = self.timeline.line(ticker)
        symbol = self.timeline.symbol(ticker, dates[0])
        weight = self._weigh(lambda one: one.lines[ticker].symbol if ticker in one.lines else None)
        item = self._make(Action.LEAVES, symbol, sightings, dates, weight)
        cik = self.timeline.ciks.on(stay.issuer, dates[0]) if stay else None
        line = last_line(self.files, ticker)
        return Difference(item(ticker, stay.company if stay else symbol, cik), line, sightings, weight)

    def _sight(
        self, shows: Callable[[Shown], bool], *, leaves: bool = False
    ) -> tuple[dict[str, Sighting], tuple[date, date, date]]:
        sightings = find_sightings(self.files, shows)
        return sightings, date_difference(sightings, self.confirmed, leaves=leaves)

    def _make(
        self,
        action: Action,
        symbol: str,
        sightings: Mapping[str, Sighting],
        dates: tuple[date, date, date],
        weight: Decimal | None,
    ) -> Callable[[str | None, str, str | None], Item]:
        low, high, best = dates
        seen = tuple(f"{fund} {one.first}" for fund, one in sorted(sightings.items()))
        weight_pct = None if weight is None else f"{weight:.3f}"
        return lambda ticker, company, cik: Item(
            action, symbol, ticker, company, cik, best, low, high, seen_in=seen, weight_pct=weight_pct
        )

    def _weigh(self, symbol_in: Callable[[Shown], str | None]) -> Decimal | None:
        """Return the weight of a line in the newest file that has it."""
        files = sorted((one for mine in self.files.values() for one in mine), key=lambda one: one.reading.as_of)
        weights = (one.reading.weights.get(symbol) for one in reversed(files) if (symbol := symbol_in(one)) is not None)
        return next((weight for weight in weights if weight is not None), None)


def last_line(files: Mapping[str, Sequence[Shown]], ticker: str) -> HeldLine | None:
    """Return a line as in the newest file that has it, with a CUSIP where a file gives one."""
    found = [one for mine in files.values() for one in mine if ticker in one.lines]
    found.sort(key=lambda one: (one.lines[ticker].cusip is not None, one.reading.as_of))
    return found[-1].lines[ticker] if found else None


def find_renames(timeline: Timeline, differences: Iterable[Difference]) -> tuple[Statement, ...]:
    """Find renamed lines: the same company or the same security leaves and joins in one file."""
    differences = tuple(differences)
    leaving = [one for one in differences if one.item.action is Action.LEAVES]
    found = []
    for one in differences:
        if one.item.action is not Action.JOINS:
            continue
        for other in leaving:
            together = one.sightings.keys() & other.sightings.keys() and one.item.symbol != other.item.symbol
            why = _same_company(timeline, one, other) if together else None
            if why is not None:
                decided = Decided(SAME_COMPANY, f"{other.item.symbol} is now {one.item.symbol}: {why}", source=why)
                found.append(
                    Statement(Action.RENAMED, other.item.symbol, one.item.symbol, one.item.effective, forced=decided)
                )
                break
    return tuple(found)


def _same_company(timeline: Timeline, joins: Difference, leaves: Difference) -> str | None:
    if joins.identity is not None and leaves.item.ticker in find_lines(timeline, joins.identity):
        return f"CIK {joins.identity.cik}, FIGI {joins.identity.share_class_figi or 'not given'}"
    if joins.line is not None and leaves.line is not None and joins.line.is_same_security(leaves.line):
        return f"security {joins.line.cusip or joins.line.isin}"
    return None


def group_by_date(differences: Iterable[Difference]) -> list[tuple[Difference, ...]]:
    """Group differences with the same date: one change of the index."""
    ordered = sorted(differences, key=lambda one: (one.item.effective, one.item.action, one.item.symbol))
    return [tuple(group) for _, group in groupby(ordered, key=lambda one: one.item.effective)]


def find_objection(group: Sequence[Difference]) -> str | None:
    """Return why the rule does not accept a change that both funds show in two successive files; None where it does."""
    sides = [[one for one in group if one.item.action is action] for action in (Action.JOINS, Action.LEAVES)]
    pairs = max(map(len, sides))
    if pairs > MOST_PAIRS:
        return f"{pairs} pairs are more than {MOST_PAIRS}"
    seven = [one.item.symbol for one in group if {one.item.ticker, one.item.symbol} & set(SEVEN)]
    if seven:
        return f"{', '.join(seven)} is one of the seven"
    stranger = next((one.item.symbol for one in sides[0] if one.identity is None), None)
    if stranger is not None:
        return f"the provider has no details of {stranger} yet"
    weights = [one.weight for one in group]
    if None in weights:
        return "no file has the weights of the lines"
    largest = max(sum((one.weight or Decimal(0) for one in side), Decimal(0)) for side in sides)
    if largest >= LARGEST_PCT:
        return f"{largest:.2f} % of the fund is not less than {LARGEST_PCT} %"
    return None


def becomes_question(difference: Difference, files: Mapping[str, Sequence[Shown]]) -> bool:
    """Return whether a difference that no rule accepts becomes a question now, or may be resolved by the next file."""
    times = [one.times for one in difference.sightings.values()]
    if max(times) >= WAIT_FILES or difference.is_in_two_files_of_two_funds:
        return True
    if len(list_sessions(difference.item.earliest, difference.item.latest)) > GAP_SESSIONS:
        return True
    others = [mine[-1].reading.as_of for fund, mine in files.items() if fund not in difference.sightings]
    first = min(one.first for one in difference.sightings.values())
    return min(times) >= 2 and all(newest >= next_session(first) for newest in others)


def name_lines(group: Sequence[Difference]) -> str:
    """Name the lines of a change, or count them where there are many."""
    if len(group) <= LISTED:
        return ", ".join(one.item.subject for one in group)
    joins = sum(one.item.action is Action.JOINS for one in group)
    return f"{joins} lines join and {len(group) - joins} leave"


def decide_by_rule(one: Difference) -> Decided:
    """Return the decision by the rule of two funds and two files."""
    seen = ", ".join(one.item.seen_in)
    digests = tuple(digest for _, sighting in sorted(one.sightings.items()) for digest in sighting.digests)
    return Decided(
        BOTH_FUNDS, f"{one.item.subject} {one.item.effective}: first in {seen}", digests, f"holdings of {seen}"
    )


def add_up(differences: Iterable[Difference]) -> Decimal | None:
    """Return the larger of the weights that join and that leave; None where the weight of a line is not known."""
    sides = {Action.JOINS: Decimal(0), Action.LEAVES: Decimal(0)}
    for one in differences:
        if one.weight is None:
            return None
        sides[one.item.action] += one.weight
    return max(sides.values())
