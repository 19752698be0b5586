"""Membership and symbols against sources that are not in the repository: where they disagree, a row says why."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from mag7.index.build_membership import CORRECTION_COLUMNS, INTERVAL_COLUMNS
from mag7.index.membership import load_membership
from mag7.index.symbols import SYMBOL_COLUMNS, SYMBOL_HISTORY, load_symbols, symbol_on
from mag7.index.tables import read_rows
from mag7.paths import DATA
from mag7.sessions import list_sessions, next_session, previous_session

FIRST = date(2020, 11, 30)
REFERENCE = Path(os.environ.get("REFERENCE_DATA") or Path(__file__).parents[4] / "shared/data")
CHANGES, INTERVALS = REFERENCE / "index_changes_to_2024-11.csv", REFERENCE / "sp500_ticker_start_end.csv"
TODAY = {period.symbol: ticker for ticker, periods in load_symbols().items() for period in periods}
CORRECTIONS = read_rows(DATA / "membership_corrections.csv", CORRECTION_COLUMNS)

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not INTERVALS.exists(), reason="REFERENCE_DATA names no folder with the real sources"),
]

Change = tuple[str, date, str]
"""from or until (the first day out), the date, and the line's ticker of today."""


def read_changes() -> set[Change]:
    """Read the change list since the first session; symbols become those of today."""
    with CHANGES.open(encoding="utf-8-sig", newline="") as lines:
        rows = [(date.fromisoformat(row["Date"]), row) for row in csv.DictReader(lines)]
    found = {
        (edge, day, today(row[column]))
        for day, row in rows
        for edge, column in (("from", "Ticker_added"), ("until", "Ticker_removed"))
        if row[column]
    }
    return {change for change in found if change[1] > FIRST}


def list_changes(last: date) -> set[Change]:
    """List the changes of our table up to a day."""
    found: set[Change] = set()
    for stay in load_membership().stays:
        found.add(("from", stay.member_from, stay.ticker))
        if stay.member_to:
            found.add(("until", next_session(stay.member_to), stay.ticker))
    return {change for change in found if FIRST < change[1] <= last}


def today(symbol: str) -> str:
    """The ticker of the line that has or had a symbol."""
    return TODAY.get(symbol, symbol)


def is_explained(change: Change) -> bool:
    """Say whether a row of the corrections names the line and the date, as its own or in its reason."""
    edge, day, ticker = change
    for row in CORRECTIONS:
        line, why = today(row.text("ticker")), row.text("why")
        dates = {row.text("stated"), row.text("chosen"), *re.findall(r"\d{4}-\d{2}-\d{2}", why)}
        about = (line, row.text("edge")) == (ticker, edge) or ticker in re.findall(r"[A-Z.]+", why)
        if about and str(day) in dates:
            return True
    return False


def test_a_date_on_which_the_change_list_disagrees_has_a_recorded_choice() -> None:
    listed = read_changes()
    ours = list_changes(max(day for _, day, _ in listed))
    disputed = listed ^ ours

    assert len(listed & ours) > 100
    assert {change for change in disputed if not is_explained(change)} == set()
    # The spin-offs of the time, and what the list lacks: more would be a table gone wrong.
    assert {ticker for _, _, ticker in disputed} == {
        *("OGN", "GPS", "VNO", "DXC", "GEV", "SOLV"),
        *("MBC", "SW", "WRK", "DISCK"),
    }


def test_a_choice_that_moves_a_date_is_noted_beside_the_stay() -> None:
    notes = defaultdict(str)
    for stay in load_membership().stays:
        notes[stay.ticker] += stay.note

    assert [row.place for row in CORRECTIONS if row.text("why") not in notes[today(row.text("ticker"))]] == []


def find_renames() -> Iterator[tuple[date, str, str]]:
    """Find the days on which the intervals end one symbol and begin another, and nobody joined or left."""
    listed = read_changes()
    last = max(day for _, day, _ in listed)
    settled = {(row.text("edge"), row.day("stated"), row.text("ticker")) for row in CORRECTIONS}
    edges = defaultdict(set)
    for row in read_rows(INTERVALS, INTERVAL_COLUMNS):
        symbol = row.text("ticker")
        for edge, day in (("from", row.day("start_date")), ("until", row.optional_day("end_date"))):
            # A line that joined as CDAY stands in the list as DAY, so both spellings are looked for.
            if (
                day
                and FIRST < day <= last
                and not {(edge, day, symbol), (edge, day, today(symbol))} & (listed | settled)
            ):
                edges[day, edge].add(symbol)
    for day in sorted({day for day, _ in edges}):
        (old,), (new,) = edges[day, "until"], edges[day, "from"]
        yield day, old, new


def test_every_rename_that_the_intervals_show_is_in_the_symbol_history() -> None:
    sources = {row.text("symbol"): row.text("source") for row in read_rows(SYMBOL_HISTORY, SYMBOL_COLUMNS)}
    renames = list(find_renames())

    assert len(renames) >= 16
    for day, old, new in renames:
        (before, after) = load_symbols()[new]
        assert (before.symbol, after.symbol) == (old, new)
        assert after.first == day or f"the intervals have {day}" in sources[new], new


def test_every_rename_of_the_symbol_history_is_shown_by_the_intervals_or_names_another_source() -> None:
    shown = {new for _, _, new in find_renames()}
    rows = read_rows(SYMBOL_HISTORY, SYMBOL_COLUMNS)

    assert {row.text("ticker") for row in rows if row.text("source").startswith("intervals")} <= shown
    assert {row.text("ticker") for row in rows} - shown == {"FBIN"}


def test_no_line_has_two_symbols_or_none_on_a_session_of_the_intervals() -> None:
    """Away from the disputed dates, the symbols of our table are those of the intervals, session by session."""
    stays = [
        (row.text("ticker"), row.day("start_date"), row.optional_day("end_date") or date.max)
        for row in read_rows(INTERVALS, INTERVAL_COLUMNS)
    ]
    odd = defaultdict(set)
    for session in list_sessions(FIRST, load_membership().last_session):
        theirs = {symbol for symbol, start, end in stays if start <= session < end}
        ours = {symbol_on(stay.ticker, session) for stay in load_membership().on(session)}
        for symbol in theirs ^ ours:
            odd[symbol].add(session)

    moved = {row.text("ticker") for row in CORRECTIONS if row.text("stated") != row.text("chosen")}
    assert set(odd) == moved | {"WTW", "WLTW", "EG", "RE", "FBHS", "FBIN"}
    assert odd["FBIN"] == {date(2022, 12, 15), previous_session(date(2022, 12, 19))}
