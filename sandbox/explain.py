"""``make explain`` and ``make facts``: mag7.tasks.explain and mag7.tasks.show_facts on the data of the local sandbox.

Usage: python -m sandbox.explain TICKER YYYY-MM-DD [--home FOLDER]
       python -m sandbox.explain --facts [--known-at MOMENT] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sandbox.command import CANNOT_START, fail, read_day, run_as_command
from sandbox.stack import ROOT, run_stack

LONGEST_SECONDS = 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the stack, run the module, stop the stack; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.explain", description=__doc__)
    parser.add_argument("ticker", nargs="?")
    parser.add_argument("session", nargs="?")
    parser.add_argument("--facts", action="store_true", help="show the facts instead of a figure")
    parser.add_argument("--known-at", default=None, help="the facts as known at this moment")
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where the sandbox keeps its state")
    options = parser.parse_args(arguments)
    if not options.facts and (options.ticker is None or options.session is None):
        parser.error("give a ticker and a session, or --facts")
    try:
        if options.facts:
            known_at = [] if options.known_at is None else ["--known-at", options.known_at]
            what = ["show_facts", *known_at]
        else:
            what = ["explain", options.ticker, str(read_day("DATE", options.session, datetime.now(UTC)))]
        command = [sys.executable, "-m", f"mag7.tasks.{what[0]}", *what[1:]]
        with run_stack(options.home, os.environ, airflow=None) as stack:
            ended = subprocess.run(command, cwd=ROOT, env=stack.environment(), timeout=LONGEST_SECONDS, check=False)
    except (*CANNOT_START, subprocess.TimeoutExpired) as error:
        return fail("explain", error)
    return ended.returncode


if __name__ == "__main__":
    run_as_command("explain", main)
