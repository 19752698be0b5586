"""Airflow's command line in a process that stays: its start-up, most of what a short run takes, is paid once.

Reads one JSON object a line, ``{"arguments": [...], "environment": {...}, "log": path}``, runs ``airflow`` with those
arguments and that environment, its whole output in the log, and answers each with ``{"code": n}`` on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Answer jobs until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        job = json.loads(line)
        answers.write(json.dumps({"code": run_command(job["arguments"], job["environment"], Path(job["log"]))}) + "\n")


def run_command(arguments: list[str], environment: dict[str, str], log: Path) -> int:
    """Run one command of Airflow; returns its exit code."""
    os.environ.clear()
    os.environ.update(environment)
    with log.open("wb") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    from airflow.cli import cli_parser

    try:
        parsed = cli_parser.get_parser().parse_args(arguments)
        parsed.func(parsed)
    except SystemExit as ended:
        print(ended.code)
        return int(bool(ended.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
