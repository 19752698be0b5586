"""A close or a count that jumps while the other stands, though no split is known: what it may be, and what tells.

A close alone moves like that where the list lacks a split, where the close is wrong, where a part of the company was
spun off, and in a crash. A count alone moves like that in a merger paid in shares, and where it is wrong.
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
"""A count, or a price, that moved by more than this although no split is known may have been split all the same (the
smallest usual split is 3 for 2); a merger paid in shares can do it, too, once in years."""

USUAL_RATIOS: Final = (Fraction(3, 2), *map(Fraction, (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100)))
"""So many shares one becomes in a split; the larger ones are also what a misplaced decimal point looks like."""

USUAL_TOLERANCE: Final = Fraction(1025, 1000)
"""How far from a usual ratio a price still moved by it: further, for a spin-off moves it by any ratio."""

EXACT_TOLERANCE: Final = Fraction(101, 100)
"""How far from a usual ratio a count that is off by it lies."""

LARGEST_RISE: Final = 2
"""By how much more than this no close of an index member rises within a session, whatever later closes say."""

LARGEST_FALL: Final = Fraction(1, 10)
"""To less than this part no close falls, not even in a spin-off: the deepest one known left 0.16 of it (CTVA)."""

SAME_COUNT: Final = Fraction(11, 10)
"""How far apart counts of some sessions may lie that say the same."""

LATER_COUNTS: Final = 5
"""How many sessions after one its company's count is looked for, to confirm a jump."""

CAP_JUMP: Final = "cap_jump"
COUNT_JUMP: Final = "count_jump_confirmed"


@dataclass(frozen=True)
class Later:
    """What sessions after one say of a line, on the split basis of that one; None: not known (yet).

    ``close`` is the close (USD) of the next session, ``count`` the company's count up to LATER_COUNTS sessions later.
    """

    close: Decimal | None = None
    count: int | None = None
    count_session: date | None = None


NOT_YET: Final = Later()


def is_continuous(ratio: Fraction) -> bool:
    """Whether a ratio of two counts or prices is no larger than what happens without a split."""
    return 1 / SPLIT_RATIO < ratio < SPLIT_RATIO


def find_usual(ratio: Fraction, tolerance: Fraction) -> Fraction | None:
    """Find the usual split ratio, forward or reverse, that a ratio is; None where it is none."""
    away = max(ratio, 1 / ratio)
    nearest = min(USUAL_RATIOS, key=lambda usual: gap(away, usual))
    return nearest if gap(away, nearest) <= tolerance else None


@dataclass(frozen=True)
class PriceJump:
    """A close that moved by ``ratio`` from one session to the next, splits that are known taken out.

    ``split_today`` says that one of those splits was executed in between; ``nothing_split`` that the project's own
    table says that nothing was.
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
            " as much on one split basis, while the count stands"
        )


def judge_price_jump(jump: PriceJump, later: Later, *, one_of_seven: bool) -> None:
    """Let a close that jumps pass, which is then flagged; raises CountWrongError with what is to be done.

    A fall by a ratio of its own passes, as a spin-off or a crash does, unless the next close takes it back. A rise, and
    any jump of one of the seven, passes once the next close confirms it. A move by a usual split ratio never does, nor
    does one beyond LARGEST_RISE or LARGEST_FALL, unless the project's own table says that nothing was split that day.
    """
    if jump.nothing_split:
        return
    usual = None if jump.split_today else find_usual(jump.ratio, USUAL_TOLERANCE)
    if usual is not None:
        shares = usual if jump.ratio < 1 else 1 / usual
        raise CountWrongError(
            f"{jump}: that is a split of {shares.numerator} for {shares.denominator} which no list has, or a wrong"
            f" close. Add the split on {jump.session} to include/data/splits.csv and rebuild the sessions before it,"
            f" whose counts may stand on it already; where nothing was split, add it with the ratio 1 for 1; or run"
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
    """Whether a count that moved by ``ratio`` without a split is right all the same.

    That is where the project's own table knows of it, or later sessions say the same. These are not enough for a count
    that does not agree with the provider's market cap (``agreed``), or moved by a usual split ratio exactly: a count on
    a wrong basis does that, and stays.
    """
    if known is not None:
        return True
    if later.count is None or not agreed or find_usual(ratio, EXACT_TOLERANCE) is not None:
        return False
    return gap(Fraction(later.count), count) <= SAME_COUNT
