"""Every rule of Redshift that a load can break, and the shape of the Data API's answers."""

# ruff: noqa: S608 - the tests write SQL

import datetime
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from tests.sandbox.aws.running import BUCKET, ROLE, Sandbox, parquet, wait_for

RUNNING = {"SUBMITTED", "PICKED", "STARTED"}
DAY = datetime.date(2024, 12, 13)


@dataclass
class Warehouse:
    """A schema of its own in the sandbox's warehouse."""

    client: Any
    s3: Any
    schema: str = field(default_factory=lambda: f"s{uuid.uuid4().hex[:8]}")

    def submit(self, sql: str | list[str], **more: Any) -> str:
        target = {"Database": "dev", "WorkgroupName": "analytics", **more}
        if isinstance(sql, str):
            return self.client.execute_statement(Sql=sql, **target)["Id"]
        return self.client.batch_execute_statement(Sqls=sql, **target)["Id"]

    def wait(self, call: str) -> dict[str, Any]:
        wait_for(lambda: self.client.describe_statement(Id=call)["Status"], RUNNING)
        return self.client.describe_statement(Id=call)

    def run(self, sql: str | list[str], **more: Any) -> dict[str, Any]:
        done = self.wait(self.submit(sql, **more))
        assert done["Status"] == "FINISHED", done.get("Error")
        return done

    def fail(self, sql: str | list[str], **more: Any) -> str:
        done = self.wait(self.submit(sql, **more))
        assert done["Status"] == "FAILED"
        return done["Error"]

    def rows(self, sql: str, **more: Any) -> list[list[Any]]:
        records = self.client.get_statement_result(Id=self.run(sql, **more)["Id"])["Records"]
        return [[None if "isNull" in cell else next(iter(cell.values())) for cell in row] for row in records]

    def put(self, name: str, **columns: pa.Array) -> str:
        body = parquet(pa.table(columns))
        self.s3.put_object(Bucket=BUCKET, Key=f"{self.schema}/{name}", Body=body)
        return f"s3://{BUCKET}/{self.schema}/{name}"

    def manifest(self, *entries: dict[str, Any]) -> str:
        key = f"{self.schema}/manifests/{uuid.uuid4().hex}"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps({"entries": entries}))
        return f"s3://{BUCKET}/{key}"

    def copy(self, table: str, location: str, options: str = "FORMAT AS PARQUET") -> str:
        return f"COPY {self.schema}.{table} FROM '{location}' IAM_ROLE '{ROLE}' {options}"


@pytest.fixture
def warehouse(sandbox: Sandbox, s3: Any) -> Iterator[Warehouse]:
    held = Warehouse(sandbox.client("redshift-data"), s3)
    held.run(
        [
            f"CREATE SCHEMA IF NOT EXISTS {held.schema}",
            f"""CREATE TABLE {held.schema}.caps (
                    trading_date DATE NOT NULL, ticker VARCHAR(10) NOT NULL ENCODE zstd, cap DOUBLE PRECISION,
                    shares BIGINT, PRIMARY KEY (trading_date, ticker)
                ) DISTSTYLE AUTO SORTKEY (trading_date, ticker)""",
        ]
    )
    yield held
    held.run(f"DROP SCHEMA {held.schema} CASCADE")


def caps(**changed: pa.Array) -> dict[str, pa.Array]:
    plain = {
        "trading_date": pa.array([DAY, DAY]),
        "ticker": pa.array(["AAPL", "NVDA"]),
        "cap": pa.array([3.75e12, 3.29e12]),
        "shares": pa.array([15_115_823_000, 24_490_000_000]),
    }
    return {**plain, **changed}


