from __future__ import annotations

import gzip
import json
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.polygon import batch, checks
from mag7.polygon.answers import ANSWERS_AN_OBJECT, Answer, AnswerStore
from mag7.polygon.calls import Call, grouped_daily, list_of_splits, list_of_stock_splits, ticker_details
from mag7.polygon.collect import CollectReport, collect
from mag7.polygon.errors import (
    BodyInvalidError,
    CollectionStoppedError,
    KeyRejectedError,
    NotYetReleasedError,
    PlanRefusedError,
    PolygonError,
    RequestRefusedError,
    ServerFailedError,
    UnreachableError,
)
from mag7.polygon.pages import collect_pages, join_pages
from mag7.polygon.rate import SYSTEM_CLOCK
from tests.unit.polygon.local_provider import (
    DAY,
    KEY,
    Canned,
    FakeClock,
    LocalProvider,
    MemoryObjects,
    bar,
    details_body,
    grouped_body,
    name_of,
    open_client,
    serve,
)

SYMBOLS = ["AAPL", "BRK.B", "MSFT", "NVDA"]
BROKEN = [
    Canned(500, b"oops"),
    Canned(503),
    Canned(429, headers={"Retry-After": "1"}),
    Canned(how="reset"),
    Canned(how="truncated", body=details_body("AAPL")),
    Canned(body=b"<html>busy</html>"),
    Canned(body=b""),
    Canned(body=b"\xff\xfe"),
    Canned(body=details_body("WRONG")),
    Canned(body=b'{"status":"OK"}'),
    Canned(body=b'{"status":"OK","results":{"ticker":7}}'),
    Canned(body=details_body("AAPL"), headers={"Content-Encoding": "gzip"}),
]


class TaskStoppedError(Exception):
    """Stands for what Airflow raises in a task's main thread on SIGTERM."""


def details(symbols: list[str], day: date = DAY) -> list[Call]:
    return [ticker_details(symbol, day) for symbol in symbols]


def symbols_asked(provider: LocalProvider) -> list[str]:
    return sorted(name_of(path) for path in provider.asked)


def kept(store: AnswerStore, endpoint: str = "ticker_details", day: date = DAY) -> dict[str, Any]:
    return {name_of(path): answer for path, answer in store.load(endpoint, day).items()}


def test_the_requests_are_the_providers_own() -> None:
    assert grouped_daily(DAY).path == (
        "/v2/aggs/grouped/locale/us/market/stocks/2024-12-13?adjusted=false&include_otc=false"
    )
    assert ticker_details("BRK.B", DAY).path == "/v3/reference/tickers/BRK.B?date=2024-12-13"
    assert list_of_stock_splits(date(2023, 11, 9), DAY).path == (
        "/stocks/v1/splits?execution_date.gte=2023-11-09&sort=execution_date.asc&limit=5000"
    )
    assert list_of_splits(date(2023, 11, 9), DAY).path == (
        "/v3/reference/splits?execution_date.gte=2023-11-09&order=asc&sort=execution_date&limit=1000"
    )
    assert ticker_details("A/B?c", DAY).path == "/v3/reference/tickers/A%2FB%3Fc?date=2024-12-13"


def test_a_batch_is_asked_and_stored(provider: LocalProvider, store: AnswerStore, objects: MemoryObjects) -> None:
    provider.always["NVDA"] = Canned(404, b'{"status":"NOT_FOUND"}')
    report = collect(details(SYMBOLS), open_client(provider.address), store, threads=8)
    assert replace(report, answers=()) == CollectReport(4, 0, 4, 0, tuple(objects.bodies), 4)
    assert {call.path: answer for call, answer in report.answers} == store.load("ticker_details", DAY)
    assert {symbol: answer.status for symbol, answer in kept(store).items()} == {
        "AAPL": 200,
        "BRK.B": 200,
        "MSFT": 200,
        "NVDA": 404,
    }


