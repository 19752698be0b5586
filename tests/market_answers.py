"""The offline market's answers in process, without a socket: what a run would have kept of every call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache

from mag7.polygon.answers import Answer
from mag7.polygon.collect import Call, grouped_daily, ticker_details
from mag7.polygon.source import SIMULATED
from sandbox.polygon.app import MarketApp
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings

NOW = datetime(2025, 6, 30, 21, tzinfo=NEW_YORK)
"""The market's today: fixed, so that no test depends on the day on which it runs."""

HEADERS: Mapping[str, str] = {"authorization": "Bearer any-key", "host": "market.test"}

ANSWERS_KEPT = 8192
"""Those of some fifteen sessions: a whole range's would fill a gigabyte, and a session is worked out in one go."""


class MarketAnswers:
    """Kept answers (mag7.market.evidence.KeptAnswers) of a run that asked the offline market for everything."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._app = MarketApp(settings or Settings(clock=Clock(NOW)))
        self._ask = lru_cache(ANSWERS_KEPT)(self._fetch)

    def details(self, symbol: str, day: date) -> Answer:
        """Ticker details of a symbol on a date."""
        return self._ask(ticker_details(symbol, day))

    def grouped(self, day: date) -> Answer:
        """Every bar of a session."""
        return self._ask(grouped_daily(day))

    def _fetch(self, call: Call) -> Answer:
        reply = self._app.answer(call.path, HEADERS).reply
        error = None if reply.status in {200, 404} else f"HTTP {reply.status}"
        key = f"raw/polygon/{call.endpoint}/trading_date={call.trading_date}/market.jsonl.gz"
        return Answer(call.path, NOW.astimezone(UTC), reply.status, SIMULATED, reply.body.decode(), error, key)
