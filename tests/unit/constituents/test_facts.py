"""Cutting the tables back, and the rows in which two states of them differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.constituents.applying import EditMissedError, apply_edits
from mag7.constituents.decision import list_changed_sessions
from mag7.constituents.facts import Decided, Facts, RowEdit, Table, cut_at, cut_back, list_edits, to_columns
from mag7.index.facts import TABLES, read_facts, read_packaged_tables
from mag7.index.symbols import SymbolPeriod
from tests.unit.constituents.replay import END, START, as_of, members, truth

RULE, GONE = Decided("a rule", "why", ("0" * 64,), "a source"), Decided("nobody", "withdrawn")


def apply(edits: tuple[RowEdit, ...], facts: Facts, table: Table) -> list[dict[str, str]]:
    """The rows of a table after its edits."""
    rows = [to_columns(table, row) for row in _rows(facts, table)]
    for edit in (one for one in edits if one.table is table):
        if edit.before is not None:
            rows.remove(dict(edit.before))
        if edit.after is not None:
            rows.append({name: value for name, value in edit.after.items() if name != "source"})
    return sorted(rows, key=str)


def _rows(facts: Facts, table: Table) -> list[object]:
    if table is Table.MEMBERSHIP:
        return list(facts.membership.stays)
    found = {Table.SYMBOLS: facts.symbols, Table.CIKS: facts.ciks.periods, Table.FIGIS: facts.figis.periods}[table]
    return [one for mine in found.values() for one in mine]


@settings(max_examples=15, deadline=None)
@given(st.dates(START, END), st.dates(START, END))
def test_edits_lead_from_one_state_to_the_other(one: date, other: date) -> None:
    before, after = cut_at(truth(), one), cut_at(truth(), other)

    edits = list_edits(before, after, {}, RULE, GONE)

    for table in (Table.MEMBERSHIP, Table.SYMBOLS, Table.CIKS, Table.FIGIS):
        assert apply(edits, before, table) == apply((), after, table)
    assert [edit.table for edit in edits if edit.table is Table.SPAN] == ([Table.SPAN] if one != other else [])


@settings(max_examples=15, deadline=None)
@given(st.dates(START, END))
def test_cut_at_a_day_sessions_up_to_it_keep_their_lines(day: date) -> None:
    cut = cut_at(truth(), day)

    assert cut_back(cut) == cut
    assert members(cut, day) == members(truth(), day)
    assert all(stay.member_from <= day and (stay.member_to or date.min) < day for stay in cut.membership.stays)


def test_an_added_row_brings_its_source_and_a_replaced_one_keeps_its_own() -> None:
    before = as_of()
    new = SymbolPeriod("AOS", "ZZA", START + timedelta(days=1), None)
    ended = SymbolPeriod("FISV", "FI", date(2023, 6, 7), START)
    symbols = {**before.symbols, "AOS": (new,), "FISV": (before.symbols["FISV"][0], ended)}
    after = replace(before, symbols=MappingProxyType(symbols))

    added, replaced = list_edits(before, after, {new: RULE}, RULE, GONE)

    assert (added.before, (added.after or {})["source"], added.decided) == (None, "a source", RULE)
    assert "source" not in (replaced.after or {}) and "source" not in (replaced.before or {})
    assert replaced.decided == GONE


def test_changed_sessions_are_those_with_other_lines_symbols_or_companies() -> None:
    before = as_of(date(2025, 7, 18))
    after = cut_at(truth(), date(2025, 7, 23))

    assert list_changed_sessions(before, after, START, date(2025, 7, 24)) == (date(2025, 7, 23), date(2025, 7, 24))
    assert list_changed_sessions(before, before, START, END) == ()


@settings(max_examples=8, deadline=None)
@given(st.dates(START, END), st.dates(START, END))
def test_edits_written_into_the_files_read_back_as_the_state_they_lead_to(one: date, other: date) -> None:
    now = Facts.of(read_facts(read_packaged_tables()))
    tables = read_packaged_tables()
    for before, after in ((now, cut_at(truth(), one)), (cut_at(truth(), one), cut_at(truth(), other))):
        tables = apply_edits(tables, list_edits(before, after, {}, RULE, GONE))
        read = Facts.of(read_facts(tables))

        assert (read.membership, read.symbols, read.ciks.owners) == (after.membership, after.symbols, after.ciks.owners)
        assert {owner: set(mine) for owner, mine in read.ciks.periods.items()} == {
            owner: set(mine) for owner, mine in after.ciks.periods.items()
        }


def test_rows_that_do_not_change_keep_their_bytes_and_sources() -> None:
    tables = read_packaged_tables()
    row = to_columns(Table.SYMBOLS, SymbolPeriod("META", "FB", None, date(2022, 6, 8)))
    renamed = RowEdit(Table.SYMBOLS, row, row | {"symbol": "FBX"}, RULE)

    changed = apply_edits(tables, [renamed])

    assert {name for name in tables if changed[name] != tables[name]} == {Table.SYMBOLS}
    lines = [body.decode().splitlines() for body in (tables[Table.SYMBOLS], changed[Table.SYMBOLS])]
    assert [pair for pair in zip(*lines, strict=True) if pair[0] != pair[1]] == [
        (
            "META,FB,,2022-06-08,intervals; also map files of an open backtesting engine",
            "META,FBX,,2022-06-08,intervals; also map files of an open backtesting engine",
        ),
    ]
    with pytest.raises(EditMissedError, match="found it 0 times; propose again from the version that is published now"):
        apply_edits(changed, [renamed])


def test_the_tables_are_those_of_a_version() -> None:
    assert set(Table) <= set(TABLES)
