"""One task's part of a key's rate limit: its threads' calls evenly spaced, and one pause for all after a 429.

A task may use the limit divided by the slots of the pool ``polygon``. No task knows of another, so this holds on any
executor and any number of hosts, as long as no more tasks make calls than the pool has slots.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from urllib.parse import urlsplit

from mag7.polygon.source import OFFICIAL_HOSTS, POLYGON

WINDOW_SECONDS = 60.0
MARGIN = 1.01
"""Spacing is a hundredth wider than needed: the provider's clock is not ours."""


class Clock:
    """The time; tests give their own."""

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


class RateLimiter:
    """Lets ``calls_per_minute`` calls through, evenly spaced and never more in any minute; None: no limit.

    Every thread that shares the limiter also shares its pauses. The first call waits its turn, too: the task that had
    the slot before may have made a call a moment ago. ``interval`` is the seconds from one call to the next, 0 without
    a limit. Raises ValueError for a limit of zero or less.
    """

    def __init__(self, calls_per_minute: float | None, clock: Clock = SYSTEM_CLOCK) -> None:
        if calls_per_minute is not None and not calls_per_minute > 0:
            raise ValueError(f"calls_per_minute is {calls_per_minute}: give a number above zero, or None for no limit")
        self.clock = clock
        self.interval = 0.0 if calls_per_minute is None else WINDOW_SECONDS * MARGIN / calls_per_minute
        self._turn = threading.Lock()
        self._pausing = threading.Lock()
        self._earliest = clock.monotonic() + self.interval
        self._resume = 0.0

    def acquire(self, stop: threading.Event) -> bool:
        """Wait until a call may be made; returns False, without permission to make one, once ``stop`` is set."""
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


def name_bucket(base_url: str, api_key: str) -> str:
    """Name the bucket in which a key's calls to an address are counted; the key cannot be derived from it.

    The provider's official hosts are one address: it counts a key's calls to both together.
    """
    host = urlsplit(base_url).hostname
    address = POLYGON if host in OFFICIAL_HOSTS else base_url.strip().rstrip("/")
    text = f"{address}\n{api_key.strip()}".encode()
    return blake2b(text, digest_size=8, salt=b"rate", person=b"mag7-polygon").hexdigest()


@cache
def shared_limiter(bucket: str, calls_per_minute: float | None) -> RateLimiter:
    """Return this process's one limiter for a bucket of ``name_bucket``, which all tasks of the process share."""
    return RateLimiter(calls_per_minute)


# A lock that another thread holds while the process is forked would never be released in the child.
os.register_at_fork(after_in_child=shared_limiter.cache_clear)
