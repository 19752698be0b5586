"""Airflow's services as processes beside the sandbox: start, watch and end them with all their children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it carries no types

from sandbox.initialize import FERNET_KEY, JWT_SECRET, PASSWORDS, make_keys, prepare_database
from sandbox.processes import ServerNotReadyError
from sandbox.setup import set_up_sandbox
from sandbox.stack import ROOT, Stack
from sandbox.trigger import DEVELOPMENT_PASSWORD, USER

Services = dict[str, subprocess.Popen[bytes]]
SCHEDULER = "scheduler"
AIRFLOW = "airflow"
START_SECONDS = 180.0
STOP_SECONDS = 10.0
KILL_SECONDS = 5.0
MONTHS_AT_ONCE = "8"
"""Active runs of mag7_backfill, twice the slots of the pool: only busy slots use the rate limit. mag7_daily has its own
limit of one run."""


def describe_environment(stack: Stack, home: Path, port: int) -> dict[str, str]:
    """Return the environment of the services, without the database's URL."""
    keys = home / "keys"
    given = {name: value for name, value in stack.environment().items() if not name.startswith("AIRFLOW_CONN_")}
    return given | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__FERNET_KEY_CMD": f"cat {keys / FERNET_KEY}",
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": f"cat {keys / JWT_SECRET}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(keys / PASSWORDS),
        "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": MONTHS_AT_ONCE,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        # On the offline market runs are triggered by hand: no DAG is scheduled there, so none needs to be paused.
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False" if stack.simulated else "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False" if stack.simulated else "True",
    }


def list_services(port: int) -> dict[str, list[str]]:
    """List Airflow's services with their arguments; all of them read the log files, so none needs to serve them."""
    return {
        "api-server": ["--host", "127.0.0.1", "--port", str(port)],
        SCHEDULER: ["--skip-serve-logs"],
        "dag-processor": [],
        "triggerer": ["--skip-serve-logs"],
    }


def _say_nothing(_: str) -> None: ...


@contextmanager
def run_services(
    port: int,
    home: Path,
    environment: Mapping[str, str],
    *,
    scheduler: str = AIRFLOW,
    say: Callable[[str], None] = _say_nothing,
) -> Iterator[Services]:
    """Prepare Airflow and the sandbox, and run all services until the block ends; they are healthy when it begins.

    The log of each service is a file in ``home``. ``scheduler`` is the module that runs as Airflow's command for the
    scheduler. ``say`` is called with each step. Raises ServerNotReadyError where a service ends or does not respond.
    """
    make_keys(home / "keys", DEVELOPMENT_PASSWORD)
    say("preparing Airflow's database")
    prepare_database(environment)
    if set_up_sandbox(environment, home / "mag7_setup.log"):
        say("mag7_setup has set the sandbox up")
    services: Services = {}
    try:
        for name in list_services(port):
            (home / f"{name}.log").unlink(missing_ok=True)
            module = scheduler if name == SCHEDULER else AIRFLOW
            services[name] = start_service(name, port, home, environment, module)
        _wait_until_healthy(services, port, home)
        yield services
    finally:
        end_sessions(services.values())


def start_service(
    name: str, port: int, home: Path, environment: Mapping[str, str], module: str = AIRFLOW
) -> subprocess.Popen[bytes]:
    """Start one service; its output is appended to its log."""
    with (home / f"{name}.log").open("ab") as output:
        # Its own process session: its children can be found, and ctrl-C does not reach it directly.
        return subprocess.Popen(
            [sys.executable, "-m", module, name, *list_services(port)[name]],
            cwd=ROOT,
            env=dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end_sessions(leaders: Iterable[subprocess.Popen[bytes]]) -> None:
    """End processes that each lead a process session, and then all that is left in these sessions.

    A session, not a process group: each task that the scheduler runs has its own group.
    """
    held = list(leaders)
    for leader in held:
        leader.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for leader in held:
        with suppress(subprocess.TimeoutExpired):
            leader.wait(max(0.0, deadline - time.monotonic()))
        kill_session(leader)


def kill_session(leader: subprocess.Popen[bytes]) -> None:
    """Kill all processes of the session that a process leads or led, with SIGKILL."""
    gone_by = time.monotonic() + KILL_SECONDS
    while (left := list_session(leader.pid)) and time.monotonic() < gone_by:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    leader.wait(STOP_SECONDS)


def list_session(leader: int) -> list[int]:
    """List the processes of the session that a process leads or led, without zombies."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(int(process.pid))
    return found


def _wait_until_healthy(services: Services, port: int, home: Path) -> None:
    """Wait until all services are healthy; raises ServerNotReadyError after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        check_alive(services, home)
        if _is_healthy(port):
            return
        time.sleep(0.5)
    raise ServerNotReadyError(f"Airflow is not healthy after {START_SECONDS:.0f} s: see the logs in {home}")


def _is_healthy(port: int) -> bool:
    address = f"http://127.0.0.1:{port}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(address, timeout=5) as response:  # nosec B310 # Airflow's own, on this machine
            parts = json.load(response)
    except OSError:
        return False
    return all(part["status"] == "healthy" for part in parts.values())


def check_alive(services: Services, home: Path) -> None:
    """Raise ServerNotReadyError with the last lines of its log where a service has ended."""
    for name, process in services.items():
        if process.poll() is not None:
            lines = (home / f"{name}.log").read_text(errors="replace").strip().splitlines()[-3:]
            raise ServerNotReadyError(f"airflow {name} ended with code {process.returncode}: {' | '.join(lines)}")