def test_what_is_completed_is_not_asked_again(provider: LocalProvider, store: AnswerStore) -> None:
    client = open_client(provider.address)
    collect(details(SYMBOLS), client, store, threads=2)
    report = collect(details(SYMBOLS), client, store, threads=2)
    assert (report.asked, report.kept, report.requests, report.keys) == (0, 4, 0, ())
    report = collect(details([*SYMBOLS, "TSLA"]), client, store, threads=2)
    assert (report.asked, report.kept) == (1, 4)
    assert symbols_asked(provider) == sorted([*SYMBOLS, "TSLA"])


def test_asked_again_everything_is_asked(provider: LocalProvider, store: AnswerStore, clock: FakeClock) -> None:
    client = open_client(provider.address, clock)
    collect(details(SYMBOLS), client, store, threads=2)
    provider.always["AAPL"] = Canned(body=details_body("AAPL", name="Apple Inc."))
    clock.seconds += 1
    report = collect(details(SYMBOLS), client, store, threads=2, again=True)
    assert (report.asked, report.kept) == (4, 0)
    assert "Apple Inc." in kept(store)["AAPL"].body


def test_a_call_named_twice_is_made_once(provider: LocalProvider, store: AnswerStore) -> None:
    report = collect(details(["AAPL", "AAPL"]), open_client(provider.address), store, threads=2)
    assert (report.asked, report.completed) == (1, 1)
    assert symbols_asked(provider) == ["AAPL"]


def test_no_call_no_work(store: AnswerStore) -> None:
    report = collect([], open_client("http://127.0.0.1:1"), store, threads=4)
    assert report == CollectReport(0, 0, 0, 0, (), 0)


def test_another_sources_responses_do_not_count(provider: LocalProvider, store: AnswerStore, clock: FakeClock) -> None:
    collect(details(["AAPL"]), open_client(provider.address, clock, source="simulated"), store, threads=1)
    clock.seconds += 1
    report = collect(details(["AAPL"]), open_client(provider.address, clock, source="replay"), store, threads=1)
    assert (report.asked, report.kept) == (1, 0)
    assert kept(store)["AAPL"].source == "replay"


def test_sessions_are_stored_apart(provider: LocalProvider, store: AnswerStore) -> None:
    other = date(2024, 12, 12)
    calls = [*details(["AAPL"]), *details(["AAPL", "MSFT"], other)]
    report = collect(calls, open_client(provider.address), store, threads=4)
    assert sorted(key.split("/")[3] for key in report.keys) == ["trading_date=2024-12-12", "trading_date=2024-12-13"]
    assert (len(kept(store)), len(kept(store, day=other))) == (1, 2)


def test_objects_hold_at_most_fifty_responses_and_lose_none(
    provider: LocalProvider, store: AnswerStore, objects: MemoryObjects
) -> None:
    symbols = [f"T{number}" for number in range(230)]
    report = collect(details(symbols), open_client(provider.address, threads=16), store, threads=16)
    assert (report.completed, len(report.keys)) == (230, 5)
    assert sorted(gzip.decompress(body).count(b"\n") for body in objects.bodies.values()) == [30, 50, 50, 50, 50]
    assert set(kept(store)) == set(symbols)


def test_who_asks_hears_on_the_way_how_much_is_stored(provider: LocalProvider, store: AnswerStore) -> None:
    heard: list[int] = []
    symbols = [f"T{number}" for number in range(230)]
    client = open_client(provider.address, threads=16)
    collect(details(symbols), client, store, threads=16, tell=heard.append)

    assert len({stored for stored in heard if 0 < stored < 230}) > 2
    assert heard == sorted(heard)


@pytest.mark.parametrize("canned", BROKEN)
def test_a_passing_failure_leaves_no_trace(provider: LocalProvider, store: AnswerStore, canned: Canned) -> None:
    provider.scripts["AAPL"].extend([canned, canned])
    report = collect(details(SYMBOLS), open_client(provider.address), store, threads=2)
    assert (report.completed, report.failed, report.requests) == (4, 0, 6)


