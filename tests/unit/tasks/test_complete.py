"""What earlier runs have published: a session is complete when nothing of it is missing or pending."""

from __future__ import annotations

from datetime import date

import pytest

from mag7.lake.keys import analytics_key, document_key, pending_key, processed_key
from mag7.lake.objects import ObjectStore
from mag7.lake.tables import list_tables
from mag7.tasks.published import list_complete, read_published

DAYS = [date(2024, 11, 29), date(2024, 12, 2), date(2024, 12, 13)]


def publish(store: ObjectStore, *days: date) -> None:
    for day in days:
        store.put(document_key(day), b"{}")
        for table in list_tables():
            store.put(analytics_key(table.name, day), b"parquet")


def test_sessions_of_which_everything_is_there_are_complete(store: ObjectStore) -> None:
    publish(store, DAYS[0], DAYS[2])

    assert list_complete(store, DAYS) == {DAYS[0], DAYS[2]}
    assert list_complete(store, DAYS[:1]) == {DAYS[0]}


def test_nothing_is_complete_in_an_empty_lake(store: ObjectStore) -> None:
    assert list_complete(store, DAYS) == set()
    assert list_complete(store, []) == set()


@pytest.mark.parametrize("table", [table.name for table in list_tables()])
def test_a_session_that_lacks_one_file_is_not_complete(store: ObjectStore, table: str) -> None:
    publish(store, *DAYS)
    store.delete([analytics_key(table, DAYS[1])])

    assert list_complete(store, DAYS) == {DAYS[0], DAYS[2]}


def test_a_session_without_its_document_is_not_complete(store: ObjectStore) -> None:
    publish(store, *DAYS)
    store.delete([document_key(DAYS[1])])

    assert list_complete(store, DAYS) == {DAYS[0], DAYS[2]}


def test_a_session_that_was_not_loaded_since_is_not_complete(store: ObjectStore) -> None:
    publish(store, *DAYS)
    store.put(pending_key(DAYS[2]), b"")

    assert list_complete(store, DAYS) == set(DAYS[:2])


def test_what_else_lies_beside_the_files_makes_nothing_complete(store: ObjectStore) -> None:
    publish(store, DAYS[0])
    for table in list_tables():
        store.put(processed_key(table.name, DAYS[1]), b"parquet")
        store.put(f"staging/run/analytics/{table.name}/{DAYS[1]}.parquet", b"parquet")

    assert list_complete(store, DAYS) == {DAYS[0]}


@pytest.mark.parametrize("body", [None, b"{not json"])
def test_a_document_that_cannot_be_read_is_as_none(store: ObjectStore, body: bytes | None) -> None:
    if body is not None:
        store.put(document_key(DAYS[0]), body)

    assert read_published(store, DAYS[0]) is None
