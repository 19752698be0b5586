"""The whole stack as one object: runs sessions through ``make demo``'s own code and shows what readers see."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox import dag_run, demo
from sandbox.airflow_home import TaskRun, find_run, list_task_runs
from sandbox.stack import ROOT, SIMULATED, Stack
from tools.stack_reader import StackReader

KEY = "e2e-key-5b0c1d7f92"
"""The API key of every run in the house; it may be seen nowhere."""

LONGEST_RUN_SECONDS = 300


@dataclass(frozen=True)
class Run:
    """What became of one ``make demo``: exit code, what it printed, its summary, its tasks, and Airflow's log."""

    code: int
    printed: str
    summary: dict[str, Any]
    tasks: list[TaskRun]
    log: str

    def states(self) -> dict[str, set[str | None]]:
        """The states of each task's instances."""
        found: dict[str, set[str | None]] = {}
        for task in self.tasks:
            found.setdefault(task.task_id, set()).add(task.state)
        return found

    def last_word(self, task_id: str) -> str:
        """The last thing that a task said in its log, Airflow's own notes left out."""
        notes = ("::endgroup::", "Task instance state updated", "Pushing xcom")
        return [line for line in self.task_log(task_id) if not any(note in line for note in notes)][-1]

    def task_log(self, task_id: str) -> list[str]:
        """The lines that a task's last attempt wrote, from its start to its end."""
        parts = re.findall(
            rf"^.*\[DAG TEST\] starting task_id={re.escape(task_id)} .*\n((?:.*\n)*?).*\[DAG TEST\] end task ",
            self.log,
            re.MULTILINE,
        )
        assert parts, f"{task_id} did not run"
        return str(parts[-1]).splitlines()


class AirflowProcess:
    """Airflow's command line, started once; see airflow_process."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.airflow_process"],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def run(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> int:
        """Run one command and wait for its end."""
        assert self._process.stdin and self._process.stdout
        job = {"arguments": arguments, "environment": dict(environment), "log": str(log)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"Airflow's process ended with {self._process.wait(30)}; see {log}"
        return int(json.loads(answer)["code"])

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)


@dataclass
class House(StackReader):
    """A running stack in a folder, and Airflow beside it."""

    airflow: AirflowProcess

    def demo(
        self,
        *arguments: str,
        change: Mapping[str, str] | None = None,
        leave_out: tuple[str, ...] = (),
        first: Callable[[], object] = lambda: None,
    ) -> Run:
        """Run ``python -m sandbox.demo`` on the running stack, as if it had just been started.

        Tasks see the stack's environment with changes; ``first`` is called when all is prepared for the DAG.
        """
        log = self.home / f"run-{time.monotonic_ns()}.log"
        began = datetime.now(UTC)
        inherited = self.stack.environment() | {"POLYGON_API_KEY": KEY} | dict(change or {})
        environment = {name: value for name, value in inherited.items() if name not in leave_out}
        self._post("/sandbox/calls/reset", None)

        def run_dag(_: Stack, dag_id: str, day: str, conf: Mapping[str, object], **options: Any) -> int:
            first()
            code = self.airflow.run(["dags", "test", dag_id, day, "-c", json.dumps(conf)], environment, log)
            options["log"].write_bytes(log.read_bytes())
            return code

        printed = io.StringIO()
        with (
            _replaced(demo, "run_stack", lambda *_: contextlib.nullcontext(self.stack)),
            _replaced(dag_run, "run_dag", run_dag),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            code = demo.main([*arguments, "--home", str(self.home)])
        summary = self.home / demo.SUMMARY_FILE
        return Run(
            code,
            printed.getvalue(),
            json.loads(summary.read_text()) if summary.exists() else {},
            self.list_tasks(began),
            log.read_text() if log.exists() else "",
        )

    def list_tasks(self, since: datetime) -> list[TaskRun]:
        """The task instances of the newest run, from Airflow's database."""
        run_id = find_run(self.stack, demo.DAG, since)
        return list_task_runs(self.stack, demo.DAG, run_id) if run_id else []

    @contextlib.contextmanager
    def faults(self, *rules: Mapping[str, Any]) -> Iterator[None]:
        """Let the offline market fail by these rules inside the block."""
        self._post("/sandbox/faults", list(rules))
        try:
            yield
        finally:
            self._post("/sandbox/faults", [])

    def count_calls(self) -> dict[str, Any]:
        """The offline market's own count of the calls that it served."""
        with urllib.request.urlopen(f"{self.stack.polygon_url}/sandbox/calls", timeout=20) as answer:  # noqa: S310
            return dict(json.load(answer))

    def _post(self, path: str, body: object) -> None:
        request = urllib.request.Request(  # noqa: S310
            self.stack.polygon_url + path, json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            assert answer.status == 200


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@dataclass(frozen=True)
class Command:
    """What became of one ``make demo`` in a folder of its own, and the servers that it started."""

    home: Path
    code: int
    printed: str
    summary: dict[str, Any]
    run_id: str | None
    tasks: list[TaskRun]
    servers: dict[str, int]


def run_command(home: Path, source: str, *arguments: str, environment: Mapping[str, str]) -> Command:
    """Run ``make demo``'s command and read what it left."""
    began = datetime.now(UTC)
    ended = run_demo(home, *arguments, environment=environment)
    stack = Stack(home / source, source, "", "", simulated=source == SIMULATED)
    run_id = find_run(stack, demo.DAG, began)
    summary = home / demo.SUMMARY_FILE
    return Command(
        home,
        ended.returncode,
        ended.stdout + ended.stderr,
        json.loads(summary.read_text()) if summary.exists() else {},
        run_id,
        list_task_runs(stack, demo.DAG, run_id) if run_id else [],
        {path.name: json.loads(path.read_text())["pid"] for path in (stack.folder / "servers").glob("*.json")},
    )


def run_demo(home: Path, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``python -m sandbox.demo`` as a command of its own, as ``make demo`` does."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--home", str(home), *arguments],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_SECONDS,
        check=False,
    )
