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
        """Read the evidence of every line; a look-back is searched for lines that cannot be priced without it."""
        return [self.read_line(session, line) for line in lines]

    def read_line(self, session: date, line: Line) -> Evidence:
        """Read one line's evidence for a session."""
        grouped, grouped_failure, bars_key = self._bars(session)
        details, details_failure, details_key = self._details(line, line.symbol, session)
        bar = grouped.bars.get(line.symbol)
        bar_failure = grouped_failure or grouped.unusable.get(line.symbol)
        keys = [key for key in (bars_key, details_key) if key]
        previous_close = None
        if details is not None and bar is not None and needs_previous_close(details, bar.close):
            earlier, _, earlier_key = self._bars(previous_session(session))
            if line.symbol in earlier.bars:
                previous_close = earlier.bars[line.symbol].close
                keys += [earlier_key] if earlier_key else []
        evidence = Evidence(
            line, details, details_failure, bar, bar_failure, previous_close=previous_close, answers=tuple(keys)
        )
        if not isinstance(price_line(evidence), FailedLine):
            return evidence
        look_back = self._look_back(session, line)
        if look_back is None:
            return evidence
        return replace(evidence, look_back=look_back, answers=(*evidence.answers, *look_back.answers))

    def previous_close_wanted(self, session: date, lines: Iterable[Line]) -> bool:
        """Whether any line's market_cap disagrees with its own session's close, so that yesterday's is needed."""
        bars = self._bars(session)[0].bars
        for line in lines:
            details, _, _ = self._details(line, line.symbol, session)
            if details and line.symbol in bars and needs_previous_close(details, bars[line.symbol].close):
                return True
        return False

    def _look_back(self, session: date, line: Line) -> LookBack | None:
        for count_back in LOOK_BACK_SESSIONS:
            day = previous_session(session, count_back)
            symbol = symbol_on(line.ticker, day)
            details, _, details_key = self._details(line, symbol, day)
            grouped, _, bars_key = self._bars(day)
            if details is None or symbol not in grouped.bars:
                continue
            close = grouped.bars[symbol].close
            try:
                accepted = accept_count(line, details, close, None)
            except CountUnavailableError:
                continue
            return LookBack(day, accepted.count, close, tuple(key for key in (bars_key, details_key) if key))
        return None

    def _details(self, line: Line, symbol: str, day: date) -> tuple[TickerDetails | None, str | None, str | None]:
        answer = self._answers.details(symbol, day)
        if answer is None:
            return None, f"ticker details of {symbol} on {day} were never asked for", None
        if answer.status == HTTP_NOT_FOUND:
            return None, f"the provider knows no {symbol} on {day} (HTTP 404)", answer.key
        if not answer.completed:
            return None, answer.error or f"the call for {symbol} on {day} was not answered", answer.key
        try:
            details = parse_ticker_details(answer.body, symbol)
        except BodyInvalidError as invalid:
            return None, str(invalid), answer.key
        if line.cik and details.cik and details.cik != line.cik:
            return None, _another_issuer(line, symbol, day, details.cik), answer.key
        return details, None, answer.key

    def _parse_bars(self, day: date) -> tuple[GroupedDaily, str | None, str | None]:
        answer = self._answers.grouped(day)
        if answer is None or not answer.completed:
            reason = "never asked for" if answer is None else answer.error or "not answered"
            return GroupedDaily({}, {}), f"the closes of {day} are missing: {reason}", None
        return parse_grouped_daily(answer.body, day), None, answer.key


def _another_issuer(line: Line, symbol: str, day: date, cik: str) -> str:
    return f"the provider's {symbol} on {day} is another issuer (CIK {cik}, {line.company} is {line.cik})"
