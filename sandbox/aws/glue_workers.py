"""Processes that run Glue scripts, each with its own Python and Spark; an option keeps them for the next run."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUNTIME = Path(__file__).parent / "glue_runtime"
Environment = dict[str, str]


@dataclass(eq=False)
class Worker:
    """A process that runs one script at a time; ``home`` is its folder, deleted when it ends."""

    home: Path
    environment: Environment
    process: subprocess.Popen[bytes]
    runs: int = 0

    def run(self, job: dict[str, Any], seconds: float) -> int | None:
        """Run a script; returns its exit code, or that of the process if it ended; None after ``seconds``."""
        assert self.process.stdin and self.process.stdout  # noqa: S101 - both are pipes
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self.process.wait()
        self.runs += 1
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            return None
        answer = self.process.stdout.readline()
        return int(answer) if answer else self.process.wait()

    def kill(self) -> None:
        """Kill it with its child processes: Java, Python workers."""
        with contextlib.suppress(ProcessLookupError):  # the whole group may have ended already
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill it and delete its folder."""
        self.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self.home, ignore_errors=True)


class Workers:
    """The processes of one sandbox.

    A worker that is kept saves the next run the start of Python and Spark, most of a small job; Java's own output then
    goes to the log of the first run. By default every run has its own process.
    """

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self._folder = folder
        self._keep = keep
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def take(self, environment: Environment) -> Worker:
        """Take an idle worker with this environment, or start one."""
        with self._lock:
            for worker in self._idle:
                if worker.environment == environment and worker.process.poll() is None:
                    self._idle.remove(worker)
                    return worker
        home = Path(tempfile.mkdtemp(dir=self._folder, prefix="worker-"))
        spark = "spark.local.dir", "spark.sql.warehouse.dir"
        places = " ".join(f"--conf {name}={home / name.split('.')[1]}" for name in spark)
        submit = environment.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
        process = subprocess.Popen(
            [sys.executable, str(RUNTIME / "launch.py")],
            cwd=home,
            env=environment | {"HOME": str(home), "PYSPARK_SUBMIT_ARGS": f"{places} {submit}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return Worker(home, environment, process)

    def give_back(self, worker: Worker, code: int | None) -> None:
        """Keep a worker whose script succeeded, if workers are kept; end any other."""
        if self._keep and code == 0:
            with self._lock:
                self._idle.append(worker)
        else:
            worker.end()

    def end(self) -> None:
        """End the idle workers."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()
