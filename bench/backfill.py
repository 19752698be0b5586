"""What collecting the history costs: calls, minutes and memory of mag7_backfill's own collecting tasks.

The tasks run as the DAG runs them: a process each, four that ask at once (the pool's slots), four months at a time,
against the offline market at 100 ms latency and 90 calls a second; calls are the market's own count. Afterwards every
session is worked out from the kept answers and compared with one worked out from the market's own function, asked for
everything.
``python -m bench.backfill`` prints the tables and writes .sandbox/bench-backfill.json; ``--months`` bounds it,
``--record`` writes the figures into docs/figures.json, too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.figures import record
from bench.machine import describe_machine, print_machine, read_load
from mag7.index.facts import load_packaged_facts, pin_facts
from mag7.market.caps import PricedLine
from mag7.market.figures import SessionFigures
from mag7.market.input_reader import open_inputs
from mag7.polygon.answers import AnswerStore
from mag7.sessions import group_months, list_sessions, load_calendar
from mag7.settings import read_settings
from mag7.tasks import collect, look_back, search
from mag7.tasks.collector import AnswerBook
from mag7.tasks.connections import open_store
from mag7.tasks.document import compute_session
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, make_window
from sandbox.market_answers import MarketAnswers
from sandbox.provision import provision_infrastructure
from sandbox.stack import REGION, run_stack

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / ".sandbox" / "bench-backfill.json"
FIRST, LAST = date(2020, 11, 30), date(2024, 12, 13)
SIZES = (1, 4, 12, 48)
SLOTS, MONTHS_AT_ONCE = 4, 8
"""Each slot is a part of the rate limit: more months than slots keep all of them busy."""
LATENCY_SECONDS, CALLS_PER_MINUTE = 0.1, 5400
LONGEST_SECONDS = 3600
SCHEDULER_MODULES = ("airflow.jobs.scheduler_job_runner", "airflow.executors.local_executor")
SYSTEM_A = {"sessions": 1006, "calls_per_session": 517.0, "minutes": 900.0}
TARGETS = {"calls_per_session": 60, "minutes": 12, "peak_worker_mb": 500, "growth": 1.1, "differences": 0}

Job = tuple[str, Window, search.SearchBatch | None]
"""A collecting task: its name, the window and, of a mapped one, its batch."""


class CollectionTooSlowError(Exception):
    """The collection was not over in the time that the benchmark gives it."""


@dataclass(frozen=True)
class Ended:
    """What a task did: its result, its process's peak memory (MB), and seconds."""

    result: Any
    peak_mb: float
    seconds: float


class Task:
    """A task whose turn has come: it waits for a slot, runs, or is over."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._run: AsyncResult[Ended] | None = None

    def start(self, pool: Pool) -> None:
        """Run it in a process of the pool."""
        self._run = pool.apply_async(run_job, (self.job,))

    @property
    def waits(self) -> bool:
        """Whether it was not started yet."""
        return self._run is None

    @property
    def over(self) -> bool:
        """Whether it is over."""
        return self._run is not None and self._run.ready()

    @property
    def ended(self) -> Ended:
        """What it did; raises what it raised."""
        if self._run is None:
            raise RuntimeError(f"{self.job[0]} was not started")
        return self._run.get()


class Slots:
    """The pool polygon: as many tasks at once as it has slots; a search lets every other task pass, as in the DAG."""

    def __init__(self, pool: Pool, slots: int) -> None:
        self._pool = pool
        self._slots = slots
        self._tasks: list[Task] = []

    def add(self, task: Task) -> None:
        """Let a task wait for a slot."""
        self._tasks.append(task)

    def fill(self) -> None:
        """Start tasks where slots are free."""
        self._tasks = [task for task in self._tasks if not task.over]
        free = self._slots - sum(not task.waits for task in self._tasks)
        waiting = sorted((task for task in self._tasks if task.waits), key=lambda task: task.job[0] == "counts")
        for task in waiting[:free]:
            task.start(self._pool)


@dataclass
class Month:
    """A month under way: its window, the stages that wait, and the tasks of the one that runs."""

    window: Window
    waiting: deque[list[Job]] = field(default_factory=deque)
    running: list[Task] = field(default_factory=list)


@dataclass(frozen=True)
class Collected:
    """One collection: months, sessions, the market's count of calls by endpoint, seconds, and memory of a worker."""

    months: int
    sessions: int
    calls: Mapping[str, int]
    seconds: float
    peak_mb: float
    task_seconds: Mapping[str, float]

    @property
    def all_calls(self) -> int:
        """Calls of every endpoint."""
        return sum(self.calls.values())

    @property
    def seconds_a_call(self) -> float:
        """Seconds of the whole collection for each call."""
        return self.seconds / self.all_calls


def run_job(job: Job) -> Ended:
    """Run one collecting task in a process of its own."""

    name, window, batch = job
    began = time.monotonic()
    result: Any = None
    if name == "closes":
        collect.collect_range_closes(window)
    elif name == "splits":
        collect.collect_splits(window, Asking.MISSING)
    elif name == "plan":
        result = search.plan_searches(window)
    elif name == "counts" and batch is not None:
        search.collect_counts(window, batch)
    else:
        look_back.collect_look_back(window, Asking.MISSING)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Ended(result, peak, time.monotonic() - began)


