"""Membership and symbols compared with sources outside the repository; lines on which they disagree are listed here."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest

from mag7.index.membership import load_membership
from mag7.index.symbols import load_symbols, symbol_on
from mag7.index.tables import FactTable, read_rows
from mag7.sessions import list_sessions, next_session

FIRST, LAST_OF_INTERVALS = date(2020, 11, 30), date(2025, 7, 17)
REFERENCE = Path(os.environ.get("REFERENCE_DATA") or Path(__file__).parents[4] / "shared/data")
CHANGES, INTERVALS = REFERENCE / "index_changes_to_2024-11.csv", REFERENCE / "sp500_ticker_start_end.csv"
RECENT = REFERENCE / "membership_2025-2026" / "changes_2025-07_to_latest.csv"
TODAY = {period.symbol: ticker for ticker, periods in load_symbols().items() for period in periods}

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not INTERVALS.exists(), reason="REFERENCE_DATA names no folder with the real sources"),
]

Change = tuple[str, date, str]
"""from or until (the first day out), the date, and the line's ticker."""


def read_changes(path: Path, day: str, added: str, removed: str) -> set[Change]:
    """Read a list of changes since the first session; symbols become the tickers of their lines."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return {
            (edge, date.fromisoformat(row[day]), TODAY.get(row[column], row[column]))
            for row in csv.DictReader(lines)
            for edge, column in (("from", added), ("until", removed))
            if row[column] and row.get("kind") != "rename" and date.fromisoformat(row[day]) > FIRST
        }


def list_changes(first: date, last: date) -> set[Change]:
    """List the changes of our table from the day after one day to another."""
    found: set[Change] = set()
    for stay in load_membership().stays:
        found.add(("from", stay.member_from, stay.ticker))
        if stay.member_to:
            found.add(("until", next_session(stay.member_to), stay.ticker))
    return {change for change in found if first < change[1] <= last}


def test_the_change_list_disagrees_only_about_spin_offs_and_what_it_lacks() -> None:
    listed = read_changes(CHANGES, "Date", "Ticker_added", "Ticker_removed")
    ours = list_changes(FIRST, max(day for _, day, _ in listed))

    assert len(listed & ours) > 100
    assert {ticker for _, _, ticker in listed ^ ours} == {
        *("OGN", "GPS", "VNO", "DXC", "GEV", "SOLV"),
        *("MBC", "SW", "WRK", "DISCK"),
    }


def test_the_changes_since_july_2025_are_those_of_the_gathered_lists() -> None:
    listed = read_changes(RECENT, "effective_date", "added_symbol", "removed_symbol")

    assert list_changes(LAST_OF_INTERVALS, date(2026, 10, 6)) == listed


def test_the_symbols_of_every_session_are_those_of_the_intervals_but_where_their_dates_are_wrong() -> None:
    stays = [
        (row.text("ticker"), row.day("start_date"), row.optional_day("end_date") or date.max)
        for row in read_rows(FactTable(INTERVALS.name, INTERVALS.read_bytes()), ("ticker", "start_date", "end_date"))
    ]
    odd = defaultdict(set)
    for session in list_sessions(FIRST, LAST_OF_INTERVALS):
        theirs = {symbol for symbol, start, end in stays if start <= session < end}
        ours = {symbol_on(stay.ticker, session) for stay in load_membership().on(session)}
        for symbol in theirs ^ ours:
            odd[symbol].add(session)

    quarter_2023_12 = {"ALK", "BLDR", "JBL", "SEDG", "SEE", "UBER"}
    quarter_2025_03 = {"BWA", "CE", "DASH", "EXE", "FMC", "TFX", "TKO", "WSM"}
    assert set(odd) == quarter_2023_12 | quarter_2025_03 | {"WTW", "WLTW", "EG", "RE", "FBHS", "FBIN"}
