"""Tables that people write and programs read: holdings files, fact tables and their loaders, session overrides."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from mag7.index.holdings import FUND, Holdings, read_holdings
from mag7.index.identifiers import CIK_COLUMNS, Identifiers, read_ciks
from mag7.index.membership import (
    MEMBERSHIP_COLUMNS,
    SPAN_COLUMNS,
    MembershipTable,
    load_membership,
    read_membership,
)
from mag7.index.share_counts import REFERENCE_COLUMNS, read_references
from mag7.index.splits import SPLIT_COLUMNS, SplitTable, read_splits
from mag7.index.symbols import SYMBOL_COLUMNS, read_symbols
from mag7.index.tables import FactTable
from mag7.session_calendar import OVERRIDE_COLUMNS, Override, apply_overrides, load_calendar, read_overrides
from tests.fuzz.hostile import TEXTS, broken, byte_bodies, to_bytes
from tests.fuzz.tiers import Fuzzed, ours_or_value

LARGEST = Decimal("1e24")
CELLS = st.one_of(
    TEXTS,
    st.sampled_from(("", "-", "0", "-1", "1.5", "1e23", "1e999999", "true", "false", "closed", "early_close", "13:00")),
    st.sampled_from(("13:00+05:00", "25:00", "2024-12-13", "2024-06-10", "9999-12-31", "0001-01-01", "AAPL", "GOOG")),
    st.sampled_from(("TSLA", "Equity", "Money Market", "NO MARKET", '"', "a,b", "several", "one", "0000320193")),
)

DAYS = st.sampled_from(
    ("9999-12-31", "0001-01-01", "", "2010-01-01", "2022-06-08", "2022-06-09", "2024-W01-1", "2024-02-30")
)
DAY = re.compile(r"\d{4}-\d\d-\d\d")

Table = list[list[str]]


def write_csv(rows: Table) -> str:
    """Write rows as a spreadsheet does, however many values each has."""
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()


@st.composite
def mutated_tables(draw: Callable[..., Any], rows: Table, most: int = 3) -> Table:
    """A valid table with cells replaced or removed, and rows cut, repeated, moved or added."""
    table = [list(row) for row in rows]
    for _ in range(draw(st.integers(0, most))):
        row = draw(st.integers(0, len(table) - 1))
        cell = draw(st.integers(0, max(len(table[row]) - 1, 0)))
        match draw(st.sampled_from(("cell", "cell", "cell", "cut", "longer", "repeat", "remove", "copy"))):
            case "cell" if table[row]:
                table[row][cell] = draw(DAYS if DAY.fullmatch(table[row][cell]) and draw(st.booleans()) else CELLS)
            case "cut":
                table[row] = table[row][:cell]
            case "longer":
                table[row] = [*table[row], draw(CELLS)]
            case "repeat":
                table.insert(draw(st.integers(0, len(table))), list(table[row]))
            case "remove" if len(table) > 1:
                del table[row]
            case "copy" if table[row]:
                other = table[draw(st.integers(0, len(table) - 1))]
                table[row][cell] = other[cell] if cell < len(other) else ""
            case _:
                pass
    return table


def files(*tables: Table) -> st.SearchStrategy[bytes]:
    """Files near some valid tables, and bytes that are none."""
    near = st.one_of(*(mutated_tables(table).map(write_csv) for table in tables))
    exact = st.sampled_from([write_csv(table) for table in tables])
    near_bytes = near.map(to_bytes)
    return st.one_of(
        near_bytes,
        near_bytes,
        near_bytes,
        near_bytes,
        byte_bodies(near),
        broken(exact).map(to_bytes),
        byte_bodies(TEXTS),
    )


def with_table(body: bytes, read: Callable[[FactTable], Any], *subjects: str) -> tuple[Any, Table]:
    """Read a table of some bytes; gives what was read, and the table's rows as csv sees them."""
    value = ours_or_value(lambda: read(FactTable("table.csv", body)), "table.csv", *subjects)
    if value is None:
        return None, []
    return value, list(csv.reader(io.StringIO(body.decode("utf-8"), newline="")))


# Holdings

