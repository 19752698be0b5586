"""How long the daily run takes on a laptop, with the start of servers and Airflow, and how long an empty run takes.

Runs in a folder of their own. The first creates the folder and runs one session. The warm run is the figure: the next
session on what the first left, every call made. The floor (bench.floor) is an empty run of as many tasks on the same
folder. The repeat asks for the same session, whose responses are stored.
``python -m bench.daily`` prints a table.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import floor
from mag7.polygon.source import SIMULATED
from sandbox.airflow_home import find_run, list_task_runs
from sandbox.demo import DAG
from sandbox.stack import ROOT, Stack

FIRST_SESSION, SESSION = "2024-12-12", "2024-12-13"
TARGET_SECONDS = 60
TARGET_RATIO = 1.5
LONGEST_SECONDS = 900
MARKET = ("POLYGON_BASE_URL", "POLYGON_API_KEY", "POLYGON_SOURCE", "POLYGON_CALLS_PER_MINUTE")


class RunFailedError(Exception):
    """A demonstration failed."""


@dataclass(frozen=True)
class Run:
    """One demonstration: its name, seconds in all and by stage (tasks only), calls to the provider, and task instances.

    ``cpu_seconds`` is the processor time of all its processes, which hardly changes on a busy machine.
    """

    name: str
    session: str
    seconds: float
    cpu_seconds: float
    stages: Mapping[str, float]
    calls: int
    tasks: int


@dataclass(frozen=True)
class Daily:
    """The three demonstrations, and the seconds of an empty run of as many tasks as the warm one had."""

    first: Run
    warm: Run
    repeat: Run
    floor_seconds: float

    @property
    def floor_ratio(self) -> float:
        """The warm run's seconds as a multiple of the floor's."""
        return round(self.warm.seconds / self.floor_seconds, 2)


def measure() -> Daily:
    """Run everything; raises RunFailedError, or FloorFailedError for the empty run."""
    with TemporaryDirectory(prefix="bench-daily-") as folder:
        home = Path(folder)
        first, warm = demonstrate("first", FIRST_SESSION, home), demonstrate("warm", SESSION, home)
        floor_seconds = floor.measure(home, warm.tasks)
        return Daily(first, warm, demonstrate("repeat", SESSION, home), floor_seconds)


def demonstrate(name: str, session: str, home: Path) -> Run:
    """Run one session as ``make demo`` does, on the offline market, and read its summary."""
    before, began = _cpu_seconds(), datetime.now(UTC)
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--date", session, "--home", str(home)],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key not in MARKET},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RunFailedError(
            f"the {name} run of {session} ended with code {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}"
        )
    summary = json.loads((home / "summary.json").read_text())
    cpu = round(_cpu_seconds() - before, 1)
    tasks = _count_tasks(home, began)
    return Run(name, session, summary["seconds"], cpu, summary["stages"], summary["calls"], tasks)


def _count_tasks(home: Path, since: datetime) -> int:
    """Count the task instances of the demonstration's run in Airflow's database."""
    stack = Stack(home / SIMULATED, SIMULATED, "", "", simulated=True)
    run_id = find_run(stack, DAG, since)
    return len(list_task_runs(stack, DAG, run_id)) if run_id else 0


def _cpu_seconds() -> float:
    """Return the processor time of all child processes that have ended, with their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summarise(daily: Daily) -> dict[str, Any]:
    """Reduce the runs to the recorded figures."""
    warm = daily.warm
    return {
        "daily_seconds": warm.seconds,
        "stages": {**warm.stages, "outside tasks": round(warm.seconds - sum(warm.stages.values()), 2)},
        "daily_cpu_seconds": warm.cpu_seconds,
        "daily_calls": warm.calls,
        "daily_tasks": warm.tasks,
        "daily_first_seconds": daily.first.seconds,
        "daily_repeat_seconds": daily.repeat.seconds,
        "floor_seconds": daily.floor_seconds,
        "floor_ratio": daily.floor_ratio,
    }


def print_table(daily: Daily) -> None:
    """Print each run's seconds in all and by stage, and the floor."""
    stages = list(daily.warm.stages)
    print("the daily run, seconds in all, by stage, and outside tasks (servers, schema, start of Airflow)")
    print("run     session       all    cpu  " + "".join(f"{stage:>10}" for stage in stages) + "   outside  calls")
    for run in (daily.first, daily.warm, daily.repeat):
        outside = run.seconds - sum(run.stages.values())
        print(
            f"{run.name:<7} {run.session} {run.seconds:6.1f} {run.cpu_seconds:6.1f}  "
            + "".join(f"{run.stages.get(stage, 0.0):10.2f}" for stage in stages)
            + f"{outside:10.2f}{run.calls:7d}"
        )
    print(f"target of the warm run: under {TARGET_SECONDS} s on two cores")
    print(
        f"an empty run of {daily.warm.tasks} tasks, two of them Glue jobs: {daily.floor_seconds:.1f} s;"
        f" the warm run takes {daily.floor_ratio:.2f} times that (target: at most {TARGET_RATIO})"
    )


def main() -> None:
    """Measure and print."""
    print_table(measure())


if __name__ == "__main__":
    main()
