"""Athena as its callers know it: Trino's rules, registered partitions only, results in S3."""

# ruff: noqa: S608 - the tests write SQL

import csv
import datetime
import io
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from tests.sandbox.aws.running import BUCKET, Sandbox, parquet, wait_for

DAYS = ("2024-12-12", "2024-12-13")


@dataclass
class Lake:
    """A catalog database with one table of the seven's caps, partitioned by run and trading_date."""

    athena: Any
    glue: Any
    s3: Any
    database: str

    def put(self, run: str, day: str, body: bytes, name: str = "part-0.parquet") -> str:
        location = f"s3://{BUCKET}/{self.database}/caps/run={run}/trading_date={day}/"
        self.s3.put_object(Bucket=BUCKET, Key=f"{location.partition(f'{BUCKET}/')[2]}{name}", Body=body)
        return location

    def register(self, run: str, day: str, location: str) -> None:
        partition = {"Values": [run, day], "StorageDescriptor": {"Location": location}}
        self.glue.batch_create_partition(DatabaseName=self.database, TableName="caps", PartitionInputList=[partition])

    def start(self, sql: str, **more: Any) -> str:
        settings = {
            "QueryExecutionContext": {"Database": self.database},
            "ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/athena-results/"},
        }
        return self.athena.start_query_execution(QueryString=sql, **(settings | more))["QueryExecutionId"]

    def wait(self, query: str) -> dict[str, Any]:
        def read() -> str:
            return self.athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"]

        wait_for(read, {"QUEUED", "RUNNING"})
        return self.athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]

    def run(self, sql: str, **more: Any) -> dict[str, Any]:
        done = self.wait(self.start(sql, **more))
        assert done["Status"]["State"] == "SUCCEEDED", done["Status"].get("StateChangeReason")
        return done

    def fail(self, sql: str) -> str:
        done = self.wait(self.start(sql))
        assert done["Status"]["State"] == "FAILED"
        return done["Status"]["StateChangeReason"]

    def rows(self, sql: str) -> list[list[str | None]]:
        """Run a query and return its rows, the column names first."""
        query = self.run(sql)["QueryExecutionId"]
        found = self.athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in found]

    def value(self, expression: str) -> str | None:
        return self.rows(f"SELECT {expression}")[1][0]


def caps() -> bytes:
    table = {
        "ticker": ["AAPL", "NVDA", None],
        "cap": [3.75e12, 3.29e12, 0.5],
        "ranking": pa.array([1, 2, 3], pa.int32()),
    }
    return parquet(pa.table(table))


@pytest.fixture(scope="module")
def lake(sandbox: Sandbox, s3: Any) -> Iterator[Lake]:
    glue, database = sandbox.client("glue"), f"lake_{uuid.uuid4().hex[:8]}"
    held = Lake(sandbox.client("athena"), glue, s3, database)
    glue.create_database(DatabaseInput={"Name": database})
    columns = [("ticker", "string"), ("cap", "double"), ("ranking", "int"), ("flags", "string")]
    glue.create_table(
        DatabaseName=database,
        TableInput={
            "Name": "caps",
            "PartitionKeys": [{"Name": "run", "Type": "string"}, {"Name": "trading_date", "Type": "date"}],
            "StorageDescriptor": {
                "Location": f"s3://{BUCKET}/{database}/caps/",
                "Columns": [{"Name": name, "Type": kind} for name, kind in columns],
            },
        },
    )
    for day in DAYS:
        held.register("daily", day, held.put("daily", day, caps()))
    held.put("daily", "2024-12-16", caps())  # never registered
    yield held
    glue.delete_database(Name=database)


