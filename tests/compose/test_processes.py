"""The services of docker-compose.yaml as processes: its commands, its environment, its health checks, its order.

Nothing but addresses and folders is changed: what a container reaches by a service's name is on 127.0.0.1 here, on
free ports, and its folders lie in a temporary one. PostgreSQL comes from a wheel or from the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.postgres import PostgresNotReadyError, find_free_port, find_programs, run_postgres
from sandbox.services import end_sessions, list_session
from sandbox.trigger import DEVELOPMENT_PASSWORD, AirflowApi
from tests.compose.compose_file import ROOT, Service, order_services, read_services
from tests.private_folders import open_to_others

pytestmark = pytest.mark.slow

DAG = "mag7_daily"
SESSIONS = ("2024-12-10", "2024-12-11", "2024-12-12")
TRIGGERED = "2024-12-13"
HEALTH_SECONDS = 240.0
COMMAND_SECONDS = 300.0
BACKFILL_SECONDS = 1200.0
PORTS = ("8080", "4566", "8090", "8974")
HOSTS = re.compile(r"\b(aws-sandbox|market|airflow-api-server|0\.0\.0\.0)(?=:\d|$)")


@dataclass
class Processes:
    """The services as processes on this machine."""

    folder: Path
    database: str
    services: dict[str, Service]
    ports: dict[str, str] = field(default_factory=lambda: {port: str(find_free_port()) for port in PORTS})
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['8080']}"

    def here(self, text: str) -> str:
        """Put this machine's addresses and folders in the place of the containers'."""
        text = HOSTS.sub("127.0.0.1", text)
        text = re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: self.ports[found[1]], text)
        return re.sub(r"/opt/airflow/(keys|logs|rate|state)\b", rf"{self.folder}/\1", text)

    def environment(self, service: Service) -> dict[str, str]:
        """The image's variables and the file's, and nothing of this process's own but where programs are."""
        of_image = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
        }
        # In the image these folders and ports are Airflow's defaults; here the checkout's and free ones.
        moved = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": self.ports["8974"],
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database,
        }
        return of_image | {name: self.here(value) for name, value in service.environment.items()} | moved

    def command(self, service: Service, command: list[str]) -> list[str]:
        """What the image's entry point makes of a command."""
        program, *rest = [self.here(part) for part in command]
        return [sys.executable, *rest] if program == "python" else [sys.executable, "-m", "airflow", program, *rest]

    def start(self, service: Service) -> None:
        with (self.folder / f"{service.name}.log").open("wb") as output:
            self.running[service.name] = subprocess.Popen(
                self.command(service, service.command),
                env=self.environment(service),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, service: Service, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(service, command),
            env=self.environment(service),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def is_healthy(self, service: Service) -> bool:
        """Run the service's own health check."""
        kind, *test = [self.here(part) for part in service.raw["healthcheck"]["test"]]
        command = ["/bin/sh", "-c", *test] if kind == "CMD-SHELL" else test
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0

    def wait_until_healthy(self, service: Service) -> None:
        deadline = time.monotonic() + HEALTH_SECONDS
        while not self.is_healthy(service):
            ended = self.running[service.name].poll()
            assert ended is None, f"{service.name} ended with {ended}: {self.tail(service.name)}"
            assert time.monotonic() < deadline, f"{service.name} is not healthy: {self.tail(service.name)}"
            time.sleep(1)

    def tail(self, name: str) -> str:
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-30:])


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    if shutil.which("curl") is None:
        pytest.skip("the health checks need curl, as the images have it")
    folder = open_to_others(tmp_path_factory.mktemp("stack"))
    with ExitStack() as held:
        try:
            database = held.enter_context(run_postgres(folder / "postgres", find_programs()))
        except PostgresNotReadyError as error:
            pytest.skip(str(error))
        services = {name: service for name, service in read_services().items() if name != "postgres"}
        stack = Processes(folder, database, services)
        held.callback(lambda: end_sessions(stack.running.values()))
        start_all(stack)
        yield stack
    left = {name: list_session(process.pid) for name, process in stack.running.items()}
    assert not any(left.values()), f"processes outlived the stack: {left}"


def start_all(stack: Processes) -> None:
    """Start the services in the file's order: after what prepares has ended, after what is needed is healthy."""
    for service in order_services(read_services()):
        if service.name == "postgres" or service.raw.get("profiles"):
            continue
        if service.one_shot:
            ended = stack.run(service, service.command)
            assert ended.returncode == 0, ended.stdout + ended.stderr
        else:
            stack.start(service)
            stack.wait_until_healthy(service)


@pytest.fixture(scope="module")
def api(processes: Processes) -> AirflowApi:
    found = AirflowApi(processes.url, DEVELOPMENT_PASSWORD)
    found.wait_for_dag(DAG)
    found.unpause(DAG)
    return found


def list_runs(api: AirflowApi) -> dict[str, Mapping[str, str]]:
    runs = api.call("GET", f"/api/v2/dags/{DAG}/dagRuns?limit=100")["dag_runs"]
    return {run["logical_date"][:10]: run for run in runs}


def test_health_checks_of_all_services_are_green_at_once(processes: Processes) -> None:
    staying = [service for service in processes.services.values() if not service.one_shot]
    assert {service.name: processes.is_healthy(service) for service in staying} == dict.fromkeys(
        (service.name for service in staying), True
    )


def test_page_connections_and_pool_are_there(processes: Processes, api: AirflowApi) -> None:
    connections = api.call("GET", "/api/v2/connections")["connections"]
    assert {connection["connection_id"] for connection in connections} == {"aws_default", "polygon_default"}
    assert api.call("GET", "/api/v2/pools/polygon")["slots"] > 1
    assert api.call("GET", "/api/v2/importErrors")["total_entries"] == 0
    assert {dag["dag_id"] for dag in api.call("GET", "/api/v2/dags")["dags"]} >= {DAG, "mag7_setup"}


def test_run_triggered_by_the_rest_api_with_a_param_succeeds(processes: Processes, api: AirflowApi) -> None:
    run_id = api.trigger(DAG, TRIGGERED, {"collect_again": True})
    assert api.wait(DAG, run_id) == "success", api.list_failed(DAG, run_id)
    assert list_runs(api)[TRIGGERED]["conf"] == {"collect_again": True}


def test_backfill_over_three_sessions_succeeds(processes: Processes, api: AirflowApi) -> None:
    asked = processes.run(
        processes.services["airflow-cli"],
        ["backfill", "create", "--dag-id", DAG, "--from-date", SESSIONS[0], "--to-date", SESSIONS[-1]],
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    runs = {day: run["dag_run_id"] for day, run in list_runs(api).items() if run["run_type"] == "backfill"}
    assert set(runs) == set(SESSIONS)
    deadline = time.monotonic() + BACKFILL_SECONDS
    states = {day: api.wait(DAG, run_id, max(0.0, deadline - time.monotonic())) for day, run_id in runs.items()}
    assert states == dict.fromkeys(SESSIONS, "success"), {
        day: api.list_failed(DAG, run_id) for day, run_id in runs.items()
    }


def test_what_prepares_may_run_again_beside_the_others(processes: Processes) -> None:
    keys = {path.name: path.read_bytes() for path in (processes.folder / "keys").iterdir()}
    init = processes.services["airflow-init"]
    assert processes.run(init, init.command).returncode == 0
    assert {path.name: path.read_bytes() for path in (processes.folder / "keys").iterdir()} == keys
