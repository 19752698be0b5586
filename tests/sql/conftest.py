"""What the SQL tests share: the templates rendered as Airflow does, and DuckDB in place of Athena and Redshift."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import date
from types import SimpleNamespace

import duckdb
import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mag7.paths import SQL
from mag7.settings import Settings
from mag7.tasks.templates import MACROS
from mag7.tasks.window import make_window
from tests.sql.lake import RUN, Lake

ROLE = "arn:aws:iam::123456789012:role/copy"
VARIABLES = {field.name: field.metadata["variable"] for field in fields(Settings)}
GIVEN = {"bucket": "a-lake", "bucket_owner": "123456789012", "copy_role": ROLE}

Render = Callable[..., str]


@pytest.fixture
def render(monkeypatch: pytest.MonkeyPatch) -> Render:
    """Render a template, named by its path below include/sql or given as text, for the sessions of a window."""

    def render(template: str, sessions: tuple[date, ...] = (date(2024, 12, 13),), **settings: float) -> str:
        # As in Airflow: no trimming of blocks; every name must be known.
        environment = Environment(loader=FileSystemLoader(SQL), undefined=StrictUndefined, autoescape=False)  # noqa: S701
        environment.globals.update(MACROS)
        for name, value in {**GIVEN, **settings}.items():
            monkeypatch.setenv(VARIABLES[name], str(value))
        found = environment.get_template(template) if template.endswith(".sql") else environment.from_string(template)
        ti = SimpleNamespace(xcom_pull=lambda task_ids: make_window(RUN, sessions))
        return found.render(ti=ti, task=SimpleNamespace(task_id="load.load_tables"))

    return render


@pytest.fixture
def lake() -> Iterator[Lake]:
    """An empty lake."""
    with duckdb.connect() as connection:
        yield Lake(connection)