class TestTables:
    def test_reads_registered_partitions_only(self, lake: Lake) -> None:
        sql = "SELECT trading_date, count(*) AS n FROM caps GROUP BY trading_date ORDER BY 1"
        assert lake.rows(sql) == [["trading_date", "n"], ["2024-12-12", "3"], ["2024-12-13", "3"]]

    def test_partition_columns_have_the_catalog_s_type(self, lake: Lake) -> None:
        sql = (
            "SELECT date_diff('day', DATE '2024-12-01', trading_date) AS d, run FROM caps WHERE ranking = 1 ORDER BY 1"
        )
        assert lake.rows(sql)[1:] == [["11", "daily"], ["12", "daily"]]

    def test_columns_that_a_file_lacks_are_null(self, lake: Lake) -> None:
        assert lake.rows("SELECT DISTINCT flags FROM caps") == [["flags"], [None]]

    def test_hidden_files_are_not_read(self, lake: Lake) -> None:
        for name in ("_SUCCESS", ".part-0.parquet.crc", "_temporary/0/part-1.parquet"):
            lake.put("daily", DAYS[0], b"not parquet", name)
        assert lake.rows("SELECT count(*) FROM caps")[1] == ["6"]

    def test_a_partition_without_files_has_no_row(self, lake: Lake) -> None:
        lake.register("empty", DAYS[0], f"s3://{BUCKET}/{lake.database}/nothing/")
        assert lake.rows("SELECT count(*) FROM caps WHERE run = 'empty'")[1] == ["0"]

    @pytest.mark.parametrize(
        ("columns", "complaint"),
        [
            ({"cap": pa.array([1])}, "Field cap's type BIGINT"),
            ({"ranking": pa.array(["1"])}, "Field ranking's type VARCHAR"),
        ],
    )
    def test_a_file_of_another_type_is_bad_data(self, lake: Lake, columns: dict[str, pa.Array], complaint: str) -> None:
        run = f"bad-{uuid.uuid4().hex[:6]}"
        lake.register(run, DAYS[0], lake.put(run, DAYS[0], parquet(pa.table(columns))))
        reason = lake.fail(f"SELECT * FROM caps WHERE run = '{run}'")
        assert reason.startswith("HIVE_BAD_DATA: ")
        assert complaint in reason
        lake.glue.delete_partition(DatabaseName=lake.database, TableName="caps", PartitionValues=[run, DAYS[0]])

    @pytest.mark.parametrize(
        "where",
        [
            "run = 'daily' AND trading_date = DATE '2024-12-13'",
            "trading_date IN (DATE '2024-12-13', DATE '2024-12-17') AND cap > 1",
            "caps.trading_date = DATE '2024-12-13'",
        ],
    )
    def test_equality_on_partition_columns_spares_the_other_partitions(self, lake: Lake, where: str) -> None:
        whole = lake.run("SELECT * FROM caps WHERE run = 'daily'")["Statistics"]["DataScannedInBytes"]
        part = lake.run(f"SELECT * FROM caps WHERE {where}")["Statistics"]["DataScannedInBytes"]
        assert part * 2 == whole

    def test_pruning_changes_no_result(self, lake: Lake) -> None:
        sql = """SELECT a.trading_date, b.trading_date FROM caps a JOIN caps b ON b.ticker = a.ticker
            WHERE a.trading_date = DATE '2024-12-12' AND a.ticker = 'NVDA'
            AND (b.trading_date = DATE '2024-12-12' OR b.trading_date = DATE '2024-12-13') ORDER BY 2"""
        assert lake.rows(sql)[1:] == [["2024-12-12", "2024-12-12"], ["2024-12-12", "2024-12-13"]]
        assert lake.rows("SELECT count(*) FROM caps WHERE NOT trading_date = DATE '2024-12-12'")[1] == ["3"]
        either = "SELECT count(*) FROM caps WHERE trading_date = DATE '2024-12-12' OR ranking = 1"
        assert lake.rows(either)[1] == ["4"]

    @pytest.mark.parametrize(
        ("sql", "reason"),
        [
            ("SELECT * FROM nowhere", "TABLE_NOT_FOUND: Table 'awsdatacatalog.{database}.nowhere' does not exist"),
            ("SELECT nothing FROM caps", "COLUMN_NOT_FOUND: Column 'nothing' cannot be resolved"),
            ("SELECT caps.nothing FROM caps", "COLUMN_NOT_FOUND: Column 'nothing' cannot be resolved"),
        ],
    )
    def test_missing_things_are_named(self, lake: Lake, sql: str, reason: str) -> None:
        assert lake.fail(sql) == reason.format(database=lake.database)


