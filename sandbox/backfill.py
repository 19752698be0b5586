"""``make backfill``: a range of sessions through the real backfill DAG against the local sandbox.

Usage: python -m sandbox.backfill --from YYYY-MM-DD --to YYYY-MM-DD [--repeat] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mag7.runs.table import tabulate_run
from mag7.sessions import NotASessionError, SessionNotClosedError, SessionTooEarlyError, sessions_asked_for
from sandbox import dag_run
from sandbox.command import CANNOT_START, DateInvalidError, fail, read_day, run_as_command
from sandbox.cost import describe_range_cost
from sandbox.dag_run import say
from sandbox.demo import FIRST_SESSION
from sandbox.stack import ROOT, Stack, run_stack

DAG = "mag7_backfill"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a range and print the result; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.backfill", description="Fill a range of sessions.")
    parser.add_argument("--from", dest="first", required=True, help="first day of the range, 2020-11-30 or later")
    parser.add_argument("--to", dest="last", required=True, help="its last day")
    parser.add_argument("--repeat", action="store_true", help="also sessions that are complete, from stored responses")
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where the sandbox keeps its state")
    options = parser.parse_args(arguments)
    try:
        first, last = read_range(options.first, options.last, datetime.now(UTC))
        params = {"start_date": first.isoformat(), "end_date": last.isoformat(), "repeat": options.repeat}
        with run_stack(options.home, os.environ) as stack:
            return 0 if fill(stack, params) else 1
    except CANNOT_START as error:
        return fail("backfill", error)


def read_range(first: str, last: str, now: datetime) -> tuple[date, date]:
    """Read FROM and TO; raises DateInvalidError where the range holds no session that is covered and has closed."""
    begin, end = read_day("FROM", first, now), read_day("TO", last, now)
    if end < begin:
        raise DateInvalidError(f"TO={last} is before FROM={first}")
    try:
        sessions_asked_for(begin, end, now, covered=date.fromisoformat(FIRST_SESSION))
    except (NotASessionError, SessionNotClosedError, SessionTooEarlyError) as error:
        raise DateInvalidError(str(error)) from None
    return begin, end


def fill(stack: Stack, params: Mapping[str, Any]) -> bool:
    """Run the DAG for a range on a running stack and print the result; returns whether nothing failed."""
    first, last = params["start_date"], params["end_date"]
    dag_run.prepare(stack, DAG, f"{first} to {last}")
    if cost := describe_range_cost(stack, date.fromisoformat(first), date.fromisoformat(last)):
        say(cost)
    # The date is only the run's label: the params say what it is for.
    run = dag_run.run_to_end(stack, DAG, f"{datetime.now(UTC):%Y-%m-%d}", params, f"backfill-{first}-{last}")
    record = run.read_record()
    asked = record.asked.asked if record.asked else []
    if record.summary and record.asked:
        say("\n" + tabulate_run(record.summary, len(record.asked.complete), record.refused))
    elif record.idle:
        say(f"\nall {len(asked)} sessions from {asked[0]} to {asked[-1]} are complete: nothing was to be done")
        return True
    if not run.succeeded:
        reason = run.explain_failure() if run.tasks else f"no task ran: {run.read_last_words()}"
        say(f"\nFAILED: {reason}\nThe whole log: {run.log}")
        return False
    if stack.simulated:
        say("source: SIMULATED. Prices and counts of all but the seven's recorded days are invented.")
    return True


if __name__ == "__main__":
    run_as_command("backfill", main)
