"""What the sandbox's commands share: reading dates, and one line instead of a traceback."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from datetime import date, datetime
from types import FrameType
from typing import NoReturn

from mag7.errors import one_line
from mag7.sessions import last_closed_session
from mag7.settings import SettingInvalidError, SettingMissingError
from sandbox.airflow_home import AirflowCommandError
from sandbox.processes import ServerNotReadyError
from sandbox.provision import ProvisioningError
from sandbox.stack import FolderInUseError

LATEST = "latest"
EXAMPLE = "2024-12-13"
INTERRUPTED = 130


class DateInvalidError(Exception):
    """A date on the command line cannot be used."""


CANNOT_START = (
    DateInvalidError,
    FolderInUseError,
    ServerNotReadyError,
    ProvisioningError,
    AirflowCommandError,
    SettingInvalidError,
    SettingMissingError,
)
"""Errors that end a command before its run."""


def read_day(variable: str, text: str, now: datetime) -> date:
    """Read the date in a make variable; "latest" is the last session that had closed by ``now``, which has a time zone.

    Raises DateInvalidError.
    """
    if text == LATEST:
        return last_closed_session(now)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DateInvalidError(
            f"{variable}={one_line(text)} is not a date: write it as {EXAMPLE}, or {LATEST} for the last closed session"
        ) from None


def fail(command: str, error: Exception) -> int:
    """Print in one line why a command cannot start; returns its exit code."""
    print(f"{command}: {error}", file=sys.stderr)
    return 1


def run_as_command(command: str, main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code; ctrl-C ends its processes and prints one line."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        code = main()
    except KeyboardInterrupt:
        print(
            f"\n{command}: stopped. Stored responses are kept: the same command continues from there.", file=sys.stderr
        )
        code = INTERRUPTED
    sys.exit(code)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # A second ctrl-C must not interrupt the cleanup.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