class TestDialect:
    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ("5 / 2", "2"),
            ("5 / 2.0", "2.5"),
            ("5e0 / 2", "2.5"),
            ("date_trunc('month', DATE '2024-12-13')", "2024-12-01"),
            ("date_add('day', -1, DATE '2024-12-13')", "2024-12-12"),
            ("DATE '2024-12-13' + INTERVAL '1' DAY", "2024-12-14"),
            ("date_trunc('month', date_add('day', -13, DATE '2024-12-13'))", "2024-11-01"),
            ("date_trunc('hour', TIMESTAMP '2024-12-13 14:30:00')", "2024-12-13 14:00:00.000"),
            ("day_of_week(DATE '2024-12-15')", "7"),
            ("date_diff('day', DATE '2024-12-01', DATE '2024-12-13')", "12"),
            ("date_format(DATE '2024-12-13', '%Y-%m')", "2024-12"),
            ("date_parse('2024-12-13', '%Y-%m-%d')", "2024-12-13 00:00:00.000"),
            ("cast(56560392349612.24 AS double)", "5.656039234961224E13"),
            ("cast(0.0001 AS double)", "1.0E-4"),
            ("cast(1234.5 AS double)", "1234.5"),
            ("1 = 1", "true"),
            ("cast(NULL AS varchar)", None),
            ("ARRAY[1, 2]", "[1, 2]"),
            ("format('%s is %.2f %%, more than %d', 'NVDA', 38.666, 20)", "NVDA is 38.67 %, more than 20"),
            ("concat('a', 'b') || 'c'", "abc"),
            ("approx_distinct(x) FROM (VALUES 1, 1, 2) AS t (x)", "2"),
            ("max_by(x, y) FROM (VALUES (1, 9), (2, 3)) AS t (x, y)", "1"),
            ("count_if(x > 1) FROM (VALUES 1, 2, 3) AS t (x)", "2"),
            ("array_join(array_agg(x ORDER BY x), ',') FROM (VALUES 2, 1) AS t (x)", "1,2"),
            ("x FROM (VALUES 1, NULL) AS t (x) ORDER BY x DESC", "1"),
            ("try_cast('x' AS integer)", None),
            ("coalesce(NULL, nullif(1, 1), 3)", "3"),
        ],
    )
    def test_expressions(self, lake: Lake, expression: str, value: str | None) -> None:
        assert lake.value(expression) == value

    def test_unaliased_columns_are_numbered(self, lake: Lake) -> None:
        assert lake.rows("SELECT 1 + 1, ticker, count(*) AS N, max(cap) FROM caps GROUP BY 2 LIMIT 1")[0] == [
            "_col0",
            "ticker",
            "n",
            "_col3",
        ]

    def test_unnest_and_cte_and_window(self, lake: Lake) -> None:
        sql = """WITH wanted (day) AS (
                SELECT d FROM unnest(ARRAY[DATE '2024-12-11', DATE '2024-12-12', DATE '2024-12-13']) AS t (d)
            )
            SELECT wanted.day, max(caps.ranking), lag(max(caps.cap)) OVER (ORDER BY wanted.day) AS before
            FROM wanted LEFT JOIN caps ON caps.trading_date = wanted.day AND caps.run = 'daily'
            GROUP BY wanted.day HAVING count(caps.ticker) = 0 OR max(caps.cap) > 1 ORDER BY wanted.day"""
        assert lake.rows(sql) == [
            ["day", "_col1", "before"],
            ["2024-12-11", None, None],
            ["2024-12-12", "3", None],
            ["2024-12-13", "3", "3.75E12"],
        ]

    @pytest.mark.parametrize(
        "expression",
        [
            "list_value(1)",
            "strptime('2024', '%Y')",
            "epoch(now())",
            "len('x')",
            "string_agg('x', ',')",
            "ifnull(1, 2)",
            "today()",
        ],
    )
    def test_functions_that_trino_does_not_have_are_refused(self, lake: Lake, expression: str) -> None:
        name = expression.partition("(")[0]
        assert lake.fail(f"SELECT {expression}") == f"FUNCTION_NOT_FOUND: line 1:8: Function '{name}' not registered"

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1::integer",
            "SELECT * EXCLUDE (cap) FROM caps",
            "SELECT ticker FROM caps QUALIFY row_number() OVER (ORDER BY cap) = 1",
            "SELECT 'a' ILIKE 'A'",
            "SELECT DISTINCT ON (ticker) * FROM caps",
            "SELECT FROM WHERE",
            "SELECT 1; SELECT 2",
        ],
    )
    def test_syntax_that_trino_does_not_have_is_refused(self, lake: Lake, sql: str) -> None:
        assert lake.fail(sql).startswith("SYNTAX_ERROR: ")

    @pytest.mark.parametrize(
        "sql", ["CREATE TABLE x AS SELECT 1 AS a", "DROP TABLE caps", "MSCK REPAIR TABLE caps", "SHOW TABLES"]
    )
    def test_other_statements_are_refused(self, lake: Lake, sql: str) -> None:
        assert lake.fail(sql).startswith(f"NOT_SUPPORTED: {sql.split(maxsplit=1)[0]} is not run by the sandbox")

    @pytest.mark.parametrize(
        "where", ["trading_date = '2024-12-13'", "trading_date IN ('2024-12-13')", "ranking = '1'"]
    )
    def test_text_is_not_cast_for_a_comparison(self, lake: Lake, where: str) -> None:
        assert lake.fail(f"SELECT 1 FROM caps WHERE {where}").startswith("TYPE_MISMATCH: Cannot apply operator")

    def test_division_by_zero_is_an_error(self, lake: Lake) -> None:
        assert lake.fail("SELECT 1 / (ranking - ranking) FROM caps") == "DIVISION_BY_ZERO: Division by zero"


