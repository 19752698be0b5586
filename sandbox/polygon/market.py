"""The price model: seeded walks through real closes, scaled so that the whole follows the index level.

Everything is held in arrays of sessions by lines. Prices and counts are built on the split basis of the
anchor session (2024-12-06) and then put on the basis of each session:

- the seven walk from real close to real close (a random bridge in logarithms);
- every other line has a mean-reverting walk of its own, pinned to its real close on the anchor session;
- one common factor a session moves all the others so that the sum over the index lines, each taken with its
  whole company's count, is the golden line sum times the ratio of index levels.

Each line draws from its own seeded stream, session by session: a line more or a session more changes nothing
in another line's past noise.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sandbox.polygon import facts, sessions
from sandbox.polygon.universe import Line, read_lines

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SEED = "magnificent7 offline market 1"
_MARKET_VOLATILITY = 0.008
_SEVEN_VOLATILITY = 0.014
_OTHER_VOLATILITY = 0.009
_REVERSION = 0.993
_LATER_DRIFT = 0.0003
#: Sizes of the other companies follow (rank + offset) ** -exponent: about 1.0 trillion down to 10 billion dollars.
_SIZE_OFFSET, _SIZE_EXPONENT = 27.0, 1.62
#: Symbols of the largest other companies, so that the simulated order of size looks familiar.
_LARGEST = (
    "BRK.B", "AVGO", "LLY", "WMT", "JPM", "V", "UNH", "XOM", "ORCL", "MA", "COST", "HD", "PG", "NFLX", "JNJ",
    "BAC", "CRM", "ABBV", "CVX", "KO", "TMUS", "MRK", "WFC", "CSCO", "ACN", "NOW", "PEP", "AXP", "MCD", "LIN",
    "DIS", "IBM", "MS", "ABT", "AMD", "TMO", "ADBE", "ISRG", "PM", "GE", "GS", "QCOM", "CAT", "TXN", "INTU",
    "VZ", "BKNG", "DHR", "T", "BLK", "RTX", "AMGN",
)  # fmt: skip
#: Whole-company counts of the two small companies with two lines in the index.
_TWO_LINE_COUNTS = {"FOXA": 430_118_412, "NWSA": 520_264_908}


def stream(*names: str) -> np.random.Generator:
    """A random stream that depends on the names alone."""
    digest = hashlib.sha256("/".join((_SEED, *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def unit(*names: str) -> float:
    """A number in [0, 1) that depends on the names alone."""
    digest = hashlib.sha256("/".join((_SEED, *names)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


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
        """A number a line, from which its bars are drawn."""
        return np.array([int(unit("bars", line.drawn_as) * 2**48) for line in self.lines], dtype=np.uint64)

    def row(self, day: date) -> int | None:
        """The row of the last session on or before a day; None before the first."""
        found = bisect_right(self.days, day) - 1
        return found if found >= 0 else None

    def session_row(self, day: date) -> int | None:
        """The row of a session; None when the day is no session."""
        found = self.row(day)
        return found if found is not None and self.days[found] == day else None


@dataclass(frozen=True)
class _Frame:
    """The axes of the model's arrays."""

    days: tuple[date, ...]
    lines: tuple[Line, ...]
    column: dict[str, int]

    def at(self, day: date) -> int:
        """The row of a session, or of the next one."""
        return min(bisect_left(self.days, day), len(self.days) - 1)

    @property
    def base(self) -> int:
        """The row of the anchor session."""
        return self.at(facts.ANCHOR_SESSION)


@cache
def load_market() -> Market:
    """Build the market once a process."""
    return build_market(sessions.list_sessions(), read_lines())


def build_market(days: tuple[date, ...], lines: tuple[Line, ...]) -> Market:
    """Compute every close and count."""
    frame = _Frame(days, lines, {line.key: number for number, line in enumerate(lines)})
    factors = _split_factors(frame)
    drift = _LATER_DRIFT * np.arange(len(days))
    level_noise = _walk("level", len(days), _MARKET_VOLATILITY, 0.995) + drift
    total = _total(frame, level_noise)
    prices = _walk_prices(frame, factors, level_noise)
    counts = _count_shares(frame, factors, prices[frame.base], float(total[frame.base]))
    _scale_others(frame, prices, counts, total)
    cents = np.maximum(np.rint(prices / factors * 100).astype(np.int64), 1)
    market = Market(days, lines, cents, np.rint(counts * factors).astype(np.int64), factors, frame.column)
    _cancel_rounding(market)
    return market