def list_months(count: int) -> list[list[date]]:
    """List the sessions of the last so many months of the range; of all of them, with the lone first session."""

    months = group_months(list_sessions(FIRST, LAST))
    # The lone session of November 2020 and the two weeks of December 2024 make one month of the 48.
    return months if count >= SIZES[-1] else months[-count - 1 : -1]


def collect_months(months: Sequence[Sequence[date]], market: str) -> Collected:
    """Collect some months with the tasks of the backfill."""
    _post(f"{market}/sandbox/calls/reset", None)
    began = time.monotonic()
    ended: list[tuple[str, Ended]] = []
    # Forked as Airflow's workers fork their tasks.
    fork = multiprocessing.get_context("fork")
    # The DAG's plan_batches asks nothing and has no slot of the pool.
    with fork.Pool(SLOTS, maxtasksperchild=1) as pool, fork.Pool(MONTHS_AT_ONCE, maxtasksperchild=1) as others:
        slots = Slots(pool, SLOTS)
        todo = deque(_begin_month(sessions) for sessions in months)
        active: list[Month] = []
        while todo or active:
            if time.monotonic() - began > LONGEST_SECONDS:
                raise CollectionTooSlowError(
                    f"not over after {LONGEST_SECONDS} s, {len(todo) + len(active)} months left"
                )
            while todo and len(active) < MONTHS_AT_ONCE:
                active.append(todo.popleft())
            for month in active:
                _advance(month, slots, others, ended)
            slots.fill()
            active = [month for month in active if month.waiting or month.running]
            time.sleep(0.02)
    seconds = time.monotonic() - began
    by_task: dict[str, float] = {}
    for name, task in ended:
        by_task[name] = by_task.get(name, 0.0) + task.seconds
    return Collected(
        months=len(months),
        sessions=sum(map(len, months)),
        calls=_get(f"{market}/sandbox/calls")["by_endpoint"],
        seconds=seconds,
        peak_mb=max(task.peak_mb for _, task in ended),
        task_seconds=by_task,
    )


def _begin_month(sessions: Sequence[date]) -> Month:

    window = make_window(f"bench-{sessions[0]:%Y-%m}", sessions)
    # Each list is one stage of the DAG: its tasks run side by side, the next stage after all of them.
    stages: list[list[Job]] = [[(name, window, None)] for name in ("closes", "splits", "plan")]
    return Month(window, deque(stages))


def _advance(month: Month, slots: Slots, others: Pool, ended: list[tuple[str, Ended]]) -> None:
    """Start a month's next stage where the last one is over."""
    if not all(task.over for task in month.running):
        return
    for task in month.running:
        name = task.job[0]
        ended.append((name, task.ended))
        if name == "plan":
            month.waiting.append([("counts", month.window, batch) for batch in task.ended.result])
            month.waiting.append([("look_back", month.window, None)])
    stage = month.waiting.popleft() if month.waiting else []
    month.running = [Task(job) for job in stage]
    for task in month.running:
        if task.job[0] == "plan":
            task.start(others)
        else:
            slots.add(task)


def compare_months(months: Sequence[Sequence[date]]) -> tuple[int, int, list[str]]:
    """Compare every session with one worked out from all the market's answers; returns sessions, lines, differences."""
    with multiprocessing.get_context("fork").Pool(os.cpu_count() or 1, maxtasksperchild=2) as pool:
        found = pool.map(compare_month, months, chunksize=1)
    differences = [difference for part in found for difference in part[1]]
    return sum(map(len, months)), sum(part[0] for part in found), differences


def compare_month(sessions: Sequence[date]) -> tuple[int, list[str]]:
    """Compare one month's sessions: accepted counts and caps of every line, and the totals."""

    def tell(figures: SessionFigures) -> dict[str, Any]:
        lines = {
            line.line.ticker: (line.accepted.count, line.market_cap) if isinstance(line, PricedLine) else None
            for line in (*figures.lines, *figures.seven_outside)
        }
        total = figures.concentration
        return lines | {"total": total.sp500_total_market_cap, "share": total.mag7_pct_of_sp500}

    settings = read_settings()
    kept = open_inputs(AnswerBook(AnswerStore(open_store(settings))), settings.counts_frozen_before)
    everything = open_inputs(MarketAnswers())
    count, differences = 0, []
    for session in sessions:
        found, expected = tell(compute_session(kept, session)), tell(compute_session(everything, session))
        count += len(expected) - 2
        differences += [
            f"{session} {name}: {found.get(name)} instead of {expected.get(name)}"
            for name in sorted(found.keys() | expected.keys())
            if found.get(name) != expected.get(name)
        ]
    return count, differences


