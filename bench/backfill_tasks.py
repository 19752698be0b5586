"""mag7_backfill's collecting tasks, run as in the DAG: a process each, as many at once as the pool has slots."""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.pool import AsyncResult, Pool
from typing import Any

from mag7.tasks import collect, look_back, search
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, make_window

SLOTS, MONTHS_AT_ONCE = 4, 8
"""Each slot is a part of the rate limit: more months than slots keep all slots busy."""
LONGEST_SECONDS = 3600

Job = tuple[str, Window, search.SearchBatch | None]
"""A collecting task: its name, its window and the batch of a mapped task."""


class CollectionTooSlowError(Exception):
    """The collection did not end before the benchmark's timeout."""


@dataclass(frozen=True)
class Ended:
    """The result of a task, with its process's peak memory (MB) and seconds."""

    result: Any
    peak_mb: float
    seconds: float


class Task:
    """A task that is due: it waits for a slot, runs, or has ended."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._run: AsyncResult[Ended] | None = None

    def start(self, pool: Pool) -> None:
        """Run it in a process of the pool."""
        self._run = pool.apply_async(run_job, (self.job,))

    @property
    def waits(self) -> bool:
        """Whether it has not been started."""
        return self._run is None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._run is not None and self._run.ready()

    @property
    def ended(self) -> Ended:
        """Its result; raises the task's exception."""
        if self._run is None:
            raise RuntimeError(f"{self.job[0]} was not started")
        return self._run.get()


class Slots:
    """The pool polygon: as many tasks at once as slots; a search has the lowest priority, as in the DAG."""

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
    """An active month: its window, the waiting stages, and the tasks of the current stage."""

    window: Window
    waiting: deque[list[Job]] = field(default_factory=deque)
    running: list[Task] = field(default_factory=list)


@dataclass(frozen=True)
class Collected:
    """One collection: months, sessions, the market's count of calls by endpoint, seconds, and a worker's memory."""

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
    """Run one collecting task in this process."""

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


def collect_months(months: Sequence[Sequence[date]], market: str) -> Collected:
    """Collect some months with the tasks of the backfill."""
    post(f"{market}/sandbox/calls/reset", None)
    began = time.monotonic()
    ended: list[tuple[str, Ended]] = []
    # Forked as Airflow's workers fork their tasks.
    fork = multiprocessing.get_context("fork")
    # The DAG's plan_batches makes no call and needs no slot.
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
        calls=get(f"{market}/sandbox/calls")["by_endpoint"],
        seconds=seconds,
        peak_mb=max(task.peak_mb for _, task in ended),
        task_seconds=by_task,
    )


def _begin_month(sessions: Sequence[date]) -> Month:

    window = make_window(f"bench-{sessions[0]:%Y-%m}", sessions)
    # Each list is one stage of the DAG: its tasks run in parallel, and the next stage after all of them.
    stages: list[list[Job]] = [[(name, window, None)] for name in ("closes", "splits", "plan")]
    return Month(window, deque(stages))


def _advance(month: Month, slots: Slots, others: Pool, ended: list[tuple[str, Ended]]) -> None:
    """Start a month's next stage when the current one has ended."""
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


def post(url: str, body: object) -> None:
    """Post JSON to a server of the sandbox."""
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")  # noqa: S310 - http only
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310  # nosec B310 - http only
        pass


def get(url: str) -> Any:
    """Get JSON from a server of the sandbox."""
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310  # nosec B310 - http only
        return json.load(response)
