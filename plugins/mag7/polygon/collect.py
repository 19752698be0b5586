"""Making a batch of calls in threads, keeping every answer as it comes in, and never one call twice."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from queue import Empty, SimpleQueue
from urllib.parse import quote, unquote, urlsplit

from mag7.polygon.answers import ANSWERS_AN_OBJECT, Answer, AnswerStore
from mag7.polygon.bodies import parse_grouped_daily, parse_object, parse_ticker_details
from mag7.polygon.client import PolygonClient
from mag7.polygon.errors import (
    CollectionStoppedError,
    KeyRejectedError,
    NotYetReleasedError,
    PlanRefusedError,
    PolygonError,
    RequestRefusedError,
)

GROUPED_DAILY = "grouped_daily"
TICKER_DETAILS = "ticker_details"
_DETAILS_PATH = "/v3/reference/tickers/"
_STOPPING = (KeyRejectedError, PlanRefusedError, NotYetReleasedError)

FLUSH_SECONDS = 60.0
"""An answer waits at most this long for its object to fill: what a killed task can lose on a slow plan."""

GRACE_SECONDS = 5.0
"""How long a stopped batch waits for the calls under way before it stores what it has."""


@dataclass(frozen=True)
class Call:
    """One call: its endpoint's name in the lake, the date it is about, and the request's path and query."""

    endpoint: str
    trading_date: date
    path: str


@dataclass(frozen=True)
class CollectReport:
    """What a batch did: calls asked and kept (not repeated), asked ones completed and failed, objects written.

    ``requests`` counts what was really sent, repeated attempts included.
    """

    asked: int
    kept: int
    completed: int
    failed: int
    keys: tuple[str, ...]
    requests: int


def grouped_daily(day: date) -> Call:
    """Every ticker's unadjusted bar of a session."""
    path = f"/v2/aggs/grouped/locale/us/market/stocks/{day.isoformat()}?adjusted=false&include_otc=false"
    return Call(GROUPED_DAILY, day, path)


def ticker_details(symbol: str, day: date) -> Call:
    """A ticker's details as of a date."""
    return Call(TICKER_DETAILS, day, f"{_DETAILS_PATH}{quote(symbol, safe='')}?date={day.isoformat()}")


def collect(
    calls: Iterable[Call], client: PolygonClient, store: AnswerStore, *, threads: int, again: bool = False
) -> CollectReport:
    """Make the calls that are not completed yet (all of them with ``again``) and store every answer.

    A call that stays without a usable answer is stored as failed, and the others go on. Raises, after storing what
    was fetched: KeyRejectedError, PlanRefusedError and NotYetReleasedError at once, and any error of grouped daily.
    """
    wanted = list(dict.fromkeys(calls))
    pending = wanted if again else _list_missing(wanted, client, store)
    sent = client.requests
    keeper = _Keeper(store)
    if pending:
        _Batch(pending, client, keeper).run(min(threads, len(pending)))
    if keeper.raised is not None:
        raise keeper.raised
    return CollectReport(
        asked=len(pending),
        kept=len(wanted) - len(pending),
        completed=keeper.completed,
        failed=keeper.failed,
        keys=tuple(keeper.keys),
        requests=client.requests - sent,
    )


def _list_missing(calls: list[Call], client: PolygonClient, store: AnswerStore) -> list[Call]:
    completed: set[tuple[str, str]] = set()
    for endpoint, day in dict.fromkeys((call.endpoint, call.trading_date) for call in calls):
        kept = store.load(endpoint, day, source=client.source)
        completed |= {(endpoint, path) for path, answer in kept.items() if answer.completed}
    return [call for call in calls if (call.endpoint, call.path) not in completed]


@dataclass(frozen=True)
class _Outcome:
    call: Call
    answer: Answer | None
    error: PolygonError | None


