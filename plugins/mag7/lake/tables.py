"""The tables: one declaration for the Glue jobs, the catalog, the checks and the warehouse.

Six are rows of sessions, made by the Glue jobs; splits are facts about companies, which no session owns."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache

from mag7.errors import Mag7Error
from mag7.paths import GLUE

DECLARATION = GLUE / "table_columns.json"
"""The file of the declaration: data, so that the Glue jobs, which import nothing of mag7, can read it, too."""

PARTITION_COLUMN = "trading_date"
_VARCHAR = re.compile(r"varchar\((\d+)\)")
_GLUE_TYPES = {"double": "double", "integer": "int", "bigint": "bigint", "boolean": "boolean", "date": "date"}


class ColumnTypeError(Mag7Error):
    """A declared column has a type that the project does not use."""


@dataclass(frozen=True)
class Column:
    """A column; its type is one of double, integer, bigint, boolean, date and varchar(n), where n counts bytes.

    ``positive`` says that zero or less is wrong wherever there is a value.
    """

    name: str
    type: str
    nullable: bool
    positive: bool

    @property
    def varchar_bytes(self) -> int | None:
        """How many bytes of UTF-8 a text may have; None for another type."""
        found = _VARCHAR.fullmatch(self.type)
        return int(found[1]) if found else None

    @property
    def glue_type(self) -> str:
        """The type in the Glue Data Catalog; every text is a string there."""
        return "string" if self.varchar_bytes else _GLUE_TYPES[self.type]


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, the columns that identify a row.

    ``money_column`` is the column whose sum reconciles two copies of the table, in USD; None where there is none.
    ``partition_column`` is the date by which its files lie.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    money_column: str | None
    partition_column: str = PARTITION_COLUMN

    @property
    def partitioned_columns(self) -> tuple[Column, ...]:
        """The columns inside a file of the partitioned form, whose folder gives the date."""
        return tuple(column for column in self.columns if column.name != self.partition_column)

    @property
    def required_columns(self) -> tuple[Column, ...]:
        """The columns that are never NULL."""
        return tuple(column for column in self.columns if not column.nullable)

    @property
    def positive_columns(self) -> tuple[Column, ...]:
        """The columns in which zero or less is wrong."""
        return tuple(column for column in self.columns if column.positive)

    @property
    def subject_column(self) -> str | None:
        """The column that tells the rows of a session apart; None where a session has one row."""
        return next((name for name in self.key if name != self.partition_column), None)


SPLITS = Table(
    "splits",
    (
        Column("execution_date", "date", nullable=False, positive=False),
        Column("issuer", "varchar(32)", nullable=False, positive=False),
        Column("ticker", "varchar(10)", nullable=False, positive=False),
        # Doubles: they multiply prices, which are doubles, and hold whole and short decimal ratios as they are
        # written; a DECIMAL would be rounded to its scale by each of the three engines in its own way.
        Column("split_from", "double", nullable=False, positive=True),
        Column("split_to", "double", nullable=False, positive=True),
        Column("source", "varchar(256)", nullable=False, positive=False),
    ),
    key=("issuer", "execution_date"),
    money_column=None,
    partition_column="execution_date",
)
"""A row is a company's split: split_from shares became split_to; ticker is the company's main line."""


@lru_cache(maxsize=1)
def list_tables() -> tuple[Table, ...]:
    """List the six tables in their fixed order, in which they are also locked and loaded."""
    declared = json.loads(DECLARATION.read_text(encoding="utf-8"))
    return tuple(
        Table(
            name,
            tuple(_read_column(name, column) for column in entry["columns"]),
            tuple(entry["key"]),
            entry["money_column"],
        )
        for name, entry in declared.items()
    )


def list_published_tables() -> tuple[Table, ...]:
    """List every published table, in the fixed order of locking and loading: the six, then splits."""
    return (*list_tables(), SPLITS)


def _read_column(table: str, entry: dict[str, str | bool]) -> Column:
    positive = bool(entry.get("positive", False))
    column = Column(str(entry["name"]), str(entry["type"]), bool(entry["nullable"]), positive)
    if column.type not in _GLUE_TYPES and column.varchar_bytes is None:
        raise ColumnTypeError(
            f"{table}.{column.name} has the type {column.type}; use varchar(n) or one of {', '.join(_GLUE_TYPES)}"
        )
    return column
