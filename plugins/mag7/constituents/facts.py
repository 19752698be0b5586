"""The tables that a decision can change, cut back to confirmed rows, and the rows in which two states differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from mag7.index.facts import IndexFacts
from mag7.index.identifiers import CIK_COLUMNS, FIGI_COLUMNS, IdentifierPeriod, Identifiers
from mag7.index.membership import Membership, MembershipTable
from mag7.index.symbols import SYMBOL_COLUMNS, SymbolPeriod

FactRow: TypeAlias = Membership | SymbolPeriod | IdentifierPeriod


class Table(StrEnum):
    """The tables that a decision can change, by the names of their files."""

    MEMBERSHIP = "index_membership.csv"
    SPAN = "index_membership_span.csv"
    SYMBOLS = "symbol_history.csv"
    CIKS = "issuer_ciks.csv"
    FIGIS = "line_figis.csv"


COLUMNS: Final = MappingProxyType(
    {Table.SYMBOLS: SYMBOL_COLUMNS[:4], Table.CIKS: CIK_COLUMNS[:4], Table.FIGIS: FIGI_COLUMNS[:4]}
)
"""The columns of tables of periods, without ``source``."""


@dataclass(frozen=True)
class Facts:
    """Membership, symbols by ticker, CIKs by issuer key and share-class FIGIs by ticker."""

    membership: MembershipTable
    symbols: Mapping[str, tuple[SymbolPeriod, ...]]
    ciks: Identifiers
    figis: Identifiers

    @property
    def confirmed_through(self) -> date:
        """The last session with a confirmed list of members."""
        return self.membership.last_session

    @classmethod
    def of(cls, facts: IndexFacts) -> Facts:
        """Return the tables of a facts version."""
        return cls(facts.membership, facts.symbols, facts.ciks, facts.figis)


@dataclass(frozen=True)
class Decided:
    """Which rule or person decided a row, why, and from which files (SHA-256); ``source`` is the row's source."""

    by: str
    why: str
    digests: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class RowEdit:
    """A row to add (``before`` is None), to remove (``after`` is None) or to replace in a table.

    Values are by column, as in the file. ``before`` has no ``source``: a replaced row keeps its own, an added row has
    one in ``after``.
    """

    table: Table
    before: Mapping[str, str] | None
    after: Mapping[str, str] | None
    decided: Decided


def cut_back(facts: Facts) -> Facts:
    """Remove what applies only after the confirmed sessions: it is worked out again from the inputs."""
    through = facts.confirmed_through
    stays = tuple(
        replace(stay, member_to=None) if stay.member_to is not None and stay.member_to >= through else stay
        for stay in facts.membership.stays
        if stay.member_from <= through
    )
    tickers, issuers = {stay.ticker for stay in stays}, {stay.issuer for stay in stays}
    symbols = {
        ticker: tuple(_cut_symbols(periods, through)) for ticker, periods in facts.symbols.items() if ticker in tickers
    }
    return Facts(
        replace(facts.membership, stays=stays),
        MappingProxyType(symbols),
        keep_owners(facts.ciks, issuers),
        keep_owners(facts.figis, tickers),
    )


def cut_at(facts: Facts, through: date) -> Facts:
    """Return the tables as they were when ``through`` was the last confirmed session, as far as is known."""
    return cut_back(replace(facts, membership=replace(facts.membership, last_session=through)))


def _cut_symbols(periods: Iterable[SymbolPeriod], through: date) -> Iterator[SymbolPeriod]:
    for period in periods:
        if period.first is None or period.first <= through:
            late = period.last is not None and period.last >= through
            yield replace(period, last=None) if late else period


def keep_owners(identifiers: Identifiers, owners: Iterable[str]) -> Identifiers:
    """Keep the identifiers of some owners."""
    kept = frozenset(owners)
    return make_identifiers(
        period for owner, periods in identifiers.periods.items() if owner in kept for period in periods
    )


def make_identifiers(periods: Iterable[IdentifierPeriod]) -> Identifiers:
    """Index identifier periods by owner and by value."""
    found: defaultdict[str, list[IdentifierPeriod]] = defaultdict(list)
    owners: dict[str, str] = {}
    for period in periods:
        found[period.owner].append(period)
        owners[period.value] = period.owner
    return Identifiers(
        MappingProxyType({owner: tuple(mine) for owner, mine in found.items()}), MappingProxyType(owners)
    )


def list_edits(
    before: Facts, after: Facts, decided: Mapping[FactRow, Decided], confirmed: Decided, withdrawn: Decided
) -> tuple[RowEdit, ...]:
    """List the rows in which two states differ, in the order of their tables.

    ``decided`` has the decision behind each row of ``after``, ``confirmed`` that behind the last confirmed session,
    ``withdrawn`` that behind a row that is removed or restored.
    """
    edits = [*_edits_of(Table.MEMBERSHIP, before.membership.stays, after.membership.stays, decided, withdrawn)]
    pairs = (
        (Table.SYMBOLS, _all(before.symbols), _all(after.symbols)),
        (Table.CIKS, _all(before.ciks.periods), _all(after.ciks.periods)),
        (Table.FIGIS, _all(before.figis.periods), _all(after.figis.periods)),
    )
    for table, old, new in pairs:
        edits += _edits_of(table, old, new, decided, withdrawn)
    if before.membership.last_session != after.membership.last_session:
        old_span, new_span = (_span(facts.membership) for facts in (before, after))
        edits.append(RowEdit(Table.SPAN, old_span, {**new_span, "source": confirmed.source}, confirmed))
    return tuple(edits)


def _all(periods: Mapping[str, tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(period for mine in periods.values() for period in mine)


def _edits_of(
    table: Table,
    before: Iterable[FactRow],
    after: Iterable[FactRow],
    decided: Mapping[FactRow, Decided],
    otherwise: Decided,
) -> Iterator[RowEdit]:
    gone, new = set(before), set(after)
    gone, new = gone - new, new - gone
    old_by_begin = {_begin(row): row for row in gone}
    for row in sorted(new, key=_order):
        old = old_by_begin.pop(_begin(row), None)
        by = decided.get(row, otherwise)
        if old is None:
            yield RowEdit(table, None, to_columns(table, row, by.source or f"{by.by}: {by.why}"), by)
        else:
            yield RowEdit(table, to_columns(table, old), to_columns(table, row), by)
    for row in sorted(old_by_begin.values(), key=_order):
        yield RowEdit(table, to_columns(table, row), None, otherwise)


def _begin(row: FactRow) -> tuple[str, ...]:
    """The key that a replaced row shares with its replacement."""
    if isinstance(row, Membership):
        return row.ticker, str(row.member_from)
    owner, value = (row.ticker, row.symbol) if isinstance(row, SymbolPeriod) else (row.owner, row.value)
    return owner, value, str(row.first)


def _order(row: FactRow) -> tuple[str, ...]:
    return tuple(str(getattr(row, column.name)) for column in fields(row))


def to_columns(table: Table, row: FactRow, source: str | None = None) -> dict[str, str]:
    """Return a row's values by column, as in the table's file; with a source where one is given."""
    values = {column.name: _text(getattr(row, column.name)) for column in fields(row)}
    if isinstance(row, Membership):
        return values
    named = dict(zip(COLUMNS[table], values.values(), strict=True))
    return named if source is None else {**named, "source": source}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _span(membership: MembershipTable) -> dict[str, str]:
    return {"first_session": str(membership.first_session), "last_session": str(membership.last_session)}
