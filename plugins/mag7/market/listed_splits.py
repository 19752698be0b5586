"""Judging the entries of the provider's list of splits by closes and share counts.

An entry is applied where the close moved by its factor on its day, or the company's count moved by it about that day. A
spin-off also moves the close, by any factor, and leaves the count unchanged: so a close alone proves a usual ratio
only. A postponed split is listed on both days, and the close shows which one is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Final

from mag7.index.splits import RefusedSplit, Split, collapse
from mag7.market.split_basis import (
    CLOSE_TOLERANCE,
    LEAST_FACTOR,
    PROBE_DAYS,
    fits,
    gap,
    session_from,
    session_until,
    shows_in_counts,
)
from mag7.sessions import list_sessions, next_session, previous_session

CLUSTER_DAYS: Final = PROBE_DAYS
"""Entries of one company at most this far apart are judged together: the counts beside them are the same."""

COUNT_TOLERANCE: Final = Fraction(5, 4)
"""Largest factor between a count's move and a split's factor: months of issuance lie between two counts."""

LEAST_USUAL_FACTOR: Final = Fraction(3, 2)
LARGEST_DENOMINATOR: Final = 3
"""A usual ratio is n for 1, n for 2 or n for 3, or the reverse of one. A spin-off's is such as 1281 for 1000."""

ROUNDING: Final = Fraction(10001, 10000)
"""Largest factor between a usual ratio and the same one written as a decimal."""

NEARBY_SESSIONS: Final = 10
"""How many sessions before and after its listed day a split is searched, where the close did not move on that day."""

NEAR_DAYS: Final = 16
"""Calendar days that NEARBY_SESSIONS can span: within them a split's exact day matters to a session."""


@dataclass(frozen=True)
class Market:
    """A company's known closes and counts, None where not known, as a ``session`` needs them.

    ``close`` takes a session and returns its close as traded. ``count`` takes a date; it also returns None where the
    provider's counts of that date are frozen.
    """

    session: date
    close: Callable[[date], Decimal | None]
    count: Callable[[date], int | None]

    def close_step(self, day: date) -> Fraction | None:
        """Return how many shares one share became on ``day``, judged by the closes; None where one is not known."""
        return self.step_between(previous_session(day), session_from(day))

    def step_between(self, earlier: date, later: date) -> Fraction | None:
        """Return how many shares one share became between two sessions, judged by the closes; None where not known."""
        before, after = self.close(earlier), self.close(later)
        return None if before is None or after is None else Fraction(before) / Fraction(after)


@dataclass(frozen=True)
class Judgement:
    """A company's entries: those that are applied (``held``), those that are not, and a contradiction among them.

    ``late`` are applied entries that the close proves and the count after them does not include yet.
    """

    held: tuple[Split, ...] = ()
    refused: tuple[RefusedSplit, ...] = ()
    clash: str | None = None
    late: tuple[Split, ...] = ()


@dataclass(frozen=True)
class _CountStep:
    """A company's counts ``before`` and ``after`` some entries, with their dates."""

    before: int
    before_day: date
    after: int
    after_day: date

    @property
    def factor(self) -> Fraction:
        return Fraction(self.after, self.before)

    def __str__(self) -> str:
        return f"the count was {self.before:,} on {self.before_day} and {self.after:,} on {self.after_day}"


def judge_listed(listed: Sequence[Split], facts: Sequence[Split], market: Market) -> Judgement:
    """Judge a company's entries, oldest first; ``facts`` are its splits in the project's own table.

    Entries that neither closes nor counts confirm or contradict are applied as listed.
    """
    small = tuple(
        RefusedSplit(split, f"neither a close nor a count can show a ratio below {LEAST_FACTOR}")
        for split in listed
        if not shows_in_counts(split)
    )
    clusters = group_listed([split for split in listed if shows_in_counts(split)])
    days = sorted({split.execution_date for split in (*listed, *facts) if shows_in_counts(split)})
    found = [_judge_cluster(cluster, _read_count_step(cluster, days, market), market) for cluster in clusters]
    return Judgement(
        tuple(split for judgement in found for split in judgement.held),
        (*small, *(refused for judgement in found for refused in judgement.refused)),
        next((judgement.clash for judgement in found if judgement.clash), None),
        tuple(split for judgement in found for split in judgement.late),
    )


