"""Task groups of every DAG over a window of sessions: transform, check, load; and the default arguments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from airflow.sdk import get_current_context, task, task_group

from mag7.lake.checks import list_checks
from mag7.lake.scripts import GLUE_JOBS
from mag7.tasks import check, publish, run_reports, transform
from mag7.tasks.assets import describe_events, list_lake_assets, list_split_assets
from mag7.tasks.operators import CheckOperator, GlueRunOperator, WarehouseOperator
from mag7.tasks.retries import PassingFaultsPolicy
from mag7.tasks.templates import template_glue_arguments
from mag7.tasks.window import Window
from mag7.warehouse.load import batch_statements

Handed = Any
"""What a task returns: an XComArg while a DAG is wired, its value when a task runs; TaskFlow types it as either."""

POLL_SECONDS = 1
"""Seconds between two polls of a Glue run or a load; each is one cheap API call."""

GLUE_RUNS, LOADS = 2, 1
"""How many runs of one DAG may use the same Glue job, or load, at the same time: a backfill starts ten."""

QUICK_POLL_SECONDS = 0.2
"""Seconds between two polls of a check, which takes a fraction of a second on files this small."""


def default_args() -> dict[str, Any]:
    """Return the default arguments of every task of every DAG."""
    return {
        "owner": "market-data",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2.0,
        "retry_policy": PassingFaultsPolicy(),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": run_reports.report_failure,
    }


@task_group(group_id="transform")
def transform_window(window: Handed) -> Handed:
    """Run both Glue jobs into staging and register the staged tables; ``check_coverage`` returned the window."""
    jobs = [
        GlueRunOperator(
            task_id=job.replace("-", "_"),
            job_name=job,
            script_args=template_glue_arguments(job),
            job_poll_interval=POLL_SECONDS,
            waiter_delay=POLL_SECONDS,
            stop_job_run_on_kill=True,
            max_active_tis_per_dag=GLUE_RUNS,
        )
        for job in GLUE_JOBS
    ]
    staged = task(transform.register_staging)(window)
    window >> jobs >> staged
    return staged


@task_group(group_id="check")
def check_window(window: Handed, staged: Handed) -> Handed:
    """Run every check on the staged tables; only sessions that pass go on."""
    run_check = CheckOperator.partial(
        task_id="run_check",
        database="{{ staging_database() }}",
        workgroup="{{ setting('athena_workgroup') }}",
        output_location="s3://{{ setting('bucket') }}/athena-results/",
        sleep_time=QUICK_POLL_SECONDS,
        log_query=False,
        map_index_template="{{ check_name(task.query) }}",
    ).expand(query=[f"athena/checks/{name}.sql" for name in list_checks()])
    staged >> run_check
    return task(check.judge_checks)(window, cast("Handed", run_check.output))


def publish_window(window: Handed) -> Handed:
    """Publish the accepted sessions, splits first: where the sessions are read, adjusted prices must know of them."""

    @task(outlets=list_lake_assets())
    def publish_sessions(window: Window) -> Window:
        """Copy the window's files from staging to their published keys."""
        events = get_current_context()["outlet_events"]
        describe_events(events, list_lake_assets(), {"sessions": window["sessions"]})
        return publish.publish_sessions(window)

    @task(outlets=list_split_assets())
    def publish_splits(window: Window) -> list[str]:
        """Publish every split in the window's documents."""
        days = publish.publish_splits(window)
        describe_events(get_current_context()["outlet_events"], list_split_assets(), {"days": days})
        return days

    published = publish_sessions(window)
    publish_splits(window) >> published
    return published


@task_group(group_id="load")
def load_window(window: Handed) -> Handed:
    """Load a published window's tables, sessions and splits in one transaction, then reconcile with the lake."""
    warehouse: dict[str, Any] = {
        "workgroup_name": "{{ setting('redshift_workgroup') }}",
        "database": "{{ setting('redshift_database') }}",
        "poll_interval": POLL_SECONDS,
    }
    load_tables = WarehouseOperator(
        task_id="load_tables", sql=batch_statements(), max_active_tis_per_dag=LOADS, **warehouse
    )
    count_window = WarehouseOperator(
        task_id="count_window",
        sql=["redshift/load/count_window.sql", "redshift/load/count_splits.sql"],
        return_sql_result=True,
        **warehouse,
    )
    task(publish.write_manifests)(window) >> load_tables >> count_window
    return task(publish.reconcile)(window, cast("Handed", count_window.output))


def end_run(window: Handed, counts: Handed, *, can_be_late: bool) -> None:
    """End the DAG that is being wired with the run's manifest and its alert; call it last.

    ``counts`` are those of the collecting tasks. A DAG that catches up with long ago cannot be late.
    """
    manifest: Any = task(run_reports.write_run_manifest)(window, counts)
    _end_with(manifest)
    alert_at_end(window, can_be_late=can_be_late)


def alert_at_end(window: Handed, *, can_be_late: bool) -> None:
    """End the DAG that is being wired with the run's alert."""
    alert: Any = task(run_reports.send_alert)(window, can_be_late=can_be_late)
    _end_with(alert)


def _end_with(teller: Any) -> None:
    """Make a task follow every other one, whatever their states: one failed branch must not start it before the rest.

    As a teardown it is not a leaf of the run, so its own state makes no failed run green and no successful one red.
    """
    last = teller.as_teardown(on_failure_fail_dagrun=False).operator
    [other for other in last.dag.tasks if other is not last] >> last
