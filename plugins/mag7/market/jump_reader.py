"""Reading other sessions' values of a line whose close or count jumps, or jumped in the weeks before.

A session is compared with the one before it, so a value that stays wrong looks right from its second session on.
Therefore each cap is also compared with that of some weeks before: if it moved far, the sessions in between are read
one by one, and a jump that nothing explained fails the sessions after it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from mag7.index.constituents import Line
from mag7.index.count_jumps import find_count_jump
from mag7.index.seven import seven_issuers
from mag7.index.splits import SplitTable
from mag7.market.caps import PricedLine
from mag7.market.inputs import LineInputs, LookBack
from mag7.market.jumps import (
    EXACT_TOLERANCE,
    LATER_COUNTS,
    Later,
    PriceJump,
    find_usual,
    is_continuous,
    judge_price_jump,
)
from mag7.market.listed_split_reader import ListedSplitReader
from mag7.market.look_back import LookBackReader
from mag7.market.response_reader import ResponseReader, join_answers, list_sources
from mag7.market.shares import CountWrongError
from mag7.market.split_basis import gap
from mag7.polygon.answers import Answer
from mag7.sessions import list_sessions, next_session, previous_session

LASTING_SESSIONS: Final = 21
"""For how many sessions an unexplained jump fails its line: time enough for a person to find out what it is."""

LARGEST_MERGER: Final = 4
"""Largest factor by which a merger paid in shares raises a count; the largest known is 2.14 (VMRK)."""


@dataclass(frozen=True)
class _Step:
    """A session's close (USD), and the factor of known splits since the previous step.

    ``nothing_split`` is as in PriceJump.
    """

    session: date
    close: Decimal
    factor: Fraction = Fraction(1)
    nothing_split: bool = False


@dataclass(frozen=True)
class JumpReader:
    """Finds lines that jump, and reads what confirms or contradicts the jump."""

    _responses: ResponseReader
    _splits: ListedSplitReader
    _look_backs: LookBackReader

    def add_jump(self, session: date, line: Line, own: LineInputs) -> LineInputs:
        """Add the inputs that confirm or contradict a jump since the session before."""
        if own.price_jumps:
            earlier = self._look_backs.read(session, line, 2)
            if isinstance(earlier, LookBack):
                skipped = replace(own, yesterday=earlier, odd_close_before=True)
                if not skipped.price_jumps:
                    return replace(skipped, answers=join_answers(own.answers, earlier.answers))
        later, answers = self._read_later(session, line)
        known = self._knows_no_split(session, line, session)
        return replace(own, later=later, nothing_split=known, answers=join_answers(own.answers, answers))

    def add_lasting(self, session: date, priced: PricedLine) -> LineInputs:
        """Add the reason where an unexplained jump of the weeks before still lasts."""
        own, line, day = priced.inputs, priced.line, previous_session(session, LASTING_SESSIONS)
        if self._responses.is_frozen(day):
            return own
        count, count_answer = self._responses.read_count(line, day)
        close, close_answer = self._responses.read_close(line, day)
        sources = list_sources(own.answers)
        if count is None or close is None or not sources >= list_sources((count_answer, close_answer)):
            return own
        if is_continuous(Fraction(priced.market_cap) / (count * Fraction(close))):
            return own
        backs = [self._look_backs.read(session, line, LASTING_SESSIONS + more) for more in (0, 1)]
        known = [back for back in backs if isinstance(back, LookBack) and sources >= list_sources(back.answers)]
        lasting = _find_lasting_count_jump(session, priced, known) or _find_lasting_price_jump(
            self._list_steps(session, line, LASTING_SESSIONS + 2),
            lambda other: self._responses.read_count(line, other)[0],
            one_of_seven=line.issuer in seven_issuers(),
        )
        if lasting is None:
            return own
        answers = join_answers(own.answers, *(back.answers for back in known))
        return replace(own, lasting=lasting, look_back=next(iter(known), None), answers=answers)

    def _read_later(self, session: date, line: Line) -> tuple[Later, list[Answer]]:
        """Read a line's close of the next session, and its newest count of the next LATER_COUNTS sessions."""
        table = self._splits.table(session)
        following = next_session(session)
        close, close_answer = self._responses.read_close(line, following)
        answers = [close_answer] if close is not None and close_answer else []
        if close is not None:
            factor = table.factor_between(line.issuer, session, following)
            close = close * factor.numerator / factor.denominator
        for sessions in range(LATER_COUNTS, 0, -1):
            day = next_session(session, sessions)
            count, answer = self._responses.read_count(line, day)
            if count is not None:
                basis = table.factor_between(line.issuer, session, day)
                return Later(close, round(count / basis), day), [*answers, *([answer] if answer else [])]
        return Later(close), answers

    def _knows_no_split(self, session: date, line: Line, day: date) -> bool:
        """Whether the project's own table says that nothing was split on a day: it has a row of ratio 1."""
        splits = self._splits.table(session).of(line.issuer)
        return any(split.execution_date == day and split.factor == 1 for split in splits)

    def list_jumping(self, session: date, lines: Iterable[Line]) -> list[Line]:
        """List the lines whose close or count jumped since the session before."""
        day = previous_session(session)
        table = self._splits.table(session)
        return [line for line in lines if self._jumps(line, day, session, table)]

    def list_wanted(self, session: date, lines: Iterable[Line]) -> tuple[set[tuple[Line, date]], set[date]]:
        """List the counts and closes beside jumps that were never requested and would confirm them."""
        later = next_session(session, LATER_COUNTS)
        sides = (previous_session(session, 2), next_session(session))
        counts: set[tuple[Line, date]] = set()
        closes: set[date] = set()
        for line in lines:
            counts |= {(line, later)} if self._responses.read_count(line, later)[1] is None else set()
            closes |= {side for side in sides if self._responses.read_close(line, side) == (None, None)}
        return counts, closes

    def _list_steps(self, session: date, line: Line, sessions_back: int) -> list[_Step]:
        """List a line's known closes from ``sessions_back`` sessions before one through that one, oldest first."""
        table = self._splits.table(session)
        found: list[_Step] = []
        for day in list_sessions(previous_session(session, sessions_back), session):
            close, _ = self._responses.read_close(line, day)
            if close is None:
                continue
            before = found[-1].session if found else day
            factor = table.factor_between(line.issuer, before, day)
            found.append(_Step(day, close, factor, self._knows_no_split(session, line, day)))
        return found

    def _jumps(self, line: Line, day: date, session: date, table: SplitTable) -> bool:
        factor = table.factor_between(line.issuer, day, session)
        (before, _), (after, _) = self._responses.read_close(line, day), self._responses.read_close(line, session)
        if before is not None and after is not None and not is_continuous(Fraction(after) * factor / Fraction(before)):
            return True
        (earlier, _), (later, _) = self._responses.read_count(line, day), self._responses.read_count(line, session)
        return earlier is not None and later is not None and not is_continuous(later / (earlier * factor))


