"""Finding the split basis of a share count, and putting the count on the basis of its session.

The provider's count of a past session may already include a later split: every count before autumn 2021 does, and some
counts switch a session early. Prices are as traded, so a count on another basis makes a cap that is wrong by the
split's factor. The company's counts some time after the split, or before it, show which basis a count is on.
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
"""Days after a split, or before it, at which the company's count is requested: a filing states it by then."""

LEAST_FACTOR: Final = Fraction(5, 4)
"""Smallest split factor that is applied: issuance moves counts as far as a smaller one, such as a stock dividend."""

REFERENCE_TOLERANCE: Final = Fraction(15, 100)
"""Largest relative difference between a count of one of the seven and its reference count."""

CLOSE_TOLERANCE: Final = Fraction(6, 5)
"""Largest factor between a close's move and a split's factor: the price moves on the day of a split, too."""

LATE_DAYS: Final = 2 * PROBE_DAYS
"""Days after a split within which counts are compared with stored counts beside it: a count may be that late."""

LAG_TOLERANCE: Final = Fraction(11, 10)
"""Largest factor between a late count and the one before its split: both are from the last filing."""

UNCONFIRMED: Final = "split_basis_unconfirmed"
DIVIDED: Final = "divided_by_split"
REFERENCE_OLD: Final = "reference_old"
REFERENCE_UNFILED: Final = "reference_unfiled"
MULTIPLIED: Final = "multiplied_by_split"
CONTESTED: Final = "split_contested"


@dataclass(frozen=True)
class SplitCounts:
    """A split, and the provider's counts of the company some time after and before it; None where not known.

    ``close_step`` is how many shares one share became on the split's day, judged by the closes; None where that day has
    not passed. Where the count after the split is ``frozen``, it may also include later splits.
    """

    split: Split
    after: int | None = None
    before: int | None = None
    close_step: Fraction | None = None
    frozen: bool = True

    @property
    def has_count(self) -> bool:
        """Whether a count after or before the split is known."""
        return self.after is not None or self.before is not None


@dataclass(frozen=True)
class SplitBasisInputs:
    """The inputs that show a count's split basis.

    ``splits`` are those after the session and shortly before it, oldest first. ``reference`` is the nearest reference
    count, with its shares on the session's split basis. ``contested`` is the reason where the company's splits are not
    certain. ``refused`` are listed splits that are not applied.
    """

    session: date
    splits: tuple[SplitCounts, ...] = ()
    reference: tuple[ReferenceCount, Fraction] | None = None
    one_of_seven: bool = False
    contested: str | None = None
    refused: tuple[RefusedSplit, ...] = ()

    @property
    def refusal_matters(self) -> bool:
        """Whether a refused entry is worth a flag: it is in doubt, or near the session."""
        near = timedelta(days=PROBE_DAYS)
        return any(
            not refused.settled or abs(refused.split.execution_date - self.session) <= near for refused in self.refused
        )


def list_relevant_splits(table: SplitTable, issuer: str, session: date, days: int = PROBE_DAYS) -> tuple[Split, ...]:
    """List the splits by which a company's count of a session is judged: later ones, and those ``days`` before."""
    first = session - timedelta(days=days)
    return tuple(split for split in table.of(issuer) if split.execution_date > first and shows_in_counts(split))


def shows_in_counts(split: Split) -> bool:
    """Whether a split is large enough for a count to show whether it includes the split."""
    return max(split.factor, 1 / split.factor) >= LEAST_FACTOR


