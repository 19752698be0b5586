"""The DAGs that keep the facts: what their tasks declare, and what follows what."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import TriggerRule

from mag7.tasks import questions
from mag7.tasks.retries import PassingFaultsPolicy
from mag7.tasks.run_reports import report_failure
from mag7.timetables import SessionTimetable
from sandbox.airflow_home import POOL
from tests.dags.test_policy import covered, list_patterns, list_rows

if TYPE_CHECKING:
    from airflow.sdk import DAG

ASKS_PROVIDER = {"propose", "publish_facts", "publish_answer"}
WAITS_FOR_A_PERSON = "ask"
WIRES = {
    "mag7_constituents": {
        "list_sources": {"resolve_session"},
        "fetch": {"list_sources"},
        "read_files": {"resolve_session", "fetch"},
        "propose": {"resolve_session", "read_files"},
        "publish_facts": {"resolve_session", "propose"},
        "list_questions": {"publish_facts"},
        "ask_person": {"list_questions", "publish_facts"},
        "list_repairs": {"publish_facts"},
        "repair": {"list_repairs", "publish_facts"},
        "report_sources": {"read_files", "publish_facts"},
    },
    "mag7_decide": {
        "ask": {"show_question"},
        "record_answer": {"ask"},
        "publish_answer": {"record_answer"},
        "list_repairs": {"publish_answer"},
        "repair": {"list_repairs"},
    },
}


def given(task: Any, name: str) -> Any:
    return task.partial_kwargs.get(name) if task.is_mapped else getattr(task, name)


def test_is_an_operators_manual_with_a_row_for_every_task(fact_dag: DAG) -> None:
    manual, rows = fact_dag.doc_md or "", list_rows(fact_dag)
    patterns = list_patterns(rows)

    assert fact_dag.dag_id in manual.splitlines()[0]
    for heading in ("What it does.", "When it runs.", "Running it by hand.", "When it fails."):
        assert f"**{heading}**" in manual
    for name in ("polygon_default", "aws_default", *POOL, *fact_dag.params):
        assert f"`{name}`" in manual
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows)
    assert [task_id for task_id in fact_dag.task_ids if not covered(task_id, patterns)] == []
    assert [one for one in patterns if not any(covered(task_id, [one]) for task_id in fact_dag.task_ids)] == []


def test_tasks_are_owned_retried_bounded_and_report_their_failure(fact_dag: DAG) -> None:
    for task in fact_dag.tasks:
        assert task.owner == "market-data", task.task_id
        assert 1 <= task.retries <= 5, task.task_id
        assert isinstance(given(task, "retry_policy"), PassingFaultsPolicy), task.task_id
        callbacks = given(task, "on_failure_callback")
        assert report_failure in callbacks if isinstance(callbacks, list) else callbacks is report_failure
        assert task.depends_on_past is False
        if task.task_id != WAITS_FOR_A_PERSON:
            assert timedelta(minutes=1) <= task.execution_timeout <= timedelta(hours=6), task.task_id


def test_tasks_that_ask_the_provider_share_a_pool(fact_dag: DAG) -> None:
    assert {task.task_id for task in fact_dag.tasks if task.pool in POOL} == ASKS_PROVIDER & {*fact_dag.task_ids}


def test_a_failure_upstream_runs_nothing_but_the_alert(fact_dag: DAG) -> None:
    rules = {task.task_id: task.trigger_rule for task in fact_dag.tasks if not task.is_teardown}
    assert set(rules.values()) == {TriggerRule.ALL_SUCCESS}


def test_nothing_starts_before_what_it_reads(fact_dag: DAG) -> None:
    wires = {task.task_id: set(task.upstream_task_ids) for task in fact_dag.tasks if not task.is_teardown}
    first = {task_id for task_id, before in wires.items() if not before}

    assert len(first) == 1
    assert {task_id: before for task_id, before in wires.items() if before} == WIRES[fact_dag.dag_id]


def test_an_evening_runs_before_the_daily_run_and_waits_for_nobody(dags: dict[str, DAG]) -> None:
    dag = dags["mag7_constituents"]

    assert isinstance(dag.timetable, SessionTimetable)
    assert isinstance(dags["mag7_daily"].timetable, SessionTimetable)
    assert dag.timetable.delay < dags["mag7_daily"].timetable.delay
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert not any(isinstance(task, HITLOperator) for task in dag.tasks)


@pytest.mark.parametrize("dag_id", ["mag7_constituents", "mag7_decide"])
def test_repairs_and_questions_are_asked_of_the_right_dags_and_not_waited_for(
    dags: dict[str, DAG], dag_id: str
) -> None:
    found = {
        task.task_id: (task.partial_kwargs["trigger_dag_id"], task.partial_kwargs.get("wait_for_completion", False))
        for task in dags[dag_id].tasks
        if task.is_mapped and "trigger_dag_id" in task.partial_kwargs
    }
    wanted = {"repair": ("mag7_backfill", False), "ask_person": ("mag7_decide", False)}
    assert found == (wanted if dag_id == "mag7_constituents" else {"repair": wanted["repair"]})


def test_a_person_may_take_as_long_as_it_takes(dags: dict[str, DAG]) -> None:
    dag = dags["mag7_decide"]
    ask: Any = dag.get_task(WAITS_FOR_A_PERSON)

    assert isinstance(ask, HITLOperator)
    assert (ask.execution_timeout, ask.response_timeout, dag.dagrun_timeout) == (None, None, None)
    assert ask.options == [questions.ACCEPT, questions.REJECT, questions.LEAVE_OPEN] == [*questions.VERDICTS]
    assert ask.defaults is None
    assert "effective_date" in ask.params
    assert (dag.timetable.can_be_scheduled, dag.max_active_runs >= 16) == (False, True)
