"""Splits in the lake: what documents know, day by day, repeated, beside another run, and never less than before."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.lake.catalog import create_catalog
from mag7.lake.keys import analytics_key, split_day_key, staged_splits_key
from mag7.lake.objects import ObjectStore, Version
from mag7.lake.splits import (
    TRIES,
    SplitDayContestedError,
    SplitFileDamagedError,
    StoredSplit,
    decode_splits,
    encode_splits,
    join_sessions,
    merge_splits,
    publish_splits,
)
from mag7.lake.tables import SPLITS
from tools.declared import make_schema

RUN, OTHER_RUN = "mag7_daily-r1", "mag7_backfill-r2"
EVE, DAY = date(2024, 12, 12), date(2024, 12, 13)
JUNE = date(2024, 6, 10)
NVIDIA = StoredSplit(JUNE, "X-nvda", "NVDA", 1.0, 10.0, "provider")
NEIGHBOUR = StoredSplit(JUNE, "X-other", "OTH", 2.0, 3.0, "provider")
TESLA = StoredSplit(date(2022, 8, 25), "X-tsla", "TSLA", 1.0, 3.0, "provider")


def read_lake(store: ObjectStore) -> dict[str, list[StoredSplit]]:
    """What each form holds."""
    days = [date.fromisoformat(item.key.split("/")[2][:10]) for item in store.list("analytics/splits/")]
    flat = [split for day in days for split in decode_splits(store.get(analytics_key("splits", day)), "flat")]
    folders = [date.fromisoformat(item.key.split("=")[1][:10]) for item in store.list("processed/splits/")]
    partitioned = [split for day in folders for split in decode_splits(store.get(split_day_key(day)), "folder", day)]
    return {"analytics": flat, "processed": partitioned}


def in_both_forms(splits: list[StoredSplit]) -> dict[str, list[StoredSplit]]:
    return {"analytics": splits, "processed": splits}


def list_writes(store: ObjectStore) -> dict[str, Any]:
    """Every object of splits, with the time at which it was written."""
    listed = store._client.list_objects_v2(Bucket=store.bucket)["Contents"]
    return {item["Key"]: (item["LastModified"], item["ETag"]) for item in listed if "/splits/" in item["Key"]}


@pytest.fixture
def catalog(store: ObjectStore, glue: Any) -> Any:
    create_catalog(glue, store.bucket)
    return glue


def list_days(glue: Any) -> list[str]:
    found = glue.get_partitions(DatabaseName="market_data", TableName="splits")["Partitions"]
    return sorted(item["Values"][0] for item in found)


class TestSessions:
    def test_a_split_that_every_session_knows_is_one(self) -> None:
        assert join_sessions({DAY: [NVIDIA], EVE: [NVIDIA, TESLA]}) == [TESLA, NVIDIA]

    def test_the_newest_session_says_where_it_is_known_from(self) -> None:
        assert join_sessions({DAY: [NVIDIA], EVE: [replace(NVIDIA, source="older")]}) == [NVIDIA]

    def test_a_ratio_written_otherwise_is_the_same_ratio(self) -> None:
        assert join_sessions({DAY: [NVIDIA], EVE: [replace(NVIDIA, split_from=2.0, split_to=20.0)]}) == [NVIDIA]

    def test_of_two_ratios_the_newest_sessions_is_taken(
        self, store: ObjectStore, catalog: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A corrected session brings the list of its own day, on which the ratio was announced otherwise."""
        eve = [replace(NVIDIA, split_to=4.0, source="table"), TESLA]
        publish_splits(store, catalog, RUN, {EVE: eve, DAY: [NVIDIA]})

        assert read_lake(store) == {"analytics": [TESLA, NVIDIA], "processed": [TESLA, NVIDIA]}
        assert "2024-12-13 knows 10 for 1 (provider) for NVDA on 2024-06-10: taken instead of 4 for 1" in caplog.text

    def test_a_source_is_cut_to_its_bytes(self) -> None:
        assert replace(NVIDIA, source="x" + "é" * 200).source == "x" + "é" * 127


