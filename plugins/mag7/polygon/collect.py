"""Making a batch of calls in threads, keeping every answer as it comes in, and never one call twice."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from mag7.polygon.answers import ANSWERS_AN_OBJECT, Answer, AnswerStore
from mag7.polygon.bodies import (
    GroupedDaily,
    SplitPage,
    TickerDetails,
    parse_grouped_daily,
    parse_object,
    parse_splits,
    parse_ticker_details,
)
from mag7.polygon.client import PolygonClient, next_page_path
from mag7.polygon.errors import (
    BodyInvalidError,
    CollectionStoppedError,
    KeyRejectedError,
    NotYetReleasedError,
    PlanRefusedError,
    PolygonError,
    RequestRefusedError,
    UnreachableError,
)

GROUPED_DAILY = "grouped_daily"
TICKER_DETAILS = "ticker_details"
SPLITS = "splits"
HTTP_NOT_FOUND = 404
FIGURES = ("market_cap", "weighted_shares_outstanding", "share_class_shares_outstanding")
PATIENCE = 2
"""How often an answer with malformed figures is asked for again before it is taken as it is."""
UNUSABLE_SHOWN = 3
_DETAILS_PATH = "/v3/reference/tickers/"
_STOPPING = (KeyRejectedError, PlanRefusedError, NotYetReleasedError)
_OPTIONAL_STOPPING = (KeyRejectedError,)

CALLS_KEPT = 32_768
"""Calls for details that are held on to, those of two months: they are looked up many times."""

FLUSH_SECONDS = 60.0
"""An answer waits at most this long for its object to fill: what a killed task can lose on a slow plan."""

ROOM_SECONDS = 0.2
"""How often a thread that waits for room looks whether the batch is being stopped."""

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

    ``requests`` counts what was really sent, repeated attempts included; ``answers`` are what was stored now.
    ``failure`` is why the first of the failed ones did; ``unreachable`` is set where calls were made and the provider
    answered none of them.
    """

    asked: int
    kept: int
    completed: int
    failed: int
    keys: tuple[str, ...]
    requests: int
    answers: tuple[tuple[Call, Answer], ...] = ()
    failure: PolygonError | None = None
    unreachable: PolygonError | None = None


def grouped_daily(day: date) -> Call:
    """Every ticker's unadjusted bar of a session."""
    path = f"/v2/aggs/grouped/locale/us/market/stocks/{day.isoformat()}?adjusted=false&include_otc=false"
    return Call(GROUPED_DAILY, day, path)


@lru_cache(maxsize=CALLS_KEPT)
def ticker_details(symbol: str, day: date) -> Call:
    """A ticker's details as of a date."""
    return Call(TICKER_DETAILS, day, f"{_DETAILS_PATH}{quote(symbol, safe='')}?date={day.isoformat()}")


def symbol_of(call: Call) -> str:
    """The symbol that a call for ticker details asks about."""
    return unquote(urlsplit(call.path).path.removeprefix(_DETAILS_PATH))


def list_of_stock_splits(first: date, session: date) -> Call:
    """The first page of every split executed since ``first``, announced ones included, as asked with a session."""
    query = f"execution_date.gte={first.isoformat()}&sort=execution_date.asc&limit=5000"
    return Call(SPLITS, session, f"/stocks/v1/splits?{query}")


def list_of_splits(first: date, session: date) -> Call:
    """The same list of the provider's older, deprecated endpoint."""
    query = f"execution_date.gte={first.isoformat()}&order=asc&sort=execution_date&limit=1000"
    return Call(SPLITS, session, f"/v3/reference/splits?{query}")


def collect(
    calls: Iterable[Call],
    client: PolygonClient,
    store: AnswerStore,
    *,
    threads: int,
    again: bool = False,
    optional: bool = False,
    wait_for_release: bool = False,
    tell: Callable[[int], object] | None = None,
) -> CollectReport:
    """Make the calls that are not completed yet (all of them with ``again``) and store every answer.

    Meanwhile it calls ``tell`` with the number of answers stored so far, with every object and at least once a minute.

    A call that stays without a usable answer is stored as failed, and the others go on. Raises, after storing what
    was fetched: KeyRejectedError, PlanRefusedError and NotYetReleasedError at once, and any error of grouped daily.
    Of ``optional`` calls only a rejected key is raised, with ``wait_for_release`` also NotYetReleasedError.
    """
    wanted = list(dict.fromkeys(calls))
    pending = wanted if again else list_missing(wanted, client, store)
    sent = client.requests
    keeper = _Keeper(store)
    if pending:
        stopping = (*_OPTIONAL_STOPPING, *((NotYetReleasedError,) if wait_for_release else ()))
        batch = _Batch(pending, client, keeper, stopping=stopping if optional else _STOPPING, optional=optional)
        batch.run(min(threads, len(pending)), tell)
    if keeper.raised is not None:
        raise keeper.raised
    return CollectReport(
        asked=len(pending),
        kept=len(wanted) - len(pending),
        completed=keeper.completed,
        failed=keeper.failed,
        keys=keeper.keys,
        requests=client.requests - sent,
        answers=tuple(keeper.stored),
        failure=keeper.failure,
        unreachable=None if keeper.answered else keeper.unreachable,
    )


