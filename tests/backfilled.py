"""A backfill's collecting tasks in this process: what they store of a market with every response, with few calls."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from mag7.index.share_counts import REFERENCE_DAYS
from mag7.market.input_reader import InputReader, open_inputs
from mag7.market.response_reader import StoredResponses
from mag7.polygon.answers import Answer, AnswerStore
from mag7.polygon.source import SIMULATED
from mag7.sessions import group_months
from mag7.settings import read_settings
from mag7.tasks import collect, look_back, search
from mag7.tasks.collector import AnswerBook
from mag7.tasks.request import Asking
from mag7.tasks.window import make_window
from tests.unit.polygon.local_provider import MemoryObjects

RUN = "mag7_backfill-scheduled__2024-12-01T000000"
SETTINGS = {
    "MAG7_BUCKET": "lake",
    "MAG7_BUCKET_OWNER": "123456789012",
    "MAG7_COPY_ROLE": "arn:aws:iam::123456789012:role/copy",
    "MAG7_BATCHES": "2",
}
DETAILS = re.compile(r"/v3/reference/tickers/([^?]+)\?date=(.+)")
BARS = re.compile(r"/v2/aggs/grouped/locale/us/market/stocks/([^?]+)\?.*")
SPLITS = re.compile(r"/stocks/v1/splits\?execution_date.gte=([0-9-]+)&.*")


class MarketProvider:
    """The provider's client on a market's responses; counts the calls for details by date."""

    source = SIMULATED
    tries = 1

    def __init__(self, market: StoredResponses) -> None:
        self._market = market
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.details: Counter[date] = Counter()

    @property
    def requests(self) -> int:
        return self.asked.total()

    def fetch(self, path: str, check: Callable[[str], object], stop: threading.Event | None = None) -> Answer:
        found = DETAILS.fullmatch(path)
        if found is not None:
            day = date.fromisoformat(found[2])
            answer = self._market.details(unquote(found[1]), day)
        else:
            day = date.fromisoformat(BARS.fullmatch(path)[1])  # type: ignore[index]
            answer = self._market.grouped(day)
        assert answer is not None
        with self._lock:
            self.asked[path] += 1
            self.details[day] += found is not None
        if answer.status == 200:
            check(answer.body)
        return replace(answer, path=path, key=None)

    def fetch_pages(self, path: str, check: Callable[[str], object]) -> Iterator[Answer]:
        first = date.fromisoformat(SPLITS.fullmatch(path)[1])  # type: ignore[index]
        for place, page in enumerate(self._market.splits(first + timedelta(days=REFERENCE_DAYS)) or []):
            self.asked[page.path] += 1
            check(page.body)
            yield replace(page, path=page.path if place else path, key=None)


class Backfill:
    """A lake, and backfills of months into it."""

    def __init__(self, market: StoredResponses, now: datetime, frozen_before: date | None = None) -> None:
        self.objects = MemoryObjects()
        self.provider = MarketProvider(market)
        self._now = now
        self._settings = SETTINGS
        if frozen_before is not None:
            self._settings = SETTINGS | {"POLYGON_COUNTS_FROZEN_BEFORE": frozen_before.isoformat()}

    def collect(self, sessions: Sequence[date], only: Collection[str] | None = None) -> Counter[date]:
        """Run the tasks of `collect` for a window; returns the number of calls for details, by date.

        ``only`` are the tickers of the lines to collect; None: all.
        """
        before = Counter(self.provider.details)
        window = make_window(RUN, sessions)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._settings.items():
                patch.setenv(name, value)
            for module in ("collector", "search"):
                patch.setattr(f"mag7.tasks.{module}.open_store", lambda settings: self.objects)
            patch.setattr("mag7.tasks.polygon_hook.PolygonHook.get_conn", lambda hook, settings: self.provider)
            patch.setattr("mag7.tasks.look_back.datetime", SimpleNamespace(now=self._now.astimezone))
            if only is not None:
                found = collect.list_session_lines
                for module in ("collect", "look_back", "search"):
                    patch.setattr(
                        f"mag7.tasks.{module}.list_session_lines",
                        lambda session: tuple(line for line in found(session) if line.ticker in only),
                    )
            collect.collect_range_closes(window)
            collect.collect_splits(window, Asking.MISSING)
            for batch in search.plan_searches(window):
                search.collect_counts(window, batch)
            look_back.collect_look_back(window, Asking.MISSING)
        return self.provider.details - before

    def reader(self) -> InputReader:
        """Return a reader of the stored responses, as opened by the tasks that build documents."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._settings.items():
                patch.setenv(name, value)
            book = AnswerBook(AnswerStore(self.objects))
            return open_inputs(book, read_settings().counts_frozen_before)  # type: ignore[arg-type]


def by_month(sessions: Sequence[date]) -> Iterator[tuple[date, ...]]:
    """Divide sessions into months."""
    yield from map(tuple, group_months(sessions))
