"""Finding splits that no list has, by closes that move as in one and stay there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import Final

from mag7.index.constituents import Line
from mag7.index.splits import SplitTable
from mag7.index.symbols import symbol_on
from mag7.market.jumps import USUAL_TOLERANCE, find_usual, is_continuous
from mag7.market.response_reader import ResponseReader
from mag7.sessions import list_sessions, month_ends, next_session, previous_session

DAYS_CACHED: Final = 64
LEAST_MOVE: Final = 1.4


class UnlistedSplitReader:
    """Finds splits that no list has in stored closes."""

    def __init__(self, responses: ResponseReader) -> None:
        self._responses = responses
        self._list_moves = lru_cache(maxsize=DAYS_CACHED)(self._find_moves)

    def find(self, session: date, line: Line, table: SplitTable) -> str | None:
        """Say why a count that is a later date's may stand on a split that no list has; None where nothing shows one.

        That is where the close moves by a usual split ratio later in the month, and stays there.
        """
        known = {split.execution_date for split in table.of(line.issuer)}
        _, last = month_ends(session)
        for day in list_sessions(next_session(session), last):
            usual = self._list_moves(day).get(symbol_on(line.ticker, day))
            if usual is None or day in known:
                continue
            own, now, later = (self._responses.read_close(line, at)[0] for at in (session, day, next_session(day)))
            after = later or now
            if own is not None and after is not None and is_continuous(Fraction(own) / Fraction(after) / usual):
                return (
                    f"on {day} the close moves as in a split of {usual.numerator} for {usual.denominator} which no list"
                    " has, and the count is a later date's, which may stand on it already: add the split to"
                    " include/data/splits.csv (with the ratio 1 for 1 where nothing was split), then rebuild"
                )
        return None

    def _find_moves(self, day: date) -> Mapping[str, Fraction]:
        """Find the symbols whose close moved by a usual split ratio on a session, and how many shares one became."""
        before, after = self._responses.closes(previous_session(day))[0], self._responses.closes(day)[0]
        found: dict[str, Fraction] = {}
        for symbol, close in after.items():
            # Most closes hardly move: floats are enough to see that.
            if symbol not in before or 1 / LEAST_MOVE < float(close) / float(before[symbol]) < LEAST_MOVE:
                continue
            ratio = Fraction(close) / Fraction(before[symbol])
            usual = find_usual(ratio, USUAL_TOLERANCE)
            if usual is not None:
                found[symbol] = usual if ratio < 1 else 1 / usual
        return found
