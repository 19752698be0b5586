"""``make backfill``: a range of sessions through the real backfill DAG against the local sandbox.

Usage: python -m sandbox.backfill --from YYYY-MM-DD --to YYYY-MM-DD [--repeat] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mag7.lake.keys import run_segment
from mag7.runs.record import read_record
from mag7.runs.table import tabulate_run
from sandbox.airflow_home import AirflowCommandError, find_run, list_task_runs, prepare_airflow, run_dag
from sandbox.demo import WRONG_SETTING, explain_failure, open_sandbox_store, succeeded
from sandbox.processes import ServerNotReadyError
from sandbox.provision import ProvisioningError
from sandbox.setup import set_up_sandbox
from sandbox.stack import ROOT, FolderInUseError, Stack, run_stack

DAG = "mag7_backfill"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a range and print what came of it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.backfill", description="Fill a range of sessions.")
    parser.add_argument("--from", dest="first", required=True, help="first day of the range, 2020-11-30 or later")
    parser.add_argument("--to", dest="last", required=True, help="its last day")
    parser.add_argument("--repeat", action="store_true", help="also sessions that are complete, from kept answers")
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where the sandbox keeps its state")
    options = parser.parse_args(arguments)
    params = {"start_date": options.first, "end_date": options.last, "repeat": options.repeat}
    try:
        with run_stack(options.home, os.environ) as stack:
            return 0 if fill(stack, params) else 1
    except (
        *(FolderInUseError, ServerNotReadyError, ProvisioningError, AirflowCommandError),
        *WRONG_SETTING,
    ) as error:
        print(f"backfill: {error}", file=sys.stderr)
        return 1


def fill(stack: Stack, params: Mapping[str, Any]) -> bool:
    """Run the DAG for a range on a running stack and report it; returns whether nothing failed."""
    first, last = params["start_date"], params["end_date"]
    _say(f"{DAG} for {first} to {last}, source {stack.source}, sandbox {stack.folder}")
    prepare_airflow(stack)
    if set_up_sandbox(stack.environment(), stack.folder / "setup.log"):
        _say("set up by mag7_setup")
    log = stack.folder / f"backfill-{first}-{last}.log"
    began = datetime.now(UTC)
    # The date is but the run's label: the params say what it is for.
    run_dag(stack, DAG, f"{began:%Y-%m-%d}", params, log=log, say=lambda task: _say(f"  {task}"))
    run_id = find_run(stack, DAG, began)
    tasks = list_task_runs(stack, DAG, run_id) if run_id else []
    store, segment = open_sandbox_store(stack.environment()), run_segment(DAG, run_id or "")
    record = read_record(store, segment, {task.task_id: task.state or "" for task in tasks})
    asked = record.asked.asked if record.asked else []
    if record.summary and record.asked:
        _say("\n" + tabulate_run(record.summary, len(record.asked.complete), record.refused))
    elif record.idle:
        _say(f"\nall {len(asked)} sessions from {asked[0]} to {asked[-1]} are complete: nothing was to be done")
        return True
    if not succeeded(tasks):
        _say(f"\nFAILED: {explain_failure(store, segment, tasks) if tasks else 'no task ran'}\nThe whole log: {log}")
        return False
    if stack.simulated:
        _say("source: SIMULATED. Prices and counts of all but the seven's recorded days are invented.")
    return True


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
