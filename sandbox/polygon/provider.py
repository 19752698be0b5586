"""What the provider returns about a line: the truth, altered by the quirks of the real provider."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from sandbox.polygon.draws import unit
from sandbox.polygon.market import Market
from sandbox.polygon.universe import FIRST_DAY, LAST_DAY, Line, Span

#: Details of earlier dates have the share counts of this date, on its split basis.
COUNTS_FROZEN_BEFORE = date(2021, 11, 1)
#: Frozen counts as recorded: the count behind market_cap, weighted_shares_outstanding, share_class_shares_outstanding.
_RECORDED_FROZEN = {
    "AAPL": (16_406_397_000, 16_185_181_000, 16_319_440_000),
    "MSFT": (7_507_980_886, 7_507_980_886, 7_507_980_886),
}
#: The other issuer's fund that traded as META before Meta Platforms took the symbol.
FUND_SYMBOL, FUND_LAST = "META", date(2022, 1, 28)
#: Sessions on which the share count already includes a split of the next session.
_EARLY_BASIS = {("NVDA", date(2024, 6, 7))}
#: Microsoft's details without market_cap and weighted count, and the count that they still have.
_WITHOUT_CAP = {"MSFT": (Span(date(2024, 6, 20), date(2024, 11, 20)), 7_433_040_000)}
#: The listed class's part of the company, for companies with other classes.
_CLASS_PARTS = {
    "GOOGL": 0.4759, "GOOG": 0.4528, "FOXA": 0.4852, "FOX": 0.5148, "NWSA": 0.6651, "NWS": 0.3349, "META": 0.8629,
    "BRK.B": 0.6131, "BF.B": 0.6434, "V": 0.8866, "CMCSA": 0.9975, "NKE": 0.8002, "UPS": 0.8574, "DELL": 0.4787,
    "EL": 0.6517, "TSN": 0.8028, "HSY": 0.7305, "STZ": 0.9986, "TAP": 0.9479, "RL": 0.6482, "PARA": 0.9391,
}  # fmt: skip
#: Companies acquired while in the index: until they leave, their details are those of the last close.
_LINGERING = {"DAY"}
#: Ticker details know a new symbol a session late.
_LATE_DETAILS = {"META": (Span(FIRST_DAY, date(2022, 6, 9), "FB"), Span(date(2022, 6, 10), LAST_DAY, "META"))}


@dataclass(frozen=True)
class Figures:
    """The figures of ticker details: market_cap in cents and two share counts, each of which may be missing."""

    market_cap_cents: int | None
    weighted_shares: int | None
    class_shares: int | None


def class_part(key: str) -> float:
    """Return a listed class's part of its company."""
    return _CLASS_PARTS.get(key, 1.0)


@lru_cache(maxsize=4)
def _lines_by_symbol(market: Market, late_details: bool) -> dict[str, tuple[tuple[Span, Line], ...]]:
    found: dict[str, list[tuple[Span, Line]]] = {}
    for line in market.lines:
        spans = _LATE_DETAILS.get(line.key, line.symbols) if late_details else line.symbols
        for span in spans or (Span(FIRST_DAY, LAST_DAY, line.key),):
            found.setdefault(span.value, []).append((span, line))
    return {symbol: tuple(rows) for symbol, rows in found.items()}


def find_line(market: Market, symbol: str, day: date, *, details: bool = False) -> Line | None:
    """Return the line with a symbol on a day; details know a new symbol later than bars do."""
    for span, line in _lines_by_symbol(market, details).get(symbol, ()):
        if span.holds(day) and (line.listed.holds(day) or (details and _lingers(line, day))):
            return line
    return None


def _lingers(line: Line, day: date) -> bool:
    return line.key in _LINGERING and line.listed.last < day and line.is_member(day)


def is_fund(symbol: str, day: date) -> bool:
    """Return whether the symbol belongs to the other issuer's fund on a day."""
    return symbol == FUND_SYMBOL and day <= FUND_LAST


def fund_close_cents(day: date) -> int:
    """Return the close of the other issuer's fund, near 12 dollars."""
    return 1200 + int(unit("fund", day.isoformat()) * 90) - 45


def tell_figures(market: Market, line: Line, row: int, *, evening: bool = False) -> Figures:
    """Return market cap and share counts as the provider gives them for a session (a row of the market)."""
    number, day = market.column[line.key], market.days[row]
    part = class_part(line.key)
    behind = weighted = _told_count(market, line, row)
    listed_class = round(weighted * part)
    if day < COUNTS_FROZEN_BEFORE and line.key in _RECORDED_FROZEN:
        behind, weighted, listed_class = _RECORDED_FROZEN[line.key]
    window, shares = _WITHOUT_CAP.get(line.key, (None, 0))
    if window is not None and window.holds(day):
        return Figures(None, None, shares)
    had_close = row > 0 and line.listed.holds(market.days[row - 1])
    late = evening and had_close and unit("evening", line.drawn_as, day.isoformat()) < 0.3
    cents = int(market.cents[row - 1 if late else row, number])
    return Figures(behind * cents, weighted, listed_class)


def _told_count(market: Market, line: Line, row: int) -> int:
    number, day = market.column[line.key], market.days[row]
    if day < COUNTS_FROZEN_BEFORE:
        frozen = bisect_left(market.days, min(COUNTS_FROZEN_BEFORE, line.listed.last))
        return int(market.counts[frozen, number])
    if (line.key, day) in _EARLY_BASIS:
        return int(market.counts[row + 1, number])
    return int(market.counts[row, number])