def _walk(name: str, length: int, volatility: float, reversion: float) -> Floats:
    """A walk that is drawn back to zero."""
    values, value = np.empty(length), 0.0
    for number, step in enumerate(stream("walk", name).standard_normal(length).tolist()):
        value = value * reversion + step * volatility
        values[number] = value
    return values


def _bridge(noise: Floats, anchors: dict[int, float]) -> Floats:
    """Bend a walk so that it passes through the anchors; outside of them it goes on freely."""
    rows = sorted(anchors)
    gaps = [anchors[row] - noise[row] for row in rows]
    return cast("Floats", noise + np.interp(np.arange(len(noise)), rows, gaps))


def _split_factors(frame: _Frame) -> Floats:
    """Shares of each session's basis for one share of the anchor session's."""
    factors = np.ones((len(frame.days), len(frame.lines)))
    for number, line in enumerate(frame.lines):
        for split in facts.splits():
            if split.symbol in {line.key, line.symbol_on(split.execution_date)}:
                factors[bisect_left(frame.days, split.execution_date) :, number] *= split.factor
    relative: Floats = factors / factors[frame.base]
    return relative


def _total(frame: _Frame, level_noise: Floats) -> Floats:
    """The line sum that each session must come to."""
    levels = facts.index_levels()
    path = _bridge(level_noise, {frame.at(day): math.log(level) for day, level in levels.items()})
    sums: Floats = np.exp(path) * (float(facts.GOLDEN_LINE_SUM) / levels[facts.GOLDEN_SESSION])
    return sums


def _walk_prices(frame: _Frame, factors: Floats, level_noise: Floats) -> Floats:
    """Prices on the anchor basis; those of the others still without the common factor."""
    length, prices = len(frame.days), np.empty(factors.shape)
    for number, line in enumerate(frame.lines):
        closes = facts.closes().get(line.symbol_on(facts.ANCHOR_SESSION), {})
        if line.key in facts.SEVEN:
            rows = {frame.at(day): cents / 100 for day, cents in facts.closes()[line.key].items()}
            path = {row: math.log(close * float(factors[row, number])) for row, close in rows.items()}
            noise = 1.1 * level_noise + _walk(line.key, length, _SEVEN_VOLATILITY, 0.992)
            prices[:, number] = np.exp(_bridge(noise, path))
        elif line.main == line.key:
            walk = _walk(line.drawn_as, length, _OTHER_VOLATILITY, _REVERSION)
            price = closes.get(facts.ANCHOR_SESSION, 0) / 100 or _invent_price(line.drawn_as)
            prices[:, number] = price * np.exp(walk - walk[frame.base])
    for number, line in enumerate(frame.lines):
        if line.main != line.key:
            closes = facts.closes().get(line.symbol_on(facts.ANCHOR_SESSION), {})
            main = prices[:, frame.column[line.main]]
            ratio = closes.get(facts.ANCHOR_SESSION, 0) / 100 / main[frame.base] or 0.97
            pins = dict.fromkeys((frame.base, frame.at(facts.GOLDEN_SESSION)), 0.0)
            prices[:, number] = main * ratio * np.exp(_bridge(_walk(line.key, length, 0.0008, 0.97), pins))
    return prices


def _invent_price(key: str) -> float:
    return round(25.0 * math.pow(8.0, unit("price", key)), 2)


