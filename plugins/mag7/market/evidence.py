"""What the kept answers say of each line on a session: its details, its bar, and earlier sessions where needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Protocol

from mag7.index.constituents import Line
from mag7.index.symbols import symbol_on
from mag7.market.caps import Evidence, FailedLine, LookBack, price_line
from mag7.market.shares import CountUnavailableError, accept_count, needs_previous_close
from mag7.polygon.answers import Answer
from mag7.polygon.bodies import GroupedDaily, TickerDetails, parse_grouped_daily, parse_ticker_details
from mag7.polygon.errors import BodyInvalidError
from mag7.sessions import previous_session

LOOK_BACK_SESSIONS = (1, 5, 21, 63)
"""How many sessions back the provider is asked about a line that has no count; 63 sessions stay under 100 days."""

HTTP_NOT_FOUND = 404


class KeptAnswers(Protocol):
    """The newest kept answer of a call, or None where the call was never made."""

    def details(self, symbol: str, day: date) -> Answer | None:
        """Ticker details of a symbol on a date."""

    def grouped(self, day: date) -> Answer | None:
        """Every bar of a session."""


class EvidenceReader:
    """Reads lines' evidence from kept answers, parsing each session's bars once."""

    def __init__(self, answers: KeptAnswers) -> None:
        self._answers = answers
        self._bars = cache(self._parse_bars)

    def read_lines(self, session: date, lines: Iterable[Line]) -> list[Evidence]:
        """Read the evidence of every line; earlier sessions are searched for lines that cannot be priced without."""
        return [self.read_line(session, line) for line in lines]

    def read_line(self, session: date, line: Line) -> Evidence:
        """Read one line's evidence for a session, with that of an earlier session where its own does not suffice."""
        own = self.read_own(session, line)
        if not isinstance(price_line(own), FailedLine):
            return own
        failures = []
        for sessions_back in LOOK_BACK_SESSIONS:
            found = self.look_back(session, line, sessions_back)
            if isinstance(found, LookBack):
                return replace(own, look_back=found, answers=(*own.answers, *found.answers))
            failures.append(found)
        return replace(own, look_back_failure=f"no earlier session helps: {'; '.join(failures)}")

    def read_own(self, session: date, line: Line) -> Evidence:
        """Read what a session's own answers say of a line, and the close before where market_cap may rest on it."""
        grouped, grouped_failure, bars_answer = self._bars(session)
        details, details_failure, details_answer = self._details(line, line.symbol, session)
        bar = grouped.bars.get(line.symbol)
        answers = [bars_answer, details_answer]
        previous_close = None
        if details is not None and bar is not None and needs_previous_close(details, bar.close):
            day = previous_session(session)
            earlier, _, earlier_answer = self._bars(day)
            earlier_bar = earlier.bars.get(symbol_on(line.ticker, day))
            if earlier_bar is not None:
                previous_close = earlier_bar.close
                answers.append(earlier_answer)
        return Evidence(
            line,
            details,
            details_failure,
            bar,
            grouped_failure or grouped.unusable.get(line.symbol),
            previous_close=previous_close,
            answers=tuple(answer for answer in answers if answer is not None),
        )

    def look_back(self, session: date, line: Line, sessions_back: int) -> LookBack | str:
        """Take a line's count from the session so many sessions before, or say why it has none."""
        day = previous_session(session, sessions_back)
        symbol = symbol_on(line.ticker, day)
        grouped, failure, bars_answer = self._bars(day)
        if failure is not None:
            return failure
        if symbol not in grouped.bars:
            return grouped.unusable.get(symbol, f"no bar for {symbol} on {day}")
        details, failure, details_answer = self._details(line, symbol, day)
        if details is None:
            return failure or f"no ticker details for {symbol} on {day}"
        close = grouped.bars[symbol].close
        try:
            accepted = accept_count(line, details, close, None)
        except CountUnavailableError as unavailable:
            return f"{day}: {unavailable}"
        answers = tuple(answer for answer in (bars_answer, details_answer) if answer is not None)
        return LookBack(day, accepted.count, close, answers)

    def previous_close_wanted(self, session: date, lines: Iterable[Line]) -> bool:
        """Whether any line's market_cap disagrees with its own session's close, so that yesterday's is needed."""
        bars = self._bars(session)[0].bars
        for line in lines:
            details, _, _ = self._details(line, line.symbol, session)
            if details and line.symbol in bars and needs_previous_close(details, bars[line.symbol].close):
                return True
        return False

    def closes_failure(self, day: date) -> str | None:
        """Say why a session's closes cannot be used; None where they can."""
        return self._bars(day)[1]

    def _details(self, line: Line, symbol: str, day: date) -> tuple[TickerDetails | None, str | None, Answer | None]:
        answer = self._answers.details(symbol, day)
        if answer is None:
            return None, f"ticker details of {symbol} on {day} were never asked for", None
        if answer.status == HTTP_NOT_FOUND:
            return None, f"the provider knows no {symbol} on {day} (HTTP 404)", answer
        if not answer.completed:
            return None, answer.error or f"the call for {symbol} on {day} was not answered", answer
        try:
            details = parse_ticker_details(answer.body, symbol)
        except BodyInvalidError as invalid:
            return None, str(invalid), answer
        if line.cik and details.cik and details.cik != line.cik:
            return None, _another_issuer(line, symbol, day, details.cik), answer
        return details, None, answer

    def _parse_bars(self, day: date) -> tuple[GroupedDaily, str | None, Answer | None]:
        answer = self._answers.grouped(day)
        if answer is None or not answer.completed:
            reason = "never asked for" if answer is None else answer.error or "not answered"
            return GroupedDaily({}, {}), f"the closes of {day} are missing: {reason}", answer
        try:
            return parse_grouped_daily(answer.body, day), None, answer
        except BodyInvalidError as invalid:
            return GroupedDaily({}, {}), str(invalid), answer


def _another_issuer(line: Line, symbol: str, day: date, cik: str) -> str:
    return f"the provider's {symbol} on {day} is another issuer (CIK {cik}, {line.company} is {line.cik})"
