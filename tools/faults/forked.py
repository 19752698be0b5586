"""The parent side of the forked Airflow: lets a DAG run end, or kills its process at a chosen moment."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from sandbox.stack import ROOT
from tools.faults.plan import Kill, Place, stage_of

START_SECONDS = 180.0
RUN_SECONDS = 300.0


class AirflowGoneError(Exception):
    """The forking process ended, or sent no message for too long."""


@dataclass
class Ended:
    """How the process of a run ended: the run's state, None where it was killed or failed; the tasks that it started.

    ``kill`` is the kill that was due; ``cleared`` is the chosen task that was cleared with its downstream tasks.
    """

    state: str | None
    killed: bool
    started: list[str] = field(default_factory=list)
    kill: Kill | None = None
    cleared: str | None = None


class Kills:
    """The kills that are left for a run."""

    def __init__(self, kills: Iterable[Kill]) -> None:
        self._left = list(kills)
        self._places: dict[tuple[str, int], Place] = {}

    def find(self, task: str, map_index: int) -> Kill | None:
        """Find the kill for a task that starts; must be called for each start."""
        stage = stage_of(task)
        begun = sum(place.stage == stage for place in self._places.values())
        place = self._places.setdefault((task, map_index), Place(stage, begun))
        return next((kill for kill in self._left if kill.place == place), None)

    def spend(self, kill: Kill) -> None:
        """Remove a kill that was carried out."""
        self._left.remove(kill)


class ForkedAirflow:
    """Runs DAG runs in children of a process with Airflow loaded; see airflow_fork."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self.environment, self.logs = dict(environment), logs
        logs.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.faults.airflow_fork"],
            cwd=ROOT,
            env={**environment, "FAULTS_WARM_LOG": str(logs / "warm.log")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._jobs, self._messages = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        self._unread = b""
        self.seconds: dict[str, float] = {}
        """Seconds of each task the last time that it ended."""
        self._read(START_SECONDS)

    def run(
        self,
        dag: str,
        run: str,
        conf: Mapping[str, Any],
        *,
        clear: str | None = None,
        share: float | None = None,
        kills: Kills | None = None,
        warm: bool = False,
    ) -> Ended:
        """Start a run, or continue it, after clearing the task in ``clear`` ("failed": all failed tasks).

        ``share`` also clears one of the successful tasks: from 0, the first by name, to less than 1.
        """
        job = {"dag": dag, "run": run, "conf": dict(conf), "clear": clear, "share": share, "warm": warm,
               "environment": {}, "log": str(self.logs / f"{run}.log")}  # fmt: skip
        self._jobs.write(json.dumps(job).encode() + b"\n")
        self._jobs.flush()
        return self._follow(kills or Kills([]))

    def _follow(self, kills: Kills) -> Ended:
        ended, pid, moment = Ended(None, killed=False), 0, float("inf")
        until, before = time.monotonic() + RUN_SECONDS, time.monotonic()
        while True:
            message = self._read(min(moment, until) - time.monotonic())
            now = time.monotonic()
            if "code" in message:
                # A run that reported its state had ended before its process was killed.
                ended.killed = ended.killed and ended.state is None
                return ended
            pid = message.get("pid", pid)
            ended.cleared = message.get("cleared", ended.cleared)
            if ended.started and not ended.killed and ("task" in message or "state" in message):
                self.seconds[ended.started[-1]] = now - before
            if "state" in message:
                ended.state, moment = message["state"], float("inf")
            if "task" in message:
                before, due = now, self._note_start(ended, kills, message, now)
                moment = moment if ended.killed else min(moment, due)
            if pid and not ended.killed and now >= min(moment, until):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                ended.killed, moment = True, float("inf")

    def _note_start(self, ended: Ended, kills: Kills, message: Mapping[str, Any], now: float) -> float:
        """Record the start of a task; returns when the process is to be killed."""
        task, over = message["task"], ended.kill is not None
        ended.started.append(task)
        due = kills.find(task, message["map_index"])
        if over:
            # The task of the kill was quicker than usual.
            return now
        ended.kill = due
        return now + due.fraction * self.seconds.get(task, 1.0) if due else float("inf")

    def _read(self, seconds: float) -> dict[str, Any]:
        """Read one message; empty where none comes in time."""
        number = self._messages.fileno()
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
        self._jobs.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
