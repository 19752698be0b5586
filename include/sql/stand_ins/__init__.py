"""Replacements for the functions of mag7.tasks.templates, which sqlfluff calls when it lints the SQL of this folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column, with the attributes that the templates use."""

    name: str


@dataclass(frozen=True)
class Table:
    """A table, with the attributes that the templates use."""

    name: str
    key: tuple[str, ...]
    subject_column: str | None
    money_column: str | None
    required_columns: tuple[Column, ...]
    positive_columns: tuple[Column, ...]


def list_tables() -> tuple[Table, ...]:
    """Return a table for each branch of the templates."""
    one, two = Column("market_cap"), Column("close")
    return (
        Table("company_details", ("trading_date", "ticker"), "ticker", "market_cap", (one, two), (one, two)),
        Table("failed_collections", ("trading_date",), None, None, (one,), ()),
    )


def list_published_tables() -> tuple[Table, ...]:
    """Return the same tables as the published ones."""
    return list_tables()


def in_window(alias: str = "") -> str:
    """Return the condition that selects the run's rows of a staged table."""
    prefix = f"{alias}." if alias else ""
    return f"{prefix}run = '{run()}' AND {prefix}trading_date IN ({sessions()})"


def sessions() -> str:
    """Return two sessions."""
    return "DATE '2024-12-12', DATE '2024-12-13'"


def run() -> str:
    """Return a run's path segment."""
    return "mag7_daily-manual__2024-12-13T000000"


def staging_database() -> str:
    """Return the catalog database of staged tables."""
    return "market_data_staging"


def schema() -> str:
    """Return the warehouse schema."""
    return "market_data"


def setting(name: str) -> float:
    """Return a number for any setting."""
    return 20.0


def manifest(table: str) -> str:
    """Return a manifest's address."""
    return f"s3://bucket/staging/run/manifests/{table}.json"


def copy_role() -> str:
    """Return a role's ARN."""
    return "arn:aws:iam::123456789012:role/redshift-copy"
