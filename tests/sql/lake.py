"""The lake's tables on DuckDB, standing in for Athena and Redshift."""

from __future__ import annotations

from typing import Any

import duckdb
import sqlglot

from mag7.lake.tables import list_published_tables, list_tables
from sandbox.aws.trino import MACROS, parse_query, translate
from tests.sql.market import Rows

RUN = "mag7_daily-manual__2024-12-13T000000"


class Lake:
    """The tables on DuckDB, staged and published, filled from rows and asked in Trino's or Redshift's SQL."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        connection.execute("SET integer_division = true")
        for macro in MACROS:
            connection.execute(macro)
        for schema, partition, tables in (
            ("market_data_staging", "run VARCHAR, ", list_tables()),
            ("market_data", "", list_published_tables()),
        ):
            connection.execute(f"CREATE SCHEMA {schema}")
            for table in tables:
                columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
                connection.execute(f"CREATE TABLE {schema}.{table.name} ({partition}{columns})")

    def stage(self, rows: Rows, run: str = RUN) -> None:
        """Add rows to a run's staged tables."""
        self._insert("market_data_staging", rows, {"run": run})

    def publish(self, rows: Rows) -> None:
        """Add rows to the published tables."""
        self._insert("market_data", rows, {})

    def _insert(self, schema: str, rows: Rows, partition: dict[str, str]) -> None:
        for name, records in rows.items():
            for record in ({**partition, **record} for record in records):
                names, marks = ", ".join(f'"{key}"' for key in record), ", ".join("?" for _ in record)
                statement = f"INSERT INTO {schema}.{name} ({names}) VALUES ({marks})"  # noqa: S608
                self._connection.execute(statement, list(record.values()))

    def ask_athena(self, sql: str) -> list[dict[str, Any]]:
        """Run a Trino query, refusing what Athena would refuse."""
        return self._fetch(translate(parse_query(sql)))

    def ask_redshift(self, sql: str) -> list[dict[str, Any]]:
        """Run a Redshift query."""
        (statement,) = sqlglot.transpile(sql, read="redshift", write="duckdb")
        return self._fetch(statement)

    def execute_redshift(self, sql: str) -> None:
        """Run a Redshift statement that returns nothing."""
        (statement,) = sqlglot.transpile(sql, read="redshift", write="duckdb")
        self._connection.execute(statement)

    def _fetch(self, sql: str) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
