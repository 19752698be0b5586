"""What SQL templates may call, and that nothing from outside gets into a statement through it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined

from mag7.lake.keys import run_segment
from mag7.lake.scripts import script_arguments
from mag7.tasks.templates import MACROS, WindowUnnamedError, template_glue_arguments, window_task

RUN = "mag7_daily-scheduled__2024-12-13T000000"


def render(template: str, window: dict[str, Any] | None = None) -> str:
    """Render with the functions, as an operator of the load."""

    class Ti:
        def xcom_pull(self, task_ids: str) -> dict[str, Any]:
            assert task_ids == "publish_sessions"
            return window or {"run": RUN, "sessions": ["2024-12-12", "2024-12-13"], "facts": ""}

    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - as in Airflow
    environment.globals.update(MACROS)
    return environment.from_string(template).render(
        ti=Ti(), task=SimpleNamespace(task_id="load.load_tables"), params={"window": "resolve_session"}
    )


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ sessions() }}", "DATE '2024-12-12', DATE '2024-12-13'"),
        ("{{ session_names() }}", "2024-12-12,2024-12-13"),
        ("{{ run() }}", RUN),
        ("{{ in_window() }}", f"run = '{RUN}' AND trading_date IN (DATE '2024-12-12', DATE '2024-12-13')"),
        (
            "{{ in_window('line') }}",
            f"line.run = '{RUN}' AND line.trading_date IN (DATE '2024-12-12', DATE '2024-12-13')",
        ),
        ("{{ staging() }}", f"staging/{RUN}"),
        ("{{ manifest('daily_trading') }}", f"s3://lake/staging/{RUN}/manifests/daily_trading.json"),
        ("{{ setting('maximum_company_pct') }}", "20.0"),
        ("{{ setting('redshift_workgroup') }}", "market-analysis"),
        ("{{ staging_database() }} {{ schema() }}", "market_data_staging market_data"),
        ("{{ copy_role() }}", "arn:aws:iam::123456789012:role/copy"),
    ],
)
def test_each_function_gives_what_it_says(template: str, text: str) -> None:
    assert render(template) == text


def test_settings_are_read_when_the_template_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAG7_MAXIMUM_COMPANY_PCT", "12.5")

    assert render("{{ setting('maximum_company_pct') }}") == "12.5"


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(AttributeError, match="maximum_everything"):
        render("{{ setting('maximum_everything') }}")


@pytest.mark.parametrize(
    ("task_id", "window"),
    [
        ("transform.processing_pipeline", "check_coverage"),
        ("check.run_check", "check_coverage"),
        ("load.load_tables", "publish_sessions"),
        ("outer.load.count_window", "publish_sessions"),
    ],
)
def test_the_window_is_that_of_the_task_group(task_id: str, window: str) -> None:
    assert window_task(task_id) == window


@pytest.mark.parametrize("task_id", ["load", "resolve_session", "collect.collect_closes", "load.other.step"])
def test_a_template_without_a_window_is_an_error(task_id: str) -> None:
    with pytest.raises(WindowUnnamedError, match=f"the templates of {task_id} have no window"):
        window_task(task_id)


@given(run_id=st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_no_run_id_leaves_its_quotes(run_id: str) -> None:
    statement = render(
        "run = '{{ run() }}' AND x", {"run": run_segment("mag7_daily", run_id), "sessions": [], "facts": ""}
    )

    assert statement.count("'") == 2
    assert statement.endswith("' AND x")
    assert not set(statement) & set(';\\\n/`"')


@pytest.mark.parametrize("session", ["2024-12-13' OR '1'='1", "2024-13-01", "yesterday"])
def test_nothing_but_a_date_becomes_a_date_literal(session: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid isoformat|month must be"):
        render("{{ sessions() }}", {"run": RUN, "sessions": [session], "facts": ""})


def test_glue_arguments_name_the_scripts_of_this_version_and_the_windows_sessions() -> None:
    arguments = {name: render(text) for name, text in template_glue_arguments("analytics-pipeline").items()}

    assert arguments == {
        **script_arguments("lake", "analytics_pipeline.py"),
        "--bucket": "lake",
        "--staging": f"staging/{RUN}",
        "--sessions": "2024-12-12,2024-12-13",
    }


def test_a_check_is_shown_by_its_first_line() -> None:
    query = "\n-- Check: no table holds two rows of one key.\nSELECT 1"

    assert MACROS["check_name"](query) == "no table holds two rows of one key."
