"""Server processes of the sandbox, on free ports; they end with the command that started them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 30.0


class ServerNotReadyError(Exception):
    """A server of the sandbox ended, or did not respond in time; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Server:
    """A running server: its address and its process id."""

    url: str
    pid: int


@contextmanager
def run_server(module: str, arguments: Sequence[str], folder: Path, root: Path) -> Iterator[Server]:
    """Run ``python -m module`` until the block ends; its output goes to ``folder/<module>.log``."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / f"{module}.ready.json"
    ready.unlink(missing_ok=True)
    log = folder / f"{module}.log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "plugins")])}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "--ready-file", str(ready)],
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        port = _wait_until_ready(process, ready, log, module)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path, module: str) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerNotReadyError(f"{module} ended with code {process.returncode}: {_tail(log)}")
        if ready.exists() and (text := ready.read_text()):
            return int(json.loads(text)["port"])
        time.sleep(0.05)
    raise ServerNotReadyError(f"{module} did not answer within {START_SECONDS:.0f} s: {_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " | ".join(lines[-3:]) or "it said nothing"