def collect_pages(first: Call, client: PolygonClient, store: AnswerStore, *, again: bool = False) -> CollectReport:
    """Ask for every page of a listing unless all of them are kept, and store them together.

    Raises the PolygonError of a page that cannot be had: nothing is stored then.
    """
    kept = None if again else join_pages(first, store.load(first.endpoint, first.trading_date, source=client.source))
    if kept is not None:
        return CollectReport(asked=0, kept=len(kept), completed=0, failed=0, keys=(), requests=0)
    sent = client.requests
    pages = list(client.fetch_pages(first.path, _PatientCheck(first, client.tries)))
    missing = next((page for page in pages if page.status == HTTP_NOT_FOUND), None)
    if missing is not None:
        raise RequestRefusedError(missing.path, "HTTP 404 for a listing", status=404, body=missing.body)
    stored = store.save(first.endpoint, first.trading_date, pages)
    return CollectReport(
        asked=len(pages),
        kept=0,
        completed=len(pages),
        failed=0,
        keys=tuple(dict.fromkeys(page.key for page in stored if page.key)),
        requests=client.requests - sent,
        answers=tuple((Call(first.endpoint, first.trading_date, page.path), page) for page in stored),
    )


def join_pages(first: Call, kept: Mapping[str, Answer]) -> list[Answer] | None:
    """Find a listing's pages among kept answers by path, in their order; None where one is missing."""
    pages: list[Answer] = []
    path: str | None = first.path
    while path is not None:
        page = kept.get(path)
        if page is None or not page.completed or page in pages:
            return None
        pages.append(page)
        path = next_page_path(page)
    return pages


def list_missing(
    calls: list[Call], client: PolygonClient, store: AnswerStore, *, unknown_too: bool = False
) -> list[Call]:
    """List the calls that this client's source has not completed yet; ``unknown_too``: and those answered by a 404."""
    completed: set[tuple[str, str]] = set()
    for endpoint, day in dict.fromkeys((call.endpoint, call.trading_date) for call in calls):
        kept = store.load(endpoint, day, source=client.source)
        completed |= {
            (endpoint, path)
            for path, answer in kept.items()
            if answer.completed and not (unknown_too and answer.status == HTTP_NOT_FOUND)
        }
    return [call for call in calls if (call.endpoint, call.path) not in completed]


@dataclass(frozen=True)
class _Outcome:
    call: Call
    answer: Answer | None
    error: PolygonError | None
    fatal: bool = False


