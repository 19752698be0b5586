"""Migrations on the sandbox's warehouse: forward, once, all or nothing, and without losing existing rows."""

# ruff: noqa: S608 - the tests write SQL

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from mag7.lake.tables import list_published_tables, list_tables
from mag7.warehouse.migrations import (
    Applied,
    Migration,
    MigrationChangedError,
    MigrationFailedError,
    SchemaDiffersError,
    SchemaNewerError,
    list_migrations,
    migrate,
    read_applied,
    split_statements,
)
from mag7.warehouse.schema import FOLDER, list_faults, read_columns, render, render_file
from mag7.warehouse.statements import StatementFailedError, StatementTooSlowError, Warehouse
from tests.sandbox.aws.running import Sandbox, start_sandbox, wait_for

TABLES = {table.name for table in list_published_tables()}
VIEWS = {"daily_trading_adjusted"}
OURS = len(list_migrations())
"""This checkout's newest version; two more follow in the tests."""

DIVIDEND_FILE, VENUES_FILE = f"{OURS + 1:04d}_add_dividend.sql", f"{OURS + 2:04d}_add_venues.sql"
DIVIDEND = """
-- The dividend of the session; NULL before it was collected.
ALTER TABLE {{ schema() }}.daily_trading ADD COLUMN dividend DOUBLE PRECISION;
ALTER TABLE {{ schema() }}.daily_trading ADD COLUMN venue VARCHAR(16) NOT NULL DEFAULT 'XNYS; XNAS';
"""
VENUES = "CREATE TABLE IF NOT EXISTS {{ schema() }}.venues (ticker VARCHAR(10) NOT NULL, ratio DOUBLE PRECISION);"
BROKEN = "ALTER TABLE {{ schema() }}.failed_collections ADD COLUMN tries INTEGER; SELECT 1 FROM nowhere;"
BAR = (
    "INSERT INTO {0}.daily_trading VALUES ('2024-12-13', 'AAPL', 247.8, 249.3, 246.2, 248.1, 33155290, NULL, 17340660)"
)
FORBIDDEN = exp.Drop | exp.Delete | exp.TruncateTable | exp.Merge | exp.Commit | exp.Rollback | exp.Transaction


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = start_sandbox(tmp_path_factory.mktemp("aws"))
    yield running
    assert running.stop() == 0


@pytest.fixture
def warehouse(sandbox: Sandbox) -> Warehouse:
    return make_warehouse(sandbox)


