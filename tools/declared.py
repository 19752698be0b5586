"""A declared table by its name, its rows by column, and its schema as a Parquet file."""

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
    """Give a row's values their columns' names."""
    return dict(zip([column.name for column in find_table(table).columns], row, strict=True))


def make_schema(table: Table, *, partitioned: bool) -> pa.Schema:
    """Make the schema of a file, in the partitioned form or in the flat one."""
    columns = table.partitioned_columns if partitioned else table.columns
    return pa.schema([(column.name, TYPES.get(column.glue_type, pa.string())) for column in columns])
