"""What every DAG and every task of the project must declare, whoever writes the next one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatch
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.configuration import conf
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.redshift_data import RedshiftDataOperator
from airflow.sdk import TriggerRule
from airflow.task.priority_strategy import validate_and_load_priority_weight_strategy

from mag7.tasks.operators import GlueRunOperator
from mag7.tasks.retries import PassingFaultsPolicy
from mag7.tasks.run_reports import report_failure
from mag7.timetables import MonthTimetable, SessionTimetable
from sandbox.airflow_home import POOL
from tests.dags.conftest import ROOT

if TYPE_CHECKING:
    from airflow.sdk import DAG

TAGS = {"mag7", "daily", "backfill"}
FIRST_SESSION = date(2020, 11, 30)
VERBS = {"resolve", "plan", "collect", "build", "check", "register", "run", "judge", "add"}
VERBS |= {"publish", "write", "load", "count", "reconcile", "summarise", "report", "send"}
TEARDOWNS = {"write_run_manifest", "send_alert"}
GLUE_JOBS = {"processing-pipeline", "analytics-pipeline"}
TIMETABLES = {"mag7_daily": SessionTimetable, "mag7_backfill": MonthTimetable}
MAPPED = {
    "mag7_daily": {"collect_details", "run_check"},
    "mag7_backfill": {"collect_counts", "build_market_data", "run_check"},
}
KEY_NAMES = re.compile(r"aws_(access_key|secret|session_token)|AKIA[0-9A-Z]{12}|ACCESS_KEY_ID|api_key", re.IGNORECASE)


def operators(dag: DAG, kind: type) -> list[Any]:
    """The tasks of an operator class; a mapped one is given as its first mapped instance."""
    found = []
    for task in dag.tasks:
        if task.is_mapped and isinstance(task.operator_class, type) and issubclass(task.operator_class, kind):
            first = {name: values[0] for name, values in task.expand_input.value.items()}
            found.append(task.unmap(first))
        elif isinstance(task, kind):
            found.append(task)
    return found


def weigh(task: Any) -> int:
    """The weight that the scheduler gives a task's instances: of those that wait, the greatest goes first."""
    # The strategy asks an instance for its task and nothing else.
    instance: Any = SimpleNamespace(task=task)
    return validate_and_load_priority_weight_strategy(task.weight_rule).get_weight(instance)


def last_part(task_id: str) -> str:
    return task_id.rpartition(".")[2]


class TestDag:
    def test_runs_once_a_session_or_a_month_once_the_provider_has_released_it(self, dag: DAG) -> None:
        assert isinstance(dag.timetable, TIMETABLES[dag.dag_id])
        assert dag.timetable.delay >= timedelta(hours=8)

    def test_starts_before_every_date_that_somebody_may_ask_for(self, dag: DAG) -> None:
        # Of a date before start_date Airflow runs no task and reports a success: the first task must refuse it instead.
        assert dag.start_date is not None
        assert dag.start_date < datetime.combine(FIRST_SESSION, datetime.min.time(), UTC)
        assert dag.end_date is None

    def test_bounds_its_runs(self, dag: DAG) -> None:
        # How many months run at a time is for the deployment to say: AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG.
        configured = conf.getint("core", "max_active_runs_per_dag")
        assert dag.max_active_runs == {"mag7_daily": 1, "mag7_backfill": configured}[dag.dag_id]

    def test_sets_catchup_itself(self, dag: DAG) -> None:
        source = (ROOT / "dags" / f"{dag.dag_id}.py").read_text()

        assert re.search(r"^\s+catchup=(True|False),$", source, re.MULTILINE)
        assert dag.catchup is (dag.dag_id == "mag7_backfill")

    def test_has_known_tags(self, dag: DAG) -> None:
        assert dag.tags
        assert dag.tags <= TAGS

    def test_describes_every_param(self, dag: DAG) -> None:
        for name in dag.params:
            param = dag.params.get_param(name)
            assert param.schema.get("type"), name
            assert param.schema.get("title"), name
            assert param.description and len(param.description) > 20, name

    def test_is_an_operators_manual(self, dag: DAG, dags: dict[str, DAG]) -> None:
        manual = dag.doc_md or ""

        assert dag.dag_id in manual.splitlines()[0]
        for heading in ("What it does.", "When it runs.", "Running it by hand.", "When it fails."):
            assert f"**{heading}**" in manual
        for name in dag.params:
            assert f"`{name}`" in manual
        connections = manual.partition("**Connections and settings.**")[2]
        if connections.startswith(" As mag7_daily;"):
            connections = (dags["mag7_daily"].doc_md or "").partition("**Connections and settings.**")[2]
        for name in ("polygon_default", "aws_default", *POOL):
            assert f"`{name}`" in connections

    def test_says_of_every_task_what_its_failure_means(self, dag: DAG, dags: dict[str, DAG]) -> None:
        rows = list_rows(dag)
        patterns = list_patterns(rows)
        elsewhere: list[str] = []
        if EVERY_OTHER in patterns:
            patterns.remove(EVERY_OTHER)
            elsewhere = list_patterns(list_rows(dags["mag7_daily"]))

        assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows)
        assert [task.task_id for task in dag.tasks if not covered(task.task_id, patterns + elsewhere)] == []
        assert [pattern for pattern in patterns if not any(covered(task, [pattern]) for task in dag.task_ids)] == []


