"""Splits of index companies: the project's own table, joined with what the provider lists.

A split belongs to a company: all its share classes split alike. Shares trade on the new basis from the execution date
on. A row of the project's table is a fact; an entry of the provider's list is judged by mag7.market.listed_splits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from mag7.index.constituents import Line, line_of
from mag7.index.membership import Membership, MembershipTable, load_membership
from mag7.index.pinned import cached_by_facts, pinned_facts
from mag7.index.symbols import load_symbols, symbol_on
from mag7.index.tables import FactTable, Row, read_rows
from mag7.polygon.response_bodies import ListedSplit

SPLITS: Final = "splits.csv"
SPLIT_COLUMNS: Final = ("ticker", "execution_date", "split_from", "split_to", "source")

SAME_SPLIT_DAYS: Final = 40
"""Entries of one company with the same ratio, at most this many days apart, are one split. The provider sometimes also
lists a split under its record date (client issues 311 and 324), which can be a month before the execution date (Nvidia
in 2021). No company splits twice within this time."""

REUSE_DAYS: Final = 100
"""Days after a company left the index within which a split under its symbol is taken for its own."""

LISTED: Final = "provider"
"""The source of a split that only the provider lists."""


@dataclass(frozen=True)
class Split:
    """A company's split: ``split_from`` shares became ``split_to``; ``ticker`` is the company's main line."""

    issuer: str
    ticker: str
    execution_date: date
    split_from: Decimal
    split_to: Decimal
    source: str

    @property
    def factor(self) -> Fraction:
        """How many shares one share became; below 1 for a reverse split."""
        return Fraction(self.split_to) / Fraction(self.split_from)

    def __str__(self) -> str:
        return f"{self.split_to.normalize():f} for {self.split_from.normalize():f} on {self.execution_date}"


@dataclass(frozen=True)
class RefusedSplit:
    """A listed split that is not applied, and the reason.

    ``settled``: the company's counts on both sides show that nothing was split, so there is no doubt.
    """

    split: Split
    reason: str
    settled: bool = False

    def __str__(self) -> str:
        return f"{self.split.ticker} {self.split} is not applied: {self.reason}"


@dataclass(frozen=True)
class SplitTable:
    """Every known split by company, oldest first, and the reasons why some companies' splits are not certain.

    ``listed`` are all entries of the provider's list, also repeated and contradicting ones; ``refused`` are those that
    were judged and are not applied. ``late`` are applied splits that the provider's counts do not include yet.
    """

    splits: Mapping[str, tuple[Split, ...]]
    contested: Mapping[str, str] = field(default_factory=dict)
    listed: Mapping[str, tuple[Split, ...]] = field(default_factory=dict, compare=False)
    refused: Mapping[str, tuple[RefusedSplit, ...]] = field(default_factory=dict)
    late: frozenset[Split] = frozenset()

    def of(self, issuer: str) -> tuple[Split, ...]:
        """Return a company's splits, oldest first."""
        return self.splits.get(issuer, ())

    def list_refused(self) -> list[RefusedSplit]:
        """List the listed splits that are not applied, by company, oldest first."""
        return [refused for mine in self.refused.values() for refused in mine]

    def factor_between(self, issuer: str, earlier: date, later: date) -> Fraction:
        """Return how many shares of ``later`` one share of ``earlier`` became: 1 where nothing split in between."""
        factor = Fraction(1)
        for split in self.of(issuer):
            if earlier < split.execution_date <= later:
                factor *= split.factor
        return factor


def load_splits() -> SplitTable:
    """Return the splits of the pinned facts, which are the rows of the project's own table."""
    return pinned_facts().splits


def read_splits(table: FactTable, membership: MembershipTable) -> SplitTable:
    """Read the project's own table.

    A row of ratio 1 says that nothing was split near its date: it withdraws an entry of the provider's list. Raises
    FactTableInvalidError, which names the row, for a company that never was in the index, a ratio that is not two
    positive numbers, and a second row of one company within SAME_SPLIT_DAYS.
    """
    mains = _find_mains(membership)
    lines = {stay.ticker: mains[stay.issuer] for stay in membership.stays}
    rows = [(_parse(row, lines), row) for row in read_rows(table, SPLIT_COLUMNS)]
    rows.sort(key=lambda pair: (pair[0].issuer, pair[0].execution_date))
    for (earlier, before), (later, row) in pairwise(rows):
        if earlier.issuer == later.issuer and _are_rivals(earlier, later):
            raise row.refuse(f"a second split of {later.ticker} beside the one in {before.place}: {earlier}")
    return tabulate(split for split, _ in rows)


