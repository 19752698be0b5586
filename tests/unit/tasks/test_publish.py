"""Publishing, the COPY manifests, and the reconciliation's reading of what the Data API returned."""

from __future__ import annotations

import io
import json
from datetime import date
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mag7.lake.catalog import create_catalog
from mag7.lake.keys import (
    analytics_key,
    pending_key,
    split_day_key,
    staged_document_key,
    staged_splits_key,
    staged_table_prefix,
)
from mag7.lake.objects import ObjectStore
from mag7.lake.publish import StagingIncompleteError
from mag7.lake.splits import StoredSplit, encode_splits
from mag7.lake.tables import Table, list_tables
from mag7.market.document import DocumentUnreadableError
from mag7.runs.record import Loaded, read_section
from mag7.tasks.publish import publish_sessions, publish_splits, reconcile, tally_file, write_manifests
from mag7.tasks.transform import register_staging
from mag7.warehouse.reconcile import ReconciliationError
from tests.fuzz.documents import STORED
from tests.unit.tasks.conftest import DAY, RUN
from tools.declared import find_table, make_schema

BEFORE = date(2024, 12, 12)
BOTH: Any = {"run": RUN, "sessions": ["2024-12-12", "2024-12-13"], "facts": ""}
NVIDIA = StoredSplit(date(2024, 6, 10), "X-nvda", "NVDA", 1.0, 10.0, "provider")
SPLIT = {**STORED["splits"][0], "source": "provider"}
ONE: Any = {"run": RUN, "sessions": ["2024-12-13"], "facts": ""}


def parquet(table: Table, *money: float | None) -> bytes:
    """A flat file with a row for each amount of the money column; the other columns are empty."""
    schema = make_schema(table, partitioned=False)
    column = table.money_column
    columns = [
        pa.array(money if name == column else [None] * len(money), schema.field(name).type) for name in schema.names
    ]
    written = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), written)
    return written.getvalue()


@pytest.fixture
def flat(store: ObjectStore) -> ObjectStore:
    """Published flat files of one session: three rows a table, none in failed_collections."""
    for table in list_tables():
        amounts = () if table.name == "failed_collections" else (1.5, 2.5, 4.0)
        store.put(analytics_key(table.name, DAY), parquet(table, *amounts))
    store.put(staged_splits_key(RUN), encode_splits([NVIDIA]))
    return store


def record(table: str, rows: int, total: dict[str, Any], day: str = "2024-12-13") -> list[dict[str, Any]]:
    """A row of count_window.sql as the Data API gives it: one typed cell a column."""
    return [{"stringValue": table}, {"stringValue": day}, {"longValue": rows}, total]


