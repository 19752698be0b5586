"""Reading single stored responses: a session's bars, a line's details of a date, and the provider's list of splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Final, Protocol

from mag7.index.constituents import Line
from mag7.index.splits import SplitTable, load_splits, merge_splits
from mag7.index.symbols import symbol_on
from mag7.market.identity import KnownDetails, find_doubt, find_other_company, has_own_identifier
from mag7.market.shares import rough_count
from mag7.polygon.answers import Answer
from mag7.polygon.errors import BodyInvalidError
from mag7.polygon.response_bodies import (
    GroupedDaily,
    TickerDetails,
    parse_grouped_daily,
    parse_splits,
    parse_ticker_details,
)
from mag7.sessions import previous_session

LOOK_BACK_SESSIONS: Final = (1, 5, 21, 63)
"""How many sessions back a line without a count is requested; 63 sessions are fewer than 100 days."""

COUNTS_FROZEN_BEFORE: Final = date(2021, 11, 1)
"""Counts of sessions before this date are frozen: the provider gives them as of about this date."""

HTTP_NOT_FOUND: Final = 404

BARS_CACHED, CLOSES_CACHED, DETAILS_CACHED, SPLITS_CACHED = 8, 64, 16_384, 8
"""How many parsed responses are cached: a session has one of bars and some 505 of details, a month some 1,500."""


class StoredResponses(Protocol):
    """The newest stored response to a call, or None where the call was never made."""

    @property
    def version(self) -> int:
        """A number that changes whenever responses are added."""

    def details(self, symbol: str, day: date) -> Answer | None:
        """Ticker details of a symbol on a date."""

    def grouped(self, day: date) -> Answer | None:
        """Every bar of a session."""

    def splits(self, session: date) -> list[Answer] | None:
        """The pages of the list of splits that was requested with a session."""


class ResponseReader:
    """Reads stored responses, parsing each once, and refuses details of another company.

    Counts of dates before ``frozen_before`` are frozen. ``given`` closes (USD, by session and symbol) are used instead
    of the stored ones. ``list_known_splits`` returns the splits known on a session.
    """

    def __init__(
        self,
        stored: StoredResponses,
        frozen_before: date,
        given: Mapping[date, Mapping[str, Decimal]],
        list_known_splits: Callable[[date], SplitTable],
    ) -> None:
        self.stored = stored
        self.frozen_before = frozen_before
        self._given = given
        self._list_known_splits = list_known_splits
        # Keyed by the responses themselves, so that a newer response is parsed again.
        self._parse_bars = lru_cache(maxsize=BARS_CACHED)(_parse_bars)
        self._parse_closes = lru_cache(maxsize=CLOSES_CACHED)(self._list_closes)
        self._parse_details = lru_cache(maxsize=DETAILS_CACHED)(_parse_details)
        self._merge_splits = lru_cache(maxsize=SPLITS_CACHED)(_merge_pages)

    def is_frozen(self, day: date) -> bool:
        """Whether the provider's counts of a date are frozen."""
        return day < self.frozen_before

    def list_splits(self, session: date) -> tuple[SplitTable, date]:
        """Join the project's splits with the provider's list, not judged yet, and return the date of that list."""
        pages = tuple(self.stored.splits(session) or ())
        return self._merge_splits(pages), max((page.time.date() for page in pages), default=session)

    def read_close(self, line: Line, day: date) -> tuple[Decimal | None, Answer | None]:
        """Read a line's close (USD) of a session, and the response that it is from."""
        closes, _, answer = self.closes(day)
        return closes.get(symbol_on(line.ticker, day)), answer

    def read_count(self, line: Line, day: date, symbol: str | None = None) -> tuple[int | None, Answer | None]:
        """Read a company's count of a date, accurate enough to detect a split; ``symbol`` is as in ``details``."""
        details, _, answer = self.details(line, day, symbol)
        return None if details is None else rough_count(line, details), answer

    def details(
        self, line: Line, day: date, symbol: str | None = None
    ) -> tuple[TickerDetails | None, str | None, Answer | None]:
        """Read a line's details of a date, or why there are none; ``symbol`` may be another line of the company."""
        symbol = symbol or symbol_on(line.ticker, day)
        answer = self.stored.details(symbol, day)
        if answer is None:
            return None, f"ticker details of {symbol} on {day} were never requested", None
        details, failure = self._parse_details(symbol, day, answer)
        if details is not None and not has_own_identifier(line, details):
            failure = self._judge_identity(line, symbol, day, details)
        return (None if failure else details), failure, answer

    def _judge_identity(self, line: Line, symbol: str, day: date, details: TickerDetails) -> str | None:
        """Return why details without an identifier of the line's company are refused; None where they are used."""
        other = find_other_company(line, details)
        if other is not None:
            return f"the provider's {symbol} on {day} is another issuer ({other})"
        doubt = find_doubt(line, details, self.closes(day)[0].get(symbol), self._find_known(line, day))
        return None if doubt is None else f"the provider's {symbol} on {day} may be another issuer ({doubt})"

    def _find_known(self, line: Line, day: date) -> KnownDetails | None:
        """Find the nearest of the LOOK_BACK_SESSIONS whose stored response has the company's CIK."""
        for sessions_back in LOOK_BACK_SESSIONS:
            earlier = previous_session(day, sessions_back)
            symbol = symbol_on(line.ticker, earlier)
            answer, close = self.stored.details(symbol, earlier), self.closes(earlier)[0].get(symbol)
            if answer is None or close is None:
                continue
            details, _ = self._parse_details(symbol, earlier, answer)
            if details is not None and details.cik is not None and has_own_identifier(line, details):
                factor = self._list_known_splits(day).factor_between(line.issuer, earlier, day)
                return KnownDetails(earlier, details, close, factor)
        return None

    def bars(self, day: date) -> tuple[GroupedDaily, str | None, Answer | None]:
        """Read a session's bars, or why there are none."""
        answer = self.stored.grouped(day)
        return (*self._parse_bars(day, answer), answer)

    def closes(self, day: date) -> tuple[Mapping[str, Decimal], str | None, Answer | None]:
        """Read a session's closes only, which take little memory, or why there are none."""
        if day in self._given:
            return self._given[day], None, None
        answer = self.stored.grouped(day)
        return (*self._parse_closes(day, answer), answer)

    def select_closes(self, day: date, tickers: Iterable[str]) -> dict[str, Decimal]:
        """Return some lines' closes of a session (USD), by their symbols on it; lines without a close are left out."""
        closes, _, _ = self.closes(day)
        return {symbol: closes[symbol] for ticker in tickers if (symbol := symbol_on(ticker, day)) in closes}

    def _list_closes(self, day: date, answer: Answer | None) -> tuple[Mapping[str, Decimal], str | None]:
        grouped, failure = self._parse_bars(day, answer)
        return {symbol: bar.close for symbol, bar in grouped.bars.items()}, failure


