"""Judging a close or a share count that jumps without a known split, while the other one does not move.

A close jumps alone where the list lacks a split, where the close is wrong, after a spin-off, and in a crash. A count
jumps alone after a merger paid in shares, and where it is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from mag7.index.count_jumps import CountJump
from mag7.market.shares import CountWrongError
from mag7.market.split_basis import gap

SPLIT_RATIO: Final = Fraction(14, 10)
"""A count or a price that moved by more than this factor without a known split may have been split: the smallest usual
split is 3 for 2. A merger paid in shares can move a count as far, but is rare."""

USUAL_RATIOS: Final = (Fraction(3, 2), *map(Fraction, (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100)))
"""How many shares one share becomes in a usual split. A misplaced decimal point looks like one of the larger ratios."""

USUAL_TOLERANCE: Final = Fraction(1025, 1000)
"""Largest factor between a price's move and a usual split ratio at which the move counts as that ratio."""

EXACT_TOLERANCE: Final = Fraction(101, 100)
"""The same for a count's move, which is closer: trading does not move a count."""

LARGEST_RISE: Final = 2
"""Largest factor by which the close of an index member rises in a session, whatever later closes say."""

LARGEST_FALL: Final = Fraction(1, 10)
"""Smallest part to which a close falls in a session. The deepest spin-off known left 0.16 of the close (CTVA)."""

SAME_COUNT: Final = Fraction(11, 10)
"""Largest factor between two counts of nearby sessions at which they confirm each other."""

LATER_COUNTS: Final = 5
"""How many sessions after a jump are searched for a count that confirms it."""

CAP_JUMP: Final = "cap_jump"
COUNT_JUMP: Final = "count_jump_confirmed"


@dataclass(frozen=True)
class Later:
    """A line's later values, on the split basis of the session that is judged; None where not known (yet).

    ``close`` is the next session's close (USD). ``count`` is the company's newest count within LATER_COUNTS sessions.
    """

    close: Decimal | None = None
    count: int | None = None
    count_session: date | None = None


NOT_YET: Final = Later()


def is_continuous(ratio: Fraction) -> bool:
    """Whether two counts or prices of this ratio differ by no more than they can without a split."""
    return 1 / SPLIT_RATIO < ratio < SPLIT_RATIO


def find_usual(ratio: Fraction, tolerance: Fraction) -> Fraction | None:
    """Find the usual split ratio, forward or reverse, that a ratio equals within a tolerance; None where none does."""
    away = max(ratio, 1 / ratio)
    nearest = min(USUAL_RATIOS, key=lambda usual: gap(away, usual))
    return nearest if gap(away, nearest) <= tolerance else None


@dataclass(frozen=True)
class PriceJump:
    """A close that moved by ``ratio`` from one session to the next, with known splits taken out.

    ``split_today``: one of those splits was executed in between. ``nothing_split``: the project's own table says that
    nothing was split.
    """

    session: date
    before: Decimal
    before_session: date
    close: Decimal
    ratio: Fraction
    split_today: bool = False
    nothing_split: bool = False

    def __str__(self) -> str:
        return (
            f"the close went from {self.before} ({self.before_session}) to {self.close}, {float(self.ratio):.4g} times"
            " as much on one split basis, while the count did not jump"
        )


def judge_price_jump(jump: PriceJump, later: Later, *, one_of_seven: bool) -> None:
    """Accept a close that jumps, which is then flagged; raises CountWrongError, which names the next step.

    A fall by an unusual ratio is accepted as a spin-off or a crash, unless the next close reverses it. A rise, and any
    jump of one of the seven, is accepted once the next close confirms it. A move by a usual split ratio is never
    accepted, nor is one beyond LARGEST_RISE or LARGEST_FALL, unless the project's own table says that nothing was split
    that day.
    """
    if jump.nothing_split:
        return
    usual = None if jump.split_today else find_usual(jump.ratio, USUAL_TOLERANCE)
    if usual is not None:
        shares = usual if jump.ratio < 1 else 1 / usual
        raise CountWrongError(
            f"{jump}: that is a split of {shares.numerator} for {shares.denominator} that no list has, or a wrong"
            f" close. Add the split on {jump.session} to include/data/splits.csv and rebuild the sessions before it,"
            f" whose counts may already include it; where nothing was split, add it with the ratio 1 for 1; or run"
            f" {jump.session} with collect_again once the provider's close is right"
        )
    if not LARGEST_FALL <= jump.ratio <= LARGEST_RISE:
        raise CountWrongError(
            f"{jump}, which is more than a close moves in a session: run {jump.session} with collect_again once the"
            f" provider's close is right; where it is right, add a row for {jump.session} to include/data/splits.csv"
            " (with the ratio 1 for 1 where nothing was split)"
        )
    if later.close is not None:
        if is_continuous(Fraction(later.close) / Fraction(jump.close)):
            return
        if is_continuous(Fraction(later.close) / (Fraction(jump.close) / jump.ratio)):
            raise CountWrongError(
                f"{jump}, and on the next session it is back at {later.close}: run {jump.session} with collect_again"
                " once the provider's close is right"
            )
    if jump.ratio > 1 or one_of_seven:
        raise CountWrongError(
            f"{jump}, and no later close confirms it: run {jump.session} with collect_again after the next session, or"
            f" add a row for {jump.session} to include/data/splits.csv (with the ratio 1 for 1 where nothing was split)"
        )


def confirms_count(ratio: Fraction, count: int, later: Later, known: CountJump | None, *, agreed: bool) -> bool:
    """Whether a count that moved by ``ratio`` without a split is right.

    It is right where the project's own table lists the jump, or where later sessions have the same count. Later
    sessions do not suffice where the count disagrees with the provider's market cap (``agreed`` is False), or moved by
    exactly a usual split ratio: a count on a wrong split basis does that, and stays wrong.
    """
    if known is not None:
        return True
    if later.count is None or not agreed or find_usual(ratio, EXACT_TOLERANCE) is not None:
        return False
    return gap(Fraction(later.count), count) <= SAME_COUNT
