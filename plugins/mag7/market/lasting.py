"""A jump of close or count that nothing explained on its own session, and that lasts: it fails the sessions after, too.

A session is compared with the one before it, so a value that goes on being wrong looks right from its second session
on. A session some weeks back tells: a cap that moved far since then is looked at session by session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from mag7.index.count_jumps import find_count_jump
from mag7.market.caps import PricedLine
from mag7.market.inputs import LookBack
from mag7.market.jumps import EXACT_TOLERANCE, Later, PriceJump, find_usual, is_continuous, judge_price_jump
from mag7.market.shares import CountWrongError
from mag7.market.split_basis import gap
from mag7.sessions import list_sessions, next_session

LASTING_SESSIONS: Final = 21
"""For how many sessions a jump that nothing explains fails its line: by then somebody has decided what it is."""

LARGEST_MERGER: Final = 4
"""A count that grows by more than this is not a merger paid in shares; the largest one known is 2.14 (VMRK)."""


@dataclass(frozen=True)
class Step:
    """A session's close (USD) and how many of its shares one share of the step before became by known splits.

    ``nothing_split`` is as in PriceJump.
    """

    session: date
    close: Decimal
    factor: Fraction = Fraction(1)
    nothing_split: bool = False


def find_lasting_price_jump(
    steps: Sequence[Step], read_count: Callable[[date], int | None], *, one_of_seven: bool
) -> str | None:
    """Say which move of a close nothing explains and no later close took back; None where there is none.

    ``steps`` are the known sessions, oldest first. The first two only tell whether what follows is a return from one
    odd close, and what moved on the last one is not judged here. ``read_count`` reads the company's count of a day.
    """
    for place in range(2, len(steps) - 1):
        before, step, last = steps[place - 1], steps[place], steps[-1]
        ratio = _move(steps, place - 1, place)
        if is_continuous(ratio) or is_continuous(_move(steps, place - 2, place)):
            continue
        now = _move(steps, place - 1, len(steps) - 1)
        if gap(now, ratio) >= gap(now, Fraction(1)) or _count_follows(
            read_count(before.session), read_count(step.session), ratio / step.factor
        ):
            continue
        jump = PriceJump(
            step.session,
            before.close,
            before.session,
            step.close,
            ratio,
            split_today=step.factor != 1,
            nothing_split=step.nothing_split,
        )
        following = steps[place + 1]
        close = following.close * following.factor.numerator / following.factor.denominator
        try:
            judge_price_jump(jump, Later(close), one_of_seven=one_of_seven)
        except CountWrongError as unexplained:
            return f"still so on {last.session}: {unexplained}"
    return None


def find_lasting_count_jump(session: date, priced: PricedLine, known: Sequence[LookBack]) -> str | None:
    """Say that a count is another one than some weeks before, by what only a split or a mistake moves it.

    None where it is not, on any one of the ``known`` sessions, oldest last, or where something explains it.
    """
    ratios = [priced.accepted.count / back.expected_count for back in known]
    if not ratios or not all(map(_is_wrong, ratios)):
        return None
    before, ratio, issuer = known[0], ratios[0], priced.line.issuer
    if is_continuous(Fraction(priced.market_cap) / Fraction(before.market_cap)):
        return None
    if any(find_count_jump(issuer, day, ratio) for day in list_sessions(next_session(before.session), session)):
        return None
    return (
        f"the count {priced.accepted.count:,} is {float(ratio):.3g} times that of {before.session}, and no split is"
        " known that explains it: add it to include/data/splits.csv, or a merger to include/data/count_jumps.csv, or"
        " run the sessions since with collect_again where their counts are wrong"
    )


def _is_wrong(ratio: Fraction) -> bool:
    if is_continuous(ratio):
        return False
    return find_usual(ratio, EXACT_TOLERANCE) is not None or gap(ratio, Fraction(1)) >= LARGEST_MERGER


def _move(steps: Sequence[Step], first: int, last: int) -> Fraction:
    """By what the close moved between two of the sessions, splits that are known taken out."""
    ratio = Fraction(steps[last].close) / Fraction(steps[first].close)
    for step in steps[first + 1 : last + 1]:
        ratio *= step.factor
    return ratio


def _count_follows(before: int | None, after: int | None, ratio: Fraction) -> bool:
    """Whether the count moved against the close, as in a split that no list has: the cap stands."""
    return before is not None and after is not None and is_continuous(ratio * after / before)
