"""The holdings of two index funds on a session: simulated shares of the true members, with the funds' known delays.

A fund's list can differ from the index by a session. The fund for IVV shows a change on the eve, on its day or a
session late, and keeps an acquired line for months; both funds show some new symbols a session late.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from sandbox.polygon.draws import unit
from sandbox.polygon.market import Market
from sandbox.polygon.provider import class_part
from sandbox.polygon.universe import LAST_DAY, Line, Span

IVV, SPY = "IVV", "SPY"
#: Acquired lines that the fund still lists: a right to a later payment, which is not traded.
CONTRA = {"HOLX": Span(date(2026, 4, 9), date(2027, 4, 8))}
_ASSETS = {IVV: 60_000_000_000_000, SPY: 61_000_000_000_000}
_STOCKS = 0.998


@dataclass(frozen=True)
class Held:
    """A line of a fund, money in cents; ``contra`` lines are not traded."""

    line: Line
    symbol: str
    quantity: int
    price: int
    weight: float
    contra: bool = False

    @property
    def value(self) -> int:
        """Market value in cents."""
        return self.quantity * self.price


@lru_cache(maxsize=64)
def list_held(market: Market, fund: str, row: int) -> tuple[Held, ...]:
    """List the lines of a fund after a session, largest first."""
    sizes: dict[int, float] = {}
    for number, line in enumerate(market.lines):
        if _is_shown(market, line, fund, row):
            free = 1 - 0.14 * unit("float", line.main)
            at = _priced_row(market, line, row)
            sizes[number] = float(market.cents[at, number] * market.counts[at, number]) * class_part(line.key) * free
    total, assets, held = sum(sizes.values()), _ASSETS[fund] * _STOCKS, []
    for number, size in sizes.items():
        line = market.lines[number]
        price = int(market.cents[_priced_row(market, line, row), number])
        quantity = max(round(size / total * assets / price), 1)
        weight = 100 * quantity * price / _ASSETS[fund]
        held.append(Held(line, _shown_symbol(market, line, fund, row), quantity, price, weight))
    contra = [
        Held(line, line.key, 1_000_000 + int(unit("contra", line.key) * 1e6), 1, 0.0, contra=True)
        for line in market.lines
        if fund == IVV and line.key in CONTRA and CONTRA[line.key].holds(market.days[row])
        if market.column[line.key] not in sizes
    ]
    return (*sorted(held, key=lambda one: (-one.value, one.symbol)), *contra)


def list_other(market: Market, fund: str, row: int) -> tuple[Held, ...]:
    """List the lines of another fund of the company: lines outside the index and the smaller half of its members."""
    held, day = list_held(market, fund, row), market.days[row]
    inside = {one.line.key for one in held}
    outside = [line for line in market.lines if line.listed.holds(day) and line.key not in inside]
    strangers = [
        Held(line, line.symbol_on(day), 1_000_000, int(market.cents[row, market.column[line.key]]), 0.2)
        for line in outside
    ]
    return (*strangers, *held[len(held) // 2 :])


def _priced_row(market: Market, line: Line, row: int) -> int:
    """Return the session, or the last one with a close for a line that no longer trades."""
    return min(row, market.row(line.listed.last) or 0)


def _is_shown(market: Market, line: Line, fund: str, row: int) -> bool:
    for span in line.member:
        start, stop = bisect_left(market.days, span.first), bisect_right(market.days, span.last)
        first = start + _lag(market, fund, start, soonest=0 if line.listed.first == span.first else -1)
        if first <= row < (stop if span.last == LAST_DAY else stop + _lag(market, fund, stop)):
            return True
    return False


def _lag(market: Market, fund: str, row: int, *, soonest: int = -1) -> int:
    """Return by how many sessions a fund shows a session's changes late; -1 is the eve, after its close."""
    if fund == SPY or not 0 < row < len(market.days):
        return 0
    drawn = unit("fund", fund, market.days[row].isoformat())
    return max(soonest, -1 if drawn < 0.35 else 0 if drawn < 0.75 else 1)


def _shown_symbol(market: Market, line: Line, fund: str, row: int) -> str:
    """Return the symbol; a fund may show its change a session late."""
    symbol = line.symbol_on(market.days[row])
    before = line.symbol_on(market.days[max(row - 1, 0)])
    late = symbol != before and unit("symbol", fund, line.key, symbol) < 0.5
    return before if late else symbol
