"""`make ui`: what it starts, and that nothing of it is left when it has ended."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sandbox.postgres import find_free_port
from sandbox.services import end_sessions, list_session
from sandbox.trigger import DEVELOPMENT_PASSWORD, AirflowApi
from sandbox.ui import FIRST_SESSIONS
from tests.compose.compose_file import ROOT
from tests.private_folders import open_to_others

START_SECONDS = 300.0
END_SECONDS = 90.0


def start(home: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.ui", "--port", str(port), "--home", str(home)],
        cwd=ROOT,
        stdout=(home.parent / "ui.out").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run_command(home: Path, name: str, *arguments: str) -> str:
    """Run one of the sandbox's commands to its end; returns what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", f"sandbox.{name}", *arguments, "--home", str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def wait_for(process: subprocess.Popen[str], said: Path, words: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while words not in said.read_text():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.5)


def test_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = start(tmp_path / "home", port)
        assert process.wait(END_SECONDS) == 1
    said = (tmp_path / "ui.out").read_text().splitlines()
    assert len(said) == 1
    assert f"port {port} of 127.0.0.1 is in use" in said[0]
    assert not (tmp_path / "home").exists()


def test_end_of_sessions_reaches_groups_that_children_made() -> None:
    # As the scheduler's tasks do: a child in a process group of its own, which ignores the polite signal.
    code = "import os, signal, time; signal.signal(15, signal.SIG_IGN); {}print('up', flush=True); time.sleep(600)"
    child = code.format("os.setpgid(0, 0); ")
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    leader = subprocess.Popen([sys.executable, "-c", parent], start_new_session=True, stdout=subprocess.PIPE)
    assert leader.stdout is not None
    assert leader.stdout.readline() == b"up\n"
    assert len(list_session(leader.pid)) == 2
    end_sessions([leader])
    assert list_session(leader.pid) == []
    leader.stdout.close()


@pytest.mark.slow
def test_serves_loads_sessions_shares_its_sandbox_and_leaves_nothing_behind(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = open_to_others(tmp_path_factory.mktemp("ui"))
    said, port = folder / "ui.out", find_free_port()
    process = start(folder / "home", port)
    try:
        wait_for(process, said, "ctrl-C ends it")
        assert f"http://localhost:{port}  user admin, password admin" in said.read_text()
        api = AirflowApi(f"http://127.0.0.1:{port}", DEVELOPMENT_PASSWORD)
        runs = api.call("GET", "/api/v2/dags/mag7_daily/dagRuns")["dag_runs"]
        assert sorted(run["logical_date"][:10] for run in runs) == sorted(FIRST_SESSIONS)
        # Commands that end by themselves work on the sandbox of the one that lasts.
        assert {api.wait("mag7_daily", run["dag_run_id"]) for run in runs} == {"success"}
        explained = run_command(folder / "home", "explain", "NVDA", FIRST_SESSIONS[-1])
        assert "market cap: 3,287,782,500,000.00 USD" in explained
        assert "the seven in the index, by company: " in run_command(folder / "home", "demo", "--date", "2024-12-10")
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) > 6
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS) == 0, said.read_text()
    finally:
        process.kill()
        process.wait()
    assert [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert not any(str(folder) in " ".join(other.info["cmdline"] or []) for other in psutil.process_iter(["cmdline"]))
