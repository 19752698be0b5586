"""The functions that SQL templates may call; Airflow passes them to Jinja when it renders an operator's fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jinja2 import pass_context

from mag7.errors import Mag7Error
from mag7.lake.keys import STAGING_DATABASE, manifest_key, staging_prefix
from mag7.lake.scripts import script_arguments
from mag7.lake.tables import list_published_tables, list_tables
from mag7.settings import read_settings
from mag7.tasks.window import Window, list_window

if TYPE_CHECKING:
    from jinja2.runtime import Context

REDSHIFT_SCHEMA = "market_data"

WINDOW_TASKS = {"transform": "check_coverage", "check": "check_coverage", "load": "publish_sessions"}
"""By task group, the task that returned the window of its templates.

They are named here and not in an operator's params, which a run's conf overrides: a load must never delete a refused
session.
"""


class WindowUnnamedError(Mag7Error):
    """A template needs a window, but the task group has none."""


def window_task(task_id: str) -> str:
    """Return the task that returned the window of a templated task; raises WindowUnnamedError."""
    group = task_id.rpartition(".")[0].rpartition(".")[2]
    if group not in WINDOW_TASKS:
        raise WindowUnnamedError(f"the templates of {task_id} have no window: add its task group to WINDOW_TASKS")
    return WINDOW_TASKS[group]


@pass_context
def sessions(context: Context) -> str:
    """Return the window's sessions as SQL date literals, comma-separated."""
    return ", ".join(f"DATE '{session.isoformat()}'" for session in list_window(_window(context)))


@pass_context
def session_names(context: Context) -> str:
    """Return the window's sessions as ISO dates, comma-separated: by name, never a range."""
    return ",".join(_window(context)["sessions"])


@pass_context
def run(context: Context) -> str:
    """Return the run's path segment: letters, digits, dot, underscore and hyphen only, so safe inside quotes."""
    return _window(context)["run"]


@pass_context
def in_window(context: Context, alias: str = "") -> str:
    """Return the condition that selects the window's rows of a staged table, by the partitions that Athena reads."""
    prefix = f"{alias}." if alias else ""
    return f"{prefix}run = '{run(context)}' AND {prefix}trading_date IN ({sessions(context)})"


@pass_context
def staging(context: Context) -> str:
    """Return the key of the run's staging folder."""
    return staging_prefix(_window(context)["run"])


@pass_context
def manifest(context: Context, table: str) -> str:
    """Return the s3:// address of the window's COPY manifest for a table."""
    return f"s3://{read_settings().bucket}/{manifest_key(_window(context)['run'], table)}"


def setting(name: str) -> str | float | int:
    """Return a setting by its name in mag7.settings.Settings."""
    value: str | float | int = getattr(read_settings(), name)
    return value


def check_name(query: str) -> str:
    """Return a check's first line, the sentence that must hold, as the name that people see."""
    return query.strip().splitlines()[0].removeprefix("-- Check: ")


def staging_database() -> str:
    """Return the catalog database of staged tables."""
    return STAGING_DATABASE


def schema() -> str:
    """Return the warehouse schema."""
    return REDSHIFT_SCHEMA


def copy_role() -> str:
    """Return the ARN of the role that Redshift assumes for COPY."""
    return read_settings().copy_role


def template_glue_arguments(job: str) -> dict[str, str]:
    """Return a Glue job's script_args as templates: this checkout's scripts, the run's folder and its sessions."""
    bucket = "{{ setting('bucket') }}"
    return {
        **script_arguments(bucket, f"{job.replace('-', '_')}.py"),
        "--bucket": bucket,
        "--staging": "{{ staging() }}",
        "--sessions": "{{ session_names() }}",
    }


def _window(context: Context) -> Window:
    window: Window = context["ti"].xcom_pull(task_ids=window_task(context["task"].task_id))
    return window


MACROS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        sessions,
        session_names,
        run,
        in_window,
        staging,
        list_tables,
        list_published_tables,
        manifest,
        setting,
        staging_database,
        schema,
        copy_role,
        check_name,
    )
}
