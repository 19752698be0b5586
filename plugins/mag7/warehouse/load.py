"""The load: one batch of statements, one transaction, for all tables, every session of a window and its splits.

The statements are the templates of include/sql/redshift/load: lock every target in a fixed order, then for each
table a temporary staging table, a COPY from a manifest that names the window's files, a delete of the window's
sessions (of splits: of those that come again, by company and day) and an insert by column name. A reader sees the
window as it was or as it is now, and nothing between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from mag7.errors import Mag7Error
from mag7.lake.tables import SPLITS, list_published_tables

FOLDER = "redshift/load"
STEPS = ("create_staging", "copy", "delete_window", "insert")
SPLIT_STEPS = ("create_staging", "copy", "delete_splits", "insert")
MAXIMUM_STATEMENTS = 40
"""BatchExecuteStatement takes at most 40 statements (AWS API reference)."""


class BatchTooLongError(Mag7Error):
    """The load needs more statements than one Data API batch may have."""


def batch_statements() -> list[str]:
    """Return the load's statements as Jinja templates, in order: the lock, then four steps for each table."""
    statements = [f"{{% include '{FOLDER}/lock.sql' %}}"]
    for table in list_published_tables():
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        steps = SPLIT_STEPS if table == SPLITS else STEPS
        settings = f"{{% set table = '{table.name}' %}}{{% set columns = '{columns}' %}}"
        statements += [f"{settings}{{% include '{FOLDER}/{step}.sql' %}}" for step in steps]
    if len(statements) > MAXIMUM_STATEMENTS:
        raise BatchTooLongError(f"{len(statements)} statements do not fit into one batch of {MAXIMUM_STATEMENTS}")
    return statements


def encode_manifest(files: Iterable[tuple[str, int]]) -> bytes:
    """Write a COPY manifest from s3:// addresses and sizes in bytes; COPY of Parquet checks both."""
    entries = [{"url": url, "mandatory": True, "meta": {"content_length": size}} for url, size in files]
    return json.dumps({"entries": entries}, indent=1).encode()
