"""mag7_setup: started by hand, in an order that names what is missing first, and a manual that covers every task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import TriggerRule

from mag7.tasks.retries import PassingFaultsPolicy
from mag7.tasks.run_reports import report_failure
from tests.dags.conftest import ROOT, Parsing

if TYPE_CHECKING:
    from airflow.sdk import DAG

MADE = {"upload_scripts", "publish_facts", "create_catalog", "migrate_schema"}


@pytest.fixture
def setup(dags: dict[str, DAG]) -> DAG:
    return dags["mag7_setup"]


def test_it_is_started_by_hand_for_any_date(setup: DAG, parsing: Parsing) -> None:
    assert parsing.round_trips["mag7_setup"]["timetable"].endswith("NullTimetable")
    # Of a date before start_date Airflow runs no task and reports a success.
    assert setup.start_date is not None
    assert setup.start_date < datetime(2020, 1, 1, tzinfo=UTC)
    assert (setup.end_date, setup.catchup, setup.max_active_runs) == (None, False, 1)
    assert setup.tags == {"mag7", "setup"}
    assert dict(setup.params) == {}


def test_what_must_be_there_is_looked_at_first_and_what_was_made_last(setup: DAG) -> None:
    wires = {task.task_id: task.downstream_task_ids for task in setup.tasks}

    assert wires == {"check_infrastructure": MADE, **{made: {"check_setup"} for made in MADE}, "check_setup": set()}
    assert {task.trigger_rule for task in setup.tasks} == {TriggerRule.ALL_SUCCESS}


def test_tasks_start_from_the_arguments_of_all_dags(setup: DAG) -> None:
    for task in setup.tasks:
        assert task.owner == "market-data"
        assert task.retries >= 1
        assert isinstance(task.retry_policy, PassingFaultsPolicy)
        assert task.execution_timeout is not None
        assert task.execution_timeout >= timedelta(minutes=30)  # a migration waits for a load
        assert report_failure in task.on_failure_callback
        assert task.pool == "default_pool"


def test_it_is_an_operators_manual(setup: DAG) -> None:
    manual = setup.doc_md or ""
    rows = [row.strip("| ").split("|") for row in manual.splitlines() if row.startswith("|")][2:]

    assert manual.startswith("# mag7_setup: ")
    for heading in ("What it does.", "When it runs.", "Running it by hand.", "When it fails."):
        assert f"**{heading}**" in manual
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows)
    assert {row[0].strip() for row in rows} == set(setup.task_ids)


def test_the_daily_run_looks_before_it_collects(dags: dict[str, DAG]) -> None:
    source = (ROOT / "dags" / "mag7_daily.py").read_text()
    first = source.partition("def resolve_session()")[2].partition("@task")[0]

    assert "require_setup()" in first
    assert "`mag7_setup`" in (dags["mag7_daily"].doc_md or "")
