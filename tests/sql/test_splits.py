"""Splits from documents to adjusted prices: the view and Athena's question, on DuckDB and on the running sandbox."""

# ruff: noqa: S608 - the tests write SQL

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.lake.catalog import Partition, create_catalog, register_partitions
from mag7.lake.keys import (
    DATABASE,
    analytics_key,
    manifest_key,
    processed_key,
    processed_prefix,
    staged_splits_key,
)
from mag7.lake.objects import ObjectStore
from mag7.lake.splits import StoredSplit, publish_splits
from mag7.lake.tables import Table, list_tables
from mag7.paths import SQL
from mag7.warehouse.load import batch_statements, encode_manifest
from mag7.warehouse.migrations import list_migrations, migrate
from mag7.warehouse.schema import render_file
from mag7.warehouse.statements import StatementFailedError, Warehouse
from tests.sandbox.aws.running import Sandbox, parquet, start_sandbox
from tests.sql.conftest import Render
from tests.sql.lake import RUN, Lake
from tests.sql.market import Rows, make_rows
from tools.declared import make_schema

FIRST = date(2024, 1, 2)
QUESTION = SQL / "athena" / "analysis" / "adjusted_closes.sql"


def make_view(lake: Lake) -> None:
    """Make the view by its DDL."""
    lake.execute_redshift(render_file("schema/08_daily_trading_adjusted.sql", "market_data"))


@dataclass(frozen=True)
class Series:
    """A company's true prices in USD on today's basis, a day each, and its splits: day to (from, to)."""

    closes: list[float]
    splits: dict[int, tuple[float, float]]

    def factor_after(self, day: int) -> float:
        """How many of today's shares one share of a day is."""
        factor = 1.0
        for executed, (before, after) in self.splits.items():
            factor *= after / before if executed > day else 1.0
        return factor


PARTS = st.integers(1, 50).map(float)
RATIOS = st.one_of(
    st.tuples(st.just(1.0), PARTS),
    st.tuples(PARTS, st.just(1.0)),  # reverse
    st.tuples(PARTS, PARTS),
    st.tuples(st.just(1.0), st.decimals("1.001", "3", places=6).map(float)),  # as in spin-offs
)


@st.composite
def make_series(draw: st.DrawFn) -> Series:
    closes = draw(st.lists(st.floats(1, 1000), min_size=2, max_size=8))
    return Series(closes, draw(st.dictionaries(st.integers(0, len(closes) - 1), RATIOS, max_size=4)))


def fill(lake: Lake, ticker: str, series: Series) -> None:
    """Publish a series as traded: prices and volumes on the basis of their day."""
    row = make_rows()["daily_trading"][0]
    for number, close in enumerate(series.closes):
        factor = series.factor_after(number)
        prices = dict.fromkeys(("open", "high", "low", "close", "vwap"), close * factor)
        day = {"trading_date": FIRST + timedelta(number), "ticker": ticker, "volume": round(1e12 / factor)}
        lake.publish({"daily_trading": [{**row, **prices, **day}]})
    for number, (before, after) in series.splits.items():
        split = {"execution_date": FIRST + timedelta(number), "issuer": f"X-{ticker}", "ticker": ticker}
        lake.publish({"splits": [{**split, "split_from": before, "split_to": after, "source": "test"}]})


