"""Publish a session's files: check that staging is complete, then copy them to their fixed keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from mag7.errors import Mag7Error
from mag7.lake.catalog import Partition, register_partitions
from mag7.lake.keys import (
    DATABASE,
    STAGING_DATABASE,
    analytics_key,
    document_key,
    processed_key,
    processed_prefix,
    staged_document_key,
    staged_table_prefix,
)
from mag7.lake.objects import ObjectStore, StoredObject
from mag7.lake.tables import list_tables

FORMS = ("processed", "analytics")


class StagingIncompleteError(Mag7Error):
    """A Glue job did not write exactly one file of a table and session."""


@dataclass(frozen=True)
class StagedFile:
    """The one Parquet file of a Glue job for a table and session; form is processed or analytics."""

    form: str
    table: str
    session: date
    stored: StoredObject


def find_staged_files(store: ObjectStore, run: str, sessions: Iterable[date]) -> list[StagedFile]:
    """Find every file of a run's window; raises StagingIncompleteError unless each is there exactly once."""
    return [
        StagedFile(form, table.name, session, _find_one(store, staged_table_prefix(run, form, table.name, session)))
        for form in FORMS
        for table in list_tables()
        for session in sessions
    ]


def _find_one(store: ObjectStore, prefix: str) -> StoredObject:
    found = [stored for stored in store.list(prefix) if stored.key.endswith(".parquet")]
    if len(found) != 1:
        raise StagingIncompleteError(
            f"{store.uri(prefix)} holds {len(found)} Parquet files instead of one: clear this run's transform tasks"
        )
    return found[0]


def register_staging(store: ObjectStore, glue: Any, run: str, sessions: Sequence[date]) -> int:
    """Register a run's staged tables for the checks; returns the number of partitions."""
    find_staged_files(store, run, sessions)
    for table in list_tables():
        partitions = [
            Partition(
                (run, session.isoformat()),
                store.uri(staged_table_prefix(run, "processed", table.name, session)),
            )
            for session in sessions
        ]
        register_partitions(glue, STAGING_DATABASE, table, partitions)
    return len(list_tables()) * len(sessions)


def publish_sessions(store: ObjectStore, glue: Any, run: str, sessions: Sequence[date]) -> int:
    """Copy the accepted sessions' files to their fixed keys and register their partitions.

    Other files of those sessions are deleted; no other session is touched. Returns the number of files copied.
    """
    staged = find_staged_files(store, run, sessions)
    for found in staged:
        store.copy(found.stored.key, _published_key(found))
        if found.form == "processed":
            _delete_strays(store, found)
    for session in sessions:
        store.copy(staged_document_key(run, session), document_key(session))
    for table in list_tables():
        partitions = [
            Partition((session.isoformat(),), store.uri(processed_prefix(table.name, session))) for session in sessions
        ]
        register_partitions(glue, DATABASE, table, partitions)
    return len(staged) + len(sessions)


def _published_key(found: StagedFile) -> str:
    if found.form == "processed":
        return processed_key(found.table, found.session)
    return analytics_key(found.table, found.session)


def _delete_strays(store: ObjectStore, found: StagedFile) -> None:
    kept = processed_key(found.table, found.session)
    strays = [stored.key for stored in store.list(processed_prefix(found.table, found.session)) if stored.key != kept]
    store.delete(strays)
