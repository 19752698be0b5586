"""Reading single kept answers: a session's bars, a line's details on a day, and the provider's list of splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from mag7.polygon.bodies import GroupedDaily, TickerDetails, parse_grouped_daily, parse_splits, parse_ticker_details
from mag7.polygon.errors import BodyInvalidError
from mag7.sessions import previous_session

LOOK_BACK_SESSIONS: Final = (1, 5, 21, 63)
"""How many sessions back the provider is asked about a line that has no count; 63 sessions stay under 100 days."""

HTTP_NOT_FOUND: Final = 404

BARS_KEPT, CLOSES_KEPT, DETAILS_KEPT, SPLITS_KEPT = 8, 64, 16_384, 8
"""Parsed answers that a reader holds on to: a session has one of bars and some 505 of details, a month some 1,500."""


class StoredResponses(Protocol):
    """The newest kept answer of a call, or None where the call was never made."""

    @property
    def version(self) -> int:
        """A number that is another one whenever answers have come in."""

    def details(self, symbol: str, day: date) -> Answer | None:
        """Ticker details of a symbol on a date."""

    def grouped(self, day: date) -> Answer | None:
        """Every bar of a session."""

    def splits(self, session: date) -> list[Answer] | None:
        """The pages of the list of splits as it was asked for with a session."""


class ResponseReader:
    """Reads kept answers, parsing each once, and refuses details that are another company's.

    ``given`` closes (USD, by session and symbol) are taken instead of those in the answers. ``judge_splits`` returns
    the splits that are known with a session.
    """

    def __init__(
        self,
        answers: StoredResponses,
        given: Mapping[date, Mapping[str, Decimal]],
        judge_splits: Callable[[date], SplitTable],
    ) -> None:
        self._answers = answers
        self._given = given
        self._judge_splits = judge_splits
        # By the answers themselves: what is asked for later is seen, and nothing is parsed twice.
        self._parse_bars = lru_cache(maxsize=BARS_KEPT)(_parse_bars)
        self._parse_closes = lru_cache(maxsize=CLOSES_KEPT)(self._list_closes)
        self._parse_details = lru_cache(maxsize=DETAILS_KEPT)(_parse_details)
        self._merge_splits = lru_cache(maxsize=SPLITS_KEPT)(_merge_pages)

    def list_splits(self, session: date) -> tuple[SplitTable, date]:
        """Join the project's splits with the provider's list, unjudged; and say when it was given."""
        pages = tuple(self._answers.splits(session) or ())
        return self._merge_splits(pages), max((page.time.date() for page in pages), default=session)

    def read_close(self, line: Line, day: date) -> tuple[Decimal | None, Answer | None]:
        closes, _, answer = self.closes(day)
        return closes.get(symbol_on(line.ticker, day)), answer

    def read_count(self, line: Line, day: date) -> tuple[int | None, Answer | None]:
        """Read a company's own count of a day, good enough to tell a split by."""
        details, _, answer = self.details(line, symbol_on(line.ticker, day), day)
        return None if details is None else rough_count(line, details), answer

    def details(self, line: Line, symbol: str, day: date) -> tuple[TickerDetails | None, str | None, Answer | None]:
        answer = self._answers.details(symbol, day)
        if answer is None:
            return None, f"ticker details of {symbol} on {day} were never asked for", None
        details, failure = self._parse_details(symbol, day, answer)
        if details is not None and not has_own_identifier(line, details):
            failure = self._judge_identity(line, symbol, day, details)
        return (None if failure else details), failure, answer

    def _judge_identity(self, line: Line, symbol: str, day: date, details: TickerDetails) -> str | None:
        """Return why details without an identifier of the line's company are not taken for its own."""
        other = find_other_company(line, details)
        if other is not None:
            return f"the provider's {symbol} on {day} is another issuer ({other})"
        doubt = find_doubt(line, details, self.closes(day)[0].get(symbol), self._find_known(line, day))
        return None if doubt is None else f"the provider's {symbol} on {day} may be another issuer ({doubt})"

    def _find_known(self, line: Line, day: date) -> KnownDetails | None:
        """Find the nearest earlier session, of those looked back to, whose kept response has the company's CIK."""
        for sessions_back in LOOK_BACK_SESSIONS:
            earlier = previous_session(day, sessions_back)
            symbol = symbol_on(line.ticker, earlier)
            answer, close = self._answers.details(symbol, earlier), self.closes(earlier)[0].get(symbol)
            if answer is None or close is None:
                continue
            details, _ = self._parse_details(symbol, earlier, answer)
            if details is not None and details.cik is not None and has_own_identifier(line, details):
                factor = self._judge_splits(day).factor_between(line.issuer, earlier, day)
                return KnownDetails(earlier, details, close, factor)
        return None

    def bars(self, day: date) -> tuple[GroupedDaily, str | None, Answer | None]:
        answer = self._answers.grouped(day)
        return (*self._parse_bars(day, answer), answer)

    def closes(self, day: date) -> tuple[Mapping[str, Decimal], str | None, Answer | None]:
        """Read a session's closes alone, of which many sessions' can be held on to."""
        if day in self._given:
            return self._given[day], None, None
        answer = self._answers.grouped(day)
        return (*self._parse_closes(day, answer), answer)

    def _list_closes(self, day: date, answer: Answer | None) -> tuple[Mapping[str, Decimal], str | None]:
        grouped, failure = self._parse_bars(day, answer)
        return {symbol: bar.close for symbol, bar in grouped.bars.items()}, failure


def _parse_details(symbol: str, day: date, answer: Answer) -> tuple[TickerDetails | None, str | None]:
    if answer.status == HTTP_NOT_FOUND:
        return None, f"the provider knows no {symbol} on {day} (HTTP 404)"
    if not answer.completed:
        return None, answer.error or f"the call for {symbol} on {day} was not answered"
    try:
        return parse_ticker_details(answer.body, symbol), None
    except BodyInvalidError as invalid:
        return None, str(invalid)


def _parse_bars(day: date, answer: Answer | None) -> tuple[GroupedDaily, str | None]:
    if answer is None or not answer.completed:
        reason = "never asked for" if answer is None else answer.error or "not answered"
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
