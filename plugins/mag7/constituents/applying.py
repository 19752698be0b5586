"""Applying edits to the files of a facts version; rows that do not change stay as they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from mag7.constituents.facts import RowEdit, Table
from mag7.errors import Mag7Error, one_line
from mag7.index.tables import FactTable, FactTableInvalidError, read_lines


class EditMissedError(Mag7Error):
    """A row to replace or remove is not in the table: the edits were made for another version."""


def apply_edits(tables: Mapping[str, bytes], edits: Iterable[RowEdit]) -> dict[str, bytes]:
    """Return the tables with edits applied; a new row is inserted by its key.

    Raises EditMissedError where a row to replace or remove is not there exactly once.
    """
    changed = dict(tables)
    for table, mine in _by_table(edits).items():
        changed[table] = _apply(table, tables[table], mine)
    return changed


def add_rows(tables: Mapping[str, bytes], added: Iterable[FactTable]) -> dict[str, bytes]:
    """Return the tables with the rows that a person adds; existing rows are not added again.

    Raises FactTableInvalidError where the columns are not those of the table.
    """
    changed = dict(tables)
    for table in added:
        header, rows = _read(FactTable(table.name, changed[table.name]))
        given, new_rows = _read(table)
        if given != header:
            raise FactTableInvalidError(f"{table.name} must have the columns {','.join(header)}, not {','.join(given)}")
        new = [row for row in new_rows if row not in rows]
        ordered = sorted([*rows, *new], key=lambda row: row[header[0]]) if new else rows
        changed[table.name] = _write(header, ordered)
    return changed


def _read(table: FactTable) -> tuple[list[str], list[dict[str, str]]]:
    lines = read_lines(table)
    _, header = next(lines, (0, []))
    rows: list[dict[str, str]] = []
    for number, values in lines:
        if len(values) != len(header):
            raise FactTableInvalidError(
                f"{table.name} line {number}: has {len(values)} values, but must have {len(header)}"
            )
        rows.append(dict(zip(header, values, strict=True)))
    return header, rows


def _by_table(edits: Iterable[RowEdit]) -> dict[Table, list[RowEdit]]:
    found: dict[Table, list[RowEdit]] = {}
    for edit in edits:
        found.setdefault(edit.table, []).append(edit)
    return found


def _apply(table: Table, body: bytes, edits: Sequence[RowEdit]) -> bytes:
    (_, header), *lines = read_lines(FactTable(table, body))
    rows = [dict(zip(header, values, strict=True)) for _, values in lines]
    added: list[dict[str, str]] = []
    for edit in edits:
        old = _take(table, rows, edit.before) if edit.before is not None else None
        if edit.after is not None:
            new = {**(old[1] if old is not None else {}), **edit.after}
            if old is not None:
                rows.insert(old[0], new)
            else:
                added.append(new)
    for new in added:
        # After the rows of the same key, or of the last key before it.
        key = new[header[0]]
        place = next((number for number in reversed(range(len(rows))) if rows[number][header[0]] <= key), -1)
        rows.insert(place + 1, new)
    return _write(header, rows)


def _take(table: Table, rows: list[dict[str, str]], wanted: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    places = [number for number, row in enumerate(rows) if wanted.items() <= row.items()]
    if len(places) != 1:
        raise EditMissedError(
            f"{table}: expected the row {one_line(','.join(wanted.values()))} once, found it {len(places)} times; "
            "propose again from the version that is published now"
        )
    return places[0], rows.pop(places[0])


def _write(header: Sequence[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    write = csv.writer(text, lineterminator="\n").writerow
    write(header)
    for row in rows:
        write([row[column] for column in header])
    return text.getvalue().encode()