class TestExecution:
    def test_result_lies_at_the_output_location(self, lake: Lake) -> None:
        sql = "SELECT ticker, cap FROM caps WHERE run = 'daily' AND trading_date = DATE '2024-12-13' ORDER BY ranking"
        done = lake.run(sql)
        location = f"s3://{BUCKET}/athena-results/{done['QueryExecutionId']}.csv"
        assert done["ResultConfiguration"]["OutputLocation"] == location
        key = location.partition(f"{BUCKET}/")[2]
        body = lake.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
        assert body.splitlines()[1:] == ['"AAPL","3.75E12"', '"NVDA","3.29E12"', ',"0.5"']
        assert next(csv.reader(io.StringIO(body))) == ["ticker", "cap"]

    def test_describes_columns_and_times(self, lake: Lake) -> None:
        done = lake.run("SELECT ticker, cap, ranking, trading_date, count(*) AS n FROM caps GROUP BY 1, 2, 3, 4")
        result = lake.athena.get_query_results(QueryExecutionId=done["QueryExecutionId"])["ResultSet"]
        columns = [(column["Name"], column["Type"]) for column in result["ResultSetMetadata"]["ColumnInfo"]]
        assert columns == [
            ("ticker", "varchar"),
            ("cap", "double"),
            ("ranking", "integer"),
            ("trading_date", "date"),
            ("n", "bigint"),
        ]
        status = done["Status"]
        assert status["SubmissionDateTime"] <= status["CompletionDateTime"]
        assert abs(datetime.datetime.now(datetime.UTC) - status["CompletionDateTime"]).total_seconds() < 600
        assert done["WorkGroup"] == "primary"

    def test_results_come_in_pages(self, lake: Lake) -> None:
        query = lake.run("SELECT x FROM unnest(sequence(1, 2500)) AS t (x) ORDER BY x")["QueryExecutionId"]
        pages = list(lake.athena.get_paginator("get_query_results").paginate(QueryExecutionId=query))
        sizes = [len(page["ResultSet"]["Rows"]) for page in pages]
        assert sizes == [1000, 1000, 501]
        cells = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
        assert cells == ["x", *(str(number) for number in range(1, 2501))]

    def test_a_workgroup_gives_the_output_location_and_may_enforce_it(self, lake: Lake) -> None:
        for enforced in (True, False):
            name = f"group-{uuid.uuid4().hex[:6]}"
            fixed = {"OutputLocation": f"s3://{BUCKET}/group/"}
            lake.athena.create_work_group(
                Name=name,
                Configuration={"ResultConfiguration": fixed, "EnforceWorkGroupConfiguration": enforced},
            )
            done = lake.run("SELECT 1", WorkGroup=name)
            folder = "group" if enforced else "athena-results"
            assert done["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{BUCKET}/{folder}/")

    def test_a_workgroup_cuts_off_queries_that_scan_too_much(self, lake: Lake) -> None:
        name = f"group-{uuid.uuid4().hex[:6]}"
        lake.athena.create_work_group(Name=name, Configuration={"BytesScannedCutoffPerQuery": 10_000_000})
        rng = random.Random(7)
        noise = pa.array([rng.random() for _ in range(1_300_000)])
        lake.register("large", DAYS[0], lake.put("large", DAYS[0], parquet(pa.table({"cap": noise}))))
        small = lake.start("SELECT * FROM caps WHERE run = 'daily'", WorkGroup=name)
        assert lake.wait(small)["Status"]["State"] == "SUCCEEDED"
        done = lake.wait(lake.start("SELECT count(*) FROM caps", WorkGroup=name))
        lake.glue.delete_partition(DatabaseName=lake.database, TableName="caps", PartitionValues=["large", DAYS[0]])
        assert done["Status"]["State"] == "FAILED"
        assert done["Status"]["StateChangeReason"].startswith("Bytes scanned limit was exceeded")

    @pytest.mark.parametrize(
        ("settings", "complaint"),
        [
            ({"ResultConfiguration": {}}, "No output location provided"),
            ({"WorkGroup": "nobody"}, "WorkGroup nobody is not found"),
            ({"ResultConfiguration": {"OutputLocation": "s3://no-such-bucket/x/"}}, "output bucket no-such-bucket"),
        ],
    )
    def test_a_wrong_target_is_refused_at_once(self, lake: Lake, settings: dict[str, Any], complaint: str) -> None:
        with pytest.raises(ClientError, match=complaint):
            lake.start("SELECT 1", **settings)

    def test_a_stopped_query_is_cancelled(self, lake: Lake) -> None:
        many = "unnest(sequence(1, 100000)) AS {0} ({0})"
        sql = f"SELECT sum(a * b) FROM {many.format('a')} CROSS JOIN {many.format('b')}"
        query = lake.start(sql)
        lake.athena.stop_query_execution(QueryExecutionId=query)
        assert lake.wait(query)["Status"]["State"] == "CANCELLED"
        with pytest.raises(ClientError, match="Final query state: CANCELLED"):
            lake.athena.get_query_results(QueryExecutionId=query)

    def test_unknown_query(self, lake: Lake) -> None:
        with pytest.raises(ClientError, match="was not found"):
            lake.athena.get_query_execution(QueryExecutionId=str(uuid.uuid4()))
