"""Reading what the sessions around one say of a line whose close or count jumps on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from mag7.index.constituents import Line
from mag7.index.splits import SplitTable
from mag7.index.symbols import symbol_on
from mag7.market.jumps import LATER_COUNTS, USUAL_TOLERANCE, Later, find_usual, is_continuous
from mag7.market.lasting import Step
from mag7.market.listed_split_reader import ReadClose, ReadCount
from mag7.polygon.answers import Answer
from mag7.sessions import list_sessions, month_ends, next_session, previous_session

DAYS_KEPT: Final = 64
LEAST_MOVE: Final = 1.4


class JumpReader:
    """Finds lines that jump, and reads what confirms or contradicts it."""

    def __init__(
        self,
        list_splits: Callable[[date], SplitTable],
        list_closes: Callable[[date], Mapping[str, Decimal]],
        read_close: ReadClose,
        read_count: ReadCount,
    ) -> None:
        self._list_splits = list_splits
        self._list_closes = list_closes
        self._read_close = read_close
        self._read_count = read_count
        self._list_moves = lru_cache(maxsize=DAYS_KEPT)(self._find_moves)

    def read_later(self, session: date, line: Line) -> tuple[Later, list[Answer]]:
        """Read a line's close of the next session, and its newest count of the LATER_COUNTS sessions after one."""
        table = self._list_splits(session)
        following = next_session(session)
        close, close_answer = self._read_close(line, following)
        answers = [close_answer] if close is not None and close_answer else []
        if close is not None:
            factor = table.factor_between(line.issuer, session, following)
            close = close * factor.numerator / factor.denominator
        for sessions in range(LATER_COUNTS, 0, -1):
            day = next_session(session, sessions)
            count, answer = self._read_count(line, day)
            if count is not None:
                basis = table.factor_between(line.issuer, session, day)
                return Later(close, round(count / basis), day), [*answers, *([answer] if answer else [])]
        return Later(close), answers

    def knows_no_split(self, session: date, line: Line, day: date | None = None) -> bool:
        """Whether the project's own table says that nothing was split on a session, or a day: a row of the ratio 1."""
        splits = self._list_splits(session).of(line.issuer)
        return any(split.execution_date == (day or session) and split.factor == 1 for split in splits)

    def find_unlisted_split(self, session: date, line: Line, table: SplitTable) -> str | None:
        """Say why a count that is a later date's may stand on a split that no list has; None where nothing shows one.

        That is where the close moves by a usual split ratio later in the month, and stays there.
        """
        known = {split.execution_date for split in table.of(line.issuer)}
        _, last = month_ends(session)
        for day in list_sessions(next_session(session), last):
            symbol = symbol_on(line.ticker, day)
            usual = self._list_moves(day).get(symbol)
            if usual is None or day in known:
                continue
            own = self._read_close(line, session)[0]
            after = self._read_close(line, next_session(day))[0] or self._read_close(line, day)[0]
            if own is not None and after is not None and is_continuous(Fraction(own) / Fraction(after) / usual):
                return (
                    f"on {day} the close moves as in a split of {usual.numerator} for {usual.denominator} which no list"
                    " has, and the count is a later date's, which may stand on it already: add the split to"
                    " include/data/splits.csv (with the ratio 1 for 1 where nothing was split), then rebuild"
                )
        return None

    def _find_moves(self, day: date) -> Mapping[str, Fraction]:
        """Find the symbols whose close moved by a usual split ratio on a session, and how many shares one became."""
        before, after = self._list_closes(previous_session(day)), self._list_closes(day)
        moved = {
            symbol: Fraction(close) / Fraction(before[symbol])
            for symbol, close in after.items()
            # Most closes hardly move: floats are enough to see that.
            if symbol in before and not 1 / LEAST_MOVE < float(close) / float(before[symbol]) < LEAST_MOVE
        }
        found: dict[str, Fraction] = {}
        for symbol, ratio in moved.items():
            usual = find_usual(ratio, USUAL_TOLERANCE)
            if usual is not None:
                found[symbol] = usual if ratio < 1 else 1 / usual
        return found

    def list_jumping(self, session: date, lines: Iterable[Line]) -> list[Line]:
        """List the lines whose close or count moved, since the session before, by more than it does without a split."""
        day = previous_session(session)
        table = self._list_splits(session)
        return [line for line in lines if self._jumps(line, day, session, table)]

    def list_wanted(self, session: date, lines: Iterable[Line]) -> tuple[set[tuple[Line, date]], set[date]]:
        """List what was never asked for and tells whether jumps are true: later counts, and closes on both sides."""
        later = next_session(session, LATER_COUNTS)
        sides = (previous_session(session, 2), next_session(session))
        counts: set[tuple[Line, date]] = set()
        closes: set[date] = set()
        for line in lines:
            counts |= {(line, later)} if self._read_count(line, later)[1] is None else set()
            closes |= {side for side in sides if self._read_close(line, side) == (None, None)}
        return counts, closes

    def list_steps(self, session: date, line: Line, sessions_back: int) -> list[Step]:
        """List what is known of a line's sessions from ``sessions_back`` before one through that one, oldest first."""
        table = self._list_splits(session)
        found: list[Step] = []
        for day in list_sessions(previous_session(session, sessions_back), session):
            close, _ = self._read_close(line, day)
            if close is None:
                continue
            before = found[-1].session if found else day
            factor = table.factor_between(line.issuer, before, day)
            found.append(Step(day, close, factor, self.knows_no_split(session, line, day)))
        return found

    def _jumps(self, line: Line, day: date, session: date, table: SplitTable) -> bool:
        factor = table.factor_between(line.issuer, day, session)
        (before, _), (after, _) = self._read_close(line, day), self._read_close(line, session)
        if before is not None and after is not None and not is_continuous(Fraction(after) * factor / Fraction(before)):
            return True
        (earlier, _), (later, _) = self._read_count(line, day), self._read_count(line, session)
        return earlier is not None and later is not None and not is_continuous(later / (earlier * factor))
