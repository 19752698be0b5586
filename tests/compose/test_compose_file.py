"""The compose files against the code that they start.

The official schema of compose files comes with Compose, not with a Python package: where Compose is on the machine it
judges the files, and everywhere their structure is held to the attributes that the specification knows.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.credentials import EnvProvider

from mag7.settings import Settings, read_settings
from mag7.tasks.polygon_hook import KEY_VARIABLE
from sandbox.airflow_home import POOL
from sandbox.aws.__main__ import read_arguments as read_aws_arguments
from sandbox.initialize import main as initialize
from sandbox.polygon.__main__ import read_arguments as read_market_arguments
from sandbox.services import describe_environment
from sandbox.stack import Stack
from sandbox.trigger import PASSWORD_VARIABLE
from tests.compose.compose_file import (
    ACCOUNT_FILE,
    ROOT,
    SANDBOX_FILE,
    Service,
    fill_in,
    list_variables,
    order_services,
    read_raw,
    read_services,
)

SERVICES = read_services()
PARSERS = {"sandbox.aws": read_aws_arguments, "sandbox.polygon": read_market_arguments}
STAYING = [service for service in SERVICES.values() if not service.one_shot]
IN_FILES = "/opt/airflow"
SERVICE_ATTRIBUTES = {
    *("image", "pull_policy", "build", "command", "environment", "volumes", "ports", "depends_on", "healthcheck"),
    *("restart", "profiles", "mem_limit", "stop_grace_period"),
}
POSTGRES_IMAGE_VARIABLES = {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"}


def by_name(services: list[Service]) -> list[object]:
    return [pytest.param(service, id=service.name) for service in services]


@pytest.mark.parametrize("path", [SANDBOX_FILE, ACCOUNT_FILE], ids=lambda path: path.name)
def test_structure_is_that_of_a_compose_file(path: Path) -> None:
    document = read_raw(path)
    assert {name for name in document if not name.startswith("x-")} <= {"name", "services", "volumes"}
    for name, service in document["services"].items():
        assert set(service) <= SERVICE_ATTRIBUTES, name
        used = {
            mount.split(":")[0] for mount in service.get("volumes", []) if not fill_in(mount).startswith((".", "~"))
        }
        assert used <= set(document.get("volumes", {})), name


@pytest.mark.parametrize("files", [[SANDBOX_FILE], [SANDBOX_FILE, ACCOUNT_FILE]], ids=["sandbox", "account"])
def test_compose_accepts_the_files(files: list[Path]) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no docker compose here")
    account = {"MAG7_BUCKET": "b", "MAG7_BUCKET_OWNER": "1", "MAG7_COPY_ROLE": "r", "POLYGON_API_KEY": "k"}
    kept = {"PATH", "HOME"}
    chosen = [part for path in files for part in ("--file", str(path))]
    judged = subprocess.run(
        [docker, "compose", "--env-file", os.devnull, *chosen, "--profile", "cli", "config", "--format", "json"],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name in kept or name.startswith("DOCKER_")} | account,
        check=False,
    )
    assert judged.returncode == 0, judged.stderr
    started = set(json.loads(judged.stdout)["services"])
    assert started == set(SERVICES) - ({"aws-sandbox", "market"} if ACCOUNT_FILE in files else set())


def test_order_of_start_has_no_circle_and_goes_by_health() -> None:
    order_services(SERVICES)
    for service in SERVICES.values():
        for name, needed in service.raw.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if SERVICES[name].one_shot else "service_healthy"
            assert needed["condition"] == wanted, f"{service.name} on {name}"


def test_every_airflow_service_comes_after_the_one_that_prepares() -> None:
    after = {service.name for service in SERVICES.values() if "airflow-init" in service.needs}
    assert after == {name for name in SERVICES if name.startswith("airflow-")} - {"airflow-init"}


@pytest.mark.parametrize("service", by_name(STAYING))
def test_service_that_stays_tells_its_health_and_has_a_limit(service: Service) -> None:
    assert service.raw["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert re.fullmatch(r"\d+[mg]", service.raw["mem_limit"])
    assert service.raw["restart"] == "unless-stopped"


def test_what_runs_once_is_not_restarted() -> None:
    assert {service.name for service in SERVICES.values() if service.one_shot} == {"airflow-init", "airflow-cli"}


def test_limits_fit_a_laptop_of_16_gigabytes() -> None:
    sizes = [service.raw["mem_limit"] for service in STAYING]
    assert sum(int(size[:-1]) * (1 if size.endswith("m") else 1024) for size in sizes) <= 12 * 1024


@pytest.mark.parametrize("service", by_name(list(SERVICES.values())))
def test_image_is_pinned_and_had_from_somewhere(service: Service) -> None:
    image = service.raw["image"]
    assert re.fullmatch(r"[a-z0-9-]+:\d[\w.-]*", image), f"{image} has no version"
    built = {other.raw["image"]: other.raw["build"]["target"] for other in SERVICES.values() if "build" in other.raw}
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert image.startswith("postgres:") or built[image] in stages
    if "build" not in service.raw and image in built:
        assert service.raw["pull_policy"] == "never", "no registry has our own image"


def test_dockerfile_starts_from_the_pinned_image_installs_what_is_locked_and_does_not_end_as_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    version = importlib.util.find_spec("airflow") and __import__("airflow").__version__
    assert f"FROM apache/airflow:{version}-python3.11 AS packages\n" in text
    assert all("-c constraints.txt" in line for line in text.splitlines() if "pip install" in line)
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["airflow"]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source in re.findall(r"^COPY --chown=airflow:root (.+) \S+$", text, re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}" in ignored, f"{name} does not reach the build"


@pytest.mark.parametrize("service", by_name(list(SERVICES.values())))
def test_ports_are_reachable_from_this_machine_only(service: Service) -> None:
    for port in service.raw.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", fill_in(port)), port


@pytest.mark.parametrize("path", [SANDBOX_FILE, ACCOUNT_FILE], ids=lambda path: path.name)
def test_every_mounted_path_exists_and_is_mounted_read_only(path: Path) -> None:
    for service in read_services(path).values():
        for mount in service.raw.get("volumes", []):
            source, target, *mode = fill_in(mount).split(":")
            if source.startswith("./"):
                assert (ROOT / source).is_dir(), mount
                assert target == f"{IN_FILES}/{Path(source).name}"
            if source.startswith((".", "~")):
                assert mode == ["ro"], mount


def known_by_airflow(variable: str) -> bool:
    found = re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+?)(_CMD)?", variable)
    if not found:
        return False
    section, option = found[1].lower(), found[2].lower()
    if found[3]:
        return (section, option) in conf.sensitive_config_values
    return option in conf.configuration_description.get(section, {"options": {}})["options"]


def known_by_project(variable: str) -> bool:
    settings = {item.metadata["variable"] for item in fields(Settings)}
    return variable in settings | {KEY_VARIABLE, PASSWORD_VARIABLE}


def known_by_boto3(variable: str) -> bool:
    names = {str(name) for _, name, _, _ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values()}
    several = {"AWS_PROFILE", EnvProvider.ACCESS_KEY, EnvProvider.SECRET_KEY, *EnvProvider.TOKENS}
    return variable in names | several


@pytest.mark.parametrize("path", [SANDBOX_FILE, ACCOUNT_FILE], ids=lambda path: path.name)
def test_every_variable_is_read_by_somebody(path: Path) -> None:
    for service in read_services(path).values():
        if service.name == "postgres":
            assert set(service.environment) == POSTGRES_IMAGE_VARIABLES
            continue
        for variable in service.environment:
            known = known_by_airflow(variable) or known_by_project(variable) or known_by_boto3(variable)
            assert known, f"{service.name}: nobody reads {variable}"


def test_check_of_variables_can_fail() -> None:
    assert not known_by_airflow("AIRFLOW__CORE__EXECUTORS")
    assert not known_by_airflow("AIRFLOW__CORE__PARALLELISM_CMD")
    assert not known_by_project("MAG7_BUCKETS")
    assert not known_by_boto3("AWS_REGIONS")


def test_account_gets_none_of_the_sandbox() -> None:
    sandboxed, account = SERVICES["airflow-scheduler"], read_services(ACCOUNT_FILE)["airflow-scheduler"]
    of_sandbox = {
        name
        for name, value in sandboxed.environment.items()
        if re.search(r"aws-sandbox|market:|offline|simulated", value)
    }
    sources = {"MAG7_IVV_URL", "MAG7_SPY_URL", "MAG7_CHANGES_URL"}
    assert of_sandbox == {"AWS_ENDPOINT_URL", "POLYGON_BASE_URL", "POLYGON_API_KEY", "POLYGON_SOURCE"} | sources
    assert of_sandbox <= set(account.environment)
    assert not re.search(r"aws-sandbox|market:|offline|simulated", "".join(account.environment.values()))
    required = [name for name, need in SERVICES["airflow-init"].raw["depends_on"].items() if need.get("required", True)]
    assert required == ["postgres"]


def test_sources_and_pausing_are_those_of_the_ui() -> None:
    sandboxed, account = SERVICES["airflow-scheduler"].environment, read_services(ACCOUNT_FILE)["airflow-scheduler"]
    stack = Stack(Path("/stack"), "simulated", "http://aws", sandboxed["POLYGON_BASE_URL"], simulated=True)
    ui = describe_environment(stack, Path("/stack/ui"), 8080)
    names = {name for name in ui if name.startswith("MAG7_") and name.endswith(("_URL", "_TERMS_READ"))}
    names |= {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"}
    assert len(names) == 6
    assert {name: sandboxed[name] for name in names} == {name: ui[name] for name in names}
    real = describe_environment(replace(stack, simulated=False), Path("/stack/ui"), 8080)
    for name in ("AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"):
        assert real[name] == account.environment[name] == "True"


def test_account_keeps_the_limit_of_its_plan_not_the_sandboxs_none() -> None:
    account = read_services(ACCOUNT_FILE)["airflow-scheduler"].environment
    limits = {name: value for name, value in account.items() if name in {"POLYGON_PLAN", "POLYGON_CALLS_PER_MINUTE"}}
    assert SERVICES["airflow-scheduler"].environment["POLYGON_CALLS_PER_MINUTE"] == "0"
    assert limits == {"POLYGON_PLAN": "paid", "POLYGON_CALLS_PER_MINUTE": ""}
    assert read_settings({"AWS_ENDPOINT_URL": "http://sandbox", **limits}).calls_per_minute == 5400


def test_more_months_are_under_way_than_the_pool_has_slots_so_that_all_are_busy() -> None:
    slots = read_settings({"AWS_ENDPOINT_URL": "http://sandbox"}).slots
    ui = describe_environment(Stack(Path("/stack"), "simulated", "", "", simulated=True), Path("/stack/ui"), 8080)
    for environment in (SERVICES["airflow-scheduler"].environment, ui):
        assert int(environment["AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG"]) > slots == POOL["polygon"]["slots"]


def test_every_variable_is_documented_and_nothing_else() -> None:
    documented = set(re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert documented - {"COMPOSE_FILE"} == list_variables(SANDBOX_FILE) | list_variables(ACCOUNT_FILE)


def test_documented_defaults_are_those_of_the_files() -> None:
    text = SANDBOX_FILE.read_text() + ACCOUNT_FILE.read_text()
    defaults = dict(re.findall(r"\$\{([A-Z0-9_]+):-([^}]+)\}", text))
    documented = dict(re.findall(r"^#([A-Z0-9_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    del documented["COMPOSE_FILE"]
    assert documented == defaults


@pytest.mark.parametrize("path", [SANDBOX_FILE, ACCOUNT_FILE], ids=lambda path: path.name)
def test_no_secret_lies_in_the_file(path: Path) -> None:
    harmless = {"offline-market", "/opt/airflow/keys/passwords.json"}
    for service in read_services(path).values():
        for variable, value in service.raw.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEY|TOKEN", variable) and value not in {*harmless, None}:
                assert re.match(r"\$\{|cat /opt/airflow/keys/", value), f"{service.name}: {variable}"
    assert not re.search(r"AKIA|arn:aws|\d{12}", path.read_text())


def check_airflow(arguments: list[str]) -> None:
    get_parser().parse_args(arguments)


@pytest.mark.parametrize("service", by_name([service for service in SERVICES.values() if service.raw.get("command")]))
def test_every_command_parses_its_arguments(service: Service) -> None:
    program, *rest = service.command
    if program != "python":
        check_airflow(service.command)
        return
    assert rest[0] == "-m"
    assert importlib.util.find_spec(rest[1]) is not None
    if rest[1] in PARSERS:
        options = PARSERS[rest[1]](rest[2:])
        assert options.host == "0.0.0.0"  # noqa: S104 - inside its container
        assert f":{options.port}/sandbox/health" in service.raw["healthcheck"]["test"][-1]
        assert any(fill_in(port).endswith(f":{options.port}") for port in service.raw["ports"])
    else:
        with pytest.raises(SystemExit) as ended:
            initialize([*rest[2:], "--help"])
        assert ended.value.code == 0


def test_check_of_commands_can_fail() -> None:
    with pytest.raises(SystemExit):
        check_airflow(["scheduler", "--no-such-option"])
    with pytest.raises(SystemExit):
        read_aws_arguments(["--port", "4566"])


def test_project_is_where_the_images_and_airflow_look_for_it() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert f"PYTHONPATH={IN_FILES}/plugins:{IN_FILES}" in text
    assert f"WORKDIR {IN_FILES}" in text
    # The image's AIRFLOW_HOME is /opt/airflow, and Airflow looks for these folders there.
    assert {"dags", "plugins"} <= {path.name for path in ROOT.iterdir()}


def test_python_of_the_images_is_the_one_that_the_project_runs_on() -> None:
    assert f"python{sys.version_info.major}.{sys.version_info.minor} AS" in (ROOT / "Dockerfile").read_text()
