"""A rate limit that holds across the processes of a host: they share turns, and pauses, through one locked file.

What is bounded: any window of W seconds holds at most (W + latest) / interval + 1 calls of all the processes together,
``latest`` being the seconds by which a turn may be used late, and the interval a hundredth wider than the limit asks
for. So no minute holds more calls than the limit, and at 5,400 a minute no second holds 100.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from functools import cache
from pathlib import Path

from mag7.polygon.rate import SYSTEM_CLOCK, Clock, RateLimiter, space_calls
from mag7.polygon.rate_file import LOCK_TRIES, LockBusyError, RateFile, default_folder, look_ahead

LATEST_SECONDS = (0.1, 0.5)
"""A turn that is not used in time is lost: calls that were held up must not come all at once. In time means within a
twentieth of an interval, in these bounds: the least keeps a paid plan's second below 100 calls, the most keeps any
minute to its limit.
"""

log = logging.getLogger(__name__)


class HostLimiter:
    """Lets ``calls_per_minute`` calls of all processes of this host that share ``file`` through; None: no limit.

    Turns are taken for as many threads as wait, a short stretch at a time, so that the file costs little; a pause is
    seen by every process at its next call. While a stopped process holds the file's lock, each of the others keeps to
    ``share`` calls a minute, what is safe without the file.
    """

    def __init__(
        self, calls_per_minute: float | None, file: RateFile, *, share: float | None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.clock = clock
        self.interval = space_calls(calls_per_minute)
        self.latest = min(max(self.interval / 20, LATEST_SECONDS[0]), LATEST_SECONDS[1])
        self._file = file
        self._share = RateLimiter(share, clock)
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._turns: deque[float] = deque()
        self._resume = 0.0
        self._tries = LOCK_TRIES
        self._served = clock.monotonic()

    def acquire(self, stop: threading.Event) -> bool:
        """Wait until a call may be made; returns False, without leave to call, once ``stop`` is set.

        Raises RateFileError where the file can no longer be used.
        """
        while not stop.is_set():
            turn = self._take_turn(stop) if self.interval else self.clock.monotonic()
            if turn is not None and self._reach(turn, stop):
                return True
        return False

    def pause(self, seconds: float) -> None:
        """Let no process of this host make a call for that many seconds: the provider asked one of them to wait."""
        try:
            self._file.pause(seconds, self.interval)
        except LockBusyError:
            # The others cannot be told; they are down to their shares anyway.
            with self._counting:
                self._resume = max(self._resume, self.clock.monotonic() + seconds)

    def _take_turn(self, stop: threading.Event) -> float | None:
        """Give the time of this thread's turn, taking turns for all threads that wait when none is left."""
        self._count(1)
        try:
            # Waiting inside the lock: one thread asks the file for all, and a stop ends each in turn.
            with self._turn:
                while not stop.is_set():
                    if self._turns:
                        return self._turns.popleft()
                    self._fill(stop)
        finally:
            self._count(-1)
        return None

    def _fill(self, stop: threading.Event) -> None:
        """Take turns from the file; while it is locked by a process that does not go on, one of our own share."""
        try:
            waited = max(0.0, self.clock.monotonic() - self._served)
            turns = self._file.reserve(self.interval, self._waiting, stop, waited=waited, tries=self._tries)
        except LockBusyError:
            if self._tries > 1 and not stop.is_set():
                log.warning("%s stays locked: calling at one slot's part of the limit until it is not", self._file.path)
                self._tries = 1
            if self._share.acquire(stop):
                self._turns.append(self.clock.monotonic())
            return
        self._tries = LOCK_TRIES
        self._turns.extend(turns.start + number * self.interval for number in range(turns.count))
        if turns.count:
            self._served = self.clock.monotonic()
        else:
            self._wait_until(turns.start, stop)

    def _reach(self, turn: float, stop: threading.Event) -> bool:
        """Wait for a turn; returns False where it is lost: too late, in a pause, or of a clock that went back."""
        if turn > self.clock.monotonic() + look_ahead(self.interval):
            return False
        self._wait_until(turn, stop)
        resume = max(self._resume, self._file.read_resume())
        if resume > turn:
            self._wait_until(resume, stop)
            return False
        return self.clock.monotonic() <= turn + self.latest and not stop.is_set()

    def _wait_until(self, moment: float, stop: threading.Event) -> None:
        while not stop.is_set() and (seconds := moment - self.clock.monotonic()) > 0:
            self.clock.wait(seconds, stop)

    def _count(self, change: int) -> None:
        with self._counting:
            self._waiting += change


@cache
def host_limiter(
    bucket: str, calls_per_minute: float | None, share: float | None, folder: Path | None = None
) -> HostLimiter:
    """Return this process's one limiter for a bucket (a key at an address) that this host's processes share.

    ``share`` is the part of a task that knows of no other, both in calls a minute; the folder of the file is by default
    this user's on this host. Raises RateFileError where the folder cannot be used.
    """
    return HostLimiter(
        calls_per_minute, RateFile(folder or default_folder(), bucket, SYSTEM_CLOCK), share=share, clock=SYSTEM_CLOCK
    )


os.register_at_fork(after_in_child=host_limiter.cache_clear)