class TestPublish:
    def test_a_day_is_a_file_in_each_form_and_a_partition(self, store: ObjectStore, catalog: Any) -> None:
        assert publish_splits(store, catalog, RUN, {DAY: [NVIDIA, NEIGHBOUR, TESLA]}) == [TESLA.execution_date, JUNE]
        everything = [TESLA, NVIDIA, NEIGHBOUR]
        assert read_lake(store) == {"analytics": everything, "processed": everything}
        assert decode_splits(store.get(staged_splits_key(RUN)), "staged") == everything
        assert list_days(catalog) == ["2022-08-25", "2024-06-10"]
        for key, partitioned in ((split_day_key(JUNE), True), (analytics_key("splits", JUNE), False)):
            file = pq.ParquetFile(io.BytesIO(store.get(key)))
            assert file.schema_arrow.remove_metadata().equals(make_schema(SPLITS, partitioned=partitioned))
            assert file.metadata.row_group(0).column(0).compression == "SNAPPY"

    def test_a_second_time_writes_nothing(self, store: ObjectStore, catalog: Any) -> None:
        publish_splits(store, catalog, RUN, {DAY: [NVIDIA, TESLA]})
        before = {key: when for key, when in list_writes(store).items() if not key.startswith("staging/")}
        assert publish_splits(store, catalog, RUN, {DAY: [NVIDIA, TESLA]}) == []
        assert {key: when for key, when in list_writes(store).items() if not key.startswith("staging/")} == before

    def test_only_what_is_new_or_known_otherwise_is_written(self, store: ObjectStore, catalog: Any) -> None:
        publish_splits(store, catalog, RUN, {DAY: [NVIDIA, TESLA]})
        corrected, later = replace(NVIDIA, split_to=4.0), replace(TESLA, execution_date=date(2025, 1, 2))
        assert publish_splits(store, catalog, OTHER_RUN, {DAY: [corrected, TESLA, later]}) == [
            JUNE,
            later.execution_date,
        ]
        assert read_lake(store) == in_both_forms([TESLA, corrected, later])
        assert publish_splits(store, catalog, OTHER_RUN, {DAY: [replace(corrected, source="table")]}) == [JUNE]

    def test_a_run_that_knows_less_takes_nothing_away(self, store: ObjectStore, catalog: Any) -> None:
        publish_splits(store, catalog, RUN, {DAY: [NVIDIA, TESLA]})
        publish_splits(store, catalog, OTHER_RUN, {DAY: [NEIGHBOUR]})
        assert read_lake(store)["analytics"] == read_lake(store)["processed"] == [TESLA, NVIDIA, NEIGHBOUR]
        # What it loads are its days, as the lake holds them.
        assert decode_splits(store.get(staged_splits_key(OTHER_RUN)), "staged") == [NVIDIA, NEIGHBOUR]

    def test_a_window_without_a_split_leaves_a_file_of_no_row(self, store: ObjectStore, catalog: Any) -> None:
        assert publish_splits(store, catalog, RUN, {DAY: []}) == []
        file = pq.ParquetFile(io.BytesIO(store.get(staged_splits_key(RUN))))
        assert file.schema_arrow.remove_metadata().equals(make_schema(SPLITS, partitioned=False))
        assert file.metadata.num_rows == 0
        assert read_lake(store) == {"analytics": [], "processed": []}

    @pytest.mark.parametrize("writes", range(4))
    def test_a_run_that_dies_anywhere_is_made_whole_by_the_next(
        self, store: ObjectStore, catalog: Any, writes: int
    ) -> None:
        class Dying(ObjectStore):
            left = writes

            def replace(self, key: str, body: bytes, before: Version | None) -> bool:
                if self.left == 0:
                    raise KeyboardInterrupt
                self.left -= 1
                return super().replace(key, body, before)

        with pytest.raises(KeyboardInterrupt):
            publish_splits(Dying(store._client, store.bucket), catalog, RUN, {DAY: [NVIDIA, TESLA]})
        publish_splits(store, catalog, RUN, {DAY: [NVIDIA, TESLA]})
        assert read_lake(store) == in_both_forms([TESLA, NVIDIA])
        assert list_days(catalog) == ["2022-08-25", "2024-06-10"]

    @pytest.mark.parametrize("body", [b"", b"no parquet"])
    def test_a_damaged_file_is_named(self, store: ObjectStore, catalog: Any, body: bytes) -> None:
        store.put(analytics_key("splits", JUNE), body)
        with pytest.raises(SplitFileDamagedError, match=r"s3://lake/analytics/splits/2024-06-10.parquet is not a file"):
            publish_splits(store, catalog, RUN, {DAY: [NVIDIA]})

    def test_a_file_of_other_columns_is_named(self, store: ObjectStore, catalog: Any) -> None:
        written = io.BytesIO()
        pq.write_table(pa.table({"ticker": ["NVDA"]}), written)
        with pytest.raises(SplitFileDamagedError, match="there is not a file of splits"):
            decode_splits(written.getvalue(), "there")

    @pytest.mark.parametrize(
        "changes",
        [{"execution_date": "2024-06-10"}, {"ticker": None}, {"split_to": float("nan")}, {"split_from": -1.0}],
    )
    def test_a_file_of_other_values_is_named(self, changes: dict[str, Any]) -> None:
        written = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([{**asdict(NVIDIA), **changes}]), written)
        with pytest.raises(SplitFileDamagedError, match="there is not a file of splits"):
            decode_splits(written.getvalue(), "there")

    def test_a_file_with_bytes_changed_is_named(self) -> None:
        body = encode_splits([NVIDIA])
        with pytest.raises(SplitFileDamagedError, match="there is not a file of splits"):
            decode_splits(body[:40] + bytes(40) + body[80:], "there")


