"""What the provider said of a line's share count over time: on a session, and on those around it."""

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
"""Lines' months in memory: a search takes a month of some 505 lines after the other."""


@dataclass(frozen=True)
class Observation:
    """What the provider said of a line's count on a session: the accepted one, on the split basis that it came on.

    ``accepted`` is None where its response holds no count that can be accepted; ``failure`` says why. ``time`` (UTC) is
    when it said so; ``answers`` are that one and the closes that it was compared with.
    """

    session: date
    time: datetime
    accepted: AcceptedCount | None
    details: TickerDetails | None
    answers: tuple[Answer, ...]
    failure: str | None = None


def agree(earlier: Observation, later: Observation) -> bool:
    """Whether two observations, of one source, hold the same count from the same field."""
    first, last = earlier.accepted, later.accepted
    if first is None or last is None or list_sources(earlier.answers) != list_sources(later.answers):
        return False
    return (first.count, first.origin) == (last.count, last.origin)


class ObservationReader:
    """Reads what stored responses say of lines' counts."""

    def __init__(self, responses: ResponseReader, splits: ListedSplitReader) -> None:
        self._responses = responses
        self._splits = splits
        self._observe_cached = lru_cache(maxsize=MONTHS_CACHED)(self._observe_all)

    def observe(self, line: Line, day: date) -> Observation | None:
        """Read what the provider said of a line's count on a session; None where it was not asked, or did not say."""
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
        """Find a line's count of a session between the nearest sessions on which the provider was asked.

        None unless both lie between the last session of the month before and that of its month, and agree. It then
        says what the earlier one does.
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
        """List a line's observations from one session to another, in order; the responses being of a version."""
        return tuple(found for day in list_sessions(first, last) if (found := self.observe(line, day)) is not None)

    def list_likely(self, session: date, line: Line, days: Sequence[date]) -> frozenset[date]:
        """List those of some sessions, in order, on both sides of a day on which a line's count is likely to change.

        ``session`` is one by which splits are known.
        """
        splits = self._splits.table(session).of(line.issuer)
        changes = [self._responses.frozen_before, *(split.execution_date for split in splits)]
        places = [bisect_left(days, change) for change in changes]
        return frozenset(day for place in places if 0 < place < len(days) for day in days[place - 1 : place + 1])

    def read_previous_close(
        self, line: Line, session: date, details: TickerDetails, close: Decimal
    ) -> tuple[Decimal | None, Answer | None]:
        """Read the close before a session where market_cap disagrees with its own: in the evening it may rest on it."""
        if not needs_previous_close(details, close):
            return None, None
        previous, answer = self._responses.read_close(line, previous_session(session))
        return (None, None) if previous is None else (previous, answer)
