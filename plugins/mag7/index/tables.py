"""Reading fact tables: CSV rows by column name, each with its place in the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

from mag7.errors import Mag7Error, one_line

LARGEST_EXPONENT: Final = 24


class FactTableInvalidError(Mag7Error):
    """A row of a fact table is invalid or contradicts another row; the message names the row."""


@dataclass(frozen=True)
class FactTable:
    """A stored table: its file name, which errors name, and its bytes."""

    name: str
    body: bytes


@dataclass(frozen=True)
class Row:
    """A row of a fact table: its values by column, and its place, which errors name."""

    place: str
    values: Mapping[str, str]

    def text(self, column: str) -> str:
        """Return a value that must not be empty."""
        value = self.values[column]
        if not value:
            raise self.refuse(f"{column} is empty")
        return value

    def day(self, column: str) -> date:
        """Return a value that must be an ISO date."""
        value = self.values[column]
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise self.refuse(f"{column} is {value!r}, but must be a date such as 2024-12-13") from None

    def optional_day(self, column: str) -> date | None:
        """Return an ISO date, or None where the value is empty."""
        return self.day(column) if self.values[column] else None

    def flag(self, column: str) -> bool:
        """Return a value that must be true or false."""
        value = self.values[column]
        if value not in {"true", "false"}:
            raise self.refuse(f"{column} is {value!r}, but must be true or false")
        return value == "true"

    def positive(self, column: str) -> Decimal:
        """Return a value that must be a number above zero."""
        value = self.values[column]
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        if not (number.is_finite() and number > 0):
            raise self.refuse(f"{column} is {value!r}, but must be a number above zero")
        # As an exact fraction, a number with a huge exponent would fill the memory.
        if abs(number.adjusted()) >= LARGEST_EXPONENT:
            raise self.refuse(f"{column} is {value!r}, too large or too small to be true")
        return number

    def refuse(self, why: str) -> FactTableInvalidError:
        """Make the error that refuses this row."""
        return FactTableInvalidError(f"{self.place} [{one_line(','.join(self.values.values()))}]: {one_line(why)}")


def read_rows(table: FactTable, columns: Sequence[str]) -> tuple[Row, ...]:
    """Read a UTF-8 table with exactly these columns.

    Raises FactTableInvalidError where it is not CSV in UTF-8, where columns are unknown or missing, where a row has
    more or fewer values than columns, and where a row is repeated.
    """
    lines = read_lines(table)
    _, header = next(lines, (0, []))
    if header != list(columns):
        found = one_line(",".join(header))
        raise FactTableInvalidError(f"{table.name} must have the columns {','.join(columns)}, not {found}")
    seen: dict[tuple[str, ...], int] = {}
    rows = []
    for number, values in lines:
        row = Row(f"{table.name} line {number}", dict(zip(columns, values, strict=False)))
        if len(values) != len(columns):
            raise row.refuse(f"has {len(values)} values, but must have {len(columns)}")
        first = seen.setdefault(tuple(values), number)
        if first != number:
            raise row.refuse(f"repeats line {first}")
        rows.append(row)
    return tuple(rows)


def read_lines(table: FactTable) -> Iterator[tuple[int, list[str]]]:
    """Yield a table's rows with their line numbers; raises FactTableInvalidError where it is not CSV in UTF-8."""
    try:
        reader = csv.reader(io.StringIO(table.body.decode("utf-8"), newline=""))
        for values in reader:
            yield reader.line_num, values
    except (UnicodeDecodeError, csv.Error) as wrong:
        raise FactTableInvalidError(f"{table.name} is not comma-separated text in UTF-8 ({wrong})") from wrong
