"""A rate limit that holds across the threads of a process: calls evenly spaced, and one pause for all after a 429."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from functools import cache
from typing import Protocol

WINDOW_SECONDS = 60.0
MARGIN = 1.01
"""Spacing is a hundredth wider than needed: the provider's clock is not ours."""


class Clock:
    """Time as this room sees it; tests give their own."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.now(UTC)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait that many seconds, or until ``stop`` is set."""
        stop.wait(seconds)


SYSTEM_CLOCK = Clock()


class Limiter(Protocol):
    """What lets a client's calls through; ``interval`` is the seconds that one call is worth, 0 without a limit."""

    clock: Clock
    interval: float

    def acquire(self, stop: threading.Event) -> bool:
        """Wait until a call may be made; returns False, without leave to call, once ``stop`` is set."""

    def pause(self, seconds: float) -> None:
        """Let nobody who shares the limiter make a call for that many seconds."""


def space_calls(calls_per_minute: float | None) -> float:
    """Give the seconds from one call to the next, 0 without a limit; raises ValueError for a limit of nothing."""
    if calls_per_minute is None:
        return 0.0
    if not calls_per_minute > 0:
        raise ValueError(f"calls_per_minute is {calls_per_minute}: give a number above zero, or None for no limit")
    return WINDOW_SECONDS * MARGIN / calls_per_minute


class RateLimiter:
    """Lets ``calls_per_minute`` calls through, evenly spaced and never more in any minute; None: no limit.

    Every thread that shares the limiter also shares its pauses. Other processes are not seen: each gets its part.
    """

    def __init__(self, calls_per_minute: float | None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.clock = clock
        self.interval = space_calls(calls_per_minute)
        self._turn = threading.Lock()
        self._pausing = threading.Lock()
        self._earliest = 0.0 if self.interval == 0.0 else clock.monotonic()
        self._resume = 0.0

    def acquire(self, stop: threading.Event) -> bool:
        """Wait until a call may be made; returns False, without leave to call, once ``stop`` is set."""
        if self.interval == 0.0 and (self._resume == 0.0 or self.clock.monotonic() >= self._resume):
            return not stop.is_set()
        # Waiting inside the lock is what keeps the spacing: the others queue behind it, and a stop ends each in turn.
        with self._turn:
            while not stop.is_set():
                now = self.clock.monotonic()
                ready = max(self._earliest, self._resume)
                if now >= ready:
                    self._earliest = now + self.interval
                    return True
                self.clock.wait(ready - now, stop)
        return False

    def pause(self, seconds: float) -> None:
        """Let no thread make a call for that many seconds: the provider asked one of them to wait."""
        resume = self.clock.monotonic() + seconds
        with self._pausing:
            self._resume = max(self._resume, resume)


@cache
def shared_limiter(bucket: str, calls_per_minute: float | None) -> RateLimiter:
    """Return this process's one limiter for a bucket (a key at an address), so that tasks run in one share it."""
    return RateLimiter(calls_per_minute)


# A lock that some thread holds while the process is forked would never be let go of in the child.
os.register_at_fork(after_in_child=shared_limiter.cache_clear)
