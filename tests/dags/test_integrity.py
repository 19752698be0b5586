"""Every DAG file parses, alone, cheaply, and into what the scheduler can read back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.dags.conftest import DAG_IDS, ROOT, SESSION_DAG_IDS, Parsing

HEAVY = {"pandas", "pandas_market_calendars", "numpy", "pyarrow", "pyspark", "polygon", "duckdb", "moto"}
DAG_FILES = sorted((ROOT / "dags").glob("*.py"))


def test_every_dag_parses_without_an_error_or_a_warning(parsing: Parsing) -> None:
    assert parsing.errors == {}
    assert parsing.warnings == []
    assert parsing.dag_ids == sorted(DAG_IDS)


def test_parsing_needs_neither_network_nor_database(parsing: Parsing) -> None:
    assert parsing.touched == []


def test_parsing_imports_nothing_heavy(parsing: Parsing) -> None:
    assert HEAVY & {name.partition(".")[0] for name in parsing.baseline_modules | parsing.modules} == set()


def test_parsing_adds_nothing_but_the_project_to_what_the_operators_import(parsing: Parsing) -> None:
    added = {name.partition(".")[0] for name in parsing.modules} - sys.stdlib_module_names
    own = {name for name in added if name.startswith("unusual_prefix_")}  # Airflow's name of a DAG file

    assert added - own == {"airflow", "jinja2", "mag7"}
    assert len(own) == len(DAG_FILES)


def test_the_plugin_registers_the_timetables_and_nothing_else_is_run_as_a_plugin(parsing: Parsing) -> None:
    assert parsing.plugin_errors == {}
    assert parsing.timetables == ["mag7.timetables.MonthTimetable", "mag7.timetables.SessionTimetable"]
    assert parsing.loose_modules == []


@pytest.mark.parametrize("dag_id", [*SESSION_DAG_IDS, "mag7_constituents"])
def test_the_scheduler_reads_back_what_was_serialized(parsing: Parsing, dags: dict, dag_id: str) -> None:
    found = parsing.round_trips[dag_id]
    dag = dags[dag_id]

    assert found["timetable"] == f"mag7.timetables.{type(dag.timetable).__name__}"
    assert found["schedule"] == dag.timetable.serialize()
    assert found["params"] == sorted(dag.params)
    assert found["wires"] == {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert found["bytes"] < 100_000  # the session list, or a mapped batch, would be in it


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.name)
def test_a_dag_file_is_wiring_of_less_than_two_hundred_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 200
