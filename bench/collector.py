"""How many calls a minute the collector makes and stores, beside a bare urllib3 loop on the same threads.

The provider is a local server that answers after 100 ms (bench.slow_server). The lake is moto's S3 over HTTP, with
boto3. Each has its own process, and there is no rate limit. ``python -m bench.collector`` prints a table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

import boto3
import urllib3

from mag7.lake.objects import ObjectStore
from mag7.polygon.answers import AnswerStore
from mag7.polygon.calls import ticker_details
from mag7.polygon.client import PolygonClient
from mag7.polygon.collect import collect
from mag7.polygon.rate import RateLimiter

THREADS = 100
DELAY_MS = 100
ROUNDS = 3
DAY = date(2024, 12, 13)
BUCKET = "bench"

S3_SERVER = """
import json, logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(json.dumps({"port": server.get_host_and_port()[1]}), flush=True)
sys.stdin.read()
server.stop()
"""


@dataclass(frozen=True)
class Rate:
    """Calls made, the wall time they took and this process's processor time, both in seconds."""

    calls: int
    seconds: float
    cpu_seconds: float

    @property
    def per_minute(self) -> float:
        """Calls a minute of wall time."""
        return self.calls / self.seconds * 60

    @property
    def cpu_micros(self) -> float:
        """Processor time a call in this process, in microseconds."""
        return self.cpu_seconds / self.calls * 1e6


def measure(calls: int = 10_000, rounds: int = ROUNDS) -> dict[str, float]:
    """Measure both loops in turn, ``rounds`` times each, and return the medians and their spread.

    loop_ratio is the median of the rounds' ratios, collector to bare loop, so that a busy machine affects both.
    """
    return summarise(list(measure_rounds(calls, rounds)))


def measure_rounds(calls: int, rounds: int) -> Iterator[tuple[Rate, Rate]]:
    """Yield (bare, collector) for each round, after a short warm-up round."""
    symbols = [f"T{number}" for number in range(calls)]
    with start_process("-m", "bench.slow_server", "--delay-ms", str(DELAY_MS)) as port, start_s3() as objects:
        address = f"http://127.0.0.1:{port}"
        run_round(address, objects, symbols[: 5 * THREADS], DAY - timedelta(days=1))
        for number in range(rounds):
            yield run_round(address, objects, symbols, DAY + timedelta(days=number))


def run_round(address: str, objects: ObjectStore, symbols: list[str], day: date) -> tuple[Rate, Rate]:
    """Run the bare loop and the collector once each over the same calls."""
    calls = [ticker_details(symbol, day) for symbol in symbols]
    bare = time_it(len(calls), lambda: run_bare(address, deque(call.path for call in calls)))
    client = PolygonClient(
        address,
        "a-key-for-the-bench",
        limiter=RateLimiter(None),
        connect_timeout=5,
        read_timeout=20,
        tries=1,
        threads=THREADS,
    )

    def run_collector() -> None:
        report = collect(calls, client, AnswerStore(objects), threads=THREADS)
        if report.completed != len(calls):
            raise RuntimeError(f"the collector completed {report.completed} of {len(calls)} calls")

    collector = time_it(len(calls), run_collector)
    client.close()
    return bare, collector


def run_bare(address: str, paths: deque[str]) -> None:
    """Make the calls with only urllib3 and threads: no check, no parsing, no storing."""
    total = len(paths)
    pool = urllib3.PoolManager(maxsize=THREADS, headers={"Accept-Encoding": "gzip"})
    answered: deque[int] = deque()

    def ask() -> None:
        while True:
            try:
                path = paths.popleft()
            except IndexError:
                return
            response = pool.request("GET", address + path)
            if response.status == 200 and response.data:
                answered.append(response.status)

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.clear()
    if len(answered) != total:
        raise RuntimeError(f"the bare loop got {len(answered)} of {total} answers")


def time_it(calls: int, work: Any) -> Rate:
    """Measure wall and processor time of some work."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return Rate(calls, time.perf_counter() - started, time.process_time() - cpu)


def summarise(measured: list[tuple[Rate, Rate]]) -> dict[str, float]:
    """Reduce the rounds to the recorded figures."""
    ratios = [collector.per_minute / bare.per_minute for bare, collector in measured]
    return {
        "calls_per_minute": median(collector.per_minute for _, collector in measured),
        "bare_calls_per_minute": median(bare.per_minute for bare, _ in measured),
        "loop_ratio": median(ratios),
        "loop_ratio_least": min(ratios),
        "loop_ratio_most": max(ratios),
    }


@contextmanager
def start_process(*arguments: str) -> Iterator[int]:
    """Start a Python process that prints its port; closing its standard input ends it."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(arguments[:2])} ended before it listened")
        yield json.loads(line)["port"]
    finally:
        assert process.stdin is not None  # noqa: S101 - for the type checker
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


@contextmanager
def start_s3() -> Iterator[ObjectStore]:
    """Start moto's S3 and return the lake's object store on one of its buckets."""
    with start_process("-c", S3_SERVER) as port:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 - moto takes any
        )
        client.create_bucket(Bucket=BUCKET)
        yield ObjectStore(client, BUCKET)


def print_table(measured: list[tuple[Rate, Rate]]) -> None:
    """Print every round and the medians."""
    print(f"{THREADS} threads, answers after {DELAY_MS} ms, collector stores to S3 over HTTP, no rate limit")
    print("round  bare/min  cpu us/call  collector/min  cpu us/call  ratio")
    for number, (bare, collector) in enumerate(measured, start=1):
        print(
            f"{number:5d}  {bare.per_minute:8,.0f}  {bare.cpu_micros:11,.0f}  {collector.per_minute:13,.0f}  "
            f"{collector.cpu_micros:11,.0f}  {collector.per_minute / bare.per_minute:5.3f}"
        )
    figures = summarise(measured)
    print(
        f"median {figures['bare_calls_per_minute']:8,.0f}               {figures['calls_per_minute']:13,.0f}"
        f"               {figures['loop_ratio']:5.3f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print_table(list(measure_rounds(arguments.calls, arguments.rounds)))


if __name__ == "__main__":
    main()