@given(series=st.lists(make_series(), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_split_never_moves_an_adjusted_price(series: list[Series]) -> None:
    with duckdb.connect() as connection:
        lake = Lake(connection)
        make_view(lake)
        for number, one in enumerate(series):
            fill(lake, f"T{number}", one)
        rows = lake.ask_redshift("SELECT * FROM market_data.daily_trading_adjusted ORDER BY ticker, trading_date")
        asked = lake.ask_athena(QUESTION.read_text())
    expected = [close for one in series for close in one.closes]
    for column in ("open", "high", "low", "close", "vwap"):
        assert [row[column] for row in rows] == pytest.approx(expected, rel=1e-8)
    assert [row["volume"] for row in rows] == pytest.approx([1e12] * len(expected), rel=1e-6)
    assert [row["adjusted_close"] for row in asked] == [row["close"] for row in rows]
    assert [row["adjustment_factor"] for row in asked] == [row["adjustment_factor"] for row in rows]


@pytest.mark.parametrize(
    ("ratios", "factor"),
    [
        ([(1.0, 4.0), (1.0, 10.0)], 40.0),
        ([(1.0, 20.0)], 20.0),
        ([(2.0, 3.0)], 1.5),
        ([(8.0, 1.0)], 0.125),
        ([(3.0, 1.0), (1.0, 3.0)], 1.0),
        ([(1.0, 5.0), (1.0, 3.0), (1.0, 7.0), (1.0, 4.0)], 420.0),
        ([(1000.0, 1281.0)], 1.281),
        ([], 1.0),
    ],
)
def test_a_factor_of_whole_numbers_is_exact(lake: Lake, ratios: list[tuple[float, float]], factor: float) -> None:
    make_view(lake)
    fill(lake, "AAPL", Series([10.0] * 6, dict(enumerate(ratios, start=1))))
    rows = lake.ask_redshift("SELECT * FROM market_data.daily_trading_adjusted ORDER BY trading_date")
    assert rows[0]["adjustment_factor"] == factor
    assert rows[-1]["adjustment_factor"] == 1.0


def test_the_view_has_the_columns_of_prices_and_the_factor(lake: Lake) -> None:
    make_view(lake)
    lake.publish(make_rows())
    rows = lake.ask_redshift("SELECT * FROM market_data.daily_trading_adjusted")
    assert list(rows[0]) == [
        *("trading_date", "ticker", "open", "high", "low", "close", "volume", "vwap", "adjustment_factor")
    ]
    assert len(rows) == 7
    assert {row["vwap"] for row in rows} == {None}


def test_the_day_of_execution_is_on_the_new_basis_and_what_is_announced_adjusts_nothing(lake: Lake) -> None:
    make_view(lake)
    fill(lake, "NVDA", Series([120.0, 121.0, 122.0], {1: (1.0, 10.0)}))
    ahead = {"execution_date": date(2999, 1, 4), "issuer": "X-NVDA", "ticker": "NVDA", "source": "test"}
    lake.publish({"splits": [{**ahead, "split_from": 1.0, "split_to": 2.0}]})
    rows = lake.ask_redshift("SELECT * FROM market_data.daily_trading_adjusted ORDER BY trading_date")
    assert [row["adjustment_factor"] for row in rows] == [10.0, 1.0, 1.0]
    assert [row["close"] for row in rows] == [120.0, 121.0, 122.0]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = start_sandbox(tmp_path_factory.mktemp("aws"))
    yield running
    assert running.stop() == 0


BEFORE, AFTER = date(2024, 6, 7), date(2024, 6, 10)
NVIDIA = {"issuer": "X-nvda", "ticker": "NVDA", "execution_date": AFTER, "split_from": 1, "split_to": 10}


def encode_rows(table: Table, rows: Rows, *, partitioned: bool) -> bytes:
    """Write a table's rows as the Glue jobs do."""
    schema = make_schema(table, partitioned=partitioned)
    named = [{name: row[name] for name in schema.names} for row in rows[table.name]]
    return parquet(pa.Table.from_pylist(named, schema=schema))


@dataclass
class House:
    """A lake, a catalog and a warehouse of a test's own on the running sandbox."""

    store: ObjectStore
    glue: Any
    athena: Any
    warehouse: Warehouse
    render: Render

    def publish(self, session: date, *splits: dict[str, Any], run: str = RUN) -> list[date]:
        """Publish a session whose seven closed at 120 (Nvidia ten times that before its split), and its splits."""
        known = [StoredSplit(**{"source": "provider", **split}) for split in splits]
        days = publish_splits(self.store, self.glue, run, {session: known})
        rows = make_rows(session)
        for row in rows["daily_trading"]:
            price = 1200.0 if row["ticker"] == "NVDA" and session < AFTER else 120.0
            row.update(dict.fromkeys(("open", "high", "low", "close"), price))
        for table in list_tables():
            self.store.put(analytics_key(table.name, session), encode_rows(table, rows, partitioned=False))
            self.store.put(processed_key(table.name, session), encode_rows(table, rows, partitioned=True))
            place = self.store.uri(processed_prefix(table.name, session))
            register_partitions(self.glue, DATABASE, table, [Partition((session.isoformat(),), place)])
        return days

    def load(self, session: date) -> None:
        """Run the load's own statements for a session."""
        keys = {table.name: analytics_key(table.name, session) for table in list_tables()}
        for name, key in {**keys, "splits": staged_splits_key(RUN)}.items():
            self.store.put(manifest_key(RUN, name), encode_manifest([(self.store.uri(key), self.store.size(key))]))
        self.warehouse.run([self.render(text, (session,), bucket=self.store.bucket) for text in batch_statements()])

    def ask_athena(self, query: str) -> list[list[str | None]]:
        started = self.athena.start_query_execution(
            QueryString=query, ResultConfiguration={"OutputLocation": self.store.uri("athena-results/")}
        )["QueryExecutionId"]
        deadline = time.monotonic() + 60
        while (state := self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"])[
            "State"
        ] in {"QUEUED", "RUNNING"}:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert state["State"] == "SUCCEEDED", state
        rows = self.athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows[1:]]

    def splits(self) -> list[tuple[Any, ...]]:
        return self.warehouse.ask("SELECT * FROM market_data.splits ORDER BY execution_date, issuer")

    def adjusted(self, column: str = "close") -> list[Any]:
        view = "market_data.daily_trading_adjusted"
        query = f"SELECT {column} FROM {view} WHERE ticker = 'NVDA' ORDER BY trading_date"
        return [value for (value,) in self.warehouse.ask(query)]


@pytest.fixture
def house(sandbox: Sandbox, render: Render, request: pytest.FixtureRequest) -> House:
    regions = ("us-east-2", "us-west-1", "eu-west-1", "eu-west-2", "eu-west-3")
    region = regions[len(sandbox.client("s3").list_buckets()["Buckets"])]
    s3, name = sandbox.client("s3"), f"lake-{region}"
    s3.create_bucket(Bucket=name)
    glue = sandbox.client("glue", region)
    create_catalog(glue, name)
    warehouse = Warehouse(sandbox.client("redshift-data"), "market-analysis", name.replace("-", "_"), "market_data", 60)
    migrate(warehouse, list_migrations())
    return House(ObjectStore(s3, name), glue, sandbox.client("athena", region), warehouse, render)


class TestOnTheSandbox:
    def test_a_split_adjusts_the_rows_before_it_and_changes_none(self, house: House) -> None:
        assert house.publish(BEFORE) == []
        house.load(BEFORE)  # without a split there is a file of no row
        assert (house.splits(), house.adjusted()) == ([], [1200.0])
        stored = "SELECT * FROM market_data.daily_trading WHERE trading_date = '2024-06-07' ORDER BY ticker"
        before = house.warehouse.ask(stored)

        assert house.publish(AFTER, NVIDIA) == [AFTER]
        house.load(AFTER)
        assert house.splits() == [("2024-06-10", "X-nvda", "NVDA", 1.0, 10.0, "provider")]
        assert house.adjusted() == [120.0, 120.0]
        assert house.adjusted("adjustment_factor") == [10.0, 1.0]
        assert house.adjusted("volume") == [315_266_630, 31_526_663]
        assert house.warehouse.ask(stored) == before
        closes = house.ask_athena(QUESTION.read_text())
        assert [row for row in closes if row[1] == "NVDA"] == [
            ["2024-06-07", "NVDA", "1200.0", "10.0", "120.0"],
            ["2024-06-10", "NVDA", "120.0", "1.0", "120.0"],
        ]

    def test_loads_repeat_replace_and_never_take_away(self, house: House, render: Render) -> None:
        apple = {**NVIDIA, "issuer": "X-aapl", "ticker": "AAPL", "execution_date": date(2020, 8, 31), "split_to": 4}
        house.publish(AFTER, NVIDIA, apple)
        house.load(AFTER)
        once = house.splits()
        house.load(AFTER)
        assert house.splits() == once
        assert len(once) == 2
        house.publish(AFTER, {**NVIDIA, "source": "table", "split_to": 4})
        house.load(AFTER)
        assert [row[1:] for row in house.splits()] == [
            ("X-aapl", "AAPL", 1.0, 4.0, "provider"),
            ("X-nvda", "NVDA", 1.0, 4.0, "table"),
        ]
        counted = house.warehouse.ask(render("redshift/load/count_splits.sql"))
        assert counted == [("X-aapl", "2020-08-31", 1, 4.0), ("X-nvda", "2024-06-10", 1, 4.0)]

    def test_a_load_that_fails_leaves_the_splits_as_they_were(self, house: House) -> None:
        house.publish(AFTER, NVIDIA)
        house.load(AFTER)
        before = house.splits()
        house.publish(AFTER, {**NVIDIA, "split_to": 4})
        house.store.put(staged_splits_key(RUN), b"no parquet")
        with pytest.raises(StatementFailedError, match=r"splits\.parquet is not a valid Parquet file"):
            house.load(AFTER)
        assert house.splits() == before