def probe_sessions(table: SplitTable, split: Split) -> tuple[date, date]:
    """Return the sessions after and before a split whose counts show it, with no other split in between."""
    splits = [other for other in table.of(split.issuer) if shows_in_counts(other)]
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
    """Put an accepted count on the split basis of its session.

    It is divided by every later split that it already includes, and multiplied by an earlier split that it does not
    include yet, where it equals the count before that split and the close moved by it. Where no count beside a split is
    known, the count is used as it is and flagged.

    Raises CountWrongError where the count does not include an earlier split for another reason, differs from a
    reference count by more than REFERENCE_TOLERANCE, where one of the seven has no reference count, and where the
    company's splits are contested.
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
            f"the count {accepted.count:,} cannot be checked, as there is no reference count within"
            f" {REFERENCE_LIMIT_DAYS} days: add one from a filing to include/data/share_count_references.csv"
        )
    return settled


def _judge_splits(count: int, inputs: SplitBasisInputs) -> tuple[list[Split], list[Split], list[Split]]:
    """Return the later splits that a count already includes, the earlier ones that it lags, and the doubtful ones.

    Raises CountWrongError where the count, put on its session's basis, lacks an earlier split and is not just late.
    """
    if not inputs.splits:
        return [], [], []
    later = [item for item in inputs.splits if item.split.execution_date > inputs.session]
    included = count_included(count, later)
    last_known = max((place for place, item in enumerate(later, start=1) if item.has_count), default=0)
    settled = Fraction(count) / _multiply(later[:included])
    doubtful = [item.split for item in later[max(included, last_known) :]]
    lagging: list[Split] = []
    for item in inputs.splits:
        if item.split.execution_date > inputs.session:
            continue
        if not item.has_count:
            doubtful.append(item.split)
        elif includes(settled, item, later):
            continue
        elif comes_late(settled, item, later):
            lagging.append(item.split)
        else:
            known = f"{item.before:,} before it" if item.after is None else f"{item.after:,} after it"
            raise CountWrongError(
                f"the count {count:,} does not include the split {item.split} ({known}), and is not corrected: "
                "run the session with collect_again once the provider has fixed it"
            )
    return [item.split for item in later[:included]], lagging, doubtful


def count_included(count: int, later: Sequence[SplitCounts]) -> int:
    """Return how many of a company's later splits, oldest first, a count already includes.

    If the count includes the first k splits, the factors in between give the expected count beside each split. The k
    whose expected counts are nearest to the known ones, as ratios, is right; of equally near ones, the lowest. For one
    split: the count includes it where it is nearer to the count after the split than count x factor is, or where
    count / factor is nearer to the count before it than the count is. A count after a split may itself include a later
    one, as all before autumn 2021 do.
    """
    return min(range(len(later) + 1), key=lambda included: (_misfit(count, included, later), included))


def _misfit(count: int, included: int, later: Sequence[SplitCounts]) -> Fraction:
    """The product of the gaps between known counts and those expected if a count included that many splits."""
    misfit = Fraction(1)
    unsplit = Fraction(count) / _multiply(later[:included])
    for place, item in enumerate(later, start=1):
        if item.after is not None:
            misfit *= _gap_after(unsplit * _multiply(later[:place]), item.after, item, later[place:])
        elif item.before is not None:
            misfit *= gap(unsplit * _multiply(later[: place - 1]), item.before)
    return misfit


def includes(settled: Fraction, item: SplitCounts, later: Sequence[SplitCounts] = ()) -> bool:
    """Whether a count includes an earlier split: it is at least as near to the known count beside it as if it did not.

    A frozen count after the split may also include any of the ``later`` splits.
    """
    factor = item.split.factor
    if item.after is not None:
        return _gap_after(settled, item.after, item, later) <= _gap_after(settled * factor, item.after, item, later)
    return item.before is None or gap(settled / factor, item.before) <= gap(settled, item.before)


def comes_late(settled: Fraction, item: SplitCounts, later: Sequence[SplitCounts] = ()) -> bool:
    """Whether a count that does not include an earlier split is that of the last filing before it.

    Both must hold: the close moved by the split on its day, and the count is as it was before the split.
    """
    factor = item.split.factor
    if item.close_step is None or not fits(item.close_step, factor, CLOSE_TOLERANCE):
        return False
    if item.after is not None:
        return _gap_after(settled * factor, item.after, item, later) <= LAG_TOLERANCE
    return item.before is not None and gap(settled, item.before) <= LAG_TOLERANCE


def _gap_after(count: Fraction, after: int, item: SplitCounts, later: Sequence[SplitCounts]) -> Fraction:
    """The gap between a count and the one ``after`` a split, which may include ``later`` splits where it is frozen."""
    levels = range(len(later) + 1 if item.frozen else 1)
    return min(gap(count * _multiply(later[:level]), after) for level in levels)


def _multiply(items: Sequence[SplitCounts]) -> Fraction:
    return prod((item.split.factor for item in items), start=Fraction(1))


def fits(step: Fraction, factor: Fraction, tolerance: Fraction) -> bool:
    """Whether a close or a count moved by a factor: within a tolerance, and nearer to it than to no move."""
    distance = gap(step, factor)
    return distance <= tolerance and distance < gap(step, Fraction(1))


def gap(count: Fraction, other: Fraction | int) -> Fraction:
    """Return the larger of two counts or ratios over the smaller."""
    return max(count / other, other / count)


def _flag_reference(reference: ReferenceCount, session: date) -> tuple[str, ...]:
    """Flag a reference count that is old or that no filing states."""
    old = abs(reference.as_of - session) > timedelta(days=REFERENCE_DAYS)
    return (REFERENCE_OLD,) * old + (REFERENCE_UNFILED,) * (reference.accession is None)


def _check_reference(settled: AcceptedCount, reference: ReferenceCount, shares: Fraction) -> None:
    ratio = settled.count / shares
    if abs(ratio - 1) > REFERENCE_TOLERANCE:
        raise CountWrongError(
            f"the count {settled.count:,} is {float(ratio):.3g} times the reference count {round(shares):,} "
            f"(of {reference.as_of}: {reference.source}), more than {float(REFERENCE_TOLERANCE):.0%} off: run the "
            "session with collect_again once the provider has fixed it, or fix the reference count in include/data"
        )
