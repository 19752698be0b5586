"""The price model: seeded walks through real closes, scaled so that the total follows the index level.

All data are arrays of sessions by lines. Prices and counts are built on the split basis of the
anchor session (2024-12-06) and then put on the basis of each session:

- the seven walk from real close to real close (a random bridge in logarithms);
- every other line has its own mean-reverting walk, pinned to its real close on the anchor session;
- one common factor a session moves all the others so that the sum over the index lines, each taken with its
  whole company's count, is the golden line sum times the ratio of index levels;
- a company that spins off another keeps a part of its price, and the child starts with the rest.

Each line draws from its own seeded stream, session by session: another line or session changes nothing in the
past noise of other lines.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sandbox.polygon import facts, sessions
from sandbox.polygon.counts import count_shares
from sandbox.polygon.draws import Floats, Ints, unit, walk
from sandbox.polygon.frame import Frame
from sandbox.polygon.invented import invent_changes
from sandbox.polygon.universe import Line, read_lines

_MARKET_VOLATILITY = 0.008
_SEVEN_VOLATILITY = 0.014
_OTHER_VOLATILITY = 0.009
_REVERSION = 0.993
_LATER_DRIFT = 0.0003


@dataclass(frozen=True, eq=False)
class Market:
    """Closes in cents, whole-company share counts and split factors, as arrays of sessions by lines."""

    days: tuple[date, ...]
    lines: tuple[Line, ...]
    cents: Ints
    counts: Ints
    factors: Floats
    column: dict[str, int]

    @cached_property
    def seeds(self) -> NDArray[np.uint64]:
        """A number for each line, from which its bars are drawn."""
        return np.array([int(unit("bars", line.drawn_as) * 2**48) for line in self.lines], dtype=np.uint64)

    def row(self, day: date) -> int | None:
        """Return the row of the last session on or before a day; None before the first."""
        found = bisect_right(self.days, day) - 1
        return found if found >= 0 else None

    def session_row(self, day: date) -> int | None:
        """Return the row of a session; None when the day is not a session."""
        found = self.row(day)
        return found if found is not None and self.days[found] == day else None


def load_market(today: date = date.min) -> Market:
    """Return the market of a day: built once in a process, and again when a year ends.

    A market with a later horizon has the same earlier sessions.
    """
    return _load_market(sessions.find_horizon(today))


@lru_cache(maxsize=4)
def _load_market(horizon: date) -> Market:
    days = sessions.list_sessions(horizon)
    return build_market(days, invent_changes(read_lines(), days))


def build_market(days: tuple[date, ...], lines: tuple[Line, ...]) -> Market:
    """Compute every close and count."""
    frame = Frame(days, lines, {line.key: number for number, line in enumerate(lines)})
    factors = _split_factors(frame)
    drift = _LATER_DRIFT * np.arange(len(days))
    level_noise = walk("level", len(days), _MARKET_VOLATILITY, 0.995) + drift
    total = _total(frame, level_noise)
    prices = _walk_prices(frame, factors, level_noise)
    counts = count_shares(frame, factors, prices[frame.base], float(total[frame.base]))
    _scale_others(frame, prices, counts, total)
    cents = np.maximum(np.rint(prices / factors * 100).astype(np.int64), 1)
    market = Market(days, lines, cents, np.rint(counts * factors).astype(np.int64), factors, frame.column)
    _cancel_rounding(market)
    return market


def _bridge(noise: Floats, anchors: dict[int, float]) -> Floats:
    """Adjust a walk so that it passes through the anchors; outside them it is free."""
    rows = sorted(anchors)
    gaps = [anchors[row] - noise[row] for row in rows]
    return cast("Floats", noise + np.interp(np.arange(len(noise)), rows, gaps))


def _split_factors(frame: Frame) -> Floats:
    """Return the shares on each session's basis for one share on the anchor session's."""
    factors = np.ones((len(frame.days), len(frame.lines)))
    for number, line in enumerate(frame.lines):
        for split in facts.splits():
            if split.symbol in {line.key, line.symbol_on(split.execution_date)}:
                factors[bisect_left(frame.days, split.execution_date) :, number] *= split.factor
    relative: Floats = factors / factors[frame.base]
    return relative


def _total(frame: Frame, level_noise: Floats) -> Floats:
    """Return the line sum that each session must have."""
    levels = facts.index_levels()
    path = _bridge(level_noise, {frame.at(day): math.log(level) for day, level in levels.items()})
    sums: Floats = np.exp(path) * (float(facts.GOLDEN_LINE_SUM) / levels[facts.GOLDEN_SESSION])
    return sums


def _walk_prices(frame: Frame, factors: Floats, level_noise: Floats) -> Floats:
    """Return the prices on the anchor basis; those of the others without the common factor yet."""
    length, prices = len(frame.days), np.empty(factors.shape)
    for number, line in enumerate(frame.lines):
        closes = facts.closes().get(line.symbol_on(facts.ANCHOR_SESSION), {})
        if line.key in facts.SEVEN:
            rows = {frame.at(day): cents / 100 for day, cents in facts.closes()[line.key].items()}
            path = {row: math.log(close * float(factors[row, number])) for row, close in rows.items()}
            noise = 1.1 * level_noise + walk(line.drawn_as, length, _SEVEN_VOLATILITY, 0.992)
            prices[:, number] = np.exp(_bridge(noise, path))
        elif line.main == line.key:
            own = walk(line.drawn_as, length, _OTHER_VOLATILITY, _REVERSION)
            price = closes.get(facts.ANCHOR_SESSION, 0) / 100 or _invent_price(line.drawn_as)
            prices[:, number] = price * np.exp(own - own[frame.base])
    _spin_off(frame, prices)
    for number, line in enumerate(frame.lines):
        if line.main != line.key:
            closes = facts.closes().get(line.symbol_on(facts.ANCHOR_SESSION), {})
            main = prices[:, frame.column[line.main]]
            ratio = closes.get(facts.ANCHOR_SESSION, 0) / 100 / main[frame.base] or 0.97
            pins = dict.fromkeys((frame.base, frame.at(facts.GOLDEN_SESSION)), 0.0)
            prices[:, number] = main * ratio * np.exp(_bridge(walk(line.key, length, 0.0008, 0.97), pins))
    return prices


def _spin_off(frame: Frame, prices: Floats) -> None:
    """Spin off children: on the first day the child's price is what the parent's loses, share for share."""
    for line in frame.children():
        row, number, parent = frame.at(line.listed.first), frame.column[line.key], frame.column[line.parent]
        part = float(prices[row, parent]) * (1 - line.kept)
        prices[row:, parent] *= line.kept
        prices[:, number] *= part / float(prices[row, number])


def _invent_price(key: str) -> float:
    return round(25.0 * math.pow(8.0, unit("price", key)), 2)


def _scale_others(frame: Frame, prices: Floats, counts: Floats, total: Floats) -> None:
    """Multiply the others' prices by one factor a session so that the line sum is the total.

    The seven count from the first session on, in the index or not: a member that joins with half a trillion must not
    lower all other prices.
    """
    weights = prices * counts * _counted(frame)
    seven = np.array([line.main in facts.SEVEN for line in frame.lines])
    scale = (total - weights[:, seven].sum(axis=1)) / weights[:, ~seven].sum(axis=1)
    scale[frame.base] = 1.0
    prices[:, ~seven] *= scale[:, None]


def _counted(frame: Frame) -> NDArray[np.bool_]:
    """Return which lines the total counts on each session: members with a close, and the seven."""
    counted = np.zeros((len(frame.days), len(frame.lines)), dtype=bool)
    for number, line in enumerate(frame.lines):
        for span in line.member:
            last = min(span.last, line.listed.last)
            counted[bisect_left(frame.days, span.first) : bisect_right(frame.days, last), number] = True
        if line.main in facts.SEVEN:
            counted[:, number] = True
    return counted


def _cancel_rounding(market: Market) -> None:
    """Move the others' closes on the golden session by a cent until the rounding error of the total is gone."""
    row = bisect_left(market.days, facts.GOLDEN_SESSION)
    inside = [n for n, line in enumerate(market.lines) if line.is_member(facts.GOLDEN_SESSION)]
    rest = int(facts.GOLDEN_LINE_SUM * 100) - sum(
        int(market.cents[row, n]) * int(market.counts[row, n]) for n in inside
    )
    free = [n for n in inside if market.lines[n].main not in facts.SEVEN]
    for number in sorted(free, key=lambda n: -int(market.counts[row, n])):
        count = int(market.counts[row, number])
        if 2 * abs(rest) >= count:
            move = 1 if rest > 0 else -1
            market.cents[row, number] += move
            rest -= move * count
