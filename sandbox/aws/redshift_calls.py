"""A statement as the Redshift Data API describes it: its status, its rows and its error."""

import re
import time
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

from sandbox.aws.api import ApiError, Payload

TYPE_NAMES = {
    "BOOLEAN": "bool",
    "SMALLINT": "int2",
    "INTEGER": "int4",
    "BIGINT": "int8",
    "HUGEINT": "int8",
    "FLOAT": "float4",
    "DOUBLE": "float8",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "VARCHAR": "varchar",
}


@dataclass
class Call:
    """A statement or batch of the Data API; times in seconds since 1970, duration in nanoseconds."""

    id: str
    sql: str
    status: str = "SUBMITTED"
    error: str | None = None
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    duration: int = 0
    rows: int = -1
    columns: list[tuple[str, str]] | None = None
    records: list[tuple[Any, ...]] = field(default_factory=list)

    def describe(self) -> Payload:
        """Describe the fields that statements and sub-statements share."""
        failed = {"Error": self.error} if self.error else {}
        return {
            "Id": self.id,
            "QueryString": self.sql,
            "Status": self.status,
            "CreatedAt": self.created,
            "UpdatedAt": self.updated,
            "Duration": self.duration,
            "HasResultSet": self.columns is not None,
            "ResultRows": self.rows,
            "ResultSize": sum(len(str(cell)) for record in self.records for cell in record),
            "RedshiftQueryId": 0,
            **failed,
        }

    def finish(self, status: str, error: str | None = None) -> None:
        """Close the call with its final status."""
        self.updated, self.error = time.time(), error
        self.status = status

    def describe_result(self) -> Payload:
        """Describe the rows as GetStatementResult does; raises ResourceNotFoundException where there are none."""
        if self.status != "FINISHED" or self.columns is None:
            message = "Query does not have result. Please check query status with DescribeStatement."
            raise ApiError("ResourceNotFoundException", message)
        columns = [{"name": n, "label": n, "typeName": _name_type(kind), "nullable": 1} for n, kind in self.columns]
        records = [[_write_cell(value) for value in record] for record in self.records]
        return {"ColumnMetadata": columns, "Records": records, "TotalNumRows": len(records)}


def _name_type(duck: str) -> str:
    return TYPE_NAMES.get(duck, "numeric" if duck.startswith("DECIMAL") else duck.lower())


def _write_cell(value: Any) -> Payload:
    if value is None:
        return {"isNull": True}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"longValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, datetime):
        return {"stringValue": value.isoformat(" ")}
    return {"stringValue": str(value) if isinstance(value, Decimal | date | str) else repr(value)}


def explain(error: Exception) -> str:
    """Give an error Redshift's text."""
    line = " ".join(str(error).split("\n\nLINE")[0].split("\nCandidate")[0].split())
    if isinstance(error, duckdb.TransactionException) or "write-write conflict" in line:
        return f"ERROR: 1023 DETAIL: Serializable isolation violation on table ({line}) ERROR: 1023"
    if found := re.search(r"NOT NULL constraint failed: (\S+)", line):
        return f"ERROR: Cannot insert a NULL value into column {found[1].rpartition('.')[2]}"
    if found := re.search(r'strlen\("?([^")]+)"?\)\s*<=\s*(\d+)', line):
        return f"ERROR: value too long for type character varying({found[2]}) in column {found[1]}"
    if found := re.search(r"Table with name (\S+) does not exist", line):
        return f'ERROR: relation "{found[1]}" does not exist'
    return f"ERROR: {line}"