@pytest.mark.parametrize("canned", [*BROKEN, Canned(400, b"bad")])
def test_a_lasting_failure_fails_its_line_and_no_other(
    provider: LocalProvider, store: AnswerStore, canned: Canned
) -> None:
    provider.always["AAPL"] = canned
    client = open_client(provider.address)
    report = collect(details(SYMBOLS), client, store, threads=2)
    assert (report.asked, report.completed, report.failed) == (4, 3, 1)
    answer = kept(store)["AAPL"]
    assert not answer.completed
    assert answer.error
    assert "\n" not in answer.error
    assert answer.error.endswith("after 3 tries") or canned.status == 400

    del provider.always["AAPL"]
    provider.asked.clear()
    report = collect(details(SYMBOLS), client, store, threads=2)
    assert (report.asked, report.kept, report.completed) == (1, 3, 1)
    assert symbols_asked(provider) == ["AAPL"]
    assert kept(store)["AAPL"].completed


def test_the_reason_of_a_failure_is_given(provider: LocalProvider, store: AnswerStore) -> None:
    provider.always["AAPL"] = Canned(500, b'{"error":"database is down"}')
    provider.always["MSFT"] = Canned(body=details_body("AAPL"))
    collect(details(["AAPL", "MSFT"]), open_client(provider.address), store, threads=2)
    assert kept(store)["AAPL"].error == 'HTTP 500 "database is down" after 3 tries'
    assert kept(store)["AAPL"].body == '{"error":"database is down"}'
    assert kept(store)["MSFT"].error.startswith("results.ticker is AAPL, not MSFT: a response for another ticker")


@pytest.mark.parametrize(
    ("canned", "kind"),
    [
        (Canned(401, b'{"error":"Unknown API Key"}'), KeyRejectedError),
        (Canned(403, b'{"message":"plan"}'), PlanRefusedError),
        (Canned(403, b'{"message":"today\'s data before end of day"}'), NotYetReleasedError),
    ],
)
def test_a_permanent_error_stops_the_batch_after_storing(
    provider: LocalProvider, store: AnswerStore, canned: Canned, kind: type[PolygonError]
) -> None:
    provider.always["T20"] = canned
    calls = details([f"T{number}" for number in range(400)])
    with pytest.raises(kind) as caught:
        collect(calls, open_client(provider.address), store, threads=4)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own bytes
    assert len(provider.asked) < 100
    assert sorted(kept(store)) == sorted(set(symbols_asked(provider)) - {"T20"})

    del provider.always["T20"]
    asked = len(provider.asked)
    report = collect(calls, open_client(provider.address), store, threads=4)
    assert report.asked == 400 - (asked - 1)


def test_a_stop_cuts_the_others_waiting_short(provider: LocalProvider, store: AnswerStore) -> None:
    """Without the stop, AAPL would be requested again after a hundred seconds of real waiting."""
    provider.always["AAPL"] = Canned(503, headers={"Retry-After": "100"})
    provider.always["MSFT"] = Canned(401)
    waiting = threading.Event()

    def on_request(name: str) -> None:
        if name == "MSFT":
            waiting.wait(5)
        else:
            waiting.set()

    provider.on_request = on_request
    client = open_client(provider.address, clock=SYSTEM_CLOCK)
    with pytest.raises(KeyRejectedError):
        collect(details(["AAPL", "MSFT"]), client, store, threads=2)
    assert symbols_asked(provider) == ["AAPL", "MSFT"]
    assert kept(store) == {}


def test_grouped_closes_are_stored(provider: LocalProvider, store: AnswerStore) -> None:
    provider.always["2024-12-13"] = Canned(body=grouped_body(bar("AAPL")).encode())
    report = collect([grouped_daily(DAY)], open_client(provider.address), store, threads=4)
    assert (report.completed, report.failed) == (1, 0)
    assert collect([grouped_daily(DAY)], open_client(provider.address), store, threads=4).kept == 1