def group_listed(listed: Iterable[Split]) -> list[tuple[Split, ...]]:
    """Group entries, oldest first, that are at most CLUSTER_DAYS apart; leave out repeated entries."""
    clusters: list[list[Split]] = []
    for split in listed:
        last = clusters[-1][-1] if clusters else None
        if last is None or split.execution_date - last.execution_date > timedelta(days=CLUSTER_DAYS):
            clusters.append([split])
        elif (last.execution_date, last.factor) != (split.execution_date, split.factor):
            clusters[-1].append(split)
    return [tuple(cluster) for cluster in clusters]


def is_usual(factor: Fraction) -> bool:
    """Whether companies split by a ratio; otherwise only a spin-off has it.

    The provider may write 1 for 3 as 0.333333.
    """
    ratio = max(factor, 1 / factor)
    nearest = ratio.limit_denominator(LARGEST_DENOMINATOR)
    return nearest >= LEAST_USUAL_FACTOR and gap(ratio, nearest) <= ROUNDING


def _judge_cluster(cluster: Sequence[Split], step: _CountStep | None, market: Market) -> Judgement:
    counted = None if step is None else _find_counted(cluster, step)
    lone = cluster[0] if len(cluster) == 1 else None
    if lone and counted and abs(lone.execution_date - market.session) > timedelta(days=NEAR_DAYS):
        # The exact day does not matter so far away, so no closes are requested.
        return Judgement((lone,))
    if lone and step and not counted and not is_usual(lone.factor):
        return _refuse_all(cluster, str(step))
    steps = {split: market.close_step(split.execution_date) for split in cluster}
    moved = _find_moved(steps)
    if moved:
        shown = step is None or counted is not None or _all_counted(moved, step)
        late = () if shown else tuple(moved)
        return Judgement(tuple(moved), _refuse_others(cluster, moved, steps, market), late=late)
    if step is None:
        return _judge_by_closes(cluster, steps, market)
    if counted is None:
        return Judgement(tuple(cluster)) if _all_counted(cluster, step) else _refuse_all(cluster, str(step))
    right = _find_day(counted, steps, market)
    others = [split for split in cluster if split != counted]
    return Judgement((right,), _refuse_all(others, f"{step}, which is {right}").refused)


def _all_counted(cluster: Sequence[Split], step: _CountStep) -> bool:
    """Whether the count moved by the factors of several entries together."""
    return len(cluster) > 1 and fits(
        step.factor, prod((split.factor for split in cluster), start=Fraction(1)), COUNT_TOLERANCE
    )


def _refuse_all(cluster: Iterable[Split], reason: str) -> Judgement:
    return Judgement(refused=tuple(RefusedSplit(split, reason, settled=True) for split in cluster))


def _judge_by_closes(cluster: Sequence[Split], steps: dict[Split, Fraction | None], market: Market) -> Judgement:
    """Judge entries by closes alone; no close moved by a usual ratio on an entry's day."""
    unknown = [split for split in cluster if steps[split] is None]
    still = [split for split in cluster if steps[split] is not None]
    if not unknown:
        nearby = [_find_nearby(split, market) for split in still if is_usual(split.factor)]
        found = list(dict.fromkeys(split for split in nearby if split is not None))
        if len(found) == 1:
            others = [split for split in cluster if split.factor != found[0].factor]
            return Judgement((found[0],), _refuse_all(others, f"{found[0]} is right").refused)
    held, clash = collapse(unknown)
    refused = tuple(RefusedSplit(split, _name_closes(split, market), settled=is_usual(split.factor)) for split in still)
    return Judgement(tuple(held), refused, clash)


