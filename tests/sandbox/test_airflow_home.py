"""Running a DAG as a command: what is said on the way, and that nothing outlives it."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from sandbox import airflow_home
from sandbox.airflow_home import run_dag
from sandbox.stack import Stack

LINES = [
    "[DAG TEST] starting task_id=resolve map_index=-1",
    "[DAG TEST] starting task_id=counts map_index=0",
    "INFO - 0 of 21 sessions built, 21 left; 40 calls done, about 60 left: collected at 15:34:29 UTC at this rate [x]",
    "[DAG TEST] starting task_id=counts map_index=1",
    "INFO - 0 of 21 sessions built, 21 left; 90 calls done, about 10 left: collected at 15:34:29 UTC at this rate",
]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack that nobody started."""
    return Stack(tmp_path, "simulated", "http://127.0.0.1:1", "http://127.0.0.1:2", simulated=True)


def let_airflow_say(monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    code = f"import time\nfor line in {LINES!r}: print(line, flush=True)\n{then}"
    monkeypatch.setattr(airflow_home, "airflow_command", lambda *_: [sys.executable, "-c", code])


@pytest.mark.parametrize(("seconds", "told"), [(0.0, ["40", "90"]), (600.0, [])])
def test_a_task_is_told_once_and_progress_every_so_often(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, told: list[str]
) -> None:
    monkeypatch.setattr(airflow_home, "PROGRESS_SECONDS", seconds)
    let_airflow_say(monkeypatch, "raise SystemExit(3)")
    said: list[str] = []

    assert run_dag(stack, "dag", "2024-12-13", {}, log=tmp_path / "log", say=said.append) == 3

    assert [text for text in said if "sessions" not in text] == ["resolve", "counts"]
    progress = [text.strip() for text in said if "sessions" in text]
    assert [text.split("; ")[1].split()[0] for text in progress] == told
    assert all(text.startswith("0 of 21 sessions built") and text.endswith("at this rate") for text in progress)
    assert (tmp_path / "log").read_text().splitlines() == LINES


def test_an_interrupted_run_leaves_no_process(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_airflow_say(monkeypatch, "time.sleep(600)")

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_dag(stack, "dag", "2024-12-13", {}, log=tmp_path / "log", say=interrupt)
    assert [child for child in psutil.Process().children() if "DAG TEST" in " ".join(child.cmdline())] == []
