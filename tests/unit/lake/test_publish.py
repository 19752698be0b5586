"""Publishing: only complete sessions, only the named ones, no stray file left, twice the same."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mag7.lake.catalog import create_catalog
from mag7.lake.keys import analytics_key, document_key, processed_key, staged_document_key, staged_table_prefix
from mag7.lake.objects import ObjectStore
from mag7.lake.publish import FORMS, StagingIncompleteError, publish_sessions, register_staging
from mag7.lake.tables import list_tables

RUN = "mag7_daily-r1"
DAY = date(2024, 12, 13)
OTHER = date(2024, 12, 12)


def stage(store: ObjectStore, day: date, content: bytes = b"parquet") -> None:
    store.put(staged_document_key(RUN, day), b"{}")
    for table in list_tables():
        for form in FORMS:
            store.put(f"{staged_table_prefix(RUN, form, table.name, day)}part-0.snappy.parquet", content)


def list_partitions(glue: Any, database: str, table: str) -> list[list[str]]:
    return [item["Values"] for item in glue.get_partitions(DatabaseName=database, TableName=table)["Partitions"]]


@pytest.fixture
def catalog(store: ObjectStore, glue: Any) -> Any:
    create_catalog(glue, store.bucket)
    return glue


def test_the_catalog_is_made_once(store: ObjectStore, glue: Any):
    assert len(create_catalog(glue, store.bucket)) == 2 + 2 * 6 + 1
    assert create_catalog(glue, store.bucket) == []
    columns = glue.get_table(DatabaseName="market_data", Name="daily_trading")["Table"]
    assert columns["PartitionKeys"] == [{"Name": "trading_date", "Type": "date"}]
    assert [column["Name"] for column in columns["StorageDescriptor"]["Columns"]][:2] == ["ticker", "open"]


def test_publishing_copies_every_file_and_registers_every_partition(store: ObjectStore, catalog: Any):
    stage(store, DAY)
    assert publish_sessions(store, catalog, RUN, [DAY]) == 13
    for table in list_tables():
        assert store.get(processed_key(table.name, DAY)) == b"parquet"
        assert store.get(analytics_key(table.name, DAY)) == b"parquet"
        assert list_partitions(catalog, "market_data", table.name) == [["2024-12-13"]]
    assert store.get(document_key(DAY)) == b"{}"


def test_a_second_time_replaces_the_file_and_leaves_no_stray(store: ObjectStore, catalog: Any):
    stage(store, DAY, b"old")
    publish_sessions(store, catalog, RUN, [DAY])
    store.put("processed/daily_trading/trading_date=2024-12-13/part-stray.parquet", b"stray")
    store.put(processed_key("daily_trading", OTHER), b"neighbour")
    stage(store, DAY, b"new")
    publish_sessions(store, catalog, RUN, [DAY])
    kept = {item.key: store.get(item.key) for item in store.list("processed/daily_trading/")}
    assert kept == {processed_key("daily_trading", DAY): b"new", processed_key("daily_trading", OTHER): b"neighbour"}
    assert list_partitions(catalog, "market_data", "daily_trading") == [["2024-12-13"]]


@pytest.mark.parametrize("extra", [[], ["part-0.snappy.parquet", "part-1.snappy.parquet"]])
def test_a_file_missing_or_twice_publishes_nothing(store: ObjectStore, catalog: Any, extra: list[str]):
    stage(store, DAY)
    prefix = staged_table_prefix(RUN, "analytics", "magnificent7_metrics", DAY)
    store.delete([f"{prefix}part-0.snappy.parquet"])
    for name in extra:
        store.put(prefix + name, b"parquet")
    with pytest.raises(StagingIncompleteError, match=f"magnificent7_metrics/.* holds {len(extra)} Parquet files"):
        publish_sessions(store, catalog, RUN, [DAY])
    assert list(store.list("processed/")) == []
    assert list(store.list("raw/magnificent7/")) == []


def test_staging_is_registered_by_run(store: ObjectStore, catalog: Any):
    stage(store, DAY)
    assert register_staging(store, catalog, RUN, [DAY]) == 6
    register_staging(store, catalog, RUN, [DAY])
    assert list_partitions(catalog, "market_data_staging", "daily_trading") == [[RUN, "2024-12-13"]]
