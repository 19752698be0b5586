"""Add the rows of files to the tables of facts, and move the files whose rows are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mag7.constituents.applying import add_rows
from mag7.constituents.facts import RowEdit
from mag7.index.facts import TABLES, read_facts
from mag7.index.tables import read_lines
from mag7.lake.keys import used_rows_key
from mag7.lake.objects import ObjectStore
from mag7.tasks.stored_files import UNUSABLE, RowFile


@dataclass(frozen=True)
class Added:
    """Tables with the rows of files added: which files were used, and why others were refused."""

    tables: dict[str, bytes]
    used: tuple[RowFile, ...]
    refused: tuple[tuple[RowFile, str], ...]


def add_row_files(before: Mapping[str, bytes], files: Iterable[RowFile]) -> Added:
    """Add the rows of each file that contradicts nothing; a file may rest on the rows of another one."""
    tables, used = dict(before), list[RowFile]()
    waiting = sorted(files, key=lambda one: (TABLES.index(one.table.name), one.key))
    while waiting:
        refused: list[tuple[RowFile, str]] = []
        for one in waiting:
            try:
                added = add_rows(tables, [one.table])
                read_facts(added)
            except UNUSABLE as wrong:
                refused.append((one, str(wrong)))
                continue
            tables = added
            used.append(one)
        if len(refused) == len(waiting):
            return Added(tables, tuple(used), tuple(refused))
        waiting = [one for one, _ in refused]
    return Added(tables, tuple(used), ())


def sort_rows(files: Iterable[RowFile], edits: Iterable[RowEdit]) -> tuple[tuple[RowFile, ...], tuple[RowFile, ...]]:
    """Split files by whether their rows stay: those of unconfirmed sessions are taken out again, and wait."""
    removed = [
        (edit.table.value, edit.before.items()) for edit in edits if edit.before is not None and edit.after is None
    ]
    used, early = list[RowFile](), list[RowFile]()
    for one in files:
        header, *rows = (values for _, values in read_lines(one.table) if values)
        named = [dict(zip(header, values, strict=False)).items() for values in rows]
        gone = any(name == one.table.name and before <= row for name, before in removed for row in named)
        (early if gone else used).append(one)
    return tuple(used), tuple(early)


def mark_used(store: ObjectStore, files: Iterable[RowFile]) -> None:
    """Move files whose rows are published, so that they are not added again: a later version may change the rows."""
    for one in files:
        store.copy(one.key, used_rows_key(one.key))
        store.delete([one.key])
