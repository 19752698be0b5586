"""Symbols of lines: how share classes are written, and a line's symbol on a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Final

from mag7.index.pinned import pinned_facts
from mag7.index.tables import FactTable, Row, read_rows

SYMBOL_HISTORY: Final = "symbol_history.csv"
SYMBOL_COLUMNS: Final = ("ticker", "symbol", "first_session", "last_session", "source")

# Holdings files write share classes without a separator. No rule can distinguish BRKB (class B of BRK) from GOOGL or
# BRKR (companies of their own), so symbols with a class are listed here.
CLASS_SYMBOLS: Final[Mapping[str, str]] = {"BRKA": "BRK.A", "BRKB": "BRK.B", "BFA": "BF.A", "BFB": "BF.B"}
SEPARATORS: Final = str.maketrans({"/": ".", "-": ".", " ": "."})


@dataclass(frozen=True)
class SymbolPeriod:
    """The sessions on which a line had a symbol, both ends included; an open end is None."""

    ticker: str
    symbol: str
    first: date | None
    last: date | None

    def covers(self, session: date) -> bool:
        """Return whether the line had this symbol on a session."""
        return (self.first is None or self.first <= session) and (self.last is None or session <= self.last)


def normalize_symbol(symbol: str) -> str:
    """Return a symbol as the provider writes it: BRKB, BRK/B, BRK-B and "BRK B" become BRK.B; BRKR stays."""
    plain = symbol.strip().upper().translate(SEPARATORS)
    return CLASS_SYMBOLS.get(plain, plain)


def symbol_on(ticker: str, session: date) -> str:
    """Return a line's symbol on a session; its ticker where the line was never renamed."""
    for period in load_symbols().get(ticker, ()):
        if period.covers(session):
            return period.symbol
    return ticker


def load_symbols() -> Mapping[str, tuple[SymbolPeriod, ...]]:
    """Return the symbol history of the pinned facts, by ticker."""
    return pinned_facts().symbols


def read_symbols(table: FactTable) -> Mapping[str, tuple[SymbolPeriod, ...]]:
    """Read a symbol history by ticker; raises FactTableInvalidError where periods of a line overlap."""
    rows = read_rows(table, SYMBOL_COLUMNS)
    parsed = [(_parse(row), row) for row in rows]
    parsed.sort(key=lambda pair: (pair[0].ticker, pair[0].first or date.min))
    for (earlier, _), (later, row) in pairwise(parsed):
        if earlier.ticker == later.ticker and (
            earlier.last is None or later.first is None or later.first <= earlier.last
        ):
            raise row.refuse(f"overlaps the period of {earlier.symbol}, which ends {earlier.last or 'never'}")
    grouped = groupby((period for period, _ in parsed), key=lambda period: period.ticker)
    return MappingProxyType({ticker: tuple(periods) for ticker, periods in grouped})


def _parse(row: Row) -> SymbolPeriod:
    period = SymbolPeriod(
        row.text("ticker"), row.text("symbol"), row.optional_day("first_session"), row.optional_day("last_session")
    )
    if period.first and period.last and period.last < period.first:
        raise row.refuse("last_session is before first_session")
    return period
