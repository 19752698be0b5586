"""Observations of a line's share count: what the provider's responses of a session, and of those around it, say."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from mag7.index.constituents import Line
from mag7.market.listed_split_reader import ListedSplitReader
from mag7.market.response_reader import ResponseReader, join_answers, list_sources
from mag7.market.shares import AcceptedCount, CountUnavailableError, accept_count, needs_previous_close
from mag7.polygon.answers import Answer
from mag7.polygon.response_bodies import TickerDetails
from mag7.sessions import list_sessions, month_ends, previous_session

MONTHS_CACHED: Final = 2048
"""How many months of a line are cached: a search works on one month of some 505 lines after another."""


@dataclass(frozen=True)
class Observation:
    """The accepted count of a line on a session, on the split basis of the provider's response.

    ``accepted`` is None where the response has no count that can be accepted; ``failure`` is the reason. ``time`` (UTC)
    is that of the response; ``answers`` are the response and those with the closes that it was compared with.
    """

    session: date
    time: datetime
    accepted: AcceptedCount | None
    details: TickerDetails | None
    answers: tuple[Answer, ...]
    failure: str | None = None


def agree(earlier: Observation, later: Observation) -> bool:
    """Whether two observations have the same source, count and origin."""
    first, last = earlier.accepted, later.accepted
    if first is None or last is None or list_sources(earlier.answers) != list_sources(later.answers):
        return False
    return (first.count, first.origin) == (last.count, last.origin)


class ObservationReader:
    """Reads observations from stored responses."""

    def __init__(self, responses: ResponseReader, splits: ListedSplitReader) -> None:
        self._responses = responses
        self._splits = splits
        self._observe_cached = lru_cache(maxsize=MONTHS_CACHED)(self._observe_all)

    def observe(self, line: Line, day: date) -> Observation | None:
        """Read the observation of a line on a session; None where there is no response."""
        details, failure, answer = self._responses.details(line, day)
        if answer is None or not answer.completed:
            return None
        if details is None:
            return Observation(day, answer.time, None, None, (answer,), failure)
        close, closes_answer = self._responses.read_close(line, day)
        if close is None:
            failure = self._responses.closes(day)[1] or f"no bar for {details.ticker} on {day}"
            return Observation(day, answer.time, None, details, (answer,), f"{day}: {failure}")
        previous_close, earlier = self.read_previous_close(line, day, details, close)
        try:
            accepted = accept_count(line, details, close, previous_close)
        except CountUnavailableError as unavailable:
            return Observation(day, answer.time, None, details, (answer,), f"{day}: {unavailable}")
        return Observation(day, answer.time, accepted, details, join_answers((answer, closes_answer, earlier)))

    def find_between(self, line: Line, day: date) -> Observation | None:
        """Find a line's count of a session from the nearest observations on both sides.

        They must agree, and lie between the last session of the month before and that of the session's month; else
        None. The result is the earlier one, with the responses of both.
        """
        observed = self._observe_cached(line, *month_ends(day), self._responses.stored.version)
        place = bisect_left(observed, day, key=lambda other: other.session)
        earlier = observed[place - 1] if place > 0 else None
        later = next((other for other in observed[place : place + 2] if other.session > day), None)
        if earlier is None or later is None or not agree(earlier, later):
            return None
        time = max(earlier.time, later.time)
        return replace(earlier, time=time, answers=join_answers(earlier.answers, later.answers))

    def _observe_all(self, line: Line, first: date, last: date, _version: int) -> tuple[Observation, ...]:
        """List a line's observations from one session to another, in order; ``_version`` is for the cache only."""
        return tuple(found for day in list_sessions(first, last) if (found := self.observe(line, day)) is not None)

    def list_likely(self, session: date, line: Line, days: Sequence[date]) -> frozenset[date]:
        """List the ``days`` (in order) on both sides of a date on which a line's count is likely to change.

        ``session`` is the one whose known splits are used.
        """
        splits = self._splits.table(session).of(line.issuer)
        changes = [self._responses.frozen_before, *(split.execution_date for split in splits)]
        places = [bisect_left(days, change) for change in changes]
        return frozenset(day for place in places if 0 < place < len(days) for day in days[place - 1 : place + 1])

    def read_previous_close(
        self, line: Line, session: date, details: TickerDetails, close: Decimal
    ) -> tuple[Decimal | None, Answer | None]:
        """Read the previous close where market_cap disagrees with the session's: in the evening it may rest on it."""
        if not needs_previous_close(details, close):
            return None, None
        previous, answer = self._responses.read_close(line, previous_session(session))
        return (None, None) if previous is None else (previous, answer)
