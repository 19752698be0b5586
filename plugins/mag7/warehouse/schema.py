"""The warehouse's schema: its SQL as templates, and its tables compared with the declaration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mag7.lake.tables import Column, Table, list_published_tables
from mag7.paths import SQL

if TYPE_CHECKING:
    from mag7.warehouse.statements import Warehouse

FOLDER = SQL / "redshift"

# As Redshift's information_schema names them, and as the sandbox's does.
_TYPE_NAMES = {
    "double": ("double precision", "double"),
    "integer": ("integer",),
    "bigint": ("bigint",),
    "boolean": ("boolean",),
    "date": ("date",),
    "varchar": ("character varying", "varchar"),
}

Columns = Mapping[str, Mapping[str, str]]
"""By table, each column's type in the order of the table."""


def list_schema_files() -> list[Path]:
    """List the DDL files of the first version, one statement each, in the order in which they must run."""
    return sorted((FOLDER / "schema").glob("*.sql"))


def render(template: str, schema: str, **values: object) -> str:
    """Render a template of the schema's SQL; ``schema()`` returns the schema's name, every other name must be given."""
    from jinja2 import Environment, StrictUndefined

    # SQL, not HTML, and no template comes from outside.
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701  # nosec B701
    return environment.from_string(template).render(schema=lambda: schema, **values)


def render_file(name: str, schema: str, **values: object) -> str:
    """Render a file below include/sql/redshift."""
    return render((FOLDER / name).read_text(encoding="utf-8"), schema, **values)


def read_columns(warehouse: Warehouse) -> Columns:
    """Read which tables and columns the warehouse's schema holds; empty where there is no schema."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for table, column, kind in warehouse.ask(render_file("versions/read_columns.sql", warehouse.schema)):
        found[table][column] = str(kind).lower()
    return dict(found)


def list_faults(columns: Columns) -> list[str]:
    """List, one phrase each, what the warehouse's tables lack of the declaration; more columns are allowed."""
    faults = []
    for table in list_published_tables():
        if table.name not in columns:
            faults.append(f"the table {table.name} is missing")
        else:
            faults += list_table_faults(table, columns[table.name])
    return faults


def list_table_faults(table: Table, held: Mapping[str, str]) -> list[str]:
    """List, one phrase each, which declared columns of a table are missing, of another type or out of order."""
    faults = []
    for column in table.columns:
        if column.name not in held:
            faults.append(f"{table.name} lacks the column {column.name} {column.type}")
        elif not is_type(column, held[column.name]):
            faults.append(f"{table.name}.{column.name} is {held[column.name]}, not {column.type}")
    wanted = [column.name for column in table.columns]
    if not faults and list(held)[: len(wanted)] != wanted:
        # COPY maps by position: in another order it would load one column's values into another.
        faults.append(f"{table.name} has its columns in the order {', '.join(held)}, not {', '.join(wanted)}")
    return faults


def is_type(column: Column, kind: str) -> bool:
    """Whether a type of information_schema is the declared one; the length of a text is ignored."""
    return kind in _TYPE_NAMES["varchar" if column.varchar_bytes else column.type]
