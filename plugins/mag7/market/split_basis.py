"""On which split basis a share count stands, and what it is on the basis of its session.

The provider's counts of a past session may already stand on the basis of a split that came later: every count before
autumn 2021 does, and some switch a session early. Prices are as traded, so a count on another basis makes a cap that
is wrong by the split's factor. What tells is the company's own count some time after the split, or before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from math import prod
from typing import Final

from mag7.index.share_counts import REFERENCE_DAYS, REFERENCE_LIMIT_DAYS, ReferenceCount
from mag7.index.splits import RefusedSplit, Split, SplitTable
from mag7.market.shares import AcceptedCount, CountWrongError
from mag7.sessions import next_session, previous_session

PROBE_DAYS: Final = 100
"""How long after a split, or before it, the company is asked for its count: by then a filing has reached it."""

LEAST_FACTOR: Final = Fraction(5, 4)
"""Splits by less than this are stock dividends and the like: issuance moves counts as far, so a count cannot tell."""

REFERENCE_TOLERANCE: Final = Fraction(15, 100)
"""How far a count of one of the seven may lie from its reference count, which is rounded and up to 400 days away."""

CLOSE_TOLERANCE: Final = Fraction(6, 5)
"""How far a close may lie from where a split alone would put it: the price moves on the day of a split, too."""

LATE_DAYS: Final = 2 * PROBE_DAYS
"""How long after a split a count is held against the counts beside it, where those are kept: it may come that late."""

LAG_TOLERANCE: Final = Fraction(11, 10)
"""How far a count that comes late may lie from the one before its split: it is that of the last filing."""

UNCONFIRMED: Final = "split_basis_unconfirmed"
DIVIDED: Final = "divided_by_split"
REFERENCE_OLD: Final = "reference_old"
REFERENCE_UNFILED: Final = "reference_unfiled"
MULTIPLIED: Final = "multiplied_by_split"
CONTESTED: Final = "split_contested"


@dataclass(frozen=True)
class SplitCounts:
    """A split, and the company's whole share count as the provider had it some time after and before; None: unknown.

    ``close_step`` is how many shares one became on the split's day by the closes, where that day has passed. A count
    after the split that is ``frozen`` is a later date's, and may stand on later splits, too.
    """

    split: Split
    after: int | None = None
    before: int | None = None
    close_step: Fraction | None = None
    frozen: bool = True

    @property
    def tells(self) -> bool:
        """Whether a count beside the split is known."""
        return self.after is not None or self.before is not None


@dataclass(frozen=True)
class SplitBasisInputs:
    """What tells on which basis a company's count of a session stands.

    ``splits`` are those after the session and shortly before it, oldest first. ``reference`` is the nearest reference
    count with its shares on the session's basis. ``contested`` says why the company's splits are not certain, and
    ``refused`` are entries of the provider's list that are not applied.
    """

    session: date
    splits: tuple[SplitCounts, ...] = ()
    reference: tuple[ReferenceCount, Fraction] | None = None
    one_of_seven: bool = False
    contested: str | None = None
    refused: tuple[RefusedSplit, ...] = ()

    @property
    def refusal_matters(self) -> bool:
        """Whether a reader should know of a refused entry: it is in doubt, or about the session's own time."""
        near = timedelta(days=PROBE_DAYS)
        return any(
            not refused.settled or abs(refused.split.execution_date - self.session) <= near for refused in self.refused
        )


def list_relevant_splits(table: SplitTable, issuer: str, session: date, days: int = PROBE_DAYS) -> tuple[Split, ...]:
    """List the splits of a company that its count of a session is judged by: later ones, and those shortly before.

    A split is short before while its count PROBE_DAYS later is another one than the session's.
    """
    first = session - timedelta(days=days)
    return tuple(split for split in table.of(issuer) if split.execution_date > first and is_telling(split))


def is_telling(split: Split) -> bool:
    """Whether a split is large enough for a count to tell on which side of it it stands."""
    return max(split.factor, 1 / split.factor) >= LEAST_FACTOR


