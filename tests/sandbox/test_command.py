"""What the sandbox's commands share: dates, and one line for what ends them."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from sandbox.command import DateInvalidError, read_day

ENDLESS = """
import time
from sandbox.command import run_as_command

def main():
    try:
        print("up", flush=True)
        time.sleep(600)
    finally:
        print("clearing up", flush=True)
        time.sleep(1)
        print("clear", flush=True)

run_as_command("demo", main)
"""


@pytest.mark.parametrize(
    ("text", "now", "day"),
    [
        ("2024-06-07", (2026, 11, 27, 18, 30), "2024-06-07"),
        ("latest", (2026, 11, 27, 17, 59), "2026-11-25"),  # the day after Thanksgiving closes at 18:00 UTC
        ("latest", (2026, 11, 27, 18, 0), "2026-11-27"),
        ("latest", (2026, 11, 30, 3, 0), "2026-11-27"),  # still Sunday evening in New York
    ],
)
def test_a_date_is_a_day_or_the_last_closed_session(text: str, now: tuple[int, ...], day: str) -> None:
    assert read_day("DATE", text, datetime(*now, tzinfo=UTC)).isoformat() == day


@pytest.mark.parametrize("text", ["newest", "2024-13-01", "", "x\ny"])
def test_what_is_not_a_date_is_refused_by_its_variable(text: str) -> None:
    with pytest.raises(
        DateInvalidError, match=r"^FROM=.* is not a date: write it as 2024-12-13, or latest for the last"
    ):
        read_day("FROM", text, datetime(2026, 11, 27, tzinfo=UTC))


def test_ctrl_c_is_one_line_and_a_second_one_does_not_interrupt_the_clearing_up() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "clearing up\n"
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "clear\n")
    assert error == "\ndemo: stopped. Stored responses are kept: the same command continues from there.\n"