class TestCopy:
    def test_maps_columns_by_position_not_by_name(self, warehouse: Warehouse) -> None:
        columns = {f"other_{index}": values for index, values in enumerate(caps().values())}
        done = warehouse.run(warehouse.copy("caps", warehouse.put("a.parquet", **columns)))
        assert done["ResultRows"] == 2
        assert warehouse.rows(f"SELECT ticker, shares FROM {warehouse.schema}.caps ORDER BY 1") == [
            ["AAPL", 15_115_823_000],
            ["NVDA", 24_490_000_000],
        ]

    def test_column_list_says_which_columns_the_file_holds(self, warehouse: Warehouse) -> None:
        uri = warehouse.put("a.parquet", ticker=caps()["ticker"], trading_date=caps()["trading_date"])
        sql = warehouse.copy("caps (ticker, trading_date)", uri)
        assert warehouse.run(sql)["ResultRows"] == 2
        assert warehouse.rows(f"SELECT DISTINCT cap FROM {warehouse.schema}.caps") == [[None]]

    def test_wants_as_many_columns_as_the_table_has(self, warehouse: Warehouse) -> None:
        columns = caps()
        del columns["trading_date"]  # as in a partitioned folder, whose files do not hold the partition column
        error = warehouse.fail(warehouse.copy("caps", warehouse.put("a.parquet", **columns)))
        assert "Unmatched number of columns between table and file. Table columns: 4, Data columns: 3" in error

    @pytest.mark.parametrize(
        ("column", "values"),
        [
            ("shares", pa.array([1, 2], pa.int32())),
            ("shares", pa.array([1.0, 2.0])),
            ("cap", pa.array([1.0, 2.0], pa.float32())),
            ("trading_date", pa.array(["2024-12-13"] * 2)),
            ("ticker", pa.array([b"AAPL", b"NVDA"], pa.binary())),
        ],
    )
    def test_wants_the_type_of_the_column(self, warehouse: Warehouse, column: str, values: pa.Array) -> None:
        error = warehouse.fail(warehouse.copy("caps", warehouse.put("a.parquet", **caps(**{column: values}))))
        assert f"incompatible Parquet schema for column '{column}'" in error

    def test_int64_does_not_go_into_an_integer(self, warehouse: Warehouse) -> None:
        warehouse.run(f"CREATE TABLE {warehouse.schema}.n (a INTEGER)")
        good, bad = warehouse.put("i4", a=pa.array([1], pa.int32())), warehouse.put("i8", a=pa.array([1]))
        warehouse.run(warehouse.copy("n", good))
        assert "Column type: INTEGER" in warehouse.fail(warehouse.copy("n", bad))

    def test_counts_bytes_of_a_varchar(self, warehouse: Warehouse) -> None:
        fits = caps(ticker=pa.array(["ééééé", "0123456789"]))
        long = caps(ticker=pa.array(["éééééé", "A"]))
        warehouse.run(warehouse.copy("caps", warehouse.put("fits", **fits)))
        error = warehouse.fail(warehouse.copy("caps", warehouse.put("long", **long)))
        assert "longer than the length defined in the table. Table: 10, Data: 12" in error

    def test_refuses_null_where_the_column_forbids_it(self, warehouse: Warehouse) -> None:
        uri = warehouse.put("a.parquet", **caps(ticker=pa.array(["AAPL", None])))
        assert "NULL value into column ticker" in warehouse.fail(warehouse.copy("caps", uri))

    def test_appends_and_does_not_enforce_the_primary_key(self, warehouse: Warehouse) -> None:
        sql = warehouse.copy("caps", warehouse.put("a.parquet", **caps()))
        warehouse.run(sql)
        warehouse.run(sql)
        assert warehouse.rows(f"SELECT count(*), count(DISTINCT ticker) FROM {warehouse.schema}.caps") == [[4, 2]]

    def test_location_is_a_prefix_of_keys(self, warehouse: Warehouse) -> None:
        warehouse.put("caps/2024-12-13.parquet", **caps())
        warehouse.put("caps_old/2024-12-13.parquet", **caps())
        folder = f"s3://{BUCKET}/{warehouse.schema}/caps"
        assert warehouse.run(warehouse.copy("caps", f"{folder}/"))["ResultRows"] == 2
        assert warehouse.run(warehouse.copy("caps", folder))["ResultRows"] == 4

    def test_prefix_without_objects_fails(self, warehouse: Warehouse) -> None:
        error = warehouse.fail(warehouse.copy("caps", f"s3://{BUCKET}/{warehouse.schema}/none/"))
        assert f"The specified S3 prefix '{warehouse.schema}/none/' does not exist" in error

    @pytest.mark.parametrize(
        ("credentials", "complaint"),
        [
            ("", "COPY needs IAM_ROLE"),
            ("CREDENTIALS 'aws_access_key_id=a;aws_secret_access_key=b'", "COPY needs IAM_ROLE"),
            ("IAM_ROLE 'copy'", "not the ARN of a role"),
        ],
    )
    def test_wants_a_role(self, warehouse: Warehouse, credentials: str, complaint: str) -> None:
        uri = warehouse.put("a.parquet", **caps())
        sql = f"COPY {warehouse.schema}.caps FROM '{uri}' {credentials} FORMAT AS PARQUET"
        assert complaint in warehouse.fail(sql)

    @pytest.mark.parametrize("option", ["REGION 'us-east-1'", "GZIP", "DELIMITER ','"])
    def test_refuses_options_that_parquet_does_not_take(self, warehouse: Warehouse, option: str) -> None:
        sql = warehouse.copy("caps", warehouse.put("a.parquet", **caps()), f"FORMAT AS PARQUET {option}")
        assert "argument is not supported for PARQUET" in warehouse.fail(sql)

    def test_names_a_file_that_is_not_parquet(self, warehouse: Warehouse) -> None:
        warehouse.s3.put_object(Bucket=BUCKET, Key=f"{warehouse.schema}/x.parquet", Body=b"ticker,cap\n")
        error = warehouse.fail(warehouse.copy("caps", f"s3://{BUCKET}/{warehouse.schema}/x.parquet"))
        assert f"{warehouse.schema}/x.parquet is not a valid Parquet file" in error

    def test_names_a_table_that_is_missing(self, warehouse: Warehouse) -> None:
        error = warehouse.fail(warehouse.copy("none", warehouse.put("a.parquet", **caps())))
        assert "nonexistent table none" in error


