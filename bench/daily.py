"""How long the daily run takes on a laptop: the demonstration's own command, servers and Airflow start included.

Three runs in a folder of their own. The first makes the folder and runs one session; the second is measured: the next
session on what the first left, every call made; the third asks for the same session, whose answers are kept.
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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIRST_SESSION, SESSION = "2024-12-12", "2024-12-13"
TARGET_SECONDS = 60
LONGEST_SECONDS = 900
MARKET = ("POLYGON_BASE_URL", "POLYGON_API_KEY", "POLYGON_SOURCE", "POLYGON_CALLS_PER_MINUTE")


class RunFailedError(Exception):
    """A demonstration did not publish its session."""


@dataclass(frozen=True)
class Run:
    """One demonstration: which one, seconds in all and by stage (tasks only), and calls to the provider.

    ``cpu_seconds`` is the processor time of all its processes: what stays the same on a busy machine.
    """

    name: str
    session: str
    seconds: float
    cpu_seconds: float
    stages: Mapping[str, float]
    calls: int


def measure() -> dict[str, Any]:
    """Run all three; daily_seconds is the second, a new session on a warm stack. Raises RunFailedError."""
    return summarise(measure_runs())


def measure_runs() -> list[Run]:
    """Give the first run, the warm one and the repeat."""
    with TemporaryDirectory(prefix="bench-daily-") as folder:
        home = Path(folder)
        return [
            demonstrate("first", FIRST_SESSION, home),
            demonstrate("warm", SESSION, home),
            demonstrate("repeat", SESSION, home),
        ]


def demonstrate(name: str, session: str, home: Path) -> Run:
    """Run one session as ``make demo`` does, on the offline market, and read its summary."""
    before = _cpu_seconds()
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
    return Run(name, session, summary["seconds"], cpu, summary["stages"], summary["calls"])


def _cpu_seconds() -> float:
    """Give the processor time of every process that this one started and saw end, theirs included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summarise(runs: list[Run]) -> dict[str, Any]:
    """Reduce the runs to the figures that are kept."""
    first, warm, repeat = runs
    return {
        "daily_seconds": warm.seconds,
        "stages": {**warm.stages, "outside tasks": round(warm.seconds - sum(warm.stages.values()), 2)},
        "daily_cpu_seconds": warm.cpu_seconds,
        "daily_calls": warm.calls,
        "daily_first_seconds": first.seconds,
        "daily_repeat_seconds": repeat.seconds,
    }


def print_table(runs: list[Run]) -> None:
    """Print each run's seconds in all and by stage."""
    stages = list(runs[1].stages)
    print("the daily run, seconds in all, by stage, and outside tasks (servers, schema, start of Airflow)")
    print("run     session       all    cpu  " + "".join(f"{stage:>10}" for stage in stages) + "   outside  calls")
    for run in runs:
        outside = run.seconds - sum(run.stages.values())
        print(
            f"{run.name:<7} {run.session} {run.seconds:6.1f} {run.cpu_seconds:6.1f}  "
            + "".join(f"{run.stages.get(stage, 0.0):10.2f}" for stage in stages)
            + f"{outside:10.2f}{run.calls:7d}"
        )
    print(f"target of the warm run: under {TARGET_SECONDS} s on two cores")


def main() -> None:
    """Measure and print."""
    print_table(measure_runs())


if __name__ == "__main__":
    main()
