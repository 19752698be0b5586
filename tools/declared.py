"""The declared tables: one by its name, a row by its columns, and the schema of a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mag7.lake.tables import Table, list_tables

TYPES = {"double": pa.float64(), "int": pa.int32(), "bigint": pa.int64(), "boolean": pa.bool_(), "date": pa.date32()}


def find_table(name: str) -> Table:
    """Find a table by its name."""
    return next(table for table in list_tables() if table.name == name)


def name_values(table: str, row: Sequence[Any]) -> dict[str, Any]:
    """Return a row's values by column."""
    return dict(zip([column.name for column in find_table(table).columns], row, strict=True))


def make_schema(table: Table, *, partitioned: bool) -> pa.Schema:
    """Return the schema of a file, in the partitioned or the flat form."""
    columns = table.partitioned_columns if partitioned else table.columns
    return pa.schema([(column.name, TYPES.get(column.glue_type, pa.string())) for column in columns])
