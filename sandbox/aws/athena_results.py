"""How Athena writes what DuckDB returns: values, types and errors."""

import math
from collections.abc import Iterator
from typing import Any

import duckdb

from sandbox.aws.api import Payload

TRINO_TYPES = {
    "HUGEINT": "bigint",
    "UBIGINT": "bigint",
    "FLOAT": "real",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}


def name_type(duck: str) -> str:
    """Give Athena's name of a DuckDB type."""
    return TRINO_TYPES.get(duck, duck.lower().split("(")[0])


def describe_column(name: str, kind: str) -> Payload:
    """Describe a column as GetQueryResults does."""
    fixed = {"CatalogName": "hive", "SchemaName": "", "TableName": "", "Precision": 0, "Scale": 0}
    return {
        **fixed,
        "Name": name,
        "Label": name,
        "Type": kind,
        "Nullable": "UNKNOWN",
        "CaseSensitive": kind == "varchar",
    }


def write_csv(rows: list[list[str | None]]) -> Iterator[str]:
    """Write the lines of a result file."""
    # Athena quotes every value; NULL is an empty field without quotes.
    for row in rows:
        quoted = ['"' + value.replace('"', '""') + '"' if value is not None else "" for value in row]
        yield ",".join(quoted) + "\n"


def write_value(value: Any) -> str | None:
    """Write a value as Athena does; None is NULL."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _write_double(value)
    if isinstance(value, list):
        return f"[{', '.join(str(write_value(item)) for item in value)}]"
    return str(value.isoformat(" ", "milliseconds")) if hasattr(value, "hour") else str(value)


def _write_double(value: float) -> str:
    """Write a double as Java does: 1.0E7 from ten million on."""
    if not math.isfinite(value):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value) if "e" not in repr(value) else f"{value:.20f}".rstrip("0")
    digits, _, exponent = f"{value:.16e}".partition("e")
    for places in range(1, 17):
        short = f"{value:.{places}e}"
        if float(short) == value:
            digits, _, exponent = short.partition("e")
            break
    return f"{digits}E{int(exponent)}"


def explain(error: Exception) -> str:
    """Give an engine's error Athena's name and text."""
    text = str(error).split("\n\nLINE")[0].split("\nCandidate")[0].strip()
    line = " ".join(text.split())
    missing = line.split('"')[1] if '"' in line else ""
    if "Referenced column" in line or "does not have a column" in line:
        column = line.rsplit('"', 2)[1] if "does not have a column" in line else missing
        return f"COLUMN_NOT_FOUND: Column '{column}' cannot be resolved"
    if "Division by zero" in line:
        return "DIVISION_BY_ZERO: Division by zero"
    kinds = {duckdb.BinderException: "TYPE_MISMATCH", duckdb.CatalogException: "FUNCTION_NOT_FOUND"}
    return f"{kinds.get(type(error), 'GENERIC_USER_ERROR')}: {line}"