@contextmanager
def run_market(folder: Path) -> Iterator[str]:
    """Run the sandbox with a slow market; the process's environment leads there. Gives the market's address."""

    before = dict(os.environ)
    with run_stack(folder, {}) as stack:
        changes = {"POLYGON_CALLS_PER_MINUTE": str(CALLS_PER_MINUTE), "MAG7_WORKER_HOSTS": "1"}
        environment = stack.environment() | changes | {"MAG7_POLYGON_SLOTS": str(SLOTS)}
        os.environ.update(environment)
        try:
            provision_infrastructure(read_settings(environment), REGION)
            _post(f"{stack.polygon_url}/sandbox/faults", [{"kind": "latency", "seconds": LATENCY_SECONDS}])
            yield stack.polygon_url
        finally:
            os.environ.clear()
            os.environ.update(before)


def import_as_scheduler() -> None:
    """Import what a scheduler with LocalExecutor has imported when it forks a worker, and that a task."""
    for name in SCHEDULER_MODULES:
        import_module(name)


def _post(url: str, body: object) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")  # noqa: S310 - http only
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310  # nosec B310 - http only
        pass


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # nosec B310 - http only
        return json.load(answer)


def measure_sizes(sizes: Sequence[int]) -> tuple[list[Collected], tuple[int, int, list[str]]]:
    """Collect each number of months into a lake of its own; the largest one is compared with everything asked."""
    # Before anything is forked: a worker has it when it forks a task.
    pin_facts(load_packaged_facts())
    load_calendar()
    runs: list[Collected] = []
    for size in sizes:
        months = list_months(size)
        with TemporaryDirectory(prefix="bench-backfill-") as folder, run_market(Path(folder)) as market:
            import_as_scheduler()
            runs.append(collect_months(months, market))
            print_run(runs[-1])
            compared = compare_months(months) if size == max(sizes) else (0, 0, [])
    return runs, compared


def summarise(runs: Sequence[Collected], compared: tuple[int, int, list[str]]) -> dict[str, Any]:
    """Reduce the collections to the figures that are kept: those of the largest, and the growth up to it."""
    smallest, largest = runs[0], runs[-1]
    growth = [max(run.seconds_a_call / smallest.seconds_a_call, run.peak_mb / smallest.peak_mb) for run in runs[1:]]
    sessions, lines, differences = compared
    return {
        "sessions": largest.sessions,
        "calls_per_session": round(largest.all_calls / largest.sessions, 2),
        "minutes": round(largest.seconds / 60, 2),
        "peak_worker_mb": round(max(run.peak_mb for run in runs), 1),
        "growth": round(max(growth, default=1.0), 3),
        "differences_from_exhaustive": len(differences),
        "compared": {"sessions": sessions, "lines": lines, "examples": differences[:20]},
        "calls": dict(largest.calls),
        "runs": [
            {
                "months": run.months,
                "sessions": run.sessions,
                "calls": run.all_calls,
                "seconds": round(run.seconds, 1),
                "seconds_a_call": round(run.seconds_a_call, 5),
                "peak_worker_mb": round(run.peak_mb, 1),
                "task_seconds": {name: round(seconds, 1) for name, seconds in run.task_seconds.items()},
            }
            for run in runs
        ],
    }


def print_run(run: Collected) -> None:
    """Print one collection on a line."""
    print(
        f"{run.months:3d} months {run.sessions:5d} sessions {run.all_calls:6d} calls {run.seconds:7.1f} s"
        f"  {run.all_calls / run.sessions:6.1f} calls a session  {run.seconds_a_call * 1000:6.2f} ms a call"
        f"  {run.peak_mb:5.0f} MB a worker",
        flush=True,
    )


def print_table(figures: Mapping[str, Any]) -> None:
    """Print the figures beside system A's and the targets."""
    print(f"\n{'':<32}{'system A':>12}{'here':>12}{'target':>12}")
    for name in ("sessions", "calls_per_session", "minutes", "peak_worker_mb", "growth"):
        print(f"{name:<32}{SYSTEM_A.get(name, '-'):>12}{figures[name]:>12}{TARGETS.get(name, '-'):>12}")
    different = figures["differences_from_exhaustive"]
    print(f"{'differences_from_exhaustive':<32}{'-':>12}{different:>12}{TARGETS['differences']:>12}")
    compared = figures["compared"]
    print(f"compared: {compared['lines']} lines of {compared['sessions']} sessions")
    for example in compared["examples"]:
        print(f"  {example}")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.backfill", description=__doc__)
    parser.add_argument("--months", type=int, nargs="+", default=list(SIZES), help="numbers of months, ascending")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the figures go (default: %(default)s)")
    parser.add_argument("--record", action="store_true", help="also write the figures into docs/figures.json")
    options = parser.parse_args()
    machine = describe_machine()
    print_machine(machine)
    print(f"{LATENCY_SECONDS * 1000:.0f} ms latency, {CALLS_PER_MINUTE} calls a minute, {SLOTS} tasks at once")
    runs, compared = measure_sizes(options.months)
    figures = summarise(runs, compared) | {"machine": {**machine, "load_at_end": read_load()}}
    print_table(figures)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=1))
    print(f"\nfigures written to {options.output}")
    if options.record:
        record("backfill", figures, machine)


if __name__ == "__main__":
    main()