def _find_lasting_price_jump(
    steps: Sequence[_Step], read_count: Callable[[date], int | None], *, one_of_seven: bool
) -> str | None:
    """Describe a move of the close that nothing explains and no later close reversed; None where there is none.

    ``steps`` are the known sessions, oldest first. The first two only show whether the next move is a return from an
    odd close; the last one is not judged here. ``read_count`` reads the company's count of a day.
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


def _find_lasting_count_jump(session: date, priced: PricedLine, known: Sequence[LookBack]) -> str | None:
    """Describe a count that differs from that of some weeks before by a factor that only a split or an error has.

    None where it does not differ from every one of the ``known`` sessions, oldest last, or where something explains it.
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
        f"the count {priced.accepted.count:,} is {float(ratio):.3g} times that of {before.session}, and no known split"
        " explains it: add it to include/data/splits.csv, or a merger to include/data/count_jumps.csv, or run the"
        " sessions since with collect_again where their counts are wrong"
    )


def _is_wrong(ratio: Fraction) -> bool:
    if is_continuous(ratio):
        return False
    return find_usual(ratio, EXACT_TOLERANCE) is not None or gap(ratio, Fraction(1)) >= LARGEST_MERGER


def _move(steps: Sequence[_Step], first: int, last: int) -> Fraction:
    """By which factor the close moved between two of the sessions, with known splits taken out."""
    ratio = Fraction(steps[last].close) / Fraction(steps[first].close)
    for step in steps[first + 1 : last + 1]:
        ratio *= step.factor
    return ratio


def _count_follows(before: int | None, after: int | None, ratio: Fraction) -> bool:
    """Whether the count moved against the close and the cap stayed, as in a split that no list has."""
    return before is not None and after is not None and is_continuous(ratio * after / before)