HOLDINGS_HEADER = [
    "Ticker",
    "Name",
    "Sector",
    "Asset Class",
    "Market Value",
    "Weight (%)",
    "Quantity",
    "Price",
    "Exchange",
]
HOLDINGS: Table = [
    [FUND],
    ["Fund Holdings as of", "Dec 06, 2024"],
    ["\u00a0"],
    HOLDINGS_HEADER,
    ["AAPL", "APPLE INC", "Information Technology", "Equity", "2,000.00", "50.00", "20.00", "100.00", "NASDAQ"],
    ["BRKB", "BERKSHIRE", "Financials", "Equity", "1,200.50", "30.00", "2.00", "600.25", "NYSE"],
    ["META", "META", "Communication", "Equity", "800.00", "19.50", "2.00", "400.00", "NASDAQ"],
    ["XTSLA", "CASH", "Cash and/or Derivatives", "Money Market", "4.00", "0.10", "4.00", "1.00", "-"],
    ["The content contained herein is owned by somebody.\nHoldings subject to change."],
]


def check_holdings(body: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(body)
        holdings: Holdings | None = ours_or_value(lambda: read_holdings(path, least_lines=1), "table.csv")
    if holdings is None:
        return
    assert type(holdings.as_of) is date
    symbols = [line.symbol for line in holdings.lines]
    assert symbols and len(set(symbols)) == len(symbols) and all(symbols)
    for line in holdings.lines:
        for number in (line.quantity, line.price, line.market_value, line.weight):
            assert 0 <= number < LARGEST
    assert 95 <= sum(line.weight for line in holdings.lines) <= 101
    assert sum(row.count("Equity") > 0 for row in rows_of(body)) <= len(holdings.lines) + unlisted(body)


def rows_of(body: bytes) -> Table:
    """The equity rows of a file's table, each cell stripped."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("cp1252", errors="replace")
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text.replace("\u00a0", " "), newline=""))]
    start = next(place for place, row in enumerate(rows) if {"Ticker", "Name"} <= set(row))
    place = rows[start].index("Asset Class")
    return [row for row in rows[start + 1 :] if row[place : place + 1] == ["Equity"]]


def unlisted(body: bytes) -> int:
    """How many equity rows are left out, as they are not listed."""
    return sum(any(cell.startswith("NO MARKET") for cell in row) for row in rows_of(body))


# Fact tables

SPLITS: Table = [
    list(SPLIT_COLUMNS),
    ["AAPL", "2020-08-31", "1", "4", "a source"],
    ["TSLA", "2020-08-31", "1", "5", "a source"],
    ["GE", "2021-08-02", "8", "1", "a source"],
]
SYMBOLS: Table = [
    list(SYMBOL_COLUMNS),
    ["META", "FB", "", "2022-06-08", "a source"],
    ["META", "META", "2022-06-09", "", "a source"],
    ["BALL", "BLL", "", "2022-05-09", "a source"],
]
REFERENCES: Table = [
    list(REFERENCE_COLUMNS),
    ["AAPL", "2020-11-30", "17000000000", "0000320193-20-000096", "a filing"],
    ["NVDA", "2024-12-13", "24490000000", "", "a filing"],
]
MEMBERS: Table = [
    list(MEMBERSHIP_COLUMNS),
    ["AAPL", "Apple", "0000320193", "Information Technology", "true", "one", "2000-01-03", "", ""],
    [
        "GOOG",
        "Alphabet",
        "0001652044",
        "Communication Services",
        "false",
        "several",
        "2006-04-03",
        "",
        "",
    ],
    [
        "GOOGL",
        "Alphabet",
        "0001652044",
        "Communication Services",
        "true",
        "several",
        "2006-04-03",
        "",
        "",
    ],
    ["TWTR", "Twitter", "X-twitter", "Communication Services", "true", "one", "2018-06-07", "2022-10-31", "gone"],
]
SPAN_TABLE: Table = [list(SPAN_COLUMNS), ["2020-11-30", "2025-07-17", "a source"]]
OVERRIDES: Table = [
    list(OVERRIDE_COLUMNS),
    ["2025-01-09", "closed", "", "2024-12-30", "a notice"],
    ["2025-03-03", "early_close", "13:00", "2025-03-01", "a notice"],
]
CIKS: Table = [
    list(CIK_COLUMNS),
    ["0002115436", "0000034088", "", "2026-07-01", "a source"],
    ["0002115436", "0002115436", "2026-07-02", "", "a source"],
    ["0000320193", "0000320193", "", "", "a source"],
]


def check_splits(body: bytes) -> None:
    table: SplitTable | None
    table, rows = with_table(body, lambda table: read_splits(table, load_membership()))
    if table is None:
        return
    splits = [split for found in table.splits.values() for split in found]
    assert len(splits) == len(rows) - 1
    for split in splits:
        assert 0 < split.split_from < LARGEST and 0 < split.split_to < LARGEST
        assert Fraction(1, 10**48) < split.factor < 10**48
        assert str(split)


def check_symbols(body: bytes) -> None:
    table, rows = with_table(body, read_symbols)
    if table is None:
        return
    assert sum(len(periods) for periods in table.values()) == len(rows) - 1
    for ticker, periods in table.items():
        assert ticker and all(period.ticker == ticker and period.symbol for period in periods)
        assert all(period.first is None or period.last is None or period.first <= period.last for period in periods)
        days = [date(2001, 1, 1), date(2022, 6, 8), date(2024, 12, 13)]
        assert all(sum(period.covers(day) for period in periods) <= 1 for day in days)


def check_references(body: bytes) -> None:
    table, rows = with_table(body, lambda table: read_references(table, load_membership()))
    if table is None:
        return
    found = [reference for references in table.values() for reference in references]
    assert len(found) == len(rows) - 1
    assert all(type(reference.shares) is int and 0 < reference.shares < LARGEST for reference in found)


def check_members(body: bytes) -> None:
    table: MembershipTable | None

    span = FactTable("span.csv", write_csv(SPAN_TABLE).encode())
    table, rows = with_table(body, lambda members: read_membership(members, span))
    if table is None:
        return
    assert len(table.stays) == len(rows) - 1
    for day in (date(2020, 11, 30), date(2024, 12, 13)):
        stays = table.on(day)
        issuers = {stay.issuer for stay in stays}
        assert len([stay for stay in stays if stay.main_line]) == len(issuers)


def check_span(body: bytes) -> None:
    members = FactTable("members.csv", write_csv(MEMBERS).encode())
    table, _ = with_table(body, lambda span: read_membership(members, span))
    if table is not None:
        assert table.first_session <= table.last_session


def check_overrides(body: bytes) -> None:
    overrides: tuple[Override, ...] | None
    overrides, rows = with_table(body, lambda table: read_overrides(table.name, table.body))
    if overrides is None:
        return
    assert len(overrides) == len([row for row in rows if row]) - 1
    sessions = load_calendar().sessions[-1000:]
    changed = ours_or_value(
        lambda: tuple(apply_overrides(sessions, overrides)), *(str(each.date) for each in overrides)
    )
    if changed is not None:
        regular = {session.date: session for session in sessions}
        assert all(session.open < session.close <= regular[session.date].close for session in changed)


def check_ciks(body: bytes) -> None:
    found: Identifiers | None
    found, rows = with_table(body, lambda table: read_ciks(table, load_membership()))
    if found is None:
        return
    periods = [period for mine in found.periods.values() for period in mine]
    assert len(periods) == len(rows) - 1
    assert all(found.owners[period.value] == period.owner for period in periods)
    assert all(len(period.value) == 10 and period.value in found.all_of(period.owner) for period in periods)


TARGETS = (
    Fuzzed("holdings", files(HOLDINGS), check_holdings, short=50, long=1500),
    Fuzzed("tables.splits", files(SPLITS), check_splits, short=30, long=800),
    Fuzzed("tables.symbols", files(SYMBOLS), check_symbols, short=20, long=500),
    Fuzzed("tables.references", files(REFERENCES), check_references, short=20, long=500),
    Fuzzed("tables.membership", files(MEMBERS), check_members, short=30, long=800),
    Fuzzed("tables.membership_span", files(SPAN_TABLE), check_span, short=15, long=300),
    Fuzzed("sessions.overrides", files(OVERRIDES), check_overrides, short=30, long=800),
    Fuzzed("tables.issuer_ciks", files(CIKS), check_ciks, short=20, long=500),
)