class _Keeper:
    """Holds outcomes until they are stored by endpoint and date, and remembers what must be raised.

    Threads add, one thread stores. An answer leaves only when its object is written: whatever interrupts the storing
    thread, the answer is still here, and writing the same answers once more makes the same object. ``room`` bounds the
    calls that are under way or not stored yet to one object's: more than that a killed process never loses.
    """

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, date], list[Answer]] = defaultdict(list)
        self._stored_at = time.monotonic()
        self.room = threading.Semaphore(ANSWERS_AN_OBJECT)
        self.stored: list[tuple[Call, Answer]] = []
        self.completed = 0
        self.failed = 0
        self.raised: PolygonError | None = None
        self.answered = False
        self.failure: PolygonError | None = None
        self.unreachable: PolygonError | None = None
        self.crowded = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the objects written."""
        return tuple(dict.fromkeys(answer.key for _, answer in self.stored if answer.key))

    def add(self, outcome: _Outcome) -> bool:
        """Take an outcome; returns whether there is no room left, so that it is time to store."""
        with self._lock:
            self.failure = self.failure or outcome.error
            if outcome.fatal:
                self.raised = self.raised or outcome.error
            if isinstance(outcome.error, UnreachableError):
                self.unreachable = self.unreachable or outcome.error
            else:
                self.answered = True
            if outcome.answer is None:
                self.room.release()
                return False
            if outcome.answer.completed:
                self.completed += 1
            else:
                self.failed += 1
            self._waiting[outcome.call.endpoint, outcome.call.trading_date].append(outcome.answer)
            return self._count_waiting() >= ANSWERS_AN_OBJECT

    def store_ripe(self) -> None:
        """Store all that waits when there is no room left, or the last storing was long ago."""
        with self._lock:
            full = self.crowded or self._count_waiting() >= ANSWERS_AN_OBJECT
        if full or time.monotonic() - self._stored_at >= FLUSH_SECONDS:
            self.store_all()

    def store_all(self) -> None:
        """Store all that waits."""
        self._stored_at = time.monotonic()
        self.crowded = False
        for (endpoint, day), answers in self._snapshot():
            stored = self._store.save(endpoint, day, answers)
            self.stored += [(Call(endpoint, day, answer.path), answer) for answer in stored]
            with self._lock:
                del self._waiting[endpoint, day][: len(answers)]
            self.room.release(len(answers))

    def _count_waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _snapshot(self) -> list[tuple[tuple[str, date], list[Answer]]]:
        with self._lock:
            return [(group, list(answers)) for group, answers in self._waiting.items() if answers]


class _Batch:
    """Worker threads that ask, and the calling thread that stores what they bring."""

    def __init__(
        self,
        calls: list[Call],
        client: PolygonClient,
        keeper: _Keeper,
        *,
        stopping: tuple[type[PolygonError], ...],
        optional: bool,
    ) -> None:
        self._todo = deque(calls)
        self._optional = optional
        self._stopping = stopping
        self._client = client
        self._keeper = keeper
        self._stop = threading.Event()
        self._wake = threading.Event()

    def run(self, threads: int, tell: Callable[[int], object] | None) -> None:
        """Make every call and store every outcome, whatever ends the batch; ``tell`` as of ``collect``."""
        executor = ThreadPoolExecutor(threads, "polygon")
        workers: list[Future[None]] = []
        try:
            for _ in range(threads):
                workers.append(executor.submit(self._work))
                workers[-1].add_done_callback(lambda _: self._wake.set())
            while not all(worker.done() for worker in workers):
                self._wake.wait(FLUSH_SECONDS)
                self._wake.clear()
                self._keeper.store_ripe()
                if tell:
                    tell(len(self._keeper.stored))
            self._keeper.store_all()
        except BaseException:
            # SIGTERM arrives here as an exception too: store what is here, then what was under way.
            self._stop.set()
            self._keeper.store_all()
            wait(workers, GRACE_SECONDS)
            self._keeper.store_all()
            raise
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.result()

    def _work(self) -> None:
        try:
            while self._take_room():
                call = self._next_call()
                if call is None:
                    # Others may still wait for room.
                    self._keeper.room.release()
                    return
                if self._keeper.add(self._ask(call)):
                    self._wake.set()
        except CollectionStoppedError:
            return
        except BaseException:
            self._stop.set()
            raise

    def _take_room(self) -> bool:
        """Wait until one more answer may be under way; returns False once the batch is being stopped."""
        while not self._stop.is_set():
            if self._keeper.room.acquire(timeout=ROOM_SECONDS):
                return True
            # One slow call must not hold up the others: what waits is stored before its object is full.
            self._keeper.crowded = True
            self._wake.set()
        return False

    def _next_call(self) -> Call | None:
        try:
            return self._todo.popleft()
        except IndexError:
            return None

    def _ask(self, call: Call) -> _Outcome:
        try:
            answer = self._client.fetch(call.path, _PatientCheck(call, self._client.tries), self._stop)
        except PolygonError as error:
            if isinstance(error, self._stopping):
                self._stop.set()
                return _Outcome(call, None, error, fatal=True)
            return self._fail(call, error)
        if answer.status == HTTP_NOT_FOUND and call.endpoint == GROUPED_DAILY:
            missing = RequestRefusedError(call.path, "HTTP 404 for a session's bars", status=404, body=answer.body)
            return self._fail(call, missing)
        return _Outcome(call, answer, None)

    def _fail(self, call: Call, error: PolygonError) -> _Outcome:
        now = self._client.limiter.clock.now()
        answer = Answer(call.path, now, error.status, self._client.source, error.body, error=error.summary)
        return _Outcome(call, answer, error, fatal=call.endpoint == GROUPED_DAILY and not self._optional)


class _PatientCheck:
    """Checks the bodies of one call, whose figures may be malformed only where they stay so when asked for again.

    A figure of a wrong type counts as missing, and an answer that is kept is not asked for again: so a provider that
    is unwell for a moment would take a line's count away for good.
    """

    def __init__(self, call: Call, tries: int) -> None:
        self._call = call
        self._patience = min(PATIENCE, tries - 1)

    def __call__(self, body: str) -> None:
        """Raise BodyInvalidError for a body that cannot be used, or might be whole the next time."""
        unusable = _list_unusable(_check(self._call, body))
        if unusable and self._patience:
            self._patience -= 1
            raise BodyInvalidError(self._call.path, "; ".join(unusable[:UNUSABLE_SHOWN]))


def _list_unusable(content: object) -> list[str]:
    """List why figures of a parsed body count as missing although they are there."""
    if isinstance(content, TickerDetails):
        return [reason for field, reason in content.unusable.items() if field in FIGURES]
    return list(content.unusable.values()) if isinstance(content, GroupedDaily | SplitPage) else []


def _check(call: Call, body: str) -> object:
    if call.endpoint == TICKER_DETAILS:
        return parse_ticker_details(body, symbol_of(call))
    if call.endpoint == GROUPED_DAILY:
        return parse_grouped_daily(body, call.trading_date)
    if call.endpoint == SPLITS:
        return parse_splits(body)
    return parse_object(body, call.path)
