"""The log of facts: what is appended is never changed, what is damaged is named, and a moment finds its version."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mag7.index.facts import digest_tables, name_version
from mag7.lake.fact_log import (
    FactEntry,
    FactLog,
    FactsDamagedError,
    FactsMissingError,
    FactSource,
    FactsOvertakenError,
    list_row_changes,
)
from mag7.lake.keys import fact_log_key, fact_table_key
from mag7.lake.objects import ObjectStore

MADE = datetime(2026, 11, 27, 12, tzinfo=UTC)
TABLES = {"splits.csv": b"ticker,source\nAAPL,x\n", "symbols.csv": b"ticker\n"}


def make_entry(number: int = 1, tables: dict[str, bytes] = TABLES, **changes: object) -> FactEntry:
    digests = digest_tables(tables)
    entry = FactEntry(
        number=number,
        version=name_version(digests),
        source="public sources",
        known_since=MADE + timedelta(days=number),
        decided_by="a test",
        supersedes=None,
        tables=digests,
        sources=(FactSource("a list", "00" * 32, "raw/a-list"),),
        changes=("+ splits.csv: AAPL,x",),
        note="why",
    )
    return replace(entry, **changes)


@pytest.fixture
def log(store: ObjectStore) -> FactLog:
    return FactLog(store)


def test_what_was_appended_is_read_as_it_was(log: FactLog) -> None:
    entry = log.append(make_entry(), TABLES)

    assert log.newest() == entry
    assert log.find(entry.name) == entry
    assert log.read_tables(entry) == TABLES


def test_an_empty_lake_has_no_version(log: FactLog) -> None:
    assert (log.newest(), log.list_entries(), log.find_known_at(MADE)) == (None, [], None)


def test_of_two_writers_of_one_number_the_second_one_is_refused(log: FactLog) -> None:
    first = log.append(make_entry(), TABLES)
    with pytest.raises(FactsOvertakenError, match="published as number 1 meanwhile: run the task again"):
        log.append(make_entry(decided_by="somebody else"), TABLES)

    assert log.newest() == first


def test_a_moment_finds_the_version_that_was_the_newest_one_then(log: FactLog) -> None:
    entries = [
        log.append(make_entry(number, {"a.csv": bytes([64 + number])}), {"a.csv": bytes([64 + number])})
        for number in (1, 2, 3)
    ]

    moments = [MADE, entries[0].known_since, entries[2].known_since - timedelta(seconds=1), entries[2].known_since]
    assert [log.find_known_at(moment) for moment in moments] == [None, entries[0], entries[1], entries[2]]


def test_a_damaged_table_is_named(log: FactLog, store: ObjectStore) -> None:
    entry = log.append(make_entry(), TABLES)
    key = fact_table_key("splits.csv", entry.tables["splits.csv"])
    store.put(key, TABLES["splits.csv"] + b"NVDA,x\n")

    with pytest.raises(FactsDamagedError, match=rf"{key} is damaged.*restore it from the bucket's versions"):
        log.read_tables(entry)


def test_a_missing_table_is_named(log: FactLog, store: ObjectStore) -> None:
    entry = log.append(make_entry(), TABLES)
    key = fact_table_key("splits.csv", entry.tables["splits.csv"])
    store.delete([key])

    with pytest.raises(FactsMissingError, match=rf"{key} does not exist: restore it"):
        log.read_tables(entry)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"number": 1}', b"[" * 100_000, b"\xff"])
def test_a_damaged_entry_is_named(log: FactLog, store: ObjectStore, body: bytes) -> None:
    log.append(make_entry(), TABLES)
    store.put(fact_log_key(1), body)

    with pytest.raises(FactsDamagedError, match=r"00000001.json is not an entry of the log of facts"):
        log.newest()


def test_a_run_that_is_pinned_to_a_version_finds_no_other_under_its_number(log: FactLog) -> None:
    log.append(make_entry(), TABLES)

    with pytest.raises(FactsDamagedError, match=r"but the run is pinned to 0123456789abcdef"):
        log.find("00000001-0123456789abcdef")
    with pytest.raises(FactsMissingError, match=r"00000002.json does not exist"):
        log.find("00000002-0123456789abcdef")


@pytest.mark.parametrize("name", ["", "1", "x-0123456789abcdef", "00000001-../../x", "00000001-0123"])
def test_what_names_no_version_is_refused(log: FactLog, name: str) -> None:
    with pytest.raises(FactsMissingError, match="is not the name of a version of the facts"):
        log.find(name)


def test_row_changes_name_table_and_row() -> None:
    after = {**TABLES, "splits.csv": b"ticker,source\nNVDA,y\n"}

    assert list_row_changes(TABLES, after) == ("- splits.csv: AAPL,x", "+ splits.csv: NVDA,y")
    assert list_row_changes(TABLES, TABLES) == ()