class Meeting(ObjectStore):
    """A store in which somebody else writes a key between this run's look at it and its own write."""

    def __init__(self, store: ObjectStore, meet: Callable[[str], None], times: int) -> None:
        super().__init__(store._client, store.bucket)
        self._meet, self._times = meet, times

    def replace(self, key: str, body: bytes, before: Version | None) -> bool:
        """Let the other one write first."""
        if self._times:
            self._times -= 1
            self._meet(key)
        return super().replace(key, body, before)


class TestBesideAnotherRun:
    def test_neither_loses_its_rows(self, store: ObjectStore, catalog: Any) -> None:

        def publish_other(key: str) -> None:
            publish_splits(store, catalog, OTHER_RUN, {DAY: [NEIGHBOUR]})

        publish_splits(Meeting(store, publish_other, times=1), catalog, RUN, {DAY: [NVIDIA]})
        assert read_lake(store) == in_both_forms([NVIDIA, NEIGHBOUR])
        assert list_days(catalog) == ["2024-06-10"]

    def test_what_the_other_one_wrote_the_same_is_not_written_again(self, store: ObjectStore, catalog: Any) -> None:
        refused = []

        def publish_other(key: str) -> None:
            publish_splits(store, catalog, OTHER_RUN, {DAY: [NVIDIA]})
            refused.append(key)

        publish_splits(Meeting(store, publish_other, times=99), catalog, RUN, {DAY: [NVIDIA]})
        assert refused == [split_day_key(JUNE)]
        assert read_lake(store) == in_both_forms([NVIDIA])

    def test_one_that_is_always_overtaken_gives_up_for_now(self, store: ObjectStore, catalog: Any) -> None:
        others = iter(range(100))

        def write_another(key: str) -> None:
            split = replace(NEIGHBOUR, issuer=f"X-{next(others)}")
            store.put(key, encode_splits([split], partitioned=key.startswith("processed/")))

        with pytest.raises(SplitDayContestedError, match=f"{TRIES} times meanwhile") as given_up:
            publish_splits(Meeting(store, write_another, times=TRIES), catalog, RUN, {DAY: [NVIDIA]})
        assert given_up.value.transient


SPLIT = st.builds(
    StoredSplit,
    execution_date=st.dates(date(2020, 1, 1), date(2025, 1, 1)),
    issuer=st.sampled_from(["X-a", "X-b", "X-c"]),
    ticker=st.just("A"),
    split_from=st.floats(0.001, 1000),
    split_to=st.floats(0.001, 1000),
    source=st.sampled_from(["provider", "table", "Übersicht"]),
)


@given(st.lists(SPLIT), st.lists(SPLIT))
def test_joining_keeps_every_key_prefers_what_is_known_and_changes_nothing_twice(
    held: list[StoredSplit], known: list[StoredSplit]
) -> None:
    joined = merge_splits(held, known)
    newest = {split.key: split for split in (*held, *known)}
    assert joined == [newest[key] for key in sorted(newest)]
    assert merge_splits(joined, known) == joined


@given(st.lists(SPLIT))
def test_a_file_gives_back_what_was_written(splits: list[StoredSplit]) -> None:
    assert decode_splits(encode_splits(splits), "there") == splits
    of_a_day = [replace(split, execution_date=JUNE) for split in splits]
    assert decode_splits(encode_splits(of_a_day, partitioned=True), "there", JUNE) == of_a_day