class _Keeper:
    """Takes outcomes as they come in, stores them by endpoint and date, and remembers what must be raised."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._waiting: dict[tuple[str, date], list[Answer]] = defaultdict(list)
        self._stored_at = time.monotonic()
        self.keys: list[str] = []
        self.completed = 0
        self.failed = 0
        self.raised: PolygonError | None = None

    def take(self, outcome: _Outcome) -> None:
        if isinstance(outcome.error, _STOPPING) or (outcome.error and outcome.call.endpoint == GROUPED_DAILY):
            self.raised = self.raised or outcome.error
        if outcome.answer is None:
            return
        if outcome.answer.completed:
            self.completed += 1
        else:
            self.failed += 1
        group = (outcome.call.endpoint, outcome.call.trading_date)
        self._waiting[group].append(outcome.answer)
        if len(self._waiting[group]) >= ANSWERS_AN_OBJECT:
            self._store_group(group)

    def store_overdue(self) -> None:
        if time.monotonic() - self._stored_at > FLUSH_SECONDS:
            self.store_all()

    def store_all(self) -> None:
        for group in list(self._waiting):
            self._store_group(group)
        self._stored_at = time.monotonic()

    def _store_group(self, group: tuple[str, date]) -> None:
        # Removed only when stored: if storing fails, the answers are still here for a last attempt.
        self.keys += self._store.save(*group, self._waiting[group])
        del self._waiting[group]


class _Batch:
    """Worker threads that ask, and the calling thread that keeps what they bring."""

    def __init__(self, calls: list[Call], client: PolygonClient, keeper: _Keeper) -> None:
        self._todo = deque(calls)
        self._client = client
        self._keeper = keeper
        self._stop = threading.Event()
        self._outcomes: SimpleQueue[_Outcome | None] = SimpleQueue()
        self._working = 0

    def run(self, threads: int) -> None:
        """Make every call and store every outcome, whatever ends the batch."""
        executor = ThreadPoolExecutor(threads, "polygon")
        try:
            self._working = threads
            workers = [executor.submit(self._work) for _ in range(threads)]
            while self._working:
                self._take(FLUSH_SECONDS)
                self._keeper.store_overdue()
            self._keeper.store_all()
        except BaseException:
            # SIGTERM arrives here as an exception too: store what is here, then what was under way.
            self._stop.set()
            self._rescue(seconds=0.0)
            self._rescue(seconds=GRACE_SECONDS)
            raise
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.result()

    def _rescue(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._working and self._take(max(until - time.monotonic(), 0.0)):
            pass
        self._keeper.store_all()

    def _take(self, seconds: float) -> bool:
        try:
            outcome = self._outcomes.get(timeout=seconds)
        except Empty:
            return False
        if outcome is None:
            self._working -= 1
        else:
            self._keeper.take(outcome)
        return True

    def _work(self) -> None:
        try:
            while not self._stop.is_set() and self._todo:
                self._outcomes.put(self._ask(self._todo.popleft()))
        except (CollectionStoppedError, IndexError):
            return
        except BaseException:
            self._stop.set()
            raise
        finally:
            self._outcomes.put(None)

    def _ask(self, call: Call) -> _Outcome:
        try:
            answer = self._client.fetch(call.path, partial(_check, call), self._stop)
        except _STOPPING as error:
            self._stop.set()
            return _Outcome(call, None, error)
        except PolygonError as error:
            return _Outcome(call, self._failed(call, error), error)
        if answer.status == 404 and call.endpoint == GROUPED_DAILY:
            missing = RequestRefusedError(call.path, "HTTP 404 for a session's bars", status=404, body=answer.body)
            return _Outcome(call, self._failed(call, missing), missing)
        return _Outcome(call, answer, None)

    def _failed(self, call: Call, error: PolygonError) -> Answer:
        now = self._client.limiter.clock.now()
        return Answer(call.path, now, error.status, self._client.source, error.body, error=error.summary)


def _check(call: Call, body: str) -> object:
    if call.endpoint == TICKER_DETAILS:
        symbol = unquote(urlsplit(call.path).path.removeprefix(_DETAILS_PATH))
        return parse_ticker_details(body, symbol)
    if call.endpoint == GROUPED_DAILY:
        return parse_grouped_daily(body, call.trading_date)
    return parse_object(body, call.path)