def _count_shares(frame: _Frame, factors: Floats, prices: Floats, total: float) -> Floats:
    """Whole-company counts on the anchor basis: steps on scattered days, sizes calibrated to the total.

    ``prices`` and ``total`` are those of the anchor session.
    """
    counts = np.empty(factors.shape)
    for key in facts.SEVEN:
        counts[:, frame.column[key]] = _real_counts(frame, key, factors[:, frame.column[key]])
    shares = {key: count for key, count in _TWO_LINE_COUNTS.items() if key in frame.column}
    fixed = {key: float(counts[frame.base, frame.column[key]]) for key in facts.SEVEN} | shares
    inside = [line for line in frame.lines if line.is_member(facts.ANCHOR_SESSION)]
    taken = sum(float(prices[frame.column[x.key]]) * fixed[x.main] for x in inside if x.main in fixed)
    others = [line for line in frame.lines if line.main == line.key and line.key not in fixed]
    free = [line.drawn_as for line in inside if line.main == line.key and line.key not in fixed]
    caps = _spread_sizes(free, total - taken)
    sizes = sorted(caps.values())
    for line in others:
        cap = caps.get(line.drawn_as) or sizes[int(unit("size", line.drawn_as) * len(sizes) * 0.7)]
        shares[line.key] = round(cap / float(prices[frame.column[line.key]]))
    for key, count in shares.items():
        number = frame.column[key]
        counts[:, number] = np.rint(count * _drift_counts(frame, frame.lines[number].drawn_as))
    for number, line in enumerate(frame.lines):
        counts[:, number] = counts[:, frame.column[line.main]]
    return counts


def _spread_sizes(keys: list[str], total: float) -> dict[str, float]:
    known = {key: rank for rank, key in enumerate(_LARGEST)}
    ordered = sorted(keys, key=lambda key: (known.get(key, len(known)), unit("rank", key)))
    weights = [(rank + _SIZE_OFFSET) ** -_SIZE_EXPONENT for rank in range(1, len(ordered) + 1)]
    return {key: total * weight / sum(weights) for key, weight in zip(ordered, weights, strict=True)}


def _step_rows(length: int, key: str) -> list[int]:
    """Rows on which a company's count changes: about four a year, on its own days."""
    random = stream("filings", key)
    rows, row = [0], int(random.integers(5, 60))
    while row < length:
        rows.append(row)
        row += 63 + int(random.integers(-8, 9))
    return rows


def _drift_counts(frame: _Frame, key: str) -> Floats:
    """Count relative to the anchor session's, in steps."""
    rows = _step_rows(len(frame.days), key)
    levels = np.exp(np.cumsum(stream("issuance", key).normal(-0.0025, 0.005, len(rows))))
    path = np.repeat(levels, np.diff([*rows, len(frame.days)]))
    return cast("Floats", path / path[frame.base])


def _real_counts(frame: _Frame, key: str, factors: Floats) -> Floats:
    """Counts of one of the seven: between known counts in steps, on the known days exactly."""
    known = {frame.at(day): count for day, count in facts.share_counts()[key].items()}
    rows = sorted(known)
    logs = [math.log(known[row] / float(factors[row])) for row in rows]
    steps = sorted({*_step_rows(len(frame.days), key), *rows})
    values = np.rint(np.exp(np.interp(steps, rows, logs)))
    return cast("Floats", np.repeat(values, np.diff([*steps, len(frame.days)])))


def _scale_others(frame: _Frame, prices: Floats, counts: Floats, total: Floats) -> None:
    """Multiply the others' prices by one factor a session so that the line sum is the total.

    The seven count from the first session on, whether in the index or not: a member that joins with half a
    trillion must not push every other price down.
    """
    weights = prices * counts * _counted(frame)
    seven = np.array([line.main in facts.SEVEN for line in frame.lines])
    scale = (total - weights[:, seven].sum(axis=1)) / weights[:, ~seven].sum(axis=1)
    scale[frame.base] = 1.0
    prices[:, ~seven] *= scale[:, None]


def _counted(frame: _Frame) -> NDArray[np.bool_]:
    """Which lines the total counts on which session."""
    counted = np.zeros((len(frame.days), len(frame.lines)), dtype=bool)
    for number, line in enumerate(frame.lines):
        for span in line.member:
            counted[bisect_left(frame.days, span.first) : bisect_right(frame.days, span.last), number] = True
        if line.main in facts.SEVEN:
            counted[:, number] = True
    return counted


def _cancel_rounding(market: Market) -> None:
    """Move others' closes of the golden session by a cent until the rounding to cents has left no trace."""
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
