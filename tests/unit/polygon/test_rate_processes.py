"""The limit held by real processes, and what the death of one does to the others; counts are bounded, not speed."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mag7.polygon.rate import SYSTEM_CLOCK
from mag7.polygon.rate_file import RateFile
from mag7.polygon.rate_host import HostLimiter

PLUGINS = Path(__file__).parents[3] / "plugins"
BUCKET = "0123456789abcdef"
PER_MINUTE = 3000.0
THREADS = 4

OPEN = """
import json, sys, threading, time
from pathlib import Path
from mag7.polygon.rate import SYSTEM_CLOCK
from mag7.polygon.rate_file import RateFile
from mag7.polygon.rate_host import HostLimiter
file = RateFile(Path(sys.argv[1]), sys.argv[2], SYSTEM_CLOCK)
stop = threading.Event()
"""

CALL = f"""
limiter = HostLimiter(float(sys.argv[3]), file, share=1.0)
times = []
def call():
    while limiter.acquire(stop):
        times.append(time.monotonic())
threads = [threading.Thread(target=call) for _ in range({THREADS})]
print("ready", flush=True)
sys.stdin.readline()
for thread in threads:
    thread.start()
sys.stdin.readline()
stop.set()
for thread in threads:
    thread.join()
print(json.dumps(times))
"""

HOLD = """
with file._locked(stop, 1000):
    print("ready", flush=True)
    sys.stdin.readline()
"""


class Processes:
    """Processes that use one folder, begin and end together, and are killed when the test ends."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self.folder = folder
        self._held = held
        self.running: list[subprocess.Popen[str]] = []

    def start(self, script: str, *arguments: Any) -> subprocess.Popen[str]:
        """Start one and wait until it is ready."""
        process = self._held.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", OPEN + script, str(self.folder), BUCKET, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={"PYTHONPATH": str(PLUGINS)},
            )
        )
        self._held.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        self.running.append(process)
        return process

    def say(self) -> None:
        """Let all go on to what comes next."""
        for process in self.running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    def read(self) -> list[list[float]]:
        """Read when each was let through."""
        outputs = [process.communicate(timeout=30)[0] for process in self.running]
        assert [process.returncode for process in self.running] == [0] * len(outputs)
        return [sorted(json.loads(output)) for output in outputs]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with ExitStack() as held:
        yield Processes(tmp_path, held)


def open_limiter(folder: Path) -> HostLimiter:
    return HostLimiter(PER_MINUTE, RateFile(folder, BUCKET, SYSTEM_CLOCK), share=1.0)


def test_processes_together_keep_the_limit_and_each_gets_through(processes: Processes) -> None:
    for _ in range(4):
        processes.start(CALL, PER_MINUTE)
    processes.say()
    time.sleep(2.0)
    processes.say()
    each = processes.read()

    together = sorted(moment for times in each for moment in times)
    interval = 60.6 / PER_MINUTE
    # A thread may be put aside between its leave to call and its note of the time: hence the half more.
    for seconds in (0.5, together[-1] - together[0]):
        window = max(sum(1 for time in together if first <= time <= first + seconds) for first in together)
        assert window <= ((seconds + 0.1) / interval + 1) * 1.5
    assert all(times for times in each)


def test_one_process_alone_is_not_held_to_a_part(processes: Processes) -> None:
    processes.start(CALL, PER_MINUTE)
    processes.say()
    time.sleep(2.0)
    processes.say()
    (times,) = processes.read()

    assert len(times) > 20, "its share alone, one call a minute, would be one"


def test_a_pause_that_one_process_was_asked_for_stops_the_others(processes: Processes) -> None:
    for _ in range(3):
        processes.start(CALL, PER_MINUTE)
    processes.say()
    time.sleep(1.0)
    limiter = open_limiter(processes.folder)
    asked = time.monotonic()
    limiter.pause(1.5)
    heard = time.monotonic()
    assert limiter.acquire(threading.Event())
    assert time.monotonic() >= asked + 1.5
    time.sleep(0.7)
    processes.say()
    together = [moment for times in processes.read() for moment in times]

    assert [moment for moment in together if moment < asked]
    # Calls that had their leave when the pause began may still be noted a little later, one a thread at most.
    inside = [moment for moment in together if heard < moment < asked + 1.5]
    assert len(inside) <= 3 * THREADS
    assert not [moment for moment in inside if moment > heard + 1.0]
    assert [moment for moment in together if moment >= asked + 1.5]


def test_a_process_killed_while_it_holds_the_lock_stops_nobody(processes: Processes) -> None:
    limiter = open_limiter(processes.folder)
    assert limiter.acquire(threading.Event())
    holder = processes.start(HOLD)
    (path,) = processes.folder.iterdir()
    with path.open("rb+") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)

    began = time.monotonic()
    for _ in range(20):
        assert limiter.acquire(threading.Event())
    assert time.monotonic() - began < 30, "not one call a minute, its share without the file"


def test_processes_killed_at_work_stop_nobody_and_leave_a_good_file(processes: Processes) -> None:
    for _ in range(2):
        processes.start(CALL, 60_000)
    victims = [processes.start(CALL, 60_000) for _ in range(3)]
    processes.say()
    for victim in victims:
        time.sleep(0.3)
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        processes.running.remove(victim)
    killed = time.monotonic()
    time.sleep(0.5)
    processes.say()
    each = processes.read()

    assert all(moment > killed for times in each for moment in times[-1:])
    assert all(times for times in each)
