"""Files of both funds with changes that nobody announced, in the market's own forms: they say that they are SIMULATED.

Every file rests on the lines that SPY held on one session, whatever the market invents later: a test that runs on
another day finds the same lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from mag7.index.seven import SEVEN
from mag7.lake.keys import inbox_prefix
from mag7.lake.objects import ObjectStore
from sandbox.polygon.fund_files import write_csv, write_workbook
from sandbox.polygon.holdings import SPY, Held, list_held
from sandbox.polygon.market import load_market
from sandbox.polygon.universe import Line

PAIRS = 6
"""Pairs of one change: one more than the rule accepts."""


@dataclass(frozen=True)
class Swap:
    """A change of the index that only files show: symbols of the lines that join, and of those that leave."""

    joins: tuple[str, ...]
    leaves: tuple[str, ...]


class FundFiles:
    """Both funds' files of any session, with what SPY held on ``base`` and some swaps done."""

    def __init__(self, base: date, last: date) -> None:
        market = load_market(datetime.now(UTC).date())
        row, newest = market.row(base), market.row(last)
        assert row is not None and newest is not None
        self._held = list_held(market, SPY, row)
        later = list_held(market, SPY, newest)
        members = {one.line.key for held in (self._held, later) for one in held}
        classes = Counter(line.main for line in market.lines)

        def is_simple(line: Line) -> bool:
            return classes[line.main] == 1 and line.symbol_on(base) == line.symbol_on(last) == line.key

        outside = [
            line for line in market.lines if line.key not in members and line.listed.holds(last) and is_simple(line)
        ]
        self._strangers = {line.key: line for line in outside}
        leaving = [one.symbol for one in self._held if is_simple(one.line) and one.symbol not in SEVEN][::-1]
        self._swaps = [
            Swap(tuple(self._strangers)[start : start + PAIRS], tuple(leaving[start : start + PAIRS]))
            for start in range(0, 3 * PAIRS, PAIRS)
        ]

    def list_swaps(self) -> tuple[Swap, Swap, Swap]:
        """List three swaps of small lines that have nothing in common."""
        first, second, third = self._swaps
        return first, second, third

    def put(self, store: ObjectStore, day: date, swaps: Iterable[Swap]) -> None:
        """Put both funds' files of a session into the inbox."""
        pairs = {leaves: joins for swap in swaps for joins, leaves in zip(swap.joins, swap.leaves, strict=True)}
        held = tuple(self._put_in(one, pairs.get(one.symbol)) for one in self._held)
        ivv = write_csv("iShares Core S&P 500 ETF", day, held)
        spy = write_workbook("SPDR® S&P 500® ETF Trust", SPY, day, held)
        store.put(f"{inbox_prefix()}ivv-{day}.csv", ivv)
        store.put(f"{inbox_prefix()}spy-{day}.xlsx", spy)

    def _put_in(self, one: Held, symbol: str | None) -> Held:
        return one if symbol is None else replace(one, line=self._strangers[symbol], symbol=symbol)
