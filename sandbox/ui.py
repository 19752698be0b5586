"""``make ui``: Airflow's services and web page on the local sandbox; ctrl-C ends every process that it started.

Usage: python -m sandbox.ui [--port 8080] [--home FOLDER]

The services are those of docker-compose.yaml, as processes: database, api-server, scheduler, dag-processor,
triggerer, AWS sandbox and offline market. The logs of all lie in the folder that it names.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path
from types import FrameType
from typing import NoReturn

import boto3
import psutil  # type: ignore[import-untyped]  # it carries no types

from mag7.errors import Mag7Error
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.settings import read_settings
from sandbox.airflow_home import AirflowCommandError
from sandbox.initialize import FERNET_KEY, JWT_SECRET, PASSWORDS, KeyMissingError, make_keys, prepare_database
from sandbox.postgres import PostgresNotReadyError, find_programs, run_postgres
from sandbox.processes import ServerNotReadyError
from sandbox.provision import ProvisioningError
from sandbox.setup import set_up_sandbox
from sandbox.stack import REGION, ROOT, FolderInUseError, Stack, run_stack
from sandbox.trigger import DEVELOPMENT_PASSWORD, USER, AirflowApi, AirflowRefusedError

Services = dict[str, subprocess.Popen[bytes]]
DAG = "mag7_daily"
FIRST_SESSIONS = ("2024-12-11", "2024-12-12", "2024-12-13")
START_SECONDS = 180.0
STOP_SECONDS = 10.0
KILL_SECONDS = 5.0
POSTGRES_PARALLELISM, SQLITE_PARALLELISM = "8", "2"
MONTHS_AT_ONCE = "4"
"""Months that mag7_backfill has under way at once; mag7_daily has one run at a time whatever stands here."""


class PortInUseError(Exception):
    """Somebody listens on the port already."""


class Stopped(BaseException):
    """Somebody asked this command to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Start everything, and wait until a process ends or somebody asks for the end; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.ui", description="Airflow's page on the local sandbox.")
    parser.add_argument("--port", type=int, default=8080, help="port of the page on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where the sandbox keeps its state")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        check_port(options.port)
        with run_stack(options.home, os.environ) as stack:
            home = stack.folder / "ui"
            with run_airflow_services(stack, home, options.port) as services:
                watch(services, home)
    except Stopped:
        _say("\nended: no process is left")
        return 0
    except (
        *(PortInUseError, FolderInUseError, ServerNotReadyError, ProvisioningError),
        *(AirflowCommandError, AirflowRefusedError, PostgresNotReadyError, KeyMissingError, Mag7Error),
    ) as error:
        print(f"ui: {error}", file=sys.stderr)
        return 1


def _stop(_number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second ctrl-C must not interrupt the clearing up.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def check_port(port: int) -> None:
    """Raise PortInUseError where the port of the page is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PortInUseError(
                f"port {port} of 127.0.0.1 is in use: end what listens there, or take another: make ui PORT={port + 1}"
            ) from None


@contextmanager
def run_airflow_services(stack: Stack, home: Path, port: int) -> Iterator[Services]:
    """Run Airflow's services beside a stack until the block ends; they answer when it begins."""
    home.mkdir(exist_ok=True)
    with ExitStack() as held:
        environment = describe_environment(stack, home, port) | _choose_database(held, home)
        make_keys(home / "keys", DEVELOPMENT_PASSWORD)
        _say("preparing Airflow's database")
        prepare_database(environment)
        if set_up_sandbox(environment, home / "mag7_setup.log"):
            _say("mag7_setup has set the sandbox up")
        services = held.enter_context(_run_services(port, home, environment))
        _wait_until_healthy(services, port, home)
        _say(f"Airflow: http://localhost:{port}  user {USER}, password {DEVELOPMENT_PASSWORD}\nlogs: {home}")
        _load_first_sessions(stack, port)
        _say("ctrl-C ends it")
        yield services


def describe_environment(stack: Stack, home: Path, port: int) -> dict[str, str]:
    """Give the environment of the services, without the database's address."""
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
        # The offline market has no new sessions: runs are asked for by hand.
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False" if stack.simulated else "True",
    }


