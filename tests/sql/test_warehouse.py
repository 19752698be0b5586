"""The warehouse's DDL and load: held against the declaration, and run in order on DuckDB."""

from __future__ import annotations

import re
from datetime import date

import sqlglot
from sqlglot import exp

from mag7.lake.tables import SPLITS, Table, list_published_tables, list_tables
from mag7.warehouse.load import batch_statements
from mag7.warehouse.schema import list_schema_files
from tests.sql.conftest import ROLE, Render
from tests.sql.lake import RUN, Lake
from tests.sql.market import GOLDEN_DAY, make_rows

EVE = date(2024, 12, 12)
REFUSED = date(2024, 12, 11)
KEPT = {
    "execution_date": date(2024, 6, 10), "issuer": "X-a", "ticker": "A", "split_from": 1.0, "split_to": 10.0,
    "source": "provider",
}  # fmt: skip
REPLACED = {**KEPT, "issuer": "X-b", "ticker": "B"}
TYPES = {"double": "DOUBLE PRECISION", "integer": "INTEGER", "bigint": "BIGINT", "boolean": "BOOLEAN", "date": "DATE"}


def name_schema_template(number: int) -> str:
    return f"redshift/schema/{list_schema_files()[number].name}"


def read_columns(ddl: str) -> list[tuple[str, str, bool]]:
    """Read name, type and whether NULL is allowed out of hand-written DDL, one column a line."""
    found = re.findall(r'^    "?(\w+)"? ([A-Z][A-Z ]*?(?:\(\d+\))?)(?: DEFAULT \w+)?( NOT NULL)?,$', ddl, re.M)
    return [(name, kind.strip(), not required) for name, kind, required in found]


def declare_columns(table: Table) -> list[tuple[str, str, bool]]:
    return [(c.name, TYPES.get(c.type, c.type.upper()), c.nullable) for c in table.columns]


def test_the_schema_comes_first_and_then_every_table_in_its_order(render: Render) -> None:
    names = [path.stem.split("_", 1)[1] for path in list_schema_files()]
    assert names == ["schema", *(table.name for table in list_published_tables()), "daily_trading_adjusted"]
    assert render(name_schema_template(0)).splitlines()[-1] == "CREATE SCHEMA IF NOT EXISTS market_data"


def test_each_ddl_is_its_declaration(render: Render) -> None:
    for number, table in enumerate(list_published_tables(), start=1):
        ddl = render(name_schema_template(number))
        assert read_columns(ddl) == declare_columns(table), table.name
        assert f"CREATE TABLE IF NOT EXISTS market_data.{table.name} (" in ddl
        assert f"PRIMARY KEY ({', '.join(table.key)})\n)" in ddl
        sorted_by = ("execution_date", "issuer") if table == SPLITS else table.key
        assert ddl.endswith(f"DISTSTYLE AUTO\nCOMPOUND SORTKEY ({', '.join(sorted_by)})")
        assert len([tree for tree in sqlglot.parse(ddl, read="redshift") if tree]) == 1


def test_the_load_locks_everything_first_and_fits_into_one_batch(render: Render) -> None:
    statements = [render(statement, (EVE, GOLDEN_DAY)) for statement in batch_statements()]
    assert len(statements) == 1 + 4 * 7
    targets = [f"market_data.{table.name}" for table in list_published_tables()]
    assert re.findall(r"market_data\.\w+", statements[0]) == targets
    assert statements[0].split(maxsplit=2)[:2] == ["LOCK", "TABLE"]
    for number, table in enumerate(list_published_tables()):
        create, copy, delete, insert = statements[1 + 4 * number : 5 + 4 * number]
        staging = f"{table.name}_staging"
        assert create.strip() == f"CREATE TEMPORARY TABLE {staging} (LIKE market_data.{table.name})"
        assert copy.split() == [
            *("COPY", staging, "FROM", f"'s3://a-lake/staging/{RUN}/manifests/{table.name}.json'"),
            *("IAM_ROLE", f"'{ROLE}'", "FORMAT", "AS", "PARQUET", "MANIFEST"),
        ]
        where = "WHERE trading_date IN (DATE '2024-12-12', DATE '2024-12-13')"
        if table == SPLITS:
            where = (
                "USING splits_staging WHERE splits.issuer = splits_staging.issuer"
                " AND splits.execution_date = splits_staging.execution_date"
            )
        assert " ".join(delete.split()) == f"DELETE FROM market_data.{table.name} {where}"  # noqa: S608 - compared
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        into, _, rest = " ".join(insert.split()).partition(" SELECT ")
        assert into == f"INSERT INTO market_data.{table.name} ({columns})"
        assert rest == f"{columns} FROM {staging}"


def test_no_statement_sends_a_second_one_or_a_credential(render: Render) -> None:
    for template in batch_statements():
        statement = render(template)
        assert ";" not in statement
        assert "ACCESS_KEY" not in statement.upper()
        if not statement.strip().startswith("LOCK"):
            (tree,) = sqlglot.parse(statement, read="redshift")
            assert tree is not None
            assert not isinstance(tree, exp.Command)


def test_delete_and_insert_replace_the_window_and_nothing_else(render: Render, lake: Lake) -> None:
    for session in (REFUSED, EVE, GOLDEN_DAY):
        lake.publish(make_rows(session))
    for table in list_tables():
        lake.execute_redshift(f"CREATE TEMPORARY TABLE {table.name}_staging AS SELECT * FROM market_data.{table.name}")  # noqa: S608
        lake.execute_redshift(f"DELETE FROM {table.name}_staging WHERE trading_date = DATE '2024-12-11'")  # noqa: S608
    for split in (KEPT, REPLACED):
        lake.publish({"splits": [split]})
    lake.execute_redshift(
        "CREATE TEMPORARY TABLE splits_staging AS SELECT * FROM market_data.splits WHERE ticker = 'B'"
    )
    lake.execute_redshift("UPDATE splits_staging SET split_to = 4")
    steps = [step for step in batch_statements() if "/delete_" in step or "insert" in step]
    for _ in range(2):
        for step in steps:
            lake.execute_redshift(render(step, (EVE, GOLDEN_DAY)))
    window = (REFUSED, EVE, GOLDEN_DAY)
    counted = lake.ask_redshift(render("redshift/load/count_window.sql", window))
    rows = {(row["table_name"], row["trading_date"]): row["row_count"] for row in counted}
    expected = {table: len(records) for table, records in make_rows().items() if records}
    assert rows == {(table, day): count for table, count in expected.items() for day in window}
    splits = lake.ask_redshift("SELECT * FROM market_data.splits ORDER BY issuer")
    assert splits == [KEPT, {**REPLACED, "split_to": 4.0}]


def test_count_window_adds_up_the_declared_money_columns(render: Render, lake: Lake) -> None:
    rows = make_rows()
    rows["failed_collections"].append({"trading_date": GOLDEN_DAY, "ticker": "OTH1", "reason": "HTTP 404"})
    lake.publish(rows)
    lake.publish(make_rows(EVE))
    counted = lake.ask_redshift(render("redshift/load/count_window.sql"))
    assert [list(row) for row in counted] == [["table_name", "trading_date", "row_count", "total"]] * 6
    totals = {row["table_name"]: (row["row_count"], row["total"]) for row in counted}
    for table in list_tables():
        money = [row[table.money_column] for row in rows[table.name]] if table.money_column else []
        count, total = totals[table.name]
        assert count == len(rows[table.name])
        assert abs(total - sum(money)) <= 1e-9 * abs(total)