def _find_counted(cluster: Sequence[Split], step: _CountStep) -> Split | None:
    """Find the entry by whose factor the count moved, the newest of equal ones; None where there is none."""
    fitting = [split for split in cluster if fits(step.factor, split.factor, COUNT_TOLERANCE)]
    return min(reversed(fitting), key=lambda split: gap(step.factor, split.factor), default=None)


def _find_moved(steps: dict[Split, Fraction | None]) -> list[Split]:
    """Find the entries of a usual ratio by which the close moved on their day: the best fit of each day."""
    found: dict[date, Split] = {}
    for split, step in steps.items():
        if step is None or not is_usual(split.factor) or not fits(step, split.factor, CLOSE_TOLERANCE):
            continue
        other = found.get(split.execution_date, split)
        if gap(step, split.factor) <= gap(step, other.factor):
            found[split.execution_date] = split
    return list(found.values())


def _find_day(counted: Split, steps: dict[Split, Fraction | None], market: Market) -> Split:
    """Date a split that the count shows: the day on which the close moved by it, else its listed day."""
    for split, step in reversed(steps.items()):
        if split.factor == counted.factor and step is not None and fits(step, split.factor, CLOSE_TOLERANCE):
            return split
    if steps[counted] is None or not is_usual(counted.factor):
        return counted
    return _find_nearby(counted, market) or counted


def _find_nearby(split: Split, market: Market) -> Split | None:
    """Find the session near a split's listed day on which the close moved by its factor, by halving.

    None where there is none, or where the closes at both ends are not known.
    """
    end = next_session(split.execution_date, NEARBY_SESSIONS)
    if split.execution_date <= market.session:
        end = min(end, market.session)
    days = list_sessions(previous_session(split.execution_date, NEARBY_SESSIONS + 1), end)
    first, last = 0, len(days) - 1
    while last - first > 1:
        middle = (first + last) // 2
        whole = market.step_between(days[first], days[last])
        early = market.step_between(days[first], days[middle])
        if whole is None or early is None or not fits(whole, split.factor, CLOSE_TOLERANCE):
            return None
        if gap(early, split.factor) < gap(early, Fraction(1)):
            last = middle
        else:
            first = middle
    moved = market.step_between(days[first], days[last])
    if moved is None or not fits(moved, split.factor, CLOSE_TOLERANCE):
        return None
    return replace(split, execution_date=days[last])


def _read_count_step(cluster: Sequence[Split], days: Sequence[date], market: Market) -> _CountStep | None:
    """Read the counts before and after some entries, with no other split of the company in between.

    Soon after a split the count may still be the old one: it can prove that the count moved, but not that it did not.
    """
    first, last = cluster[0].execution_date, cluster[-1].execution_date
    before_day = max([first - timedelta(days=PROBE_DAYS), *(day for day in days if day < first)])
    before_day = session_until(before_day)
    before = market.count(before_day)
    after_day = min([last + timedelta(days=PROBE_DAYS), *(day - timedelta(days=1) for day in days if day > last)])
    after_day = session_until(after_day)
    after = market.count(after_day)
    if before is None:
        return None
    if after is not None:
        return _CountStep(before, before_day, after, after_day)
    if not last <= market.session < after_day:
        return None
    own = market.count(market.session)
    step = None if own is None else _CountStep(before, before_day, own, market.session)
    return step if step and _find_counted(cluster, step) else None


def _refuse_others(
    cluster: Sequence[Split],
    moved: Sequence[Split],
    steps: dict[Split, Fraction | None],
    market: Market,
) -> tuple[RefusedSplit, ...]:
    held = ", ".join(map(str, moved))
    return tuple(
        RefusedSplit(
            split,
            f"the close moved by {held}" if steps[split] is None else f"{_name_closes(split, market)}, and by {held}",
            settled=True,
        )
        for split in cluster
        if split not in moved
    )


def _name_closes(split: Split, market: Market) -> str:
    day = session_from(split.execution_date)
    before = previous_session(split.execution_date)
    alone = "" if is_usual(split.factor) else ", as in a spin-off"
    return f"the close went from {market.close(before)} on {before} to {market.close(day)} on {day}{alone}"