def counted(*splits: list[dict[str, Any]], **changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What RedshiftDataOperator returns for a warehouse that agrees, but for the given splits and tables."""
    names = [table.name for table in list_tables() if table.name != "failed_collections"]
    records = {name: record(name, 3, {"doubleValue": 8.0}) for name in names}
    split = record("X-nvda", 1, {"doubleValue": 10.0}, "2024-06-10")
    return [
        {"Records": [row for row in {**records, **changes}.values() if row], "TotalNumRows": len(names)},
        {"Records": list(splits) or [split]},
    ]


class TestReconcile:
    @pytest.mark.parametrize(("owner", "left"), [(RUN, False), ("mag7_backfill-another", True)])
    def test_clears_its_own_marks_alone(self, flat: ObjectStore, owner: str, left: bool) -> None:
        """Another run that published the session since has yet to load it."""
        flat.put(pending_key(DAY), owner.encode())
        reconcile(ONE, counted())

        assert (flat.find(pending_key(DAY)) is not None) == left

    def test_counts_rows_by_table_and_reports_them(self, flat: ObjectStore) -> None:
        rows = reconcile(ONE, counted())

        tables = [table.name for table in list_tables()]
        assert rows == {name: 0 if name == "failed_collections" else 3 for name in tables}
        assert list(rows) == [*tables]
        assert read_section(flat, RUN, Loaded) == Loaded(rows={DAY.isoformat(): rows}, splits=1)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                {"daily_trading": record("daily_trading", 6, {"doubleValue": 16.0})},
                "3 rows in the lake, 6 in the wareh",
            ),
            (
                {"daily_trading": record("daily_trading", 3, {"doubleValue": 8.01})},
                "total 8.0 in the lake, 8.01 in the",
            ),
            (
                {"daily_trading": record("daily_trading", 3, {"isNull": True})},
                "total 8.0 in the lake, 0.0 in the wareh",
            ),
            ({"daily_trading": []}, "3 rows in the lake, 0 in the warehouse"),
            (
                {"failed_collections": record("failed_collections", 1, {"doubleValue": 0.0})},
                "failed_collections of 2024-12-13: 0 rows in the lake, 1 in the warehouse",
            ),
        ],
        ids=["twice", "total", "null", "absent", "left over"],
    )
    def test_a_difference_fails_by_name_and_leaves_no_report(
        self, flat: ObjectStore, change: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ReconciliationError, match=said):
            reconcile(ONE, counted(**change))
        assert list(flat.list(f"staging/{RUN}/record/")) == []

    @pytest.mark.parametrize("total", [{"doubleValue": 8.0}, {"longValue": 8}, {"stringValue": "8.0"}])
    def test_a_number_may_come_as_any_cell(self, flat: ObjectStore, total: dict[str, Any]) -> None:
        assert reconcile(ONE, counted(daily_trading=record("daily_trading", 3, total)))["daily_trading"] == 3

    def test_an_order_of_adding_doubles_is_no_difference(self, flat: ObjectStore) -> None:
        nearly = record("daily_trading", 3, {"doubleValue": 8.000000000000002})

        assert reconcile(ONE, counted(daily_trading=nearly))["daily_trading"] == 3

    def test_another_sessions_rows_are_a_difference(self, flat: ObjectStore) -> None:
        stray = counted()
        stray[0]["Records"].append(record("daily_trading", 3, {"doubleValue": 8.0}, "2024-12-12"))

        with pytest.raises(ReconciliationError, match="daily_trading of 2024-12-12: 0 rows in the lake, 3"):
            reconcile(ONE, stray)

    @pytest.mark.parametrize(
        ("split", "said"),
        [
            (record("X-amzn", 1, {"doubleValue": 20.0}, "2022-06-06"), "1 rows in the lake, 0 in the warehouse"),
            (record("X-nvda", 2, {"doubleValue": 20.0}, "2024-06-10"), "1 rows in the lake, 2 in the warehouse"),
            (record("X-nvda", 1, {"doubleValue": 4.0}, "2024-06-10"), "total 10.0 in the lake, 4.0 in the warehouse"),
        ],
    )
    def test_a_split_of_the_run_that_differs_is_named(
        self, flat: ObjectStore, split: list[dict[str, Any]], said: str
    ) -> None:
        with pytest.raises(ReconciliationError, match=f"splits of X-nvda of 2024-06-10: {said}"):
            reconcile(ONE, counted(split))

    def test_splits_that_other_runs_know_are_no_difference(self, flat: ObjectStore) -> None:
        others = [record("X-tsla", 1, {"doubleValue": 3.0}, day) for day in ("2022-08-25", "2024-06-10")]
        mine = record("X-nvda", 1, {"doubleValue": 10.0}, "2024-06-10")

        reconcile(ONE, counted(mine, *others))
        assert read_section(flat, RUN, Loaded).splits == 1

    def test_a_window_without_a_split_has_none_to_compare(self, flat: ObjectStore) -> None:
        flat.put(staged_splits_key(RUN), encode_splits([]))

        reconcile(ONE, counted())
        assert read_section(flat, RUN, Loaded).splits == 0


class TestTally:
    def test_adds_the_money_column_without_what_is_missing(self, store: ObjectStore) -> None:
        table = find_table("constituent_market_caps")
        store.put(analytics_key(table.name, DAY), parquet(table, 1.25, None, 2.5))
        tally = tally_file(store, table, DAY)

        assert (tally.rows, tally.total) == (3, 3.75)

    @pytest.mark.parametrize("amounts", [(), (None,)])
    def test_nothing_to_add_is_zero(self, store: ObjectStore, amounts: tuple[None, ...]) -> None:
        table = find_table("daily_trading")
        store.put(analytics_key(table.name, DAY), parquet(table, *amounts))

        assert tally_file(store, table, DAY).total == 0.0


class TestManifests:
    def test_name_exactly_the_windows_files_and_their_sizes(self, flat: ObjectStore) -> None:
        # A key that begins alike must not be taken for the session's file.
        flat.put(f"{analytics_key('daily_trading', DAY)}.old", b"stray")

        assert write_manifests(ONE) == 7
        for table in list_tables():
            manifest = json.loads(flat.get(f"staging/{RUN}/manifests/{table.name}.json"))
            key = analytics_key(table.name, DAY)
            assert manifest == {
                "entries": [
                    {"url": f"s3://lake/{key}", "mandatory": True, "meta": {"content_length": len(flat.get(key))}}
                ]
            }

    def test_of_splits_name_the_runs_own_file(self, flat: ObjectStore) -> None:
        write_manifests(ONE)
        (entry,) = json.loads(flat.get(f"staging/{RUN}/manifests/splits.json"))["entries"]
        assert entry == {
            "url": f"s3://lake/staging/{RUN}/analytics/splits/splits.parquet",
            "mandatory": True,
            "meta": {"content_length": len(flat.get(staged_splits_key(RUN)))},
        }


class TestPublish:
    @pytest.fixture
    def staged(self, store: ObjectStore) -> ObjectStore:
        create_catalog(boto3.client("glue", region_name="us-east-1"), store.bucket)
        for session in (BEFORE, DAY):
            store.put(staged_document_key(RUN, session), session.isoformat().encode())
            for table in list_tables():
                for form in ("processed", "analytics"):
                    key = f"{staged_table_prefix(RUN, form, table.name, session)}part-0.parquet"
                    store.put(key, f"{form} {table.name} {session}".encode())
        return store

    def test_copies_the_accepted_sessions_only_and_hands_the_window_on(self, staged: ObjectStore) -> None:
        assert publish_sessions(ONE) == ONE

        published = [entry.key for prefix in ("processed/", "analytics/", "raw/") for entry in staged.list(prefix)]
        assert len(published) == 2 * 6 + 1
        assert all("2024-12-13" in key for key in published)
        assert staged.get("raw/magnificent7/trading_date=2024-12-13/market_data.json") == b"2024-12-13"

    def test_staging_becomes_readable_a_partition_a_table_and_session(self, staged: ObjectStore) -> None:
        assert register_staging(BOTH) == 12

        glue = boto3.client("glue", region_name="us-east-1")
        found = glue.get_partitions(DatabaseName="market_data_staging", TableName="daily_trading")["Partitions"]
        assert sorted(entry["Values"] for entry in found) == [[RUN, "2024-12-12"], [RUN, "2024-12-13"]]

    def test_splits_of_the_windows_documents_are_published_once(self, staged: ObjectStore) -> None:
        for session in (BEFORE, DAY):
            staged.put(staged_document_key(RUN, session), json.dumps({**STORED, "splits": [SPLIT]}).encode())

        assert publish_splits(BOTH) == ["2024-06-10"]
        assert publish_splits(BOTH) == []
        assert staged.get(analytics_key("splits", NVIDIA.execution_date)) == encode_splits([NVIDIA])
        assert staged.get(split_day_key(NVIDIA.execution_date)) == encode_splits([NVIDIA], partitioned=True)
        assert staged.get(staged_splits_key(RUN)) == encode_splits([NVIDIA])

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("split_to", 0),
            ("split_to", float("nan")),
            ("split_to", 10**400),
            ("split_to", True),
            ("split_to", "10"),
            ("split_from", -1),
            ("split_from", 1e-300),
            ("split_from", None),
            ("execution_date", "2024-06-31"),
            ("execution_date", None),
            ("source", None),
            ("ticker", ""),
        ],
    )
    def test_an_entry_that_is_no_split_is_refused_by_name(self, staged: ObjectStore, name: str, value: Any) -> None:
        document = {**STORED, "splits": [SPLIT, {**SPLIT, name: value}]}
        staged.put(staged_document_key(RUN, DAY), json.dumps(document).encode())
        with pytest.raises(
            DocumentUnreadableError, match=rf"trading_date=2024-12-13/market_data.json .*\(splits.1.{name}"
        ):
            publish_splits(ONE)
        assert list(staged.list("analytics/")) == []

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"{}", b"[]"])
    def test_a_document_that_is_none_is_refused(self, staged: ObjectStore, body: bytes) -> None:
        staged.put(staged_document_key(RUN, DAY), body)
        with pytest.raises(DocumentUnreadableError, match=r"market_data.json is not a document of schema_version 4"):
            publish_splits(ONE)

    def test_nothing_is_published_where_a_staged_file_is_missing(self, staged: ObjectStore) -> None:
        staged.delete([f"{staged_table_prefix(RUN, 'analytics', 'failed_collections', DAY)}part-0.parquet"])

        with pytest.raises(StagingIncompleteError, match="failed_collections"):
            publish_sessions(ONE)
        assert [*staged.list("processed/"), *staged.list("analytics/"), *staged.list("raw/")] == []
