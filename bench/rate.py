"""What sharing one rate limit through a file costs, beside every process keeping to its static part.

Workers of 16 threads each do nothing but wait for leave to call and then for an answer, which takes 100 ms.
``python -m bench.rate`` prints a table; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mag7.polygon.rate import SYSTEM_CLOCK, Limiter, RateLimiter
from mag7.polygon.rate_file import RateFile
from mag7.polygon.rate_host import HostLimiter

THREADS = 16
LATENCY_SECONDS = 0.1
SECONDS = 5.0
WARM_SECONDS = 1.0
BUCKET = "0" * 16
CASES = ((90, 1), (90, 4), (90, 16), (1000, 4), (1000, 16))
"""Calls a second over all, and processes."""


@dataclass(frozen=True)
class Work:
    """What one process did: when it was let through, in seconds of the host's clock, and the processor time it took."""

    times: list[float]
    cpu_seconds: float


def work(limiter: Limiter, begin: float, end: float, threads: int) -> Work:
    """Call with so many threads from one moment to another."""
    stop = threading.Event()
    times: list[list[float]] = [[] for _ in range(threads)]

    def call(number: int) -> None:
        time.sleep(max(0.0, begin - time.monotonic()))
        while limiter.acquire(stop):
            now = time.monotonic()
            if now > end:
                return
            times[number].append(now)
            time.sleep(LATENCY_SECONDS)

    running = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    time.sleep(max(0.0, begin - time.monotonic()))
    cpu = time.process_time()
    time.sleep(max(0.0, end - time.monotonic()))
    spent = time.process_time() - cpu
    stop.set()
    for thread in running:
        thread.join()
    return Work(sorted(moment for some in times for moment in some), spent)


def run_worker(options: argparse.Namespace) -> None:
    """Be one of the processes: say that it is ready, read when to begin, work, print the times."""
    if options.folder is None:
        limiter: Limiter = RateLimiter(options.rate * 60 / options.processes)
    else:
        file = RateFile(options.folder, BUCKET, SYSTEM_CLOCK)
        limiter = HostLimiter(options.rate * 60, file, share=options.rate * 60 / options.processes)
    print("ready", flush=True)
    begin = float(sys.stdin.readline())
    done = work(limiter, begin, begin + SECONDS, THREADS)
    print(json.dumps({"times": done.times, "cpu_seconds": done.cpu_seconds}))


def measure(rate: float, processes: int, folder: Path | None) -> list[Work]:
    """Let processes share a rate (calls a second), through a file in a folder or by static parts."""
    command = [sys.executable, "-m", "bench.rate", "--rate", str(rate), "--processes", str(processes), "--worker"]
    command += ["--folder", str(folder)] if folder else []
    with ExitStack() as held:
        workers = [
            held.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(processes)
        ]
        for worker in workers:
            assert worker.stdout is not None  # noqa: S101 - for the type checker
            worker.stdout.readline()
        begin = time.monotonic() + WARM_SECONDS
        for worker in workers:
            assert worker.stdin is not None  # noqa: S101 - for the type checker
            worker.stdin.write(f"{begin}\n")
            worker.stdin.flush()
        return [Work(**json.loads(worker.communicate()[0])) for worker in workers]


def fullest(times: list[float], seconds: float) -> int:
    """Count the calls of the fullest window of so many seconds."""
    first = most = 0
    for last, moment in enumerate(times):
        while times[first] < moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def print_row(how: str, rate: float, processes: int, works: list[Work]) -> None:
    """Print one case."""
    times = sorted(moment for done in works for moment in done.times)
    counts = [len(done.times) for done in works]
    waits = [b - a for done in works for a, b in pairwise(done.times)]
    cpu = sum(done.cpu_seconds for done in works)
    print(
        f"{rate:7.0f}  {processes:9d}  {how:6s}  {len(times) / SECONDS:7.1f}  {fullest(times, 1.0):8d}  "
        f"{min(counts):5d} {max(counts):5d}  {max(waits, default=0.0):9.2f}  {cpu / max(len(times), 1) * 1e6:11.0f}  "
        f"{cpu / SECONDS * 100:5.1f}"
    )


def main() -> None:
    """Measure and print, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=90)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--worker", action="store_true")
    options = parser.parse_args()
    if options.worker:
        run_worker(options)
        return
    print(f"{THREADS} threads a process, answers after {LATENCY_SECONDS * 1000:.0f} ms, {SECONDS:.0f} s a row")
    print("                           calls/s   fullest   calls/process  longest     cpu us/call  cpu %")
    print("  limit  processes  how     in all    second   least  most   wait, s     all threads    all")
    for rate, processes in CASES:
        print_row("static", rate, processes, measure(rate, processes, None))
        with tempfile.TemporaryDirectory() as folder:
            # A new file lets nobody through for a moment; that is not what is measured here.
            RateFile(Path(folder), BUCKET, SYSTEM_CLOCK).reserve(1 / rate, 1, threading.Event())
            print_row("file", rate, processes, measure(rate, processes, Path(folder)))


if __name__ == "__main__":
    main()
