from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.polygon.rate import RateLimiter, shared_limiter
from tests.unit.polygon.local_provider import FakeClock

NEVER = threading.Event()


def most_in_a_minute(times: list[float]) -> int:
    """The fullest window of 60 seconds, both its ends counted."""
    return max(sum(1 for time in times if start <= time <= start + 60) for start in times)


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
    assert clock.seconds == pytest.approx(89 * 2.02)
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
    assert limiter.acquire(stop)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(limiter.acquire, stop) for _ in range(3)]
        stop.set()
        assert [future.result(timeout=10) for future in waiting] == [False, False, False]


@pytest.mark.parametrize("wrong", [0, -5, float("nan")])
def test_a_limit_that_lets_nothing_through_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="None for no limit"):
        RateLimiter(wrong)


def test_a_process_has_one_limiter_an_address() -> None:
    assert shared_limiter("http://one", 5.0) is shared_limiter("http://one", 5.0)
    assert shared_limiter("http://one", 5.0) is not shared_limiter("http://two", 5.0)