class TestManifest:
    OPTIONS = "FORMAT AS PARQUET MANIFEST"

    def entry(self, warehouse: Warehouse, uri: str, **changed: Any) -> dict[str, Any]:
        key = uri.partition(f"{BUCKET}/")[2]
        size = warehouse.s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"]
        return {"url": uri, "mandatory": True, "meta": {"content_length": size}, **changed}

    def test_loads_the_files_that_it_names(self, warehouse: Warehouse) -> None:
        uris = [warehouse.put(f"{day}.parquet", **caps()) for day in ("a", "b", "c")]
        manifest = warehouse.manifest(*(self.entry(warehouse, uri) for uri in uris[:2]))
        assert warehouse.run(warehouse.copy("caps", manifest, self.OPTIONS))["ResultRows"] == 4

    @pytest.mark.parametrize("changed", [{"meta": {}}, {"meta": {"content_length": 7}}])
    def test_wants_the_size_of_each_file(self, warehouse: Warehouse, changed: dict[str, Any]) -> None:
        uri = warehouse.put("a.parquet", **caps())
        manifest = warehouse.manifest(self.entry(warehouse, uri, **changed))
        assert "content_length" in warehouse.fail(warehouse.copy("caps", manifest, self.OPTIONS))

    def test_a_missing_file_fails_only_where_it_is_mandatory(self, warehouse: Warehouse) -> None:
        entry = {"url": f"s3://{BUCKET}/{warehouse.schema}/none", "meta": {"content_length": 1}}
        loose = warehouse.manifest(entry | {"mandatory": False})
        strict = warehouse.manifest(entry | {"mandatory": True})
        assert warehouse.run(warehouse.copy("caps", loose, self.OPTIONS))["ResultRows"] == 0
        assert "Mandatory url is not present" in warehouse.fail(warehouse.copy("caps", strict, self.OPTIONS))

    def test_a_missing_or_malformed_manifest_is_named(self, warehouse: Warehouse) -> None:
        uri = warehouse.put("a.parquet", **caps())
        assert "malformed" in warehouse.fail(warehouse.copy("caps", uri, self.OPTIONS))
        assert "does not exist" in warehouse.fail(warehouse.copy("caps", f"{uri}.none", self.OPTIONS))