def probe_sessions(table: SplitTable, split: Split) -> tuple[date, date]:
    """Return the sessions after and before a split on which the company's count tells: no other split in between."""
    splits = [other for other in table.of(split.issuer) if is_telling(other)]
    place = splits.index(split)
    after = split.execution_date + timedelta(days=PROBE_DAYS)
    if place + 1 < len(splits):
        after = min(after, previous_session(splits[place + 1].execution_date))
    before = split.execution_date - timedelta(days=PROBE_DAYS)
    if place > 0:
        before = max(before, splits[place - 1].execution_date)
    return session_until(after), session_until(before)


def session_until(day: date) -> date:
    """Return the last session on or before a day."""
    return previous_session(day + timedelta(days=1))


def session_from(day: date) -> date:
    """Return the first session on or after a day."""
    return next_session(day - timedelta(days=1))


def settle_split_basis(accepted: AcceptedCount, inputs: SplitBasisInputs) -> AcceptedCount:
    """Put an accepted count on the basis of its session: divided by every later split that it already stands on.

    A count that comes late to an earlier split is multiplied, where it equals the count before the split and the close
    moved by it. Raises CountWrongError where it stands before an earlier split otherwise, is further than
    REFERENCE_TOLERANCE from a reference count, where one of the seven has no reference count, and where the company's
    splits are contested. Where nothing tells, the count is used and flagged.
    """
    if inputs.contested is not None:
        raise CountWrongError(inputs.contested)
    applied, lagging, doubtful = _judge_splits(accepted.count, inputs)
    count = Fraction(accepted.count)
    for split in applied:
        count /= split.factor
    for split in lagging:
        count *= split.factor
    flags = (
        *((DIVIDED,) if applied else ()),
        *((MULTIPLIED,) if lagging else ()),
        *((UNCONFIRMED,) if doubtful else ()),
        *((CONTESTED,) if inputs.refusal_matters else ()),
    )
    settled = replace(
        accepted,
        count=round(count),
        flags=(*accepted.flags, *flags),
        splits=(*accepted.splits, *applied),
        lagging=(*accepted.lagging, *lagging),
    )
    if inputs.reference is not None:
        _check_reference(settled, *inputs.reference)
        return replace(settled, flags=(*settled.flags, *_flag_reference(inputs.reference[0], inputs.session)))
    if inputs.one_of_seven:
        raise CountWrongError(
            f"no reference count within {REFERENCE_LIMIT_DAYS} days tells whether the count {accepted.count:,} can be"
            " true: add one from a filing to include/data/share_count_references.csv"
        )
    return settled


def _judge_splits(count: int, inputs: SplitBasisInputs) -> tuple[list[Split], list[Split], list[Split]]:
    """Return the later splits that a count already stands on, the earlier ones that it lags, and what nothing tells of.

    Raises CountWrongError where the count, put on its session's basis, stands before an earlier split and does not just
    come late.
    """
    if not inputs.splits:
        return [], [], []
    later = [item for item in inputs.splits if item.split.execution_date > inputs.session]
    standing = count_standing(count, later)
    told = max((place for place, item in enumerate(later, start=1) if item.tells), default=0)
    settled = Fraction(count) / _multiply(later[:standing])
    doubtful = [item.split for item in later[max(standing, told) :]]
    lagging: list[Split] = []
    for item in inputs.splits:
        if item.split.execution_date > inputs.session:
            continue
        if not item.tells:
            doubtful.append(item.split)
        elif stands_on(settled, item, later):
            continue
        elif comes_late(settled, item, later):
            lagging.append(item.split)
        else:
            known = f"{item.before:,} before it" if item.after is None else f"{item.after:,} after it"
            raise CountWrongError(
                f"the count {count:,} still stands on the basis before the split {item.split} ({known}); "
                "it is not repaired: run the session with collect_again once the provider has mended it"
            )
    return [item.split for item in later[:standing]], lagging, doubtful


