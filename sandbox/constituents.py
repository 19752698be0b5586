"""``make constituents``: an evening of mag7_constituents against the local sandbox, and what it says about the facts.

Usage: python -m sandbox.constituents [--date YYYY-MM-DD|latest] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mag7.lake.keys import run_segment
from mag7.lake.objects import ObjectMissingError
from mag7.runs.record import read_section
from mag7.tasks.proposal import Proposed
from sandbox.airflow_home import find_run, list_task_runs, prepare_airflow, read_conf, run_dag
from sandbox.command import CANNOT_START, LATEST, fail, read_day, run_as_command
from sandbox.demo import explain_failure, open_sandbox_store
from sandbox.setup import set_up_sandbox
from sandbox.stack import ROOT, Stack, run_stack

DAG, REPAIR = "mag7_constituents", "mag7_backfill"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an evening and print what was proposed; returns the exit code."""
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
    """Run the DAG for a session on a running stack and print its proposal; returns whether no task failed."""
    print(f"{DAG} for {day}, source {stack.source}, sandbox {stack.folder}", flush=True)
    environment = stack.environment()
    prepare_airflow(stack)
    if set_up_sandbox(environment, stack.folder / "setup.log"):
        print("set up by mag7_setup", flush=True)
    log = stack.folder / f"constituents-{day}.log"
    began = datetime.now(UTC)
    run_dag(stack, DAG, day, {}, log=log, say=lambda task: print(f"  {task}", flush=True))
    run_id = find_run(stack, DAG, began)
    tasks = list_task_runs(stack, DAG, run_id) if run_id else []
    queued = find_run(stack, REPAIR, began)
    store, segment = open_sandbox_store(environment), run_segment(DAG, run_id or "")
    try:
        proposed = read_section(store, segment, Proposed)
        print("\n".join(proposed.lines))
        for question in proposed.questions:
            print(f"To answer a question, trigger mag7_decide with its id, in an Airflow that runs: {question}")
    except ObjectMissingError:
        print("nothing was proposed")
    failed = [task.task_id for task in tasks if task.state == "failed"]
    if failed or not tasks:
        print(f"FAILED: {explain_failure(store, segment, tasks)}. The whole log: {log}")
    return bool(tasks) and not failed and (queued is None or repair(stack, queued, day))


def repair(stack: Stack, queued: str, day: str) -> bool:
    """Build again what the facts changed, as a scheduler would that finds the queued run; returns whether it is."""
    conf = read_conf(stack, REPAIR, queued)
    print(f"{REPAIR} builds again: {', '.join(conf['sessions'])}", flush=True)
    log = stack.folder / f"constituents-{day}-repair.log"
    began = datetime.now(UTC)
    run_dag(stack, REPAIR, day, conf, log=log, say=lambda task: print(f"  {task}", flush=True))
    run_id = find_run(stack, REPAIR, began)
    tasks = list_task_runs(stack, REPAIR, run_id) if run_id else []
    if tasks and all(task.state != "failed" for task in tasks):
        return True
    store = open_sandbox_store(stack.environment())
    print(f"FAILED: {explain_failure(store, run_segment(REPAIR, run_id or ''), tasks)}. The whole log: {log}")
    return False


if __name__ == "__main__":
    run_as_command("constituents", main)