EVERY_OTHER = "every other task"
"""What a manual calls the tasks of which mag7_daily's manual speaks."""


def list_rows(dag: DAG) -> list[list[str]]:
    """The rows of a manual's table, without its head."""
    return [row.strip("| ").split("|") for row in (dag.doc_md or "").splitlines() if row.startswith("|")][2:]


def list_patterns(rows: Iterable[list[str]]) -> list[str]:
    return [pattern.strip() for row in rows for pattern in row[0].split(",")]


def covered(task_id: str, patterns: Iterable[str]) -> bool:
    """Whether a row of the manual names a task: by its id, the id's last part or its group."""
    names = {task_id, last_part(task_id), task_id.partition(".")[0]}
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


class TestTasks:
    def test_are_owned_and_bounded(self, dag: DAG) -> None:
        for task in dag.tasks:
            assert task.owner == "market-data", task.task_id
            assert task.execution_timeout is not None, task.task_id
            assert timedelta(minutes=1) <= task.execution_timeout <= timedelta(hours=6), task.task_id

    def test_retry_passing_faults_only(self, dag: DAG) -> None:
        for task in dag.tasks:
            assert 1 <= task.retries <= 5, task.task_id
            assert task.retry_delay >= timedelta(seconds=10), task.task_id
            assert task.retry_exponential_backoff > 1, task.task_id
            policy = task.partial_kwargs["retry_policy"] if task.is_mapped else task.retry_policy
            assert isinstance(policy, PassingFaultsPolicy), task.task_id

    def test_report_their_failure(self, dag: DAG) -> None:
        for task in dag.tasks:
            callbacks = task.partial_kwargs["on_failure_callback"] if task.is_mapped else task.on_failure_callback
            assert report_failure in callbacks if isinstance(callbacks, list) else callbacks is report_failure

    def test_never_run_after_a_failure(self, dag: DAG) -> None:
        # ALL_DONE below a failed task would end the run green; a teardown has no say in that.
        assert {task.task_id: task.trigger_rule for task in dag.tasks if not task.is_teardown} == dict.fromkeys(
            {*dag.task_ids} - TEARDOWNS, TriggerRule.ALL_SUCCESS
        )

    def test_end_with_a_manifest_and_an_alert_whatever_happened_which_decide_nothing(self, dag: DAG) -> None:
        last = [task for task in dag.tasks if task.is_teardown]

        assert {task.task_id for task in last} == TEARDOWNS
        assert {task.trigger_rule for task in last} == {TriggerRule.ALL_DONE_SETUP_SUCCESS}
        assert {task.on_failure_fail_dagrun for task in last} == {False}
        assert not any(task.is_setup for task in dag.tasks)

    def test_do_not_wait_for_an_earlier_run(self, dag: DAG) -> None:
        assert [task.task_id for task in dag.tasks if task.depends_on_past or task.wait_for_downstream] == []

    def test_have_ids_that_are_verbs(self, dag: DAG) -> None:
        named_by_glue = {task.task_id for task in operators(dag, GlueRunOperator)}
        others = [task_id for task_id in dag.task_ids if task_id not in named_by_glue]

        assert [task_id for task_id in others if last_part(task_id).split("_")[0] not in VERBS] == []
        # A Glue task goes by its job's name, which is what operators look for, in a group that is a verb.
        assert {task_id.partition(".")[0] for task_id in named_by_glue} == {"transform"}
        assert {last_part(task_id).replace("_", "-") for task_id in named_by_glue} == GLUE_JOBS

    def test_that_ask_the_provider_share_a_pool(self, dag: DAG) -> None:
        asking = {task.task_id for task in dag.tasks if last_part(task.task_id).startswith("collect_")}

        assert {task.task_id for task in dag.tasks if task.pool in POOL} == asking
        assert {task.pool for task in dag.tasks} <= {*POOL, "default_pool"}

    def test_go_before_a_search_where_both_wait_for_the_pool(self, dags: dict[str, DAG]) -> None:
        weights = {
            (dag_id, last_part(task.task_id)): weigh(task)
            for dag_id, dag in dags.items()
            for task in dag.tasks
            if task.pool in POOL
        }
        search = weights.pop(("mag7_backfill", "collect_counts"))

        assert {"collect_closes", "collect_details", "collect_look_back"} <= {name for _, name in weights}
        assert search < min(weights.values())

    def test_map_to_readable_names(self, dag: DAG) -> None:
        mapped = [task for task in dag.tasks if task.is_mapped]

        assert {last_part(task.task_id) for task in mapped} == MAPPED[dag.dag_id]
        assert [task.task_id for task in mapped if "{{" not in (task.partial_kwargs["map_index_template"] or "")] == []

    def test_that_wait_for_the_release_hold_no_worker(self, dag: DAG) -> None:
        sensors = [task for task in dag.tasks if hasattr(task, "poke_interval")]

        assert [last_part(task.task_id) for task in sensors] == ["collect_closes"]
        for sensor in sensors:
            assert sensor.mode == "reschedule"
            assert not sensor.soft_fail
            assert not sensor.never_fail
            assert 60 <= sensor.poke_interval <= 3600
            # The next session's run must not wait for one that the provider never releases.
            assert 4 * 3600 <= sensor.timeout < 24 * 3600


