"""What the SQL tests share: the templates as Airflow renders them, and DuckDB in place of Athena and Redshift."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import date

import duckdb
import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mag7.paths import SQL
from mag7.settings import Settings
from tests.sql.lake import RUN, Lake

ROLE = "arn:aws:iam::123456789012:role/copy"
DEFAULTS = {field.name: field.default for field in fields(Settings)}

Render = Callable[..., str]


@pytest.fixture
def render() -> Render:
    """Render a template, named by its path below include/sql or given as text, for the sessions of a window."""

    def render(template: str, sessions: tuple[date, ...] = (date(2024, 12, 13),), **settings: float) -> str:
        # As in Airflow: no trimming of blocks; every name must be known.
        environment = Environment(loader=FileSystemLoader(SQL), undefined=StrictUndefined, autoescape=False)  # noqa: S701
        environment.globals.update(
            sessions=lambda: ", ".join(f"DATE '{session.isoformat()}'" for session in sessions),
            run=lambda: RUN,
            database=lambda: "market_data",
            staging_database=lambda: "market_data_staging",
            schema=lambda: "market_data",
            setting=lambda name: {**DEFAULTS, **settings}[name],
            manifest=lambda table: f"s3://bucket/staging/{RUN}/manifests/{table}.json",
            copy_role=lambda: ROLE,
        )
        found = environment.get_template(template) if template.endswith(".sql") else environment.from_string(template)
        return found.render()

    return render


@pytest.fixture
def lake() -> Iterator[Lake]:
    """An empty lake."""
    with duckdb.connect() as connection:
        yield Lake(connection)
