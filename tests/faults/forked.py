"""The forked Airflow from outside: runs a DAG run to its end, or kills its process at a chosen moment."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.stack import ROOT
from tests.faults.plan import Kill

START_SECONDS = 180.0
RUN_SECONDS = 300.0


class AirflowGoneError(Exception):
    """The forking process ended or said nothing for too long."""


@dataclass
class Ended:
    """How the process of a run ended: the run's state, None where it was killed or broke; the tasks that it started."""

    state: str | None
    killed: bool
    started: list[str] = field(default_factory=list)


class ForkedAirflow:
    """Runs DAG runs in children of a warmed process; see airflow_fork."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self.environment, self.logs = dict(environment), logs
        logs.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.airflow_fork"],
            cwd=ROOT,
            env={**environment, "FAULTS_WARM_LOG": str(logs / "warm.log")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._unread = b""
        self.seconds: dict[str, float] = {}
        """How long each task took in the latest run without a kill."""
        self._read(START_SECONDS)

    def run(
        self,
        dag: str,
        run: str,
        conf: Mapping[str, Any],
        *,
        clear: str | None = None,
        kill: Kill | None = None,
        warm: bool = False,
    ) -> Ended:
        """Begin a run, or take it up where it stopped, after clearing what ``clear`` names ("failed": what failed)."""
        job = {"dag": dag, "run": run, "conf": dict(conf), "clear": clear, "warm": warm, "environment": {},
               "log": str(self.logs / f"{run}.log")}  # fmt: skip
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        return self._follow(kill)

    def _follow(self, kill: Kill | None) -> Ended:
        ended, pid, moment = Ended(None, killed=False), 0, float("inf")
        until, before = time.monotonic() + RUN_SECONDS, time.monotonic()
        while True:
            message = self._read(min(moment, until) - time.monotonic())
            now = time.monotonic()
            if "code" in message:
                return ended
            pid = message.get("pid", pid)
            ended.state = message.get("state", ended.state)
            if "task" in message:
                if ended.started and kill is None:
                    self.seconds[ended.started[-1]] = now - before
                before = now
                ended.started.append(message["task"])
                if kill is not None and len(ended.started) == kill.tasks + 1:
                    moment = now + kill.fraction * self.seconds.get(message["task"], 1.0)
            over = kill is not None and len(ended.started) > kill.tasks + 1
            if pid and not ended.killed and (now >= moment or over or now >= until):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                ended.killed, moment = True, float("inf")

    def _read(self, seconds: float) -> dict[str, Any]:
        """Read one message; an empty one where none comes in time."""
        assert self._process.stdout
        number = self._process.stdout.fileno()
        deadline = time.monotonic() + max(seconds, 0.0)
        while b"\n" not in self._unread:
            ready, _, _ = select.select([number], [], [], max(deadline - time.monotonic(), 0.0))
            if not ready:
                return {}
            part = os.read(number, 65536)
            if not part:
                raise AirflowGoneError(f"Airflow's process ended with {self._process.wait(30)}; see {self.logs}")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return dict(json.loads(line))

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
