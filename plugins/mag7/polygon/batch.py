"""Make a batch of calls in threads; responses are stored as they come in, however the batch ends."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import date

from mag7.polygon.answers import ANSWERS_AN_OBJECT, Answer, AnswerStore
from mag7.polygon.calls import GROUPED_DAILY, Call
from mag7.polygon.checks import PatientCheck
from mag7.polygon.client import PolygonClient
from mag7.polygon.errors import CollectionStoppedError, PolygonError, RequestRefusedError, UnreachableError

HTTP_NOT_FOUND = 404

Parsed = Callable[[Call, Answer, object], object]
"""Called with a call, its response and the parsed content, in the thread that made the call."""

_Group = tuple[str, date]
"""An endpoint and a date, whose responses share objects."""

FLUSH_SECONDS = 60.0
"""Seconds that a response waits for its object to fill at most: what a killed task can lose on a slow plan."""

ROOM_SECONDS = 0.2
"""Seconds between two looks of a thread that waits for room at whether the batch is stopping."""

GRACE_SECONDS = 5.0
"""Seconds that a stopped batch waits for the calls in progress before it stores what it has."""


@dataclass(frozen=True)
class Outcome:
    call: Call
    answer: Answer | None
    error: PolygonError | None
    fatal: bool = False


class Keeper:
    """Holds outcomes until they are stored by endpoint and date, and remembers what must be raised.

    Threads add, one thread stores. A response is removed only when its object is written: if the storing thread is
    interrupted, the response is still here, and writing the same ones again makes the same object. ``room`` bounds the
    calls that are in progress or not stored yet to one object and one for each of ``threads``: a killed process never
    loses more, and no thread waits while an object is filled and written.
    """

    def __init__(self, store: AnswerStore, threads: int) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[_Group, list[Answer]] = defaultdict(list)
        self._flushed_at = time.monotonic()
        self.room = threading.Semaphore(ANSWERS_AN_OBJECT + threads)
        self.stored: list[tuple[Call, Answer]] = []
        self.completed = 0
        self.failed = 0
        self.raised: PolygonError | None = None
        self.answered = False
        self.failure: PolygonError | None = None
        self.unreachable: PolygonError | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the objects written."""
        return tuple(dict.fromkeys(answer.key for _, answer in self.stored if answer.key))

    def add(self, outcome: Outcome) -> bool:
        """Add an outcome; returns whether an object is full, so that it is time to store."""
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
        """Store an object whenever one is full, and everything that waits when the last time was long ago."""
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.store_all()
        while largest := self._find_largest():
            self._store_group(*largest)

    def store_all(self) -> None:
        """Store everything that waits."""
        self._flushed_at = time.monotonic()
        with self._lock:
            groups = [(group, list(answers)) for group, answers in self._waiting.items() if answers]
        for group, answers in groups:
            self._store_group(group, answers)

    def _find_largest(self) -> tuple[_Group, list[Answer]] | None:
        """Return one object's responses of the endpoint and date with the most; None while too few wait in all."""
        with self._lock:
            if self._count_waiting() < ANSWERS_AN_OBJECT:
                return None
            group, answers = max(self._waiting.items(), key=lambda item: len(item[1]))
            return group, answers[:ANSWERS_AN_OBJECT]

    def _store_group(self, group: _Group, answers: list[Answer]) -> None:
        stored = self._store.save(*group, answers)
        self.stored += [(Call(*group, answer.path), answer) for answer in stored]
        with self._lock:
            del self._waiting[group][: len(answers)]
        self.room.release(len(answers))

    def _count_waiting(self) -> int:
        return sum(map(len, self._waiting.values()))


class Batch:
    """Worker threads that make calls, and the calling thread that stores the responses."""

    def __init__(
        self,
        calls: list[Call],
        client: PolygonClient,
        keeper: Keeper,
        *,
        stopping: tuple[type[PolygonError], ...],
        optional: bool,
        parsed: Parsed | None = None,
    ) -> None:
        self._parsed = parsed
        self._todo = deque(calls)
        self._optional = optional
        self._stopping = stopping
        self._client = client
        self._keeper = keeper
        self._stop = threading.Event()
        self._wake = threading.Event()

    def run(self, threads: int, tell: Callable[[int], object] | None) -> None:
        """Make every call and store every outcome, however the batch ends; ``tell`` as for ``collect``."""
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
            # SIGTERM arrives here as an exception, too: store what is here, then what was in progress.
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
                    # Other threads may still wait for room.
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
        """Wait until one more call may be made; returns False once the batch is stopping."""
        while not self._stop.is_set():
            if self._keeper.room.acquire(timeout=ROOM_SECONDS):
                return True
        return False

    def _next_call(self) -> Call | None:
        try:
            return self._todo.popleft()
        except IndexError:
            return None

    def _ask(self, call: Call) -> Outcome:
        check = PatientCheck(call, self._client.tries)
        try:
            answer = self._client.fetch(call.path, check, self._stop)
        except PolygonError as error:
            if isinstance(error, self._stopping):
                self._stop.set()
                return Outcome(call, None, error, fatal=True)
            return self._fail(call, error)
        if answer.status == HTTP_NOT_FOUND and call.endpoint == GROUPED_DAILY:
            missing = RequestRefusedError(call.path, "HTTP 404 for a session's bars", status=404, body=answer.body)
            return self._fail(call, missing)
        if self._parsed and check.content is not None:
            self._parsed(call, answer, check.content)
        return Outcome(call, answer, None)

    def _fail(self, call: Call, error: PolygonError) -> Outcome:
        now = self._client.limiter.clock.now()
        answer = Answer(call.path, now, error.status, self._client.source, error.body, error=error.summary)
        return Outcome(call, answer, error, fatal=call.endpoint == GROUPED_DAILY and not self._optional)