@pytest.mark.parametrize(
    ("canned", "kind"),
    [
        (Canned(500), ServerFailedError),
        (Canned(how="reset"), UnreachableError),
        (Canned(404, b"{}"), RequestRefusedError),
        (Canned(body=grouped_body(results=None).encode()), BodyInvalidError),
        (Canned(body=grouped_body(bar("AAPL"), adjusted=True).encode()), BodyInvalidError),
        (Canned(body=grouped_body(bar("AAPL", t=1734037200000)).encode()), BodyInvalidError),
    ],
)
def test_closes_that_fail_raise_and_are_asked_for_again(
    provider: LocalProvider, store: AnswerStore, canned: Canned, kind: type[PolygonError]
) -> None:
    provider.always["2024-12-13"] = canned
    with pytest.raises(kind):
        collect([grouped_daily(DAY), *details(["AAPL"])], open_client(provider.address), store, threads=2)
    assert not kept(store, "grouped_daily")["2024-12-13"].completed
    assert kept(store)["AAPL"].completed

    provider.always["2024-12-13"] = Canned(body=grouped_body(bar("AAPL")).encode())
    assert collect([grouped_daily(DAY)], open_client(provider.address), store, threads=2).completed == 1


@pytest.fixture
def stop_by_signal() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TaskStoppedError

    before = signal.signal(signal.SIGUSR1, stop)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("stop_by_signal")
def test_a_task_that_is_stopped_keeps_what_it_fetched(provider: LocalProvider, store: AnswerStore) -> None:
    def on_request(name: str) -> None:
        if name == "T70":
            os.kill(os.getpid(), signal.SIGUSR1)

    provider.on_request = on_request
    calls = details([f"T{number}" for number in range(2000)])
    with pytest.raises(TaskStoppedError):
        collect(calls, open_client(provider.address, tries=1), store, threads=4)
    answered = set(symbols_asked(provider))
    assert 70 <= len(answered) < 2000
    assert set(kept(store)) == answered

    provider.on_request = lambda name: None
    report = collect(calls, open_client(provider.address), store, threads=4)
    assert (report.asked, report.kept) == (2000 - len(answered), len(answered))
    assert len(provider.asked) == 2000