def count_standing(count: int, later: Sequence[SplitCounts]) -> int:
    """Count how many of a company's later splits, oldest first, a count stands on already.

    A count that stands on k of them is put on the basis of each known count beside a split by the factors in between;
    that k is right for which all of them come out nearest, as ratios. Of one split that is: it stands on it where it is
    nearer to the count after the split than count x factor is, or count / factor nearer to the count before it. A count
    after a split may itself stand on a later one, as all before autumn 2021 do. Where nothing tells two apart, the
    lower one.
    """
    return min(range(len(later) + 1), key=lambda standing: (_misfit(count, standing, later), standing))


def _misfit(count: int, standing: int, later: Sequence[SplitCounts]) -> Fraction:
    """The product of the gaps between known counts and what they would be if a count stood on that many splits."""
    misfit = Fraction(1)
    unsplit = Fraction(count) / _multiply(later[:standing])
    for place, item in enumerate(later, start=1):
        if item.after is not None:
            misfit *= _gap_after(unsplit * _multiply(later[:place]), item.after, item, later[place:])
        elif item.before is not None:
            misfit *= gap(unsplit * _multiply(later[: place - 1]), item.before)
    return misfit


def stands_on(settled: Fraction, item: SplitCounts, later: Sequence[SplitCounts] = ()) -> bool:
    """Whether a count stands on an earlier split: no farther from the known count beside it than if it did not.

    A frozen count after the split may stand on any of the ``later`` splits, too.
    """
    factor = item.split.factor
    if item.after is not None:
        return _gap_after(settled, item.after, item, later) <= _gap_after(settled * factor, item.after, item, later)
    return item.before is None or gap(settled / factor, item.before) <= gap(settled, item.before)


def comes_late(settled: Fraction, item: SplitCounts, later: Sequence[SplitCounts] = ()) -> bool:
    """Whether a count that does not stand on an earlier split is that of the last filing before it.

    Both must tell: the close moved by the split on its day, and the count is as it was before it.
    """
    factor = item.split.factor
    if item.close_step is None or not fits(item.close_step, factor, CLOSE_TOLERANCE):
        return False
    if item.after is not None:
        return _gap_after(settled * factor, item.after, item, later) <= LAG_TOLERANCE
    return item.before is not None and gap(settled, item.before) <= LAG_TOLERANCE


def _gap_after(count: Fraction, after: int, item: SplitCounts, later: Sequence[SplitCounts]) -> Fraction:
    """The gap between a count and the one ``after`` a split, which may stand on ``later`` splits where it is frozen."""
    levels = range(len(later) + 1 if item.frozen else 1)
    return min(gap(count * _multiply(later[:level]), after) for level in levels)


def _multiply(items: Sequence[SplitCounts]) -> Fraction:
    return prod((item.split.factor for item in items), start=Fraction(1))


def fits(step: Fraction, factor: Fraction, tolerance: Fraction) -> bool:
    """Whether a close or a count moved by a factor: it is nearer to that than to not having moved at all."""
    distance = gap(step, factor)
    return distance <= tolerance and distance < gap(step, Fraction(1))


def gap(count: Fraction, other: Fraction | int) -> Fraction:
    """Return the larger of two counts or ratios over the smaller."""
    return max(count / other, other / count)


def _flag_reference(reference: ReferenceCount, session: date) -> tuple[str, ...]:
    """Flag what a reader should know of a reference: that it is old, or that no filing states it."""
    old = abs(reference.as_of - session) > timedelta(days=REFERENCE_DAYS)
    return (REFERENCE_OLD,) * old + (REFERENCE_UNFILED,) * (reference.accession is None)


def _check_reference(settled: AcceptedCount, reference: ReferenceCount, shares: Fraction) -> None:
    ratio = settled.count / shares
    if abs(ratio - 1) > REFERENCE_TOLERANCE:
        raise CountWrongError(
            f"the count {settled.count:,} is {float(ratio):.3g} times the reference count {round(shares):,} "
            f"(of {reference.as_of}: {reference.source}), more than {float(REFERENCE_TOLERANCE):.0%} off: run the "
            "session with collect_again once the provider has mended it, or mend include/data"
        )
