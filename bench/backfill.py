"""What collecting the history costs: calls, minutes and memory of mag7_backfill's own collecting tasks.

The tasks run as in the DAG: a process each, four at once (the pool's slots), eight months at a time, against the
offline market at 100 ms latency and 90 calls a second. The market counts the calls. Afterwards every session is worked
out from the stored responses and compared with one worked out from all responses that the market has.
``python -m bench.backfill`` prints the tables and writes .sandbox/bench-backfill.json; ``--months`` bounds it,
``--record`` writes the figures into docs/figures.json, too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.backfill_tasks import SLOTS, Collected, collect_months, post
from bench.figures import record
from bench.machine import describe_machine, print_machine, read_load
from mag7.index.facts import load_packaged_facts, pin_facts
from mag7.market.caps import PricedLine
from mag7.market.figures import SessionFigures
from mag7.market.input_reader import open_inputs
from mag7.polygon.answers import AnswerStore
from mag7.sessions import group_months, list_sessions, load_calendar
from mag7.settings import read_settings
from mag7.tasks.collector import AnswerBook
from mag7.tasks.connections import open_store
from mag7.tasks.document import compute_session
from sandbox.market_responses import MarketResponses
from sandbox.provision import provision_infrastructure
from sandbox.stack import REGION, run_stack

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / ".sandbox" / "bench-backfill.json"
FIRST, LAST = date(2020, 11, 30), date(2024, 12, 13)
SIZES = (1, 4, 12, 48)
LATENCY_SECONDS, CALLS_PER_MINUTE = 0.1, 5400
SCHEDULER_MODULES = ("airflow.jobs.scheduler_job_runner", "airflow.executors.local_executor")
SYSTEM_A = {"sessions": 1006, "calls_per_session": 517.0, "minutes": 900.0}
TARGETS = {"calls_per_session": 60, "minutes": 13, "peak_worker_mb": 500, "growth": 1.1, "differences": 0}


def list_months(count: int) -> list[list[date]]:
    """List the sessions of the last ``count`` months of the range; of all months, with the single first session."""

    months = group_months(list_sessions(FIRST, LAST))
    # The single session of November 2020 and the two weeks of December 2024 count as one of the 48 months.
    return months if count >= SIZES[-1] else months[-count - 1 : -1]


def compare_months(months: Sequence[Sequence[date]]) -> tuple[int, int, list[str]]:
    """Compare sessions with those worked out from all the market's responses; returns sessions, lines, differences."""
    with multiprocessing.get_context("fork").Pool(os.cpu_count() or 1, maxtasksperchild=2) as pool:
        found = pool.map(compare_month, months, chunksize=1)
    differences = [difference for part in found for difference in part[1]]
    return sum(map(len, months)), sum(part[0] for part in found), differences


def compare_month(sessions: Sequence[date]) -> tuple[int, list[str]]:
    """Compare one month's sessions: accepted counts and caps of every line, and the totals."""

    def describe(figures: SessionFigures) -> dict[str, Any]:
        lines = {
            line.line.ticker: (line.accepted.count, line.market_cap) if isinstance(line, PricedLine) else None
            for line in (*figures.lines, *figures.seven_outside)
        }
        total = figures.concentration
        return lines | {"total": total.sp500_total_market_cap, "share": total.mag7_pct_of_sp500}

    settings = read_settings()
    stored = open_inputs(AnswerBook(AnswerStore(open_store(settings))), settings.counts_frozen_before)
    everything = open_inputs(MarketResponses())
    count, differences = 0, []
    for session in sessions:
        found, expected = describe(compute_session(stored, session)), describe(compute_session(everything, session))
        count += len(expected) - 2
        differences += [
            f"{session} {name}: {found.get(name)} instead of {expected.get(name)}"
            for name in sorted(found.keys() | expected.keys())
            if found.get(name) != expected.get(name)
        ]
    return count, differences


@contextmanager
def run_market(folder: Path) -> Iterator[str]:
    """Run the sandbox with a slow market, and set this process's environment to it; yields the market's URL."""

    before = dict(os.environ)
    with run_stack(folder, {}) as stack:
        changes = {"POLYGON_CALLS_PER_MINUTE": str(CALLS_PER_MINUTE)}
        environment = stack.environment() | changes | {"MAG7_POLYGON_SLOTS": str(SLOTS)}
        os.environ.update(environment)
        try:
            provision_infrastructure(read_settings(environment), REGION)
            post(f"{stack.polygon_url}/sandbox/faults", [{"kind": "latency", "seconds": LATENCY_SECONDS}])
            yield stack.polygon_url
        finally:
            os.environ.clear()
            os.environ.update(before)


def import_as_scheduler() -> None:
    """Import what a scheduler with LocalExecutor has imported when it forks workers, which fork tasks."""
    for name in SCHEDULER_MODULES:
        import_module(name)


def measure_sizes(sizes: Sequence[int]) -> tuple[list[Collected], tuple[int, int, list[str]]]:
    """Collect each number of months into its own lake; compare the largest with all the market's responses."""
    # Before the first fork: workers inherit it.
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
    """Reduce the collections to the recorded figures: those of the largest, and the growth from the smallest."""
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
