"""``make explain``: mag7.tasks.explain on what the local sandbox holds.

Usage: python -m sandbox.explain TICKER YYYY-MM-DD [--home FOLDER]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mag7.settings import SettingInvalidError
from sandbox.processes import ServerNotReadyError
from sandbox.stack import ROOT, FolderInUseError, run_stack

LONGEST_SECONDS = 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the stack, explain, end it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.explain", description=__doc__)
    parser.add_argument("ticker")
    parser.add_argument("session")
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where the sandbox keeps its state")
    options = parser.parse_args(arguments)
    command = [sys.executable, "-m", "mag7.tasks.explain", options.ticker, options.session]
    try:
        with run_stack(options.home, os.environ) as stack:
            ended = subprocess.run(command, cwd=ROOT, env=stack.environment(), timeout=LONGEST_SECONDS, check=False)
    except (FolderInUseError, ServerNotReadyError, SettingInvalidError, subprocess.TimeoutExpired) as error:
        print(f"explain: {error}", file=sys.stderr)
        return 1
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
