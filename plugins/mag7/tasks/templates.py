"""The functions that SQL templates may call; Airflow gives them to Jinja when it renders an operator's fields.

An operator names the task whose window its SQL works on in ``params={"window": "<task id>"}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jinja2 import pass_context

from mag7.lake.keys import DATABASE, STAGING_DATABASE, manifest_key, staging_prefix
from mag7.lake.scripts import script_arguments
from mag7.settings import read_settings
from mag7.tasks.window import Window, list_window

if TYPE_CHECKING:
    from jinja2.runtime import Context

REDSHIFT_SCHEMA = "market_data"
GLUE_ARGUMENTS = ("--scriptLocation", "--extra-py-files", "--extra-files", "--bucket", "--staging", "--sessions")


@pass_context
def sessions(context: Context) -> str:
    """Give the window's sessions as SQL date literals, comma separated."""
    return ", ".join(f"DATE '{session.isoformat()}'" for session in list_window(_window(context)))


@pass_context
def run(context: Context) -> str:
    """Give the run's path segment: letters, digits, dot, underscore and hyphen only, so safe inside quotes."""
    return _window(context)["run"]


@pass_context
def manifest(context: Context, table: str) -> str:
    """Give the s3:// address of the window's COPY manifest for a table."""
    return f"s3://{read_settings().bucket}/{manifest_key(_window(context)['run'], table)}"


def setting(name: str) -> str | float | int:
    """Give a setting by its name in mag7.settings.Settings."""
    value: str | float | int = getattr(read_settings(), name)
    return value


def check_name(query: str) -> str:
    """Give a check's first line, the sentence that must hold, as the name that people see."""
    return query.strip().splitlines()[0].removeprefix("-- Check: ")


def staging_database() -> str:
    """Name the catalog database of staged tables."""
    return STAGING_DATABASE


def database() -> str:
    """Name the catalog database of published tables."""
    return DATABASE


def schema() -> str:
    """Name the warehouse schema."""
    return REDSHIFT_SCHEMA


def copy_role() -> str:
    """Give the ARN of the role that Redshift assumes for COPY."""
    return read_settings().copy_role


@pass_context
def glue_argument(context: Context, job: str, name: str) -> str:
    """Give one argument of a Glue run: this checkout's scripts, or the window's sessions by name, never a range."""
    settings, window = read_settings(), _window(context)
    arguments = {
        **script_arguments(settings.bucket, f"{job.replace('-', '_')}.py"),
        "--bucket": settings.bucket,
        "--staging": staging_prefix(window["run"]),
        "--sessions": ",".join(window["sessions"]),
    }
    return arguments[name]


def template_glue_arguments(job: str) -> dict[str, str]:
    """Write a Glue job's script_args as templates, rendered when its task runs."""
    return {name: f"{{{{ glue_argument('{job}', '{name}') }}}}" for name in GLUE_ARGUMENTS}


def _window(context: Context) -> Window:
    window: Window = context["ti"].xcom_pull(task_ids=context["params"]["window"])
    return window


MACROS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        sessions,
        run,
        manifest,
        setting,
        staging_database,
        database,
        schema,
        copy_role,
        check_name,
        glue_argument,
    )
}
