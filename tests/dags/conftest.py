"""Every DAG of the project, parsed once in this process, and what a parse in a process of its own leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

ROOT = Path(__file__).parents[2]
SESSION_DAG_IDS = ("mag7_backfill", "mag7_daily")
FACT_DAG_IDS = ("mag7_constituents", "mag7_decide")
DAG_IDS = (*SESSION_DAG_IDS, *FACT_DAG_IDS, "mag7_setup")
"""Named, so that a DAG file that stops defining its DAG is missed."""


@dataclass(frozen=True)
class Parsing:
    """What parsing all DAGs did in a process of its own; modules by the stage in which they were first imported."""

    errors: dict[str, str]
    warnings: list[str]
    dag_ids: list[str]
    baseline_modules: frozenset[str]
    modules: frozenset[str]
    touched: list[str]
    timetables: list[str]
    plugin_errors: dict[str, str]
    loose_modules: list[str]
    round_trips: dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def parsing(tmp_path_factory: pytest.TempPathFactory) -> Parsing:
    home = tmp_path_factory.mktemp("parsing")
    baseline = home / "baseline"
    baseline.mkdir()
    (baseline / "empty.py").write_text(EMPTY_DAG)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS", "MAG7"))}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("parse_all.py")), str(baseline), str(ROOT / "dags")],
        env=inherited
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "PYTHONPATH": str(ROOT / "plugins"),
        },
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    sets = {name: frozenset(found.pop(name)) for name in ("baseline_modules", "modules")}
    return Parsing(**found, **sets)


EMPTY_DAG = """
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.providers.amazon.aws.operators.redshift_data import RedshiftDataOperator
from airflow.sdk import DAG, task

with DAG("empty", schedule=None):
    @task.sensor
    def nothing() -> bool:
        return True
    nothing()
"""


@pytest.fixture(scope="session")
def dags() -> Iterator[dict[str, DAG]]:
    """Every DAG of dags/, parsed in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(ROOT / "dags"))
        assert bag.import_errors == {}
        yield dict(bag.dags)


@pytest.fixture(params=SESSION_DAG_IDS)
def dag(request: pytest.FixtureRequest, dags: dict[str, DAG]) -> DAG:
    """One DAG of sessions after the other."""
    return dags[request.param]


@pytest.fixture(params=FACT_DAG_IDS)
def fact_dag(request: pytest.FixtureRequest, dags: dict[str, DAG]) -> DAG:
    """One DAG of facts after the other."""
    return dags[request.param]