def join_answers(*groups: Iterable[Answer | None]) -> tuple[Answer, ...]:
    """Join responses in order, each once."""
    return tuple(dict.fromkeys(answer for group in groups for answer in group if answer is not None))


def list_sources(answers: Iterable[Answer | None]) -> set[str]:
    """List the sources of responses."""
    return {answer.source for answer in answers if answer is not None}


def _parse_details(symbol: str, day: date, answer: Answer) -> tuple[TickerDetails | None, str | None]:
    if answer.status == HTTP_NOT_FOUND:
        return None, f"the provider does not know {symbol} on {day} (HTTP 404)"
    if not answer.completed:
        return None, answer.error or f"the call for {symbol} on {day} got no response"
    try:
        return parse_ticker_details(answer.body, symbol), None
    except BodyInvalidError as invalid:
        return None, str(invalid)


def _parse_bars(day: date, answer: Answer | None) -> tuple[GroupedDaily, str | None]:
    if answer is None or not answer.completed:
        reason = "never requested" if answer is None else answer.error or "no response"
        return GroupedDaily({}, {}), f"the closes of {day} are missing: {reason}"
    try:
        return parse_grouped_daily(answer.body, day), None
    except BodyInvalidError as invalid:
        return GroupedDaily({}, {}), str(invalid)


def _merge_pages(pages: tuple[Answer, ...]) -> SplitTable:
    known = load_splits()
    if not pages:
        return known
    parsed = [parse_splits(page.body) for page in pages]
    unusable = {ticker: reason for page in parsed for ticker, reason in page.unusable.items()}
    return merge_splits(known, (split for page in parsed for split in page.splits), unusable)