class TestOperators:
    def test_hold_no_credentials(self, dag: DAG) -> None:
        for task in dag.tasks:
            given = vars(task) if not task.is_mapped else {**task.partial_kwargs, "expand": task.expand_input}
            held = {name: value for name, value in given.items() if name not in {"dag", "_dag", "task_group"}}
            assert not KEY_NAMES.search(repr(held)), task.task_id

    def test_use_the_default_connection(self, dag: DAG) -> None:
        kinds = (GlueRunOperator, AthenaOperator, RedshiftDataOperator)

        assert {task.aws_conn_id for kind in kinds for task in operators(dag, kind)} == {"aws_default"}

    def test_glue_runs_end_with_their_task_and_are_found_again_by_a_retry(self, dag: DAG) -> None:
        jobs = operators(dag, GlueRunOperator)

        # Once a run, however many sessions it has.
        assert sorted(task.job_name for task in jobs) == sorted(GLUE_JOBS)
        assert not any(task.is_mapped for task in dag.tasks if task.task_id.startswith("transform."))
        for task in jobs:
            assert task.stop_job_run_on_kill is True
            assert task.durable is True  # else a retry starts a second run beside the first
            assert task.wait_for_completion is True
            assert task.deferrable is False
            # The job itself belongs to the infrastructure: the task neither creates nor changes it.
            assert (task.create_job_kwargs, task.script_location, task.update_config) == (None, None, False)

    def test_checks_go_to_the_workgroup_and_stay_out_of_the_log(self, dag: DAG) -> None:
        (check,) = operators(dag, AthenaOperator)

        assert (check.database, check.workgroup) == ("{{ staging_database() }}", "{{ setting('athena_workgroup') }}")
        assert check.output_location == "s3://{{ setting('bucket') }}/athena-results/"
        assert check.log_query is False
        assert check.max_polling_attempts > 10_000  # execution_timeout bounds it
        assert check.client_request_token is None  # one token for 14 queries would give 14 times the first's result

    def test_the_warehouse_is_serverless_and_waited_for(self, dag: DAG) -> None:
        for task in operators(dag, RedshiftDataOperator):
            assert task.workgroup_name == "{{ setting('redshift_workgroup') }}"
            assert task.database == "{{ setting('redshift_database') }}"
            assert (task.cluster_identifier, task.db_user, task.secret_arn) == (None, None, None)
            assert task.wait_for_completion is True
            assert task.durable is True
            assert task.deferrable is False

    def test_the_load_is_one_batch_and_the_count_hands_on_its_rows(self, dag: DAG) -> None:
        by_name = {last_part(task.task_id): task for task in operators(dag, RedshiftDataOperator)}

        assert set(by_name) == {"load_tables", "count_window"}
        assert isinstance(by_name["load_tables"].sql, list)  # a list is one transaction, a session is not
        assert by_name["load_tables"].session_keep_alive_seconds is None
        assert by_name["load_tables"].return_sql_result is False
        assert by_name["count_window"].return_sql_result is True


@pytest.mark.parametrize(
    ("task_id", "pattern"),
    [("collect.collect_closes", "collect_*"), ("load.write_manifests", "load"), ("transform.x", "transform.*")],
)
def test_a_manual_may_name_a_task_by_its_last_part_its_group_or_a_pattern(task_id: str, pattern: str) -> None:
    assert covered(task_id, [pattern])
    assert not covered("publish_sessions", [pattern])
