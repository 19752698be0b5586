"""Look-back: taking a line's share count from an earlier session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mag7.index.constituents import Line
from mag7.index.symbols import symbol_on
from mag7.market.inputs import LookBack
from mag7.market.listed_split_reader import ListedSplitReader
from mag7.market.observation import ObservationReader
from mag7.market.response_reader import LOOK_BACK_SESSIONS, ResponseReader, join_answers
from mag7.market.shares import CountWrongError
from mag7.market.split_basis import settle_split_basis
from mag7.market.split_basis_reader import SplitBasisReader
from mag7.sessions import previous_session


@dataclass(frozen=True)
class LookBackReader:
    """Reads lines' counts of earlier sessions, each on its own session's split basis."""

    _responses: ResponseReader
    _splits: ListedSplitReader
    _split_basis: SplitBasisReader
    _observations: ObservationReader

    def find(self, session: date, line: Line) -> LookBack | str:
        """Take a line's count from the first of the LOOK_BACK_SESSIONS that has one; else return the reasons."""
        failures = []
        for sessions_back in LOOK_BACK_SESSIONS:
            found = self.read(session, line, sessions_back)
            if isinstance(found, LookBack):
                return found
            failures.append(found)
        return f"no earlier session has one: {'; '.join(failures)}"

    def read(self, session: date, line: Line, sessions_back: int) -> LookBack | str:
        """Take a line's count from the session ``sessions_back`` before; else return why it has none."""
        day = previous_session(session, sessions_back)
        symbol = symbol_on(line.ticker, day)
        closes, failure, bars_answer = self._responses.closes(day)
        if failure is not None:
            return failure
        if symbol not in closes:
            return self._responses.bars(day)[0].unusable.get(symbol, f"no bar for {symbol} on {day}")
        asked = self._responses.stored.details(symbol, day) is not None
        observed = (self._observations.observe if asked else self._observations.find_between)(line, day)
        if observed is None or observed.accepted is None:
            failure = observed.failure if observed else self._responses.details(line, day)[1]
            return failure or f"no ticker details for {symbol} on {day}"
        inputs, answers = self._split_basis.read(session, day, line, observed.time)
        try:
            accepted = settle_split_basis(observed.accepted, inputs)
        except CountWrongError as wrong:
            return f"{day}: {wrong}"
        return LookBack(
            day,
            accepted.count,
            closes[symbol],
            join_answers((bars_answer,), observed.answers, answers),
            factor=self._splits.table(session).factor_between(line.issuer, day, session),
            frozen=self._responses.is_frozen(day),
        )