def _choose_database(held: ExitStack, home: Path) -> dict[str, str]:
    """Start PostgreSQL where it can be had; else take SQLite, with no more tasks at once than it stands."""
    try:
        address = held.enter_context(run_postgres(home / "postgres", find_programs()))
    except (PostgresNotReadyError, OSError) as error:
        _say(f"Airflow's database is SQLite, so {SQLITE_PARALLELISM} tasks run at once: {error}")
        return {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__CORE__PARALLELISM": SQLITE_PARALLELISM,
        }
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address, "AIRFLOW__CORE__PARALLELISM": POSTGRES_PARALLELISM}


@contextmanager
def _run_services(port: int, home: Path, environment: Mapping[str, str]) -> Iterator[Services]:
    services: Services = {}
    try:
        for name, arguments in list_services(port).items():
            with (home / f"{name}.log").open("wb") as output:
                # A session of its own: its children are found by it, and ctrl-C reaches it in its turn.
                services[name] = subprocess.Popen(
                    [sys.executable, "-m", "airflow", name, *arguments],
                    cwd=ROOT,
                    env=dict(environment),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        yield services
    finally:
        end_sessions(services.values())


def list_services(port: int) -> dict[str, list[str]]:
    """List Airflow's services with their arguments; logs are files that all of them see, so none serves them."""
    return {
        "api-server": ["--host", "127.0.0.1", "--port", str(port)],
        "scheduler": ["--skip-serve-logs"],
        "dag-processor": [],
        "triggerer": ["--skip-serve-logs"],
    }


def end_sessions(leaders: Iterable[subprocess.Popen[bytes]]) -> None:
    """End processes that each lead a session, and then whatever else is left in their sessions.

    A session, not a process group: every task that the scheduler runs makes a group of its own.
    """
    held = list(leaders)
    for leader in held:
        leader.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for leader in held:
        with suppress(subprocess.TimeoutExpired):
            leader.wait(max(0.0, deadline - time.monotonic()))
        gone_by = time.monotonic() + KILL_SECONDS
        while (left := list_session(leader.pid)) and time.monotonic() < gone_by:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        leader.wait(STOP_SECONDS)


def list_session(leader: int) -> list[int]:
    """List the processes of the session that a process leads or led; zombies have ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(int(process.pid))
    return found


def _wait_until_healthy(services: Services, port: int, home: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        _check_alive(services, home)
        if _is_healthy(port):
            return
        time.sleep(0.5)
    raise ServerNotReadyError(f"Airflow is not healthy after {START_SECONDS:.0f} s: see the logs in {home}")


def _is_healthy(port: int) -> bool:
    address = f"http://127.0.0.1:{port}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # nosec B310 # Airflow's own, on this machine
            parts = json.load(answer)
    except OSError:
        return False
    return all(part["status"] == "healthy" for part in parts.values())


def _check_alive(services: Services, home: Path) -> None:
    for name, process in services.items():
        if process.poll() is not None:
            lines = (home / f"{name}.log").read_text(errors="replace").strip().splitlines()[-3:]
            raise ServerNotReadyError(f"airflow {name} ended with code {process.returncode}: {' | '.join(lines)}")


def _load_first_sessions(stack: Stack, port: int) -> None:
    """Ask for a few sessions where the lake has none, so that there is something to look at."""
    if not stack.simulated or _has_sessions(stack):
        return
    api = AirflowApi(f"http://127.0.0.1:{port}", DEVELOPMENT_PASSWORD)
    api.wait_for_dag(DAG)
    api.unpause(DAG)
    for day in FIRST_SESSIONS:
        api.trigger(DAG, day, {})
    _say(f"the lake is empty: {DAG} runs for {', '.join(FIRST_SESSIONS)}, about a minute each")


def _has_sessions(stack: Stack) -> bool:
    environment = stack.environment()
    client = boto3.client(
        "s3",
        endpoint_url=stack.aws_url,
        region_name=REGION,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    documents = document_key(date.min).split("trading_date=")[0]
    return any(ObjectStore(client, read_settings(environment).bucket).list(documents))


def watch(services: Services, home: Path) -> NoReturn:
    """Wait for ever; raises ServerNotReadyError when a service has ended by itself."""
    while True:
        _check_alive(services, home)
        time.sleep(1)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