class TestDefinitions:
    @pytest.mark.parametrize(
        "attributes",
        [
            "DISTKEY (ticker)",
            "DISTSTYLE KEY DISTKEY (a) SORTKEY (b, a)",
            "COMPOUND SORTKEY (a)",
            "SORTKEY AUTO",
            "BACKUP NO",
        ],
    )
    def test_attributes_must_name_columns(self, warehouse: Warehouse, attributes: str) -> None:
        sql = f"CREATE TABLE {warehouse.schema}.x (a INTEGER, b DATE ENCODE az64) {attributes}"
        if "ticker" in attributes:
            assert 'column "ticker" named in table attributes does not exist' in warehouse.fail(sql)
        else:
            warehouse.run(sql)

    def test_text_is_a_varchar_of_256_bytes(self, warehouse: Warehouse) -> None:
        warehouse.run(f"CREATE TABLE {warehouse.schema}.x (a TEXT, b VARCHAR, c VARCHAR(MAX))")
        warehouse.run(f"INSERT INTO {warehouse.schema}.x VALUES (repeat('é', 128), 'b', repeat('c', 65535))")
        for column, length in (("a", 257), ("b", 257), ("c", 65536)):
            error = warehouse.fail(f"INSERT INTO {warehouse.schema}.x ({column}) VALUES (repeat('x', {length}))")
            assert f"value too long for type character varying({length - 1})" in error

    def test_insert_and_update_keep_lengths_and_not_null(self, warehouse: Warehouse) -> None:
        table = f"{warehouse.schema}.caps"
        warehouse.run(f"INSERT INTO {table} (trading_date, ticker) VALUES ('2024-12-13', 'AAPL')")
        assert "character varying(10)" in warehouse.fail(f"UPDATE {table} SET ticker = 'éééééé'")
        assert "NULL value into column ticker" in warehouse.fail(f"UPDATE {table} SET ticker = NULL")

    def test_unique_is_declared_only(self, warehouse: Warehouse) -> None:
        warehouse.run(f"CREATE TABLE {warehouse.schema}.u (a INTEGER UNIQUE, b INTEGER PRIMARY KEY, UNIQUE (a, b))")
        warehouse.run(f"INSERT INTO {warehouse.schema}.u VALUES (1, 1), (1, 1)")
        assert "NULL value into column b" in warehouse.fail(f"INSERT INTO {warehouse.schema}.u VALUES (1, NULL)")

    def test_like_copies_lengths_and_not_null(self, warehouse: Warehouse) -> None:
        like = f"CREATE TEMP TABLE incoming (LIKE {warehouse.schema}.caps)"
        assert "column ticker" in warehouse.fail([like, "INSERT INTO incoming (trading_date) VALUES ('2024-12-13')"])
        values = "INSERT INTO incoming (trading_date, ticker) VALUES ('2024-12-13', '01234567890')"
        assert "character varying(10)" in warehouse.fail([like, values])

    @pytest.mark.parametrize("name", ["incoming", "#incoming"])
    def test_a_temporary_table_ends_with_its_session(self, warehouse: Warehouse, name: str) -> None:
        temp = "" if name.startswith("#") else "TEMP "
        uri = warehouse.put("a.parquet", **caps())
        warehouse.run(
            [
                f"CREATE {temp}TABLE {name} (LIKE {warehouse.schema}.caps)",
                f"COPY {name} FROM '{uri}' IAM_ROLE '{ROLE}' FORMAT AS PARQUET",
                f"INSERT INTO {warehouse.schema}.caps SELECT * FROM {name}",
            ]
        )
        assert warehouse.rows(f"SELECT count(*) FROM {warehouse.schema}.caps") == [[2]]
        assert "does not exist" in warehouse.fail(f"SELECT * FROM {name}")

    def test_a_view_is_replaced_and_rolled_back_like_a_table(self, warehouse: Warehouse) -> None:
        view, table = f"{warehouse.schema}.sums", f"{warehouse.schema}.caps"
        product = "EXP(SUM(LN(cap)))"
        warehouse.run(
            f"CREATE OR REPLACE VIEW {view} AS WITH a AS (SELECT {product} AS x FROM {table}) SELECT x FROM a"
        )
        warehouse.run(f"INSERT INTO {table} VALUES ('2024-12-13', 'A', 4, 1), ('2024-12-13', 'B', 10, 1)")
        assert warehouse.rows(f"SELECT ROUND(x, 9) FROM {view}") == [[40.0]]
        warehouse.run(f"CREATE OR REPLACE VIEW {view} AS SELECT ticker FROM {table}")
        warehouse.fail([f"CREATE OR REPLACE VIEW {view} AS SELECT cap FROM {table}", "SELECT 1 FROM nowhere"])
        assert warehouse.rows(f"SELECT * FROM {view} ORDER BY 1") == [["A"], ["B"]]

    def test_delete_using_another_table(self, warehouse: Warehouse) -> None:
        table = f"{warehouse.schema}.caps"
        done = warehouse.run(
            [
                f"INSERT INTO {table} (trading_date, ticker) VALUES"
                " ('2024-12-13', 'A'), ('2024-12-13', 'B'), ('2024-12-12', 'A')",
                f"CREATE TEMP TABLE incoming (LIKE {table})",
                "INSERT INTO incoming (trading_date, ticker) VALUES ('2024-12-13', 'A'), ('2024-12-13', 'C')",
                f"DELETE FROM {table} USING incoming"
                " WHERE caps.trading_date = incoming.trading_date AND caps.ticker = incoming.ticker",
            ]
        )
        assert done["SubStatements"][-1]["ResultRows"] == 1
        assert warehouse.rows(f"SELECT trading_date, ticker FROM {table} ORDER BY 1") == [
            ["2024-12-12", "A"],
            ["2024-12-13", "B"],
        ]
        assert "does not exist" in warehouse.fail(f"DELETE FROM {table} USING nowhere WHERE caps.ticker = nowhere.a")

    def test_views_work(self, warehouse: Warehouse) -> None:
        view = f"{warehouse.schema}.big"
        warehouse.run(f"CREATE OR REPLACE VIEW {view} AS SELECT ticker FROM {warehouse.schema}.caps WHERE cap > 3.5e12")
        warehouse.run(warehouse.copy("caps", warehouse.put("a.parquet", **caps())))
        assert warehouse.rows(f"SELECT * FROM {view}") == [["AAPL"]]

    @pytest.mark.parametrize(
        "sql",
        [
            "UNLOAD ('SELECT 1') TO 's3://lake/x'",
            "CALL f()",
            "SHOW TABLES",
            "SET x TO 1",
            "SELEC 1",
            "SELECT 1; SELECT 2",
        ],
    )
    def test_unknown_statements_are_refused(self, warehouse: Warehouse, sql: str) -> None:
        assert warehouse.fail(sql).startswith("ERROR: ")

    def test_added_columns_come_last_keep_the_rows_and_their_own_rules(self, warehouse: Warehouse) -> None:
        table = f"{warehouse.schema}.caps"
        warehouse.run(warehouse.copy("caps", warehouse.put("a.parquet", **caps())))
        warehouse.run(f"CREATE VIEW {warehouse.schema}.names AS SELECT ticker FROM {table}")
        warehouse.run(
            [
                f"ALTER TABLE {table} ADD COLUMN note VARCHAR(5)",
                f"ALTER TABLE {table} ADD weight DOUBLE PRECISION",
                f"ALTER TABLE {table} ADD COLUMN origin VARCHAR(8) DEFAULT 'weighted' NOT NULL ENCODE zstd",
            ]
        )
        assert warehouse.rows(f"SELECT * FROM {table} ORDER BY ticker") == [
            ["2024-12-13", "AAPL", 3.75e12, 15_115_823_000, None, None, "weighted"],
            ["2024-12-13", "NVDA", 3.29e12, 24_490_000_000, None, None, "weighted"],
        ]
        assert warehouse.rows(f"SELECT * FROM {warehouse.schema}.names ORDER BY 1") == [["AAPL"], ["NVDA"]]
        assert "character varying(5) in column note" in warehouse.fail(f"UPDATE {table} SET note = 'ééé'")
        assert "character varying(10) in column ticker" in warehouse.fail(f"UPDATE {table} SET ticker = 'éééééé'")
        assert "NULL value into column origin" in warehouse.fail(f"UPDATE {table} SET origin = NULL")
        warehouse.run(f"INSERT INTO {table} (trading_date, ticker) VALUES ('2024-12-13', 'MSFT')")
        assert warehouse.rows(f"SELECT origin FROM {table} WHERE ticker = 'MSFT'") == [["weighted"]]

    @pytest.mark.parametrize(
        ("column", "complaint"),
        [
            ("COLUMN IF NOT EXISTS note VARCHAR(5)", "no IF NOT EXISTS"),
            ("COLUMN a INTEGER, ADD COLUMN b INTEGER", "one column"),
            ("COLUMN a INTEGER NOT NULL", "must have a non-null default expression"),
            ("COLUMN a INTEGER NOT NULL DEFAULT NULL", "must have a non-null default expression"),
            ("COLUMN a INTEGER PRIMARY KEY", "cannot take PRIMARY KEY"),
            ("COLUMN ticker VARCHAR(5)", 'column "ticker" of relation "caps" already exists'),
            ("COLUMN a JSONB", "is not supported"),
        ],
    )
    def test_add_column_refuses_what_redshift_refuses(self, warehouse: Warehouse, column: str, complaint: str) -> None:
        assert complaint in warehouse.fail(f"ALTER TABLE {warehouse.schema}.caps ADD {column}")

    def test_a_column_added_in_a_failing_batch_is_gone(self, warehouse: Warehouse) -> None:
        table = f"{warehouse.schema}.caps"
        warehouse.fail([f"ALTER TABLE {table} ADD COLUMN note VARCHAR(5)", "SELECT 1 FROM nowhere"])
        assert "note" in warehouse.fail(f"SELECT note FROM {table}")
        warehouse.run([f"ALTER TABLE {table} ADD COLUMN note VARCHAR(5)", f"SELECT note FROM {table}"])

    @pytest.mark.parametrize("sql", ["VACUUM", "VACUUM FULL public.x", "ANALYZE", "ANALYZE public.x"])
    def test_maintenance_does_nothing(self, warehouse: Warehouse, sql: str) -> None:
        assert not warehouse.run(sql)["HasResultSet"]