def make_warehouse(sandbox: Sandbox) -> Warehouse:
    """A schema name of the test's own; the schema does not exist yet."""
    return Warehouse(sandbox.client("redshift-data"), "market-analysis", "dev", f"s{uuid.uuid4().hex[:8]}", 60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """This checkout's migrations and two more."""
    for path in (FOLDER / "migrations").glob("*.sql"):
        shutil.copy(path, tmp_path)
    (tmp_path / DIVIDEND_FILE).write_text(DIVIDEND)
    (tmp_path / VENUES_FILE).write_text(VENUES)
    return tmp_path


def look(warehouse: Warehouse) -> dict[str, Any]:
    """Everything that a setup could change: definitions with lengths and NOT NULL, and every row."""
    schema = warehouse.schema
    columns = warehouse.ask(
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        f" WHERE table_schema = '{schema}' ORDER BY table_name, ordinal_position"
    )
    tables = sorted({row[0] for row in columns})
    checks = warehouse.ask(
        "SELECT table_name, expression FROM duckdb_constraints()"
        f" WHERE schema_name = '{schema}' AND constraint_type = 'CHECK'"
    )
    rows = {table: sorted(warehouse.ask(f"SELECT * FROM {schema}.{table}"), key=repr) for table in tables}
    return {"columns": columns, "checks": sorted(checks), "rows": rows}


def definitions(warehouse: Warehouse) -> tuple[Any, Any]:
    found = look(warehouse)
    return found["columns"], found["checks"]


def versions(warehouse: Warehouse) -> list[int]:
    return [row.version for row in read_applied(warehouse, read_columns(warehouse))]


def migrate_older(warehouse: Warehouse, known: Sequence[Migration]) -> None:
    """Migrate a warehouse to an older version, as that version's checkout did, without later columns."""
    with contextlib.suppress(SchemaDiffersError):
        migrate(warehouse, known)
    assert versions(warehouse) == [migration.version for migration in known]


def count(warehouse: Warehouse, table: str = "daily_trading") -> int:
    return int(warehouse.ask(f"SELECT COUNT(*) FROM {warehouse.schema}.{table}")[0][0])


class TestForward:
    def test_a_new_warehouse_gets_what_is_declared(self, warehouse: Warehouse) -> None:
        known = list_migrations()
        assert migrate(warehouse, known) == list(known)
        columns = read_columns(warehouse)
        assert set(columns) == TABLES | VIEWS | {"schema_version"}
        assert list_faults(columns) == []
        for table in list_published_tables():
            assert list(columns[table.name]) == [column.name for column in table.columns]

    def test_the_versions_are_recorded(self, warehouse: Warehouse, folder: Path) -> None:
        known = list_migrations(folder)
        migrate(warehouse, known)
        rows = warehouse.ask(f"SELECT * FROM {warehouse.schema}.schema_version ORDER BY version")
        assert [row[:3] for row in rows] == [(m.version, m.file_name, m.digest) for m in known]
        assert [row[1] for row in rows][-2:] == [DIVIDEND_FILE, VENUES_FILE]
        assert rows[0][1] == "schema"
        assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d", row[3]) for row in rows)

    def test_a_second_time_changes_nothing(self, warehouse: Warehouse, folder: Path) -> None:
        known = list_migrations(folder)
        migrate(warehouse, known)
        warehouse.run([BAR.format(warehouse.schema).replace("17340660", "17340660, 0.25, 'XNAS'")])
        before = look(warehouse)
        assert migrate(warehouse, known) == []
        assert look(warehouse) == before

    def test_an_older_warehouse_gets_the_columns_and_keeps_its_rows(self, warehouse: Warehouse, folder: Path) -> None:
        known = list_migrations(folder)
        migrate_older(warehouse, known[:1])
        warehouse.run([BAR.format(warehouse.schema)])
        assert [m.version for m in migrate(warehouse, known)] == [*range(2, OURS + 3)]
        (row,) = warehouse.ask(f"SELECT * FROM {warehouse.schema}.daily_trading")
        assert row[:2] == ("2024-12-13", "AAPL")
        assert row[8:] == (17340660, None, "XNYS; XNAS")

    def test_a_new_and_a_migrated_warehouse_are_equal(self, sandbox: Sandbox, folder: Path) -> None:
        known = list_migrations(folder)
        fresh, older = make_warehouse(sandbox), make_warehouse(sandbox)
        migrate(fresh, known)
        for last in range(1, len(known) + 1):
            migrate_older(older, known[:last])
        assert definitions(older) == definitions(fresh)
        assert len(definitions(fresh)[1]) > 20  # the texts' lengths

    def test_a_table_without_a_recorded_version_is_left_alone(self, warehouse: Warehouse) -> None:
        schema = warehouse.schema
        warehouse.run([f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.company_details (id INTEGER)"])
        with pytest.raises(SchemaDiffersError, match=r"company_details was not created by this project: .* Rename"):
            migrate(warehouse, list_migrations())
        assert set(read_columns(warehouse)) == {"company_details", "schema_version"}
        assert versions(warehouse) == []


class TestInterrupted:
    def test_the_migrations_before_a_failing_one_stay_and_the_next_run_goes_on(
        self, warehouse: Warehouse, folder: Path
    ) -> None:
        (folder / VENUES_FILE).write_text(BROKEN)
        migrate_older(warehouse, list_migrations()[:1])
        warehouse.run([BAR.format(warehouse.schema)])
        with pytest.raises(MigrationFailedError, match=r'_add_venues.sql .*"nowhere" does not exist.*rolled back'):
            migrate(warehouse, list_migrations(folder))
        assert versions(warehouse) == [*range(1, OURS + 2)]
        assert "tries" not in read_columns(warehouse)["failed_collections"]  # not half of the failing one
        (folder / VENUES_FILE).write_text(VENUES)
        assert [m.version for m in migrate(warehouse, list_migrations(folder))] == [OURS + 2]
        assert (versions(warehouse), count(warehouse)) == ([*range(1, OURS + 3)], 1)

    @pytest.mark.parametrize("sent", [False, True], ids=["before sending", "after sending"])
    @pytest.mark.parametrize("after", range(OURS + 3))
    def test_a_setup_that_dies_at_any_step_can_be_run_again(
        self, sandbox: Sandbox, folder: Path, after: int, sent: bool
    ) -> None:
        class Dying:
            """Simulates the client of a process that is killed at its nth batch."""

            left = after

            def __init__(self, client: Any) -> None:
                self._client = client

            def __getattr__(self, name: str) -> Any:
                return getattr(self._client, name)

            def batch_execute_statement(self, **given: Any) -> Any:
                answer = self._client.batch_execute_statement(**given) if self.left or sent else None
                if self.left == 0:
                    raise KeyboardInterrupt
                self.left -= 1
                return answer

        known, whole = list_migrations(folder), make_warehouse(sandbox)
        died = make_warehouse(sandbox)
        migrate(whole, known)
        with pytest.raises(KeyboardInterrupt):
            migrate(replace(died, client=Dying(died.client)), known)
        migrate(died, known)
        assert definitions(died) == definitions(whole)
        assert versions(died) == [*range(1, OURS + 3)]


class TestRefused:
    def test_a_newer_warehouse(self, warehouse: Warehouse, folder: Path) -> None:
        migrate(warehouse, list_migrations(folder))
        before = look(warehouse)
        with pytest.raises(SchemaNewerError, match=rf"at version {OURS + 2}, .* up to {OURS}: update the checkout"):
            migrate(warehouse, list_migrations())
        assert look(warehouse) == before

    def test_a_file_that_changed_after_it_was_applied(self, warehouse: Warehouse, folder: Path) -> None:
        migrate(warehouse, list_migrations(folder)[: OURS + 1])
        (folder / DIVIDEND_FILE).write_text(DIVIDEND.replace("16", "32"))
        before = look(warehouse)
        with pytest.raises(MigrationChangedError, match=rf"version {OURS + 1} .*{DIVIDEND_FILE}.* restore the file"):
            migrate(warehouse, list_migrations(folder))
        assert look(warehouse) == before

    def test_a_table_that_somebody_renamed(self, warehouse: Warehouse) -> None:
        migrate(warehouse, list_migrations())
        warehouse.run([f"ALTER TABLE {warehouse.schema}.daily_trading RENAME TO prices"])
        with pytest.raises(SchemaDiffersError, match=r"the table daily_trading is missing"):
            migrate(warehouse, list_migrations())


class TestTogether:
    def test_two_setups_at_once_apply_each_migration_once(self, sandbox: Sandbox, folder: Path) -> None:
        known = list_migrations(folder)
        for start in sorted({0, OURS, OURS + 1}):
            warehouse, barrier = make_warehouse(sandbox), threading.Barrier(2)
            if start:
                migrate_older(warehouse, known[:start])

            def work(client: Any, warehouse: Warehouse = warehouse, barrier: threading.Barrier = barrier) -> Any:
                barrier.wait(30)
                return migrate(replace(warehouse, client=client), known)

            with ThreadPoolExecutor(2) as threads:
                done = list(threads.map(work, [sandbox.client("redshift-data") for _ in range(2)]))
            assert sorted(m.version for each in done for m in each) == list(range(start + 1, OURS + 3))
            assert versions(warehouse) == [*range(1, OURS + 3)]

    def test_a_migration_waits_for_a_load_that_is_under_way(self, sandbox: Sandbox, folder: Path) -> None:
        warehouse, known = make_warehouse(sandbox), list_migrations(folder)
        migrate_older(warehouse, known[:1])
        schema = warehouse.schema
        lock = render_file("load/lock.sql", schema, list_published_tables=list_tables)  # as a load of then
        slow = "SELECT SUM(HASH(a.range)) FROM range(60000000) a"
        load = sandbox.client("redshift-data").batch_execute_statement(
            WorkgroupName="market-analysis",
            Database="dev",
            Sqls=[
                lock,
                slow,
                f"CREATE TEMP TABLE incoming (LIKE {schema}.daily_trading)",
                BAR.format(schema).replace(f"{schema}.daily_trading", "incoming"),
                f"INSERT INTO {schema}.daily_trading SELECT * FROM incoming",
            ],
        )["Id"]
        describe = warehouse.client.describe_statement
        wait_for(lambda: describe(Id=load)["SubStatements"][0]["Status"], {"SUBMITTED", "PICKED", "STARTED"})
        migrate(warehouse, known)
        assert warehouse.client.describe_statement(Id=load)["Status"] == "FINISHED"
        assert count(warehouse) == 1

    def test_a_statement_that_waits_too_long_is_cancelled(self, sandbox: Sandbox) -> None:
        warehouse = make_warehouse(sandbox)
        with pytest.raises(StatementTooSlowError, match=r"within 0 s and was cancelled"):
            replace(warehouse, seconds=0.1).run(["SELECT SUM(HASH(a.range)) FROM range(4000000000) a"])


def test_the_claim_is_refused_by_the_column_when_the_version_is_not_the_next(warehouse: Warehouse) -> None:
    migrate(warehouse, list_migrations())
    for version in (OURS, OURS + 2):
        claim = render_file("versions/claim.sql", warehouse.schema, version=version, file_name="x.sql", digest="0")
        with pytest.raises(StatementFailedError, match=r"Cannot insert a NULL value into column .?version"):
            warehouse.run([claim])


def test_the_tables_are_the_declaration_with_its_lengths_and_nulls(warehouse: Warehouse) -> None:
    migrate(warehouse, list_migrations())
    columns, checks = definitions(warehouse)
    for table in list_published_tables():
        nullable = {row[1]: row[3] == "YES" for row in columns if row[0] == table.name}
        assert nullable == {column.name: column.nullable for column in table.columns}
        limits = {
            found[1]: int(found[2])
            for name, text in checks
            if name == table.name and (found := re.search(r'strlen\("?(\w+)"?\)\s*<=\s*(\d+)', text))
        }
        assert limits == {c.name: c.varchar_bytes for c in table.columns if c.varchar_bytes}


def parse(migration: Migration) -> list[exp.Expression]:
    return [
        tree
        for statement in migration.statements
        for tree in sqlglot.parse(render(statement, "market_data"), read="redshift")
        if tree
    ]


def find_rebuild(trees: Sequence[exp.Expression]) -> list[exp.Expression]:
    """The statements that make a table again under its name with every row, where they are all there and in order."""
    drop = next((tree for tree in trees if isinstance(tree, exp.Drop) and tree.kind == "TABLE"), None)
    if drop is None or drop.args.get("cascade"):
        return []
    name = drop.find(exp.Table).name
    rebuilt = f"{name}_rebuilt"
    creates = [tree for tree in trees if isinstance(tree, exp.Create) and isinstance(tree.this, exp.Schema)]
    create = next((tree for tree in creates if tree.this.this.name == rebuilt and not tree.args.get("exists")), None)
    if create is None:
        return []
    columns = ", ".join(f'"{column.name}"' for column in create.this.expressions if isinstance(column, exp.ColumnDef))
    wanted = [
        create,
        sqlglot.parse_one(f"INSERT INTO x.{rebuilt} ({columns}) SELECT {columns} FROM x.{name}", read="redshift"),
        sqlglot.parse_one(f"DROP TABLE x.{name}", read="redshift"),
        sqlglot.parse_one(f"ALTER TABLE x.{rebuilt} RENAME TO {name}", read="redshift"),
    ]
    texts = [write_plainly(tree) for tree in trees]
    places = [texts.index(text) if (text := write_plainly(tree)) in texts else -1 for tree in wanted]
    return [trees[place] for place in places] if places == sorted(places) and places[0] >= 0 else []


def write_plainly(tree: exp.Expression) -> str:
    return tree.sql("redshift", identify=True, comments=False).replace('"market_data".', '"x".')


def find_losses(migration: Migration) -> list[str]:
    """The statements of a migration that could lose a row or end its transaction."""
    losses = []
    trees = parse(migration)
    excused = find_rebuild(trees)
    for tree in (tree for tree in trees if not any(tree is other for other in excused)):
        actions = tree.args.get("actions") or [] if isinstance(tree, exp.Alter) else []
        unknown = not isinstance(tree, exp.Create | exp.Alter | exp.Comment | exp.Grant | exp.Update)
        guarded = not isinstance(tree, exp.Create) or tree.args.get("exists") or tree.args.get("replace")
        only_adds = all(isinstance(action, exp.ColumnDef) for action in actions)
        if unknown or not guarded or not only_adds or tree.find(FORBIDDEN):
            losses.append(tree.sql("redshift"))
        if isinstance(tree, exp.Create) and tree.args.get("replace") and tree.kind != "VIEW":
            losses.append(tree.sql("redshift"))
    return losses


@pytest.mark.parametrize("migration", list_migrations(), ids=lambda migration: migration.file_name)
def test_no_migration_can_lose_a_row(migration: Migration) -> None:
    assert parse(migration)
    assert find_losses(migration) == []
    assert all(len(sqlglot.parse(render(text, "x"), read="redshift")) == 1 for text in migration.statements)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE {{ schema() }}.daily_trading",
        "DELETE FROM {{ schema() }}.daily_trading",
        "TRUNCATE {{ schema() }}.daily_trading",
        "ALTER TABLE {{ schema() }}.daily_trading DROP COLUMN vwap",
        "ALTER TABLE {{ schema() }}.daily_trading RENAME COLUMN vwap TO average",
        "ALTER TABLE {{ schema() }}.daily_trading RENAME TO prices",
        "ALTER TABLE {{ schema() }}.company_details ALTER COLUMN currency TYPE VARCHAR(8)",
        "CREATE TABLE {{ schema() }}.venues (ticker VARCHAR(10))",
        "COMMIT",
        "VACUUM",
    ],
)
def test_a_statement_that_could_lose_rows_is_seen(statement: str) -> None:
    assert find_losses(Migration(2, "0002_x.sql", "", (statement,))) != []


REBUILD = (
    'CREATE TABLE {{ schema() }}.prices_rebuilt (ticker VARCHAR(10) NOT NULL, "open" DOUBLE PRECISION)',
    'INSERT INTO {{ schema() }}.prices_rebuilt (ticker, "open") SELECT ticker, "open" FROM {{ schema() }}.prices',
    "DROP TABLE {{ schema() }}.prices",
    "ALTER TABLE {{ schema() }}.prices_rebuilt RENAME TO prices",
)


def test_a_table_made_again_with_every_row_is_let_through() -> None:
    assert find_losses(Migration(2, "0002_x.sql", "", REBUILD)) == []


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(REBUILD[:1] + REBUILD[2:], id="without its rows"),
        pytest.param((REBUILD[0], f"{REBUILD[1]} WHERE ticker > 'A'", *REBUILD[2:]), id="without some rows"),
        pytest.param((REBUILD[0], REBUILD[1].replace(', "open"', ""), *REBUILD[2:]), id="without a column"),
        pytest.param((REBUILD[0], REBUILD[2], REBUILD[1], REBUILD[3]), id="dropped before it is read"),
        pytest.param(REBUILD[:3], id="under another name"),
        pytest.param((*REBUILD[:2], f"{REBUILD[2]} CASCADE", REBUILD[3]), id="with what stands on it"),
        pytest.param((REBUILD[0].replace("TABLE", "TABLE IF NOT EXISTS"), *REBUILD[1:]), id="into a table of before"),
        pytest.param((*REBUILD, "DROP TABLE {{ schema() }}.splits"), id="and another one is dropped"),
    ],
)
def test_a_table_made_again_without_everything_is_seen(statements: tuple[str, ...]) -> None:
    assert find_losses(Migration(2, "0002_x.sql", "", statements)) != []


