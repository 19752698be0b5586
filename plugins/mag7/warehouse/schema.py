"""The warehouse's schema: its DDL files, run in order; every statement may be run again."""

from __future__ import annotations

from pathlib import Path

from mag7.paths import SQL


def list_schema_files() -> list[Path]:
    """List the DDL files, one statement each, in the order in which they must run."""
    return sorted((SQL / "redshift" / "schema").glob("*.sql"))
