"""``make ui``: Airflow's services and web page on the local sandbox; ctrl-C ends all its processes.

Usage: python -m sandbox.ui [--port 8080] [--home FOLDER]

The services are those of docker-compose.yaml, as processes: database, api-server, scheduler, dag-processor,
triggerer, AWS sandbox and offline market. It prints the folder of their logs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mag7.errors import Mag7Error
from mag7.lake.keys import document_key
from sandbox.airflow_home import AirflowCommandError
from sandbox.dag_run import say
from sandbox.docker_check import is_taken
from sandbox.initialize import KeyMissingError
from sandbox.postgres import PostgresNotReadyError, find_programs, run_postgres
from sandbox.processes import ServerNotReadyError
from sandbox.provision import ProvisioningError, open_stack
from sandbox.services import Services, check_alive, describe_environment, run_services
from sandbox.stack import ROOT, FolderInUseError, Stack, offer_stack, run_stack
from sandbox.trigger import DEVELOPMENT_PASSWORD, USER, AirflowApi, AirflowRefusedError

DAG = "mag7_daily"
FIRST_SESSIONS = ("2024-12-11", "2024-12-12", "2024-12-13")
POSTGRES_PARALLELISM, SQLITE_PARALLELISM = "8", "2"


class PortInUseError(Exception):
    """Another process listens on the port."""


class Stopped(BaseException):
    """A signal asked this command to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Start everything, and wait until a process ends or a signal comes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.ui", description="Airflow's page on the local sandbox.")
    parser.add_argument("--port", type=int, default=8080, help="port of the page on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where the sandbox keeps its state")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        check_port(options.port)
        with run_stack(options.home, os.environ, airflow="ui") as stack:
            home = stack.folder / "ui"
            with run_airflow_services(stack, home, options.port) as services, offer_stack(stack):
                watch(services, home)
    except Stopped:
        say("\nended: no process is left")
        return 0
    except (
        *(PortInUseError, FolderInUseError, ServerNotReadyError, ProvisioningError),
        *(AirflowCommandError, AirflowRefusedError, PostgresNotReadyError, KeyMissingError, Mag7Error),
    ) as error:
        print(f"ui: {error}", file=sys.stderr)
        return 1


def _stop(_number: int, _frame: FrameType | None) -> None:
    # A second ctrl-C must not interrupt the cleanup.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def check_port(port: int) -> None:
    """Raise PortInUseError where the port of the page is in use."""
    if is_taken("127.0.0.1", port):
        raise PortInUseError(
            f"port {port} of 127.0.0.1 is in use: end what listens there, or take another: make ui PORT={port + 1}"
        )


@contextmanager
def run_airflow_services(stack: Stack, home: Path, port: int) -> Iterator[Services]:
    """Run Airflow's services beside a stack until the block ends; they are healthy when it begins."""
    home.mkdir(exist_ok=True)
    with ExitStack() as held:
        environment = describe_environment(stack, home, port) | _choose_database(held, home)
        services = held.enter_context(run_services(port, home, environment, say=say))
        say(f"Airflow: http://localhost:{port}  user {USER}, password {DEVELOPMENT_PASSWORD}\nlogs: {home}")
        _load_first_sessions(stack, port)
        say("ctrl-C ends it")
        yield services


def _choose_database(held: ExitStack, home: Path) -> dict[str, str]:
    """Start PostgreSQL where it is available; else use SQLite, with as few tasks at once as it can take."""
    try:
        address = held.enter_context(run_postgres(home / "postgres", find_programs()))
    except (PostgresNotReadyError, OSError) as error:
        say(f"Airflow's database is SQLite, so {SQLITE_PARALLELISM} tasks run at once: {error}")
        return {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__CORE__PARALLELISM": SQLITE_PARALLELISM,
        }
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address, "AIRFLOW__CORE__PARALLELISM": POSTGRES_PARALLELISM}


def _load_first_sessions(stack: Stack, port: int) -> None:
    """Trigger a few sessions where the lake has none, so that there is something to see."""
    if not stack.simulated or _has_sessions(stack):
        return
    api = AirflowApi(f"http://127.0.0.1:{port}", DEVELOPMENT_PASSWORD)
    api.wait_for_dag(DAG)
    api.unpause(DAG)
    for day in FIRST_SESSIONS:
        api.trigger(DAG, day, {})
    say(f"the lake is empty: {DAG} runs for {', '.join(FIRST_SESSIONS)}, about a minute each")


def _has_sessions(stack: Stack) -> bool:
    documents = document_key(date.min).split("trading_date=")[0]
    return any(open_stack(stack).store.list(documents))


def watch(services: Services, home: Path) -> NoReturn:
    """Wait forever; raises ServerNotReadyError when a service has ended."""
    while True:
        check_alive(services, home)
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
