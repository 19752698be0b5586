"""The order that matters: what must have happened before a task may run, and which window it works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mag7.lake.tables import list_tables
from mag7.tasks import templates
from tests.dags.test_policy import last_part

if TYPE_CHECKING:
    from airflow.sdk import DAG

Wires = dict[str, set[str]]


RESOLVES = {"mag7_daily": "resolve_session", "mag7_backfill": "resolve_window"}

TEARDOWNS = ("write_run_manifest", "send_alert")

NEEDED = {
    "mag7_daily": {
        "collect.collect_look_back": {"collect_closes", "collect_splits", "collect_details"},
        "add_corrected": {"collect_corrections"},
        "build_market_data": {"collect_closes", "collect_details", "collect_look_back", "add_corrected"},
    },
    "mag7_backfill": {
        "collect.collect_splits": {"collect_closes"},
        "collect.plan_batches": {"collect_closes", "collect_splits"},
        "collect.collect_counts": {"collect_closes", "collect_splits", "plan_batches"},
        "collect.collect_look_back": {"collect_closes", "collect_splits", "collect_counts"},
        "build_market_data": {"collect_closes", "collect_counts", "collect_look_back", "plan_parts"},
    },
}
NEEDED_BY_ALL = {
    "check_coverage": {"build_market_data"},
    "transform.processing_pipeline": {"check_coverage"},
    "transform.analytics_pipeline": {"check_coverage"},
    "transform.register_staging": {"processing_pipeline", "analytics_pipeline"},
    "check.run_check": {"register_staging"},
    "check.judge_checks": {"run_check"},
    "publish_splits": {"judge_checks"},
    "publish_sessions": {"judge_checks", "publish_splits"},
    "load.write_manifests": {"publish_sessions"},
    "load.load_tables": {"publish_sessions", "write_manifests"},
    "load.count_window": {"load_tables"},
    "load.reconcile": {"count_window"},
    "summarise": {"reconcile"},
}
"""By task, what must have happened before it."""

COUNTED = {
    "mag7_daily": {
        "collect_closes",
        "collect_splits",
        "collect_details",
        "collect_look_back",
        "collect_corrections",
    },
    "mag7_backfill": {"collect_closes", "collect_splits", "collect_counts", "collect_look_back"},
}


@pytest.fixture
def daily(dags: dict[str, DAG]) -> DAG:
    return dags["mag7_daily"]


@pytest.fixture
def backfill(dags: dict[str, DAG]) -> DAG:
    return dags["mag7_backfill"]


def before(dag: DAG, task_id: str) -> set[str]:
    """Every task that has ended well when a task begins, by the last part of its id."""
    return {last_part(found) for found in dag.get_task(task_id).get_flat_relative_ids(upstream=True)}


def is_templated(task: Any) -> bool:
    """Whether a task is one of the provider's operators, which get their window by templates."""
    return not hasattr(task, "op_args") and not hasattr(task, "op_kwargs_expand_input")


def window_task(task: Any) -> str:
    """The task whose window a task works on: the first argument of a function, or that of its templates."""
    if is_templated(task):
        return templates.window_task(task.task_id)
    given = task.partial_kwargs["op_kwargs"]["window"] if task.is_mapped else task.op_args[0]
    return str(given.operator.task_id)


def test_every_task_follows_the_resolved_sessions(dag: DAG) -> None:
    assert [task.task_id for task in dag.tasks if not task.upstream_task_ids] == [RESOLVES[dag.dag_id]]


def test_every_path_ends_in_the_report_of_refusals(dag: DAG) -> None:
    last = {"report_refusals", *TEARDOWNS}

    assert {task.task_id for task in dag.tasks if task.downstream_task_ids <= set(TEARDOWNS)} == last
    assert before(dag, "report_refusals") == {last_part(task_id) for task_id in dag.task_ids} - last


def test_the_manifest_follows_everything_and_the_alert_that_too(dag: DAG) -> None:
    manifest, alert = TEARDOWNS

    assert dag.get_task(manifest).upstream_task_ids == {*dag.task_ids} - {*TEARDOWNS}
    assert dag.get_task(alert).upstream_task_ids == {*dag.task_ids} - {alert}
    assert not dag.get_task(alert).downstream_task_ids