REASONS = """
CREATE TABLE {{ schema() }}.failed_collections_rebuilt (
    trading_date DATE NOT NULL, ticker VARCHAR(10) NOT NULL, reason VARCHAR(1024), PRIMARY KEY (trading_date, ticker)
);
INSERT INTO {{ schema() }}.failed_collections_rebuilt (trading_date, ticker, reason)
SELECT trading_date, ticker, reason FROM {{ schema() }}.failed_collections;
DROP TABLE {{ schema() }}.failed_collections;
ALTER TABLE {{ schema() }}.failed_collections_rebuilt RENAME TO failed_collections;
"""


def test_a_table_that_was_made_again_keeps_its_rows_and_takes_null(warehouse: Warehouse) -> None:
    known, schema = list_migrations(), warehouse.schema
    migrate(warehouse, known)
    warehouse.run([f"INSERT INTO {schema}.failed_collections VALUES ('2024-12-13', 'ZTS', 'no close')"])
    again = Migration(OURS + 1, "0002_let_reasons_be_null.sql", "d", split_statements(REASONS))
    assert find_losses(again) == []
    migrate(warehouse, [*known, again])

    assert warehouse.ask(f"SELECT * FROM {schema}.failed_collections") == [("2024-12-13", "ZTS", "no close")]
    warehouse.run([f"UPDATE {schema}.failed_collections SET reason = NULL"])
    with pytest.raises(StatementFailedError, match=r"Cannot insert a NULL value into column .?ticker"):
        warehouse.run([f"UPDATE {schema}.failed_collections SET ticker = NULL"])


@pytest.mark.parametrize(
    "statement",
    [
        *[part for part in DIVIDEND.split(";\n") if part.strip()],
        VENUES,
        "CREATE OR REPLACE VIEW {{ schema() }}.days AS SELECT trading_date FROM {{ schema() }}.daily_trading",
        "UPDATE {{ schema() }}.daily_trading SET vwap = NULL WHERE vwap = 0",
    ],
)
def test_a_statement_that_only_adds_is_let_through(statement: str) -> None:
    assert find_losses(Migration(2, "0002_x.sql", "", (statement,))) == []


def test_what_was_applied_is_read_in_order(warehouse: Warehouse, folder: Path) -> None:
    assert read_applied(warehouse, {}) == ()
    known = list_migrations(folder)
    migrate(warehouse, known)
    assert read_applied(warehouse, read_columns(warehouse)) == tuple(
        Applied(m.version, m.file_name, m.digest) for m in known
    )
