"""docs/figures.json: what each benchmark measured last, with commit, machine and date; README and docs show it.

With ``--record`` a benchmark replaces its entry. It must give all figures that are declared here: a page shows no
figure that its benchmark no longer gives.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "figures.json"


class FigureMissingError(LookupError):
    """A benchmark did not give a figure that the documentation shows."""


@dataclass(frozen=True)
class Figure:
    """A figure: its key in the benchmark's result (a dot for a nested key), its name, unit and target."""

    key: str
    name: str
    unit: str = ""
    target: str = ""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: what it measures, the command that records it, and its figures."""

    title: str
    command: str
    figures: tuple[Figure, ...]


STAGES = ("collect", "build", "transform", "check", "publish", "load", "other")

LIST_AGES = (10, 30, 60, 120, 250)
"""Ages in days that the page on the index's members shows."""

BENCHMARKS: Mapping[str, Benchmark] = {
    "daily": Benchmark(
        "The daily run on the sandbox",
        "make bench RECORD=1",
        (
            Figure("daily_seconds", "warm run", "s", "60"),
            Figure("stages.transform", "of it, both Spark jobs", "s"),
            Figure("daily_first_seconds", "first run, on an empty folder", "s"),
        ),
    ),
    "collector": Benchmark(
        "The collector, answers after 100 ms, no rate limit",
        "make bench RECORD=1",
        (
            Figure("calls_per_minute", "responses stored", "a minute"),
            Figure("loop_ratio", "against a bare urllib3 loop", "", "at least 0.85"),
        ),
    ),
    "parse": Benchmark(
        "Parsing all DAGs",
        "make bench RECORD=1",
        (Figure("parse_ratio", "against parsing one empty DAG", "", "1.25"),),
    ),
    "backfill": Benchmark(
        "Collecting the history, answers after 100 ms, 90 calls a second",
        "make bench-backfill RECORD=1",
        (
            Figure("sessions", "sessions"),
            Figure("calls_per_session", "calls a session", "", "60"),
            Figure("minutes", "time", "min", "13"),
            Figure("peak_worker_mb", "peak memory of a worker", "MB", "500"),
            Figure("growth", "time a call and memory at 48 months against 1", "", "1.1"),
            Figure("compared.lines", "lines compared with asking for everything"),
            Figure("differences_from_exhaustive", "of them different in count or cap", "", "0"),
        ),
    ),
    "backfill_pipeline": Benchmark(
        "A year through a real scheduler, two months at a time",
        "python -m bench.backfill_pipeline --record",
        (
            Figure("backfill_sessions", "sessions"),
            Figure("backfill_seconds", "time", "s"),
            Figure("backfill_seconds_a_session", "time a session", "s"),
            Figure("backfill_calls", "calls"),
            Figure("backfill_duplicates", "rows loaded twice", "", "0"),
            *(Figure(f"backfill_stages_wall.{stage}", f"{stage}: at least one task runs", "s") for stage in STAGES),
            *(Figure(f"backfill_stages_tasks.{stage}", f"{stage}: all tasks added up", "s") for stage in STAGES),
        ),
    ),
    "faults": Benchmark(
        "Both DAGs under faults and kills",
        "make faults RECORD=1",
        (
            Figure("faults", "faults", "", "at least 300"),
            Figure("kinds", "kinds of fault, each struck"),
            Figure("kills", "kills", "", "at least 100"),
            Figure("cleared", "tasks cleared at random points"),
            Figure("sequences", "sequences"),
            Figure("differences", "differences from undisturbed runs", "", "0"),
            Figure("green_with_missing_data", "runs that succeeded with missing data", "", "0"),
            Figure("leaks", "files, logs and objects that show a secret", "", "0"),
        ),
    ),
    "list_age": Benchmark(
        "An old list of members",
        "python -m bench.list_age --record",
        tuple(
            Figure(f"{age}.{key}", f"{name} at {age} days", unit)
            for age in LIST_AGES
            for key, name, unit in (
                ("companies", "companies off, mean", ""),
                ("doubt", "cap in doubt, most", "%"),
                ("share_mean", "share off, mean", "points"),
                ("share_most", "share off, most", "points"),
            )
        ),
    ),
}


def find_figure(values: Mapping[str, Any], benchmark: str, key: str) -> float:
    """Find a figure in a benchmark's result; raises FigureMissingError."""
    found: Any = values.get(key)
    outer, _, inner = key.partition(".")
    if found is None and isinstance(values.get(outer), Mapping):
        return find_figure(values[outer], benchmark, inner)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise FigureMissingError(
            f"the benchmark {benchmark} gives no figure {key}: correct bench/figures.py, and the pages that show it"
        )
    return found


def record(benchmark: str, values: Mapping[str, Any], machine: Mapping[str, Any], file: Path = FILE) -> None:
    """Replace a benchmark's entry by its new result; raises FigureMissingError where a figure is missing."""
    found = {figure.key: find_figure(values, benchmark, figure.key) for figure in BENCHMARKS[benchmark].figures}
    figures = {key: round(value, 3) for key, value in found.items()}
    recorded = read_figures(file)
    recorded[benchmark] = {
        "commit": _name_commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": dict(machine),
        "values": figures,
    }
    text = json.dumps({name: recorded[name] for name in BENCHMARKS if name in recorded}, indent=1, ensure_ascii=False)
    file.write_text(f"{text}\n", encoding="utf-8")
    print(f"{benchmark} recorded in {file.name}: run `make docs-reference` to show it")


def read_figures(file: Path = FILE) -> dict[str, Any]:
    """Read the recorded figures, by benchmark."""
    recorded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return recorded


def _name_commit() -> str:
    """Return the measured commit, with a plus where files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
        return done.stdout.strip()

    commit = git("rev-parse", "--short=7", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return (commit or "unknown") + ("+" if changed else "")
