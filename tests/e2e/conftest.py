"""One stack for all end-to-end tests: the golden day by the real command first, then a house that stays open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.stack import SIMULATED, run_stack
from tests.e2e.house import AirflowProcess, Command, House, Run, run_command
from tools.stack_reader import Published

GOLDEN_DAY = "2024-12-13"
NEIGHBOUR = "2024-12-10"
FAILING = "ZTS"


@dataclass(frozen=True)
class Step:
    """A run, and what was published before and after it."""

    run: Run
    before: Published
    after: Published


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that steers the project."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("POLYGON_", "MAG7_", "AIRFLOW"))}


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The golden day on a fresh folder, by the command that ``make demo`` runs."""
    home = tmp_path_factory.mktemp("house")
    (home / "summary.json").write_text('{"left": "by an earlier run"}')
    ended = run_command(home, SIMULATED, environment=clean_environment())
    assert ended.code == 0, ended.printed
    return ended


@pytest.fixture(scope="session")
def house(golden: Command) -> Iterator[House]:
    """The golden run's stack, started again from what it saved."""
    with run_stack(golden.home, {}, aws_options=["--keep-glue"]) as stack:
        airflow = AirflowProcess(stack.environment(), golden.home / "airflow-process.log")
        try:
            yield House(golden.home, stack, airflow)
        finally:
            airflow.stop()


@pytest.fixture(scope="session")
def neighbour_with_failure(house: House) -> Step:
    """A few sessions before the golden day, not asked yet: the provider does not know one of its companies."""
    before = house.published()
    with house.faults({"kind": "status", "status": 404, "path": f"/v3/reference/tickers/{FAILING}"}):
        run = house.demo("--date", NEIGHBOUR)
    return Step(run, before, house.published())


@pytest.fixture(scope="session")
def neighbour(house: House, neighbour_with_failure: Step) -> Step:
    """The same session asked for again, the provider being well."""
    run = house.demo("--date", NEIGHBOUR, "--again")
    return Step(run, neighbour_with_failure.after, house.published())