def merge_splits(
    known: SplitTable, listed: Iterable[ListedSplit], unusable: Mapping[str, str] | None = None
) -> SplitTable:
    """Join the project's table with the provider's list, without companies that never were in the index.

    Entries near a split of the project's table are ignored. Entries of one company and ratio near each other are one
    split, executed on the latest date. Where their ratios differ, or an entry is ``unusable`` (ticker to reason), the
    company's splits are contested.
    """
    found: defaultdict[str, list[Split]] = defaultdict(list)
    for entry in dict.fromkeys(listed):
        member = _find_member(entry.ticker, entry.execution_date)
        if member is None or entry.split_from == entry.split_to or _is_anothers(member.issuer, entry.execution_date):
            continue
        if not any(_are_near(split.execution_date, entry.execution_date) for split in known.of(member.issuer)):
            found[member.issuer].append(
                Split(member.issuer, member.ticker, entry.execution_date, entry.split_from, entry.split_to, LISTED)
            )
    contested = dict(known.contested)
    for ticker, reason in (unusable or {}).items():
        member = _find_member(ticker, date.max)
        # Where our table has splits of a company, the provider's list is not needed.
        if member is not None and not known.of(member.issuer):
            contested[member.issuer] = (
                f"an entry of the provider's list of splits cannot be used ({reason}): add the company's splits to"
                f" {SPLITS}"
            )
    merged = [split for splits in known.splits.values() for split in splits]
    entries = {issuer: tuple(sorted(splits, key=_order)) for issuer, splits in sorted(found.items())}
    for issuer, splits in entries.items():
        kept, clash = collapse(splits)
        if clash is not None:
            contested.setdefault(issuer, clash)
        merged += kept
    return replace(tabulate(merged, contested), listed=MappingProxyType(entries))


def collapse(splits: Sequence[Split]) -> tuple[list[Split], str | None]:
    """Keep the latest of entries that are one split; returns a reason where entries near each other differ in ratio.

    This is for a company's entries, oldest first, that neither closes nor counts confirm or contradict.
    """
    kept: list[Split] = []
    for split in splits:
        near = kept[-1] if kept and _are_near(kept[-1].execution_date, split.execution_date) else None
        if near is None:
            kept.append(split)
        elif near.factor == split.factor:
            kept[-1] = split
        else:
            return [], (
                f"the provider lists two splits of {split.ticker} that contradict each other, {near} and {split}: add "
                f"the right one to {SPLITS}"
            )
    return kept, None


def _order(split: Split) -> tuple[date, Fraction, Decimal]:
    """Of one date and ratio, "2 for 1" comes before "4 for 2", so the order of the list does not matter."""
    return split.execution_date, split.factor, split.split_from


def _are_rivals(one: Split, other: Split) -> bool:
    """Whether two rows of one company contradict each other; a row of ratio 1 may be near a split's row."""
    if one.execution_date == other.execution_date:
        return True
    return _are_near(one.execution_date, other.execution_date) and 1 not in {one.factor, other.factor}


def _are_near(one: date, other: date) -> bool:
    return abs(one - other) <= timedelta(days=SAME_SPLIT_DAYS)


def tabulate(splits: Iterable[Split], contested: Mapping[str, str] | None = None) -> SplitTable:
    """Build a table of splits, by company and oldest first."""
    found: defaultdict[str, list[Split]] = defaultdict(list)
    for split in splits:
        found[split.issuer].append(split)
    ordered = {
        issuer: tuple(sorted(mine, key=lambda split: split.execution_date)) for issuer, mine in sorted(found.items())
    }
    return SplitTable(MappingProxyType(ordered), MappingProxyType(dict(contested or {})))


def _parse(row: Row, lines: Mapping[str, Membership]) -> Split:
    member = lines.get(row.text("ticker"))
    if member is None:
        raise row.refuse("no company of the index has this ticker")
    return Split(
        member.issuer,
        member.ticker,
        row.day("execution_date"),
        row.positive("split_from"),
        row.positive("split_to"),
        row.text("source"),
    )


def find_main_line(issuer: str, session: date) -> Line:
    """Find a company's main line as it is on a session, in the index or not."""
    return line_of(_mains()[issuer], session)


def _find_member(symbol: str, day: date) -> Membership | None:
    """Find the company of a symbol, as a stay of its main line: newest symbols first, then those of the day."""
    return _members().get(symbol) or _former_symbols(day).get(symbol)


def _is_anothers(issuer: str, day: date) -> bool:
    """Whether a split may be another company's, which took the symbol after a member left the index."""
    gone = _last_days().get(issuer)
    return gone is not None and day > gone + timedelta(days=REUSE_DAYS)


@cached_by_facts(1)
def _last_days() -> Mapping[str, date]:
    """The last day in the index of each company that has left it."""
    found: defaultdict[str, list[date | None]] = defaultdict(list)
    for stay in load_membership().stays:
        found[stay.issuer].append(stay.member_to)
    return MappingProxyType({issuer: max(filter(None, days)) for issuer, days in found.items() if all(days)})


@cached_by_facts(1)
def _members() -> Mapping[str, Membership]:
    """A stay of the company's main line, by every ticker that ever was in the index."""
    mains = _mains()
    return MappingProxyType({stay.ticker: mains[stay.issuer] for stay in load_membership().stays})


@cached_by_facts(1)
def _mains() -> Mapping[str, Membership]:
    """A stay of the main line, by every company that ever was in the index."""
    return _find_mains(load_membership())


def _find_mains(membership: MembershipTable) -> Mapping[str, Membership]:
    return MappingProxyType({stay.issuer: stay for stay in membership.stays if stay.main_line})


@cached_by_facts(256)
def _former_symbols(day: date) -> Mapping[str, Membership]:
    return MappingProxyType({symbol_on(ticker, day): _members()[ticker] for ticker in load_symbols()})
