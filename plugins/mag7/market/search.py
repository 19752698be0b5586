"""Choosing the sessions to ask the provider about, so that few calls find every session's share count.

Counts change a few times a year. Where both ends of a span have the same count, the sessions in between have it, too,
and need no call; where the ends differ, the span is halved. The search misses a count that changes and changes back
inside a span, or is missing there for a while. A span never crosses the last session of a month, so such an error lasts
less than a month.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from itertools import groupby

from mag7.market.observation import Observation, agree

Gap = tuple[Observation | None, list[date], Observation | None]
"""Sessions without a known count, in order, and the observations on both sides of them."""

CALLS_A_LINE = 2.5
"""About how many calls a line takes a month at first: both ends, and halvings for every third line."""


def estimate_calls(lines: int, months: int) -> int:
    """Estimate the calls for a number of lines and months of which no response is stored."""
    return round(lines * months * CALLS_A_LINE)


def choose_sessions(
    needed: Sequence[date], observed: Mapping[date, Observation], likely: Collection[date] = frozenset()
) -> list[date]:
    """Choose the sessions to ask about next, one or two a span; empty once every needed one is known.

    ``needed`` (in order) and ``observed`` are of one line and one month, with the last session of the month before.
    ``likely`` are sessions beside a day on which the count may change, such as a split's: they come first.
    """
    chosen: list[date] = []
    for earlier, days, later in list_gaps(needed, observed):
        if earlier is None or later is None:
            chosen += sorted({*([days[0]] if earlier is None else []), *([days[-1]] if later is None else [])})
        else:
            middle = days[len(days) // 2]
            chosen.append(
                min((day for day in days if day in likely), key=lambda day: abs(day - middle), default=middle)
            )
    return chosen


def list_gaps(needed: Sequence[date], observed: Mapping[date, Observation]) -> list[Gap]:
    """List the needed sessions that are neither observed nor between two observations that agree."""
    known = sorted(observed)
    open_days = [day for day in needed if day not in observed]
    gaps: list[Gap] = []
    for place, days in groupby(open_days, key=lambda day: bisect_left(known, day)):
        earlier = observed[known[place - 1]] if place > 0 else None
        later = observed[known[place]] if place < len(known) else None
        if earlier is None or later is None or not agree(earlier, later):
            gaps.append((earlier, list(days), later))
    return gaps


def count_steps(gap: Gap) -> int:
    """Estimate the calls that a gap still takes: its ends, or one for each halving down to one change."""
    earlier, days, later = gap
    if earlier is None or later is None:
        return min(len(days), (earlier is None) + (later is None))
    return len(days).bit_length()
