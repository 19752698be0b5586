"""The offline market's responses in this process, without a socket: what a run would have stored of every call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import lru_cache

from mag7.market.figures import SessionFigures
from mag7.market.input_reader import InputReader, open_inputs
from mag7.polygon.answers import Answer
from mag7.polygon.calls import Call, grouped_daily, ticker_details
from mag7.polygon.client import next_page_path
from mag7.polygon.source import SIMULATED
from mag7.tasks.collector import list_session_splits
from mag7.tasks.document import compute_session
from sandbox.polygon.app import MarketApp
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings

NOW = datetime(2026, 11, 25, 21, tzinfo=NEW_YORK)
"""The market's current time, fixed, so that no result depends on the day of the run."""

NAMED = (
    date(2020, 11, 30),
    date(2021, 7, 19),
    date(2021, 7, 20),
    date(2022, 6, 3),
    date(2022, 6, 6),
    date(2022, 6, 8),
    date(2022, 6, 9),
    date(2022, 7, 15),
    date(2022, 7, 18),
    date(2022, 8, 24),
    date(2022, 8, 25),
    date(2024, 6, 6),
    date(2024, 6, 7),
    date(2024, 6, 10),
    date(2024, 12, 13),
)
"""The first and the last session, and the sessions before and after each split and rename of the seven between them."""

HEADERS: Mapping[str, str] = {"authorization": "Bearer any-key", "host": "market.test"}

RESPONSES_CACHED = 8192
"""The responses of some fifteen sessions: a whole range would fill a gigabyte, and a session is computed in one go."""


class MarketResponses:
    """StoredResponses (mag7.market.response_reader) of a run that fetched everything from the offline market."""

    version = 0

    def __init__(self, settings: Settings | None = None) -> None:
        self._app = MarketApp(settings or Settings(clock=Clock(NOW)))
        self._ask = lru_cache(RESPONSES_CACHED)(self._fetch)
        self.splits = lru_cache(16)(self._list_splits)

    def details(self, symbol: str, day: date) -> Answer:
        """Return the ticker details of a symbol on a date."""
        return self._ask(ticker_details(symbol, day))

    def grouped(self, day: date) -> Answer:
        """Return all bars of a session."""
        return self._ask(grouped_daily(day))

    def _list_splits(self, session: date) -> list[Answer] | None:
        """Return the pages of the list of splits as requested with a session; None where one is missing."""
        first = list_session_splits(session)
        pages: list[Answer] = []
        path: str | None = first.path
        while path is not None:
            page = self._ask(replace(first, path=path))
            if not page.completed:
                return None
            pages.append(page)
            path = next_page_path(page)
        return pages

    def _fetch(self, call: Call) -> Answer:
        reply = self._app.answer(call.path, HEADERS).reply
        error = None if reply.status in {200, 404} else f"HTTP {reply.status}"
        key = f"raw/polygon/{call.endpoint}/trading_date={call.trading_date}/market.jsonl.gz"
        return Answer(call.path, NOW.astimezone(UTC), reply.status, SIMULATED, reply.body.decode(), error, key)


@lru_cache(1)
def open_market() -> InputReader:
    """Open a reader of all the market's responses, one in each process: it caches what it has parsed."""
    return open_inputs(MarketResponses())


@lru_cache(64)
def work_out(session: date) -> SessionFigures:
    """Compute a session's figures from all that the offline market returns."""
    return compute_session(open_market(), session)
