from __future__ import annotations

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.polygon.rate import RateLimiter, name_bucket, shared_limiter
from tests.unit.polygon.local_provider import KEY, FakeClock

NEVER = threading.Event()


def fullest(times: list[float], seconds: float) -> int:
    """The most calls in any window of ``seconds``, its two ends included."""
    return max(sum(1 for time in times if start <= time <= start + seconds) for start in times)


def most_in_a_minute(times: list[float]) -> int:
    return fullest(times, 60)


@given(
    per_minute=st.integers(1, 120) | st.floats(0.05, 120),
    steps=st.lists(st.floats(0, 90) | st.just(0.0), min_size=1, max_size=150),
    pauses=st.dictionaries(st.integers(0, 149), st.floats(0, 130), max_size=5),
)
def test_no_minute_ever_holds_more_calls_than_allowed(
    per_minute: float, steps: list[float], pauses: dict[int, float]
) -> None:
    clock = FakeClock()
    limiter = RateLimiter(per_minute, clock)
    times: list[float] = []
    paused_until = 0.0
    for number, step in enumerate(steps):
        clock.seconds += step
        if number in pauses:
            limiter.pause(pauses[number])
            paused_until = max(paused_until, clock.seconds + pauses[number])
        assert limiter.acquire(NEVER)
        assert clock.seconds >= paused_until
        times.append(clock.seconds)
    assert most_in_a_minute(times) <= math.ceil(per_minute)


def test_threads_share_the_limit() -> None:
    clock = FakeClock()
    limiter = RateLimiter(30, clock)
    times: list[float] = []

    def ask(_: int) -> None:
        assert limiter.acquire(NEVER)
        times.append(clock.seconds)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(90)))
    assert len(times) == 90
    assert clock.seconds == pytest.approx(90 * 2.02)
    assert most_in_a_minute(times) <= 30


def test_without_a_limit_nobody_waits() -> None:
    clock = FakeClock()
    limiter = RateLimiter(None, clock)
    assert all(limiter.acquire(NEVER) for _ in range(1000))
    assert clock.waits == []


def test_a_pause_holds_everyone_even_without_a_limit() -> None:
    clock = FakeClock()
    limiter = RateLimiter(None, clock)
    limiter.pause(30)
    limiter.pause(10)
    assert limiter.acquire(NEVER)
    assert clock.seconds == 30
    assert limiter.acquire(NEVER)
    assert clock.seconds == 30


def test_a_stop_ends_the_waiting() -> None:
    stop = threading.Event()
    limiter = RateLimiter(0.001)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(limiter.acquire, stop) for _ in range(3)]
        stop.set()
        assert [future.result(timeout=10) for future in waiting] == [False, False, False]


@pytest.mark.parametrize("wrong", [0, -5, float("nan")])
def test_a_limit_that_lets_nothing_through_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="None for no limit"):
        RateLimiter(wrong)


@given(
    slots=st.integers(1, 8),
    calls=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3), st.floats(0, 20)), min_size=1, max_size=60),
)
def test_tasks_that_follow_each_other_in_a_slot_keep_its_part(slots: int, calls: list[tuple[int, int, float]]) -> None:
    """No task knows when the one before it made its last call: each waits for its first call, too."""
    limit = 12.0
    times: list[list[float]] = [[] for _ in range(slots)]
    clocks = [FakeClock() for _ in range(slots)]
    for slot, number, idle in calls:
        clock, asked = clocks[slot % slots], times[slot % slots]
        clock.seconds += idle
        task = RateLimiter(limit / slots, clock)
        for _ in range(number):
            assert task.acquire(NEVER)
            asked.append(clock.seconds)
    for asked in times:
        assert all(later - earlier > 60 / (limit / slots) for earlier, later in pairwise(asked))
    together = sorted(time for asked in times for time in asked)
    assert not together or most_in_a_minute(together) <= slots * math.ceil(limit / slots)


def test_no_minute_of_a_paid_plan_holds_more_than_its_limit_and_no_second_a_hundred() -> None:
    """Each of four slots calls as fast as it may, all of them at the same moments: the worst there is."""
    clock = FakeClock()
    task = RateLimiter(5400 / 4, clock)
    times: list[float] = []
    for _ in range(1500):
        assert task.acquire(NEVER)
        times.append(clock.seconds)
    assert 5000 < 4 * fullest(times, 60) <= 5400
    assert 80 < 4 * fullest(times, 1) < 100


def test_a_bucket_is_a_keys_at_an_address() -> None:
    names = {
        name_bucket(address, key)
        for address in ("http://one", "http://two", "https://api.polygon.io")
        for key in (KEY, "another")
    }
    assert len(names) == 6
    assert name_bucket("https://api.massive.com", KEY) == name_bucket("https://api.polygon.io/", KEY)
    assert not any(KEY in name or len(name) != 16 for name in names)


def test_a_process_has_one_limiter_a_bucket_and_a_forked_one_its_own() -> None:
    first = shared_limiter("one", 5.0)
    assert shared_limiter("one", 5.0) is first
    assert shared_limiter("two", 5.0) is not first
    child = os.fork()
    if not child:
        os._exit(int(shared_limiter("one", 5.0) is first))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