class TestTransactions:
    def insert(self, warehouse: Warehouse, ticker: str) -> str:
        return f"INSERT INTO {warehouse.schema}.caps (trading_date, ticker) VALUES ('2024-12-13', '{ticker}')"

    def tickers(self, warehouse: Warehouse) -> list[str]:
        return [row[0] for row in warehouse.rows(f"SELECT ticker FROM {warehouse.schema}.caps ORDER BY 1")]

    def slow(self, millions: int = 40) -> str:
        return f"SELECT sum(hash(a.range)) FROM range({millions * 1_000_000}) a"

    def start(self, warehouse: Warehouse, sqls: list[str], done: int) -> str:
        """Submit a batch and wait until its first statements are done, so that it is surely under way."""
        call = warehouse.submit(sqls)

        def state() -> str:
            parts = warehouse.client.describe_statement(Id=call)["SubStatements"]
            return "FINISHED" if all(part["Status"] == "FINISHED" for part in parts[:done]) else "STARTED"

        wait_for(state, {"STARTED"})
        return call

    def test_a_failing_statement_rolls_the_batch_back(self, warehouse: Warehouse) -> None:
        call = warehouse.submit([self.insert(warehouse, "A"), "SELECT 1 FROM nowhere", self.insert(warehouse, "B")])
        done = warehouse.wait(call)
        assert done["Status"] == "FAILED"
        assert 'relation "nowhere" does not exist' in done["Error"]
        assert [part["Status"] for part in done["SubStatements"]] == ["FINISHED", "FAILED", "ABORTED"]
        assert [part["Id"] for part in done["SubStatements"]] == [f"{call}:{number}" for number in (1, 2, 3)]
        assert self.tickers(warehouse) == []

    def test_at_most_40_statements(self, warehouse: Warehouse) -> None:
        warehouse.run(["SELECT 1"] * 40)
        with pytest.raises(ClientError, match="less than or equal to 40"):
            warehouse.submit(["SELECT 1"] * 41)

    def test_truncate_commits(self, warehouse: Warehouse) -> None:
        warehouse.run(self.insert(warehouse, "A"))
        table = f"{warehouse.schema}.caps"
        warehouse.fail([f"TRUNCATE {table}", self.insert(warehouse, "B"), "SELECT 1 FROM nowhere"])
        assert self.tickers(warehouse) == []

    def test_begin_and_commit_inside_a_batch(self, warehouse: Warehouse) -> None:
        sqls = ["BEGIN;", self.insert(warehouse, "A"), "COMMIT;", self.insert(warehouse, "B"), "SELECT 1 FROM nowhere"]
        warehouse.fail(sqls)
        assert self.tickers(warehouse) == ["A"]

    def test_the_second_of_two_overlapping_writers_fails_with_1023(self, warehouse: Warehouse) -> None:
        first = self.start(warehouse, [self.insert(warehouse, "A"), self.slow()], 1)
        error = warehouse.fail([self.insert(warehouse, "B")])
        assert warehouse.wait(first)["Status"] == "FINISHED"
        assert f"Serializable isolation violation on table {warehouse.schema}.caps" in error
        assert error.endswith("ERROR: 1023")
        assert self.tickers(warehouse) == ["A"]

    def test_a_writer_whose_neighbour_rolled_back_goes_on(self, warehouse: Warehouse) -> None:
        first = self.start(warehouse, [self.insert(warehouse, "A"), self.slow(), "SELECT 1 FROM nowhere"], 1)
        warehouse.run([self.insert(warehouse, "B")])
        assert warehouse.wait(first)["Status"] == "FAILED"
        assert self.tickers(warehouse) == ["B"]

    def test_lock_first_makes_the_second_wait_and_see(self, warehouse: Warehouse) -> None:
        lock = f"LOCK {warehouse.schema}.caps"
        first = self.start(warehouse, [lock, self.insert(warehouse, "A"), self.slow()], 2)
        count = f"INSERT INTO {warehouse.schema}.caps (trading_date, ticker) SELECT '2024-12-13', 'n' || count(*) FROM "
        warehouse.run([lock, f"{count}{warehouse.schema}.caps"])
        assert warehouse.wait(first)["Status"] == "FINISHED"
        assert self.tickers(warehouse) == ["A", "n1"]

    def test_different_tables_do_not_wait_for_each_other(self, warehouse: Warehouse) -> None:
        warehouse.run(f"CREATE TABLE {warehouse.schema}.other (a INTEGER)")
        first = self.start(warehouse, [self.insert(warehouse, "A"), self.slow()], 1)
        warehouse.run(f"INSERT INTO {warehouse.schema}.other VALUES (1)")
        assert warehouse.client.describe_statement(Id=first)["Status"] in RUNNING
        assert warehouse.wait(first)["Status"] == "FINISHED"

    def test_locks_in_two_orders_end_in_a_deadlock_error(self, warehouse: Warehouse) -> None:
        warehouse.run(f"CREATE TABLE {warehouse.schema}.other (a INTEGER)")
        names = [f"{warehouse.schema}.caps", f"{warehouse.schema}.other"]
        first = self.start(warehouse, [f"LOCK {names[0]}", self.slow(), f"LOCK {names[1]}"], 1)
        second = warehouse.submit([f"LOCK {names[1]}", f"LOCK {names[0]}"])
        done = [warehouse.wait(call) for call in (first, second)]
        assert sorted(call["Status"] for call in done) == ["FAILED", "FINISHED"]
        assert "deadlock detected" in next(call["Error"] for call in done if call["Status"] == "FAILED")

    def test_readers_never_see_half_a_reload(self, warehouse: Warehouse) -> None:
        table = f"{warehouse.schema}.caps"
        fill = f"INSERT INTO {table} (trading_date, ticker) SELECT '2024-12-13', 't' || range FROM range(500)"
        warehouse.run(fill)
        seen, stop = set(), threading.Event()

        def read() -> None:
            while not stop.is_set():
                seen.add(warehouse.rows(f"SELECT count(*) FROM {table}")[0][0])

        reader = threading.Thread(target=read)
        reader.start()
        for lock in ([], [f"LOCK {table}"]):
            for _ in range(5):
                warehouse.run([*lock, f"DELETE FROM {table}", "SELECT sum(range) FROM range(3000000)", fill])
        stop.set()
        reader.join(30)
        assert seen == {500}

    @pytest.mark.parametrize("form", ["LOCK {0}", "-- why\nLOCK TABLE\n{0}, {0};", "/* a\nb */ lock {0}"])
    def test_lock_is_known_in_every_form(self, warehouse: Warehouse, form: str) -> None:
        warehouse.run([form.format(f"{warehouse.schema}.caps"), self.insert(warehouse, "A")])
        assert "does not exist" in warehouse.fail([form.format(f"{warehouse.schema}.none")])

    def test_a_cancelled_statement_is_aborted(self, warehouse: Warehouse) -> None:
        call = self.start(warehouse, [self.insert(warehouse, "A"), self.slow(4000)], 1)
        warehouse.client.cancel_statement(Id=call)
        assert warehouse.wait(call)["Status"] == "ABORTED"
        assert self.tickers(warehouse) == []

    def test_a_cancelled_wait_for_a_lock_is_aborted(self, warehouse: Warehouse) -> None:
        lock = f"LOCK {warehouse.schema}.caps"
        first = self.start(warehouse, [lock, self.slow(4000)], 1)
        second = warehouse.submit([lock])
        time.sleep(0.1)
        warehouse.client.cancel_statement(Id=second)
        assert warehouse.wait(second)["Status"] == "ABORTED"
        warehouse.client.cancel_statement(Id=first)
        assert warehouse.wait(first)["Status"] == "ABORTED"


