"""Share counts of the model: real ones for the seven; for all others, sizes that match the recorded total."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from sandbox.polygon import facts
from sandbox.polygon.draws import Floats, stream, unit
from sandbox.polygon.frame import Frame

#: Sizes of the other companies follow (rank + offset) ** -exponent: about 1.0 trillion down to 10 billion dollars.
_SIZE_OFFSET, _SIZE_EXPONENT = 27.0, 1.62
#: Symbols of the largest other companies, so that the simulated order of size looks familiar.
LARGEST = (
    "BRK.B", "AVGO", "LLY", "WMT", "JPM", "V", "UNH", "XOM", "ORCL", "MA", "COST", "HD", "PG", "NFLX", "JNJ",
    "BAC", "CRM", "ABBV", "CVX", "KO", "TMUS", "MRK", "WFC", "CSCO", "ACN", "NOW", "PEP", "AXP", "MCD", "LIN",
    "DIS", "IBM", "MS", "ABT", "AMD", "TMO", "ADBE", "ISRG", "PM", "GE", "GS", "QCOM", "CAT", "TXN", "INTU",
    "VZ", "BKNG", "DHR", "T", "BLK", "RTX", "AMGN",
)  # fmt: skip
#: Whole-company counts of the two small companies with two lines in the index.
_TWO_LINE_COUNTS = {"FOXA": 430_118_412, "NWSA": 520_264_908}


def count_shares(frame: Frame, factors: Floats, prices: Floats, total: float) -> Floats:
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
        counts[:, number] = np.rint(count * _drift_counts(frame, frame.lines[number].drawn_as, frame.base))
    for key, first, factor in facts.count_jumps():
        counts[frame.at(first) :, frame.column[key]] = np.rint(counts[frame.at(first) :, frame.column[key]] * factor)
    for line in frame.children():
        row = frame.at(line.listed.first)
        first_count = counts[row, frame.column[line.parent]]
        counts[:, frame.column[line.key]] = np.rint(first_count * _drift_counts(frame, line.drawn_as, row))
    for number, line in enumerate(frame.lines):
        counts[:, number] = counts[:, frame.column[line.main]]
    return counts


def _spread_sizes(keys: list[str], total: float) -> dict[str, float]:
    known = {key: rank for rank, key in enumerate(LARGEST)}
    ordered = sorted(keys, key=lambda key: (known.get(key, len(known)), unit("rank", key)))
    weights = [(rank + _SIZE_OFFSET) ** -_SIZE_EXPONENT for rank in range(1, len(ordered) + 1)]
    return {key: total * weight / sum(weights) for key, weight in zip(ordered, weights, strict=True)}


def _step_rows(length: int, key: str) -> list[int]:
    """Return the rows on which a company's count changes: about four a year, on days of its own."""
    random = stream("filings", key)
    rows, row = [0], int(random.integers(5, 60))
    while row < length:
        rows.append(row)
        row += 63 + int(random.integers(-8, 9))
    return rows


def _drift_counts(frame: Frame, key: str, base: int) -> Floats:
    """Count relative to that of the row ``base``, in steps."""
    rows = _step_rows(len(frame.days), key)
    levels = np.exp(np.cumsum(stream("issuance", key).normal(-0.0025, 0.005, len(rows))))
    path = np.repeat(levels, np.diff([*rows, len(frame.days)]))
    return cast("Floats", path / path[base])


def _real_counts(frame: Frame, key: str, factors: Floats) -> Floats:
    """Return the counts of one of the seven: the known counts on their days, and steps between them."""
    known = {frame.at(day): count for day, count in facts.share_counts()[key].items()}
    rows = sorted(known)
    logs = [math.log(known[row] / float(factors[row])) for row in rows]
    steps = sorted({*_step_rows(len(frame.days), key), *rows})
    values = np.rint(np.exp(np.interp(steps, rows, logs)))
    return cast("Floats", np.repeat(values, np.diff([*steps, len(frame.days)])))