@pytest.mark.usefixtures("stop_by_signal")
def test_a_stopped_task_stores_before_it_waits_for_calls_under_way(
    provider: LocalProvider, store: AnswerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grace before SIGKILL may be short."""
    kept_before_waiting: list[set[str]] = []
    monkeypatch.setattr(batch, "wait", lambda workers, seconds: kept_before_waiting.append(set(kept(store))))
    provider.always["T9"] = Canned(how="stalled")
    provider.on_request = lambda name: os.kill(os.getpid(), signal.SIGUSR1) if name == "T9" else None
    with pytest.raises(TaskStoppedError):
        collect(details([f"T{number}" for number in range(10)]), open_client(provider.address), store, threads=1)
    assert kept_before_waiting == [{f"T{number}" for number in range(9)}]


def test_an_object_that_could_not_be_stored_is_stored_at_the_end(
    provider: LocalProvider, store: AnswerStore, objects: MemoryObjects
) -> None:
    failures = iter([OSError("the lake is away")])

    def on_put(key: str) -> None:
        for failure in failures:
            raise failure

    objects.on_put = on_put
    with pytest.raises(OSError, match="the lake is away"):
        collect(details([f"T{number}" for number in range(60)]), open_client(provider.address), store, threads=4)
    assert set(kept(store)) == set(symbols_asked(provider))


def test_an_error_of_ours_in_a_thread_is_not_swallowed(
    provider: LocalProvider, store: AnswerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(call: Call, body: str) -> None:
        if name_of(call.path) == "T5":
            raise ZeroDivisionError(call.path)

    monkeypatch.setattr(checks, "parse_body", check)
    with pytest.raises(ZeroDivisionError):
        collect(details([f"T{number}" for number in range(400)]), open_client(provider.address), store, threads=2)
    assert len(provider.asked) < 100
    assert set(kept(store)) == set(symbols_asked(provider)) - {"T5"}


@pytest.mark.parametrize("status", [403, 404, 500])
def test_optional_calls_that_fail_are_stored_with_their_reason(
    provider: LocalProvider, store: AnswerStore, status: int
) -> None:
    provider.always[DAY.isoformat()] = Canned(status, b'{"message":"not in your plan"}')
    provider.always["AAPL"] = Canned(403, b'{"message":"not in your plan"}')
    calls = [grouped_daily(DAY), *details(["AAPL", "MSFT"])]
    report = collect(calls, open_client(provider.address), store, threads=1, optional=True)
    assert (report.completed, report.failed, report.unreachable) == (1, 2, None)
    (closes,) = kept(store, "grouped_daily").values()
    assert closes.error.startswith(f"HTTP {status}")
    assert kept(store)["AAPL"].error == 'HTTP 403 "not in your plan"'
    assert kept(store)["MSFT"].completed


def test_of_optional_calls_a_rejected_key_is_raised(provider: LocalProvider, store: AnswerStore) -> None:
    provider.always["*"] = Canned(401)
    with pytest.raises(KeyRejectedError):
        collect(details(SYMBOLS), open_client(provider.address), store, threads=1, optional=True)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(("silent", "unreachable"), [(["AAPL"], False), (["AAPL", "MSFT"], True)])
def test_a_provider_is_unreachable_where_it_responds_to_no_call(
    provider: LocalProvider, store: AnswerStore, silent: list[str], unreachable: bool
) -> None:
    for symbol in silent:
        provider.always[symbol] = Canned(how="reset")
    report = collect(details(["AAPL", "MSFT"]), open_client(provider.address), store, threads=2)
    assert report.failed == len(silent)
    assert isinstance(report.unreachable, UnreachableError) is unreachable


def test_a_slow_batch_is_stored_as_it_goes(
    provider: LocalProvider, store: AnswerStore, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = threading.Event()
    objects.on_put = lambda key: stored.set()
    # The provider holds its last response back until the ones before are stored.
    provider.on_request = lambda name: stored.wait(30) if name == "T44" else None
    monkeypatch.setattr(batch, "FLUSH_SECONDS", 0.001)
    symbols = [f"T{number}" for number in range(45)]
    report = collect(details(symbols), open_client(provider.address), store, threads=1)
    assert len(report.keys) > 1
    assert set(kept(store)) == set(symbols)


def test_the_key_is_in_no_stored_object(provider: LocalProvider, store: AnswerStore, objects: MemoryObjects) -> None:
    echo = json.dumps({"error": f"bad key {KEY}"}).encode()
    provider.always["AAPL"] = Canned(500, echo)
    provider.always["MSFT"] = Canned(404, echo)
    provider.always["NVDA"] = Canned(body=echo)
    provider.always["BRK.B"] = Canned(body=details_body("BRK.B", description=f"key {KEY}"))
    collect(details(SYMBOLS), open_client(provider.address), store, threads=4)
    stored = "".join(gzip.decompress(body).decode() for body in objects.bodies.values())
    assert stored.count("[API key]") >= 4
    assert KEY not in stored
    assert json.dumps(KEY)[1:-1] not in stored


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.sampled_from(BROKEN), max_size=4), min_size=1, max_size=8))
def test_whatever_happens_each_call_ends_once(faults: list[list[Canned]]) -> None:
    """Completed when one of three attempts succeeds, else failed; a second run makes the failed calls only."""
    with serve() as provider:
        store = AnswerStore(MemoryObjects())  # type: ignore[arg-type]
        symbols = [f"T{number}" for number in range(len(faults))]
        for symbol, script in zip(symbols, faults, strict=True):
            provider.scripts[symbol].extend(script)
        report = collect(details(symbols), open_client(provider.address), store, threads=4)
        failing = {symbol for symbol, script in zip(symbols, faults, strict=True) if len(script) >= 3}
        assert {symbol for symbol, answer in kept(store).items() if not answer.completed} == failing
        assert (report.completed, report.failed) == (len(symbols) - len(failing), len(failing))
        assert report.requests == len(provider.asked) == sum(min(len(script) + 1, 3) for script in faults)
        report = collect(details(symbols), open_client(provider.address), store, threads=4)
        assert (report.asked, report.failed) == (len(failing), 0)


class Counting:
    """A client and a store that count the calls whose response is not stored yet.

    Storing waits until no further call is made: until every thread waits for room, or has nothing to do.
    """

    source = "polygon"
    requests = 0

    tries = 1

    def __init__(self, calls: list[Call], threads: int = 16) -> None:
        self.objects = MemoryObjects()
        self.objects.on_put = self._store
        self.store = AnswerStore(self.objects)  # type: ignore[arg-type]
        self.limiter = SimpleNamespace(clock=FakeClock())
        self.errors: dict[str, PolygonError] = {}
        self.asked: list[str] = []
        self.highest = 0
        self._calls, self._threads, self._most = calls, threads, ANSWERS_AN_OBJECT + threads
        self._stored = 0
        self._changed = threading.Condition()

    def fetch(self, path: str, check: Any, stop: threading.Event) -> Answer:
        if stop.is_set():
            raise CollectionStoppedError(path)
        with self._changed:
            self.asked.append(path)
            self.highest = max(self.highest, len(self.asked) - self._stored)
            self._changed.notify_all()
        if path in self.errors:
            raise self.errors[path]
        return Answer(path, self.limiter.clock.now(), 200, self.source, "{}")

    def _store(self, key: str) -> None:
        with self._changed:
            assert self._changed.wait_for(self._is_still, 30)

    def _is_still(self) -> bool:
        return len(self.asked) - self._stored >= self._most or len(self.asked) == len(self._calls)

    def save(self, endpoint: str, day: date, answers: list[Answer]) -> list[Answer]:
        stored = AnswerStore.save(self.store, endpoint, day, answers)
        with self._changed:
            self._stored += len(answers)
        return stored

    def run(self) -> CollectReport:
        """Collect in a thread of its own, which must come to its end."""
        done: list[CollectReport | BaseException] = []

        def work() -> None:
            try:
                done.append(collect(self._calls, self, self.store, threads=self._threads))  # type: ignore[arg-type]
            except BaseException as error:
                done.append(error)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.store, "save", self.save)
            patch.setattr(checks, "parse_body", lambda call, body: None)
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            thread.join(60)
        assert done, "the batch does not end"
        if isinstance(done[0], BaseException):
            raise done[0]
        return done[0]


def many_calls(number: int) -> list[Call]:
    """Calls of two endpoints and three dates in turn."""
    days = [date(2024, 12, 11), date(2024, 12, 12), DAY]
    calls = [ticker_details(f"T{place}", days[place % 3]) for place in range(number - 3)]
    return [*calls[:20], *map(grouped_daily, days), *calls[20:]] if number > 3 else calls


def workers_end() -> bool:
    """Whether no thread of a batch waits for ever."""
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("polygon")]
    for worker in workers:
        worker.join(30)
    return not any(worker.is_alive() for worker in workers)


class TestRoom:
    """A killed process loses what is in progress or not stored: one object's responses, and a call for each thread."""

    @pytest.mark.parametrize("threads", [16, 64])
    def test_never_more_than_one_object_and_the_calls_in_flight_are_not_stored(self, threads: int) -> None:
        counting = Counting(many_calls(320), threads)
        report = counting.run()

        assert (report.completed, report.failed) == (320, 0)
        assert counting.highest == ANSWERS_AN_OBJECT + threads == 50 + threads
        assert len(counting.asked) == len(set(counting.asked)) == 320

    @pytest.mark.parametrize("number", [1, 2, 49, 50, 51, 65, 66, 99, 100, 101, 116])
    def test_a_batch_comes_to_its_end_whatever_is_left_over(self, number: int) -> None:
        """Threads that wait for room when the last call is taken must not wait for ever."""
        calls = details([f"T{place}" for place in range(number)])
        report = Counting(calls).run()

        assert report.completed == number
        assert workers_end()

    def test_calls_that_fail_give_their_room_back(self) -> None:
        counting = Counting(many_calls(200))
        for place, call in enumerate(many_calls(200)):
            if place % 3 == 0 and call.endpoint == "ticker_details":
                counting.errors[call.path] = ServerFailedError(call.path, "HTTP 500", status=500)
        report = counting.run()

        assert report.failed == len(counting.errors) > 50
        assert report.completed + report.failed == 200

    def test_a_batch_that_is_refused_while_threads_wait_for_room_ends(self) -> None:
        calls = many_calls(320)
        counting = Counting(calls)
        refused = calls[66]
        counting.errors[refused.path] = PlanRefusedError(refused.path, "HTTP 403", status=403)
        # The refused one is called when the first ones are stored; the rest are never called.
        counting._calls = [*calls[:66], refused]
        with pytest.raises(PlanRefusedError):
            counting.run()
        assert workers_end()

    @pytest.mark.usefixtures("stop_by_signal")
    def test_a_task_that_is_stopped_while_threads_wait_for_room_keeps_what_it_fetched(self) -> None:
        calls = many_calls(320)
        counting = Counting(calls)
        stopped: list[str] = []

        def stop_once(key: str) -> None:
            if not stopped:
                counting._store(key)
                stopped.append(key)
                os.kill(os.getpid(), signal.SIGUSR1)

        counting.objects.on_put = stop_once
        with pytest.MonkeyPatch.context() as patch, pytest.raises(TaskStoppedError):
            patch.setattr(counting.store, "save", counting.save)
            patch.setattr(checks, "parse_body", lambda call, body: None)
            # Signals come to the main thread, so here it is the one that stores.
            collect(calls, counting, counting.store, threads=16)  # type: ignore[arg-type]
        stored = {
            path
            for endpoint in ("ticker_details", "grouped_daily")
            for day in (date(2024, 12, 11), date(2024, 12, 12), DAY)
            for path in counting.store.load(endpoint, day)
        }

        assert len(counting.asked) == 66
        assert stored == set(counting.asked)
        assert workers_end()


SPLITS = list_of_splits(date(2023, 11, 9), DAY)
SECOND, THIRD = "/v3/reference/splits?cursor=2", "/v3/reference/splits?cursor=3"


def page(following: str | None = None, *tickers: str) -> Canned:
    """A page of the list of splits; its next address is another host's, as behind a proxy, with a key in it."""
    rows = [{"ticker": name, "execution_date": "2024-06-10", "split_from": 1, "split_to": 10} for name in tickers]
    address = {"next_url": f"https://api.polygon.io{following}&apiKey=x"} if following else {}
    return Canned(body=json.dumps({"status": "OK", "results": rows, **address}).encode())


class TestPages:
    @pytest.fixture
    def pages(self, provider: LocalProvider) -> LocalProvider:
        provider.scripts["splits"].extend([page(SECOND, "CTAS"), page(THIRD, "NVDA"), page()])
        return provider

    def test_every_page_is_fetched_and_stored_in_one_object(
        self, pages: LocalProvider, store: AnswerStore, objects: MemoryObjects
    ) -> None:
        report = collect_pages(SPLITS, open_client(pages.address), store)

        assert pages.asked == [SPLITS.path, SECOND, THIRD]
        assert replace(report, answers=()) == CollectReport(3, 0, 3, 0, tuple(objects.bodies), 3)
        assert {call.path: answer for call, answer in report.answers} == store.load("splits", DAY)
        assert len(objects.bodies) == 1
        joined = join_pages(SPLITS, store.load("splits", DAY))
        assert joined is not None
        assert [answer.path for answer in joined] == [SPLITS.path, SECOND, THIRD]

    def test_pages_that_are_stored_are_not_asked_for_again_unless_requested(
        self, pages: LocalProvider, store: AnswerStore, objects: MemoryObjects
    ) -> None:
        clock = FakeClock()
        client = open_client(pages.address, clock)
        collect_pages(SPLITS, client, store)

        assert collect_pages(SPLITS, client, store) == CollectReport(0, 3, 0, 0, (), 0)
        assert len(pages.asked) == 3

        clock.wait(1.0, threading.Event())
        pages.always["splits"] = page(None, "CTAS", "DECK")
        again = collect_pages(SPLITS, client, store, again=True)
        assert (again.asked, again.kept, again.requests) == (1, 0, 1)
        joined = join_pages(SPLITS, store.load("splits", DAY))
        assert joined is not None
        assert [answer.path for answer in joined] == [SPLITS.path]
        assert '"DECK"' in joined[0].body

    def test_a_first_page_alone_is_asked_for_again(self, pages: LocalProvider, store: AnswerStore) -> None:
        client = open_client(pages.address)
        store.save("splits", DAY, [client.fetch(SPLITS.path)])
        pages.scripts["splits"].appendleft(page(SECOND, "CTAS"))

        assert collect_pages(SPLITS, client, store).asked == 3

    @pytest.mark.parametrize("broken", [Canned(500), Canned(body=b'{"status":"OK"}'), Canned(404), Canned(403)])
    def test_a_page_that_cannot_be_had_leaves_nothing_behind(
        self, provider: LocalProvider, store: AnswerStore, objects: MemoryObjects, broken: Canned
    ) -> None:
        """Half a list would be taken for the whole: a ticker that split after its last page would count as unsplit."""
        provider.scripts["splits"].append(page(SECOND, "CTAS"))
        provider.always["splits"] = broken

        with pytest.raises(PolygonError):
            collect_pages(SPLITS, open_client(provider.address), store)
        assert objects.bodies == {}

    def test_a_listing_that_is_not_found_says_so(self, provider: LocalProvider, store: AnswerStore) -> None:
        provider.always["splits"] = Canned(404, b'{"status":"NOT_FOUND"}')

        with pytest.raises(RequestRefusedError, match="HTTP 404 for a listing") as refused:
            collect_pages(SPLITS, open_client(provider.address), store)
        assert refused.value.status == 404

    @pytest.mark.parametrize("spoil", ["missing", "failed", "not found", "circle"])
    def test_pages_are_joined_only_when_all_are_there(
        self, pages: LocalProvider, store: AnswerStore, spoil: str
    ) -> None:
        collect_pages(SPLITS, open_client(pages.address), store)
        kept = store.load("splits", DAY)
        if spoil == "missing":
            del kept[SECOND]
        elif spoil == "failed":
            kept[SECOND] = replace(kept[SECOND], status=500, error="HTTP 500")
        elif spoil == "none at all":
            del kept[SPLITS.path]
        else:
            kept[THIRD] = replace(kept[THIRD], body=kept[SPLITS.path].body)

        assert join_pages(SPLITS, kept) is None


class TestMalformedFigures:
    """A count in words is as good as none, but only where the provider repeats it."""

    WORDS = json.dumps({"status": "OK", "results": {"ticker": "AAPL", "market_cap": "n/a", "name": 7}}).encode()

    def test_are_asked_for_again_before_the_response_is_stored(
        self, provider: LocalProvider, store: AnswerStore
    ) -> None:
        provider.scripts["AAPL"].extend([Canned(body=self.WORDS), Canned(body=self.WORDS)])

        report = collect(details(["AAPL"]), open_client(provider.address), store, threads=1)

        assert (report.completed, report.failed, report.requests) == (1, 0, 3)
        assert kept(store)["AAPL"].body == details_body("AAPL", name="Some Company").decode()

    def test_are_taken_as_missing_where_they_stay(self, provider: LocalProvider, store: AnswerStore) -> None:
        provider.always["AAPL"] = Canned(body=self.WORDS)

        report = collect(details(["AAPL"]), open_client(provider.address), store, threads=1)

        assert (report.completed, report.failed, report.requests) == (1, 0, 1 + checks.PATIENCE)
        assert kept(store)["AAPL"].body == self.WORDS.decode()

    def test_do_not_fail_a_call_that_is_tried_once(self, provider: LocalProvider, store: AnswerStore) -> None:
        provider.always["AAPL"] = Canned(body=self.WORDS)

        report = collect(details(["AAPL"]), open_client(provider.address, tries=1), store, threads=1)

        assert (report.completed, report.requests) == (1, 1)

    def test_of_a_list_of_splits_are_asked_for_again(self, provider: LocalProvider, store: AnswerStore) -> None:
        good = {"ticker": "AAPL", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4}
        first = list_of_splits(date(2020, 1, 1), DAY)
        provider.always["splits"] = Canned(body=json.dumps({"status": "OK", "results": [good]}).encode())
        spoilt = {"status": "OK", "results": [good | {"split_to": "n/a"}]}
        provider.scripts["splits"].append(Canned(body=json.dumps(spoilt).encode()))

        report = collect_pages(first, open_client(provider.address), store)

        assert report.requests == 2
        assert '"n/a"' not in store.load("splits", DAY)[first.path].body