@pytest.mark.parametrize(
    ("dag_id", "task_id"), [(dag_id, task_id) for dag_id, own in NEEDED.items() for task_id in (*own, *NEEDED_BY_ALL)]
)
def test_nothing_starts_before_what_it_reads(dags: dict[str, DAG], dag_id: str, task_id: str) -> None:
    assert {**NEEDED[dag_id], **NEEDED_BY_ALL}[task_id] <= before(dags[dag_id], task_id)


def test_details_are_asked_once_the_day_is_released(daily: DAG) -> None:
    assert before(daily, "collect.collect_details") == {"resolve_session", "plan_batches", "collect_closes"}


def test_a_months_parts_are_built_from_the_whole_windows_responses(backfill: DAG) -> None:
    build = backfill.get_task("build_market_data")
    (parts,) = build.op_kwargs_expand_input.value.values()

    assert parts.operator.task_id == "plan_parts"
    assert window_task(build) == window_task(backfill.get_task("plan_parts")) == "resolve_window"
    _, gated = backfill.get_task("check_coverage").op_args
    assert gated.operator.task_id == "plan_parts"


def test_a_search_is_given_its_batch_and_the_whole_window(backfill: DAG) -> None:
    search = backfill.get_task("collect.collect_counts")
    (batches,) = search.op_kwargs_expand_input.value.values()

    assert batches.operator.task_id == "collect.plan_batches"
    assert window_task(search) == "resolve_window"


def test_the_glue_jobs_run_side_by_side(dag: DAG) -> None:
    assert before(dag, "transform.processing_pipeline") == before(dag, "transform.analytics_pipeline")


def test_only_judged_sessions_are_published_and_loaded(dag: DAG) -> None:
    windows = {task_id: window_task(dag.get_task(task_id)) for task_id in published_and_after(dag)}

    # publish_sessions returns what it was given.
    assert set(windows.values()) <= {"check.judge_checks", "publish_sessions"}
    assert windows["publish_sessions"] == windows["publish_splits"] == "check.judge_checks"


def published_and_after(dag: DAG) -> list[str]:
    return [task_id for task_id in dag.task_ids if task_id.startswith(("publish_", "load."))]


def test_only_covered_sessions_are_transformed_and_checked(dag: DAG) -> None:
    staging = [task_id for task_id in dag.task_ids if task_id.startswith(("transform.", "check."))]

    assert len(staging) == 5
    assert {window_task(dag.get_task(task_id)) for task_id in staging} == {"check_coverage"}


def test_refusals_are_reported_for_the_whole_window_that_was_asked_for(daily: DAG, backfill: DAG) -> None:
    assert window_task(daily.get_task("report_refusals")) == "add_corrected"
    assert window_task(daily.get_task("build_market_data")) == "add_corrected"
    assert window_task(daily.get_task("add_corrected")) == "resolve_session"
    assert window_task(backfill.get_task("report_refusals")) == "resolve_window"
    assert window_task(backfill.get_task("check_coverage")) == "resolve_window"


def test_a_template_takes_its_window_from_a_task_that_has_run(dag: DAG) -> None:
    templated = [task for task in dag.tasks if is_templated(task)]

    assert len(templated) == 5
    for task in templated:
        assert window_task(task) in task.get_flat_relative_ids(upstream=True), task.task_id


def test_the_gate_is_given_every_checks_query_id_in_order(dag: DAG) -> None:
    window, query_ids = dag.get_task("check.judge_checks").op_args

    assert (window.operator.task_id, query_ids.operator.task_id) == ("check_coverage", "check.run_check")
    assert query_ids.operator.is_mapped


def test_reconcile_is_given_the_rows_that_were_counted(dag: DAG) -> None:
    _, counted = dag.get_task("load.reconcile").op_args

    assert counted.operator.task_id == "load.count_window"


def test_the_summary_and_the_manifest_add_up_what_every_collecting_task_counted(dag: DAG) -> None:
    for task_id in ("summarise", "write_run_manifest"):
        _, counts = dag.get_task(task_id).op_args

        assert {last_part(count.operator.task_id) for count in counts} == COUNTED[dag.dag_id]


def test_asset_events_come_from_what_publishes_and_from_a_reconciled_load(dag: DAG) -> None:
    events = {task.task_id: [asset.uri for asset in task.outlets] for task in dag.tasks if task.outlets}
    tables = [table.name for table in list_tables()]

    assert events == {
        "publish_splits": ["mag7://lake/splits"],
        "publish_sessions": [f"mag7://lake/{table}" for table in tables],
        "summarise": [f"mag7://warehouse/{table}" for table in (*tables, "splits")],
    }