class TestAnswers:
    def test_cells_carry_their_type(self, warehouse: Warehouse) -> None:
        sql = (
            "SELECT 7 AS i, 1.5::float8 AS f, true AS b, 'x' AS s, DATE '2024-12-13' AS d, 2.50::decimal(10,2) AS n,"
            " NULL AS nothing, 5 / 2 AS halves, count(*) AS C"
        )
        done = warehouse.run(sql)
        assert (done["HasResultSet"], done["ResultRows"]) == (True, 1)
        assert done["Duration"] > 0
        result = warehouse.client.get_statement_result(Id=done["Id"])
        assert result["Records"] == [
            [
                {"longValue": 7},
                {"doubleValue": 1.5},
                {"booleanValue": True},
                {"stringValue": "x"},
                {"stringValue": "2024-12-13"},
                {"stringValue": str(Decimal("2.50"))},
                {"isNull": True},
                {"longValue": 2},
                {"longValue": 1},
            ]
        ]
        assert result["TotalNumRows"] == 1
        assert "NextToken" not in result
        columns = {column["name"]: column["typeName"] for column in result["ColumnMetadata"]}
        assert columns | {"nothing": ""} == {
            "i": "int4", "f": "float8", "b": "bool", "s": "varchar", "d": "date", "n": "numeric", "nothing": "",
            "halves": "int4", "c": "int8",
        }  # fmt: skip

    def test_parameters_are_text_that_takes_the_column_s_type(self, warehouse: Warehouse) -> None:
        warehouse.run(warehouse.copy("caps", warehouse.put("a.parquet", **caps())))
        parameters = [{"name": "day", "value": "2024-12-13"}, {"name": "least", "value": "20000000000"}]
        sql = f"SELECT ticker, :day FROM {warehouse.schema}.caps WHERE trading_date = :day AND shares > :least"
        assert warehouse.rows(sql, Parameters=parameters) == [["NVDA", "2024-12-13"]]

    def test_parameters_must_match_the_statement(self, warehouse: Warehouse) -> None:
        with pytest.raises(ClientError, match="unused parameters"):
            warehouse.submit("SELECT 1", Parameters=[{"name": "day", "value": "2024-12-13"}])
        assert "missing :day" in warehouse.fail("SELECT :day")

    def test_result_of_a_statement_without_rows_is_refused(self, warehouse: Warehouse) -> None:
        done = warehouse.run(f"DELETE FROM {warehouse.schema}.caps")
        assert (done["HasResultSet"], done["ResultRows"]) == (False, 0)
        with pytest.raises(ClientError, match="does not have result") as caught:
            warehouse.client.get_statement_result(Id=done["Id"])
        assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"

    def test_sub_statements_have_results_of_their_own(self, warehouse: Warehouse) -> None:
        done = warehouse.run(["SELECT 1", "SELECT 2"])
        results = [warehouse.client.get_statement_result(Id=part["Id"]) for part in done["SubStatements"]]
        assert [result["Records"] for result in results] == [[[{"longValue": 1}]], [[{"longValue": 2}]]]

    def test_unknown_statement_and_missing_target(self, warehouse: Warehouse) -> None:
        with pytest.raises(ClientError) as caught:
            warehouse.client.describe_statement(Id=str(uuid.uuid4()))
        assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
        with pytest.raises(ClientError, match="WorkgroupName or ClusterIdentifier"):
            warehouse.client.execute_statement(Sql="SELECT 1", Database="dev")
