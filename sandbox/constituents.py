"""``make constituents``: one run of mag7_constituents against the local sandbox, and what it proposes.

Usage: python -m sandbox.constituents [--date YYYY-MM-DD|latest] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mag7.lake.objects import ObjectMissingError
from mag7.runs.record import read_section
from mag7.tasks.constituents import Proposed
from sandbox import dag_run
from sandbox.airflow_home import find_run, read_conf
from sandbox.command import CANNOT_START, LATEST, fail, read_day, run_as_command
from sandbox.dag_run import DagRun, say
from sandbox.stack import ROOT, Stack, run_stack

DAG, REPAIR = "mag7_constituents", "mag7_backfill"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the DAG and print what it proposes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.constituents", description=__doc__)
    parser.add_argument("--date", default=LATEST, help="the session, or latest (default: %(default)s)")
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where the sandbox keeps its state")
    options = parser.parse_args(arguments)
    try:
        day = read_day("DATE", options.date, datetime.now(UTC)).isoformat()
        with run_stack(options.home, os.environ) as stack:
            return 0 if run_evening(stack, day) else 1
    except CANNOT_START as error:
        return fail("constituents", error)


def run_evening(stack: Stack, day: str) -> bool:
    """Run the DAG for a session on a running stack and print what it proposes; returns whether no task failed."""
    began = datetime.now(UTC)
    dag_run.prepare(stack, DAG, day)
    run = dag_run.run_to_end(stack, DAG, day, {}, f"constituents-{day}")
    queued = find_run(stack, REPAIR, began)
    try:
        proposed = read_section(run.store, run.segment, Proposed)
        print("\n".join(proposed.lines))
        for question in proposed.questions:
            print(f"To answer a question, trigger mag7_decide with its id, in an Airflow that runs: {question}")
    except ObjectMissingError:
        print("nothing was proposed")
    return _report(run) and (queued is None or repair(stack, queued, day))


def repair(stack: Stack, queued: str, day: str) -> bool:
    """Run the queued repair, which a scheduler would start; returns whether it succeeded."""
    conf = read_conf(stack, REPAIR, queued)
    say(f"{REPAIR} builds again: {', '.join(conf['sessions'])}")
    return _report(dag_run.run_to_end(stack, REPAIR, day, conf, f"constituents-{day}-repair"))


def _report(run: DagRun) -> bool:
    """Print why a run failed; returns whether it did not."""
    if run.tasks and not run.failed:
        return True
    print(f"FAILED: {run.explain_failure()}. The whole log: {run.log}")
    return False


if __name__ == "__main__":
    run_as_command("constituents", main)
