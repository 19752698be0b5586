"""Lines, their symbols, CIKs and stays in the index: the market's own truth, held against lists from outside."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from sandbox.polygon import facts
from sandbox.polygon.sessions import list_sessions
from sandbox.polygon.universe import Line, read_lines
from tests.sandbox.polygon.conftest import ROOT

REFERENCE = Path(os.environ.get("REFERENCE_DATA", ROOT.parent / "shared" / "data"))
LAST_CHANGE = date(2026, 10, 6)
LINES = "key,company,main,sector,member_from,member_to,last_close,drawn_as,source\n"


@cache
def lines() -> tuple[Line, ...]:
    return read_lines()


def members(day: date) -> dict[str, Line]:
    """The index on a day by the symbols of that day."""
    found = [(line.symbol_on(day), line) for line in lines() if line.is_member(day)]
    assert len(dict(found)) == len(found), "two members under one symbol"
    return dict(found)


def write_tables(folder: Path, lines: str, symbols: str = "", ciks: str = "") -> tuple[Line, ...]:
    (folder / "lines.csv").write_text("# a comment\n" + LINES + lines)
    (folder / "symbols.csv").write_text("key,symbol,first_day,last_day,company,source\n" + symbols)
    (folder / "ciks.csv").write_text("company,cik,first_day,last_day,source\n" + ciks)
    return read_lines(folder)


def test_the_market_opens_no_table_of_the_product() -> None:
    script = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "from sandbox.polygon.app import MarketApp; from sandbox.polygon.settings import Settings\n"
        "MarketApp(Settings()).answer('/v3/reference/tickers/AAPL?date=2024-12-13&apiKey=k', {})\n"
        "print(*(name for name in opened if name.endswith('.csv')), sep='\\n')\n"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    tables = {Path(name).name for name in told.stdout.split()}
    assert {"lines.csv", "symbols.csv", "ciks.csv"} <= tables
    assert [name for name in told.stdout.split() if Path(name).parent != facts.DATA] == []


def test_the_anchor_session_has_its_503_lines_of_500_companies() -> None:
    found = members(facts.ANCHOR_SESSION)
    assert set(found) == set(facts.closes())
    assert len({line.main for line in found.values()}) == 500


@pytest.mark.reference
def test_the_anchor_session_is_what_a_fund_held() -> None:
    file = REFERENCE / "IVV_holdings_2024-12-06.csv"
    if not file.exists():
        pytest.skip("no fund's file at hand")
    text = file.read_text(encoding="utf-8-sig")
    rows = csv.DictReader(text[text.index("Ticker,") :].splitlines())
    equities = (row["Ticker"] for row in rows if row["Asset Class"] == "Equity")
    held = {{"BRKB": "BRK.B", "BFB": "BF.B"}.get(symbol, symbol) for symbol in equities}
    assert held == set(members(date(2024, 12, 6)))


@pytest.mark.reference
@pytest.mark.parametrize("day", [date(2026, 8, 20), date(2026, 10, 6)])
def test_lists_of_2026_come_out_line_by_line(day: date) -> None:
    file = REFERENCE / "membership_2025-2026" / f"members_{day}.csv"
    if not file.exists():
        pytest.skip("no list of members at hand")
    listed = {row["symbol"]: row["cik"] or None for row in facts.read_table(file)}
    assert {symbol: line.cik_on(day) for symbol, line in members(day).items()} == listed


def test_only_known_sessions_have_another_number_of_lines() -> None:
    days = [day for day in list_sessions() if date(2022, 6, 21) <= day <= LAST_CHANGE]
    odd = {day.isoformat(): number for day in days if (number := len(members(day))) != 503}
    spun = ["2025-10-30", "2025-11-03", "2026-06-01", "2026-06-29", "2026-10-01", "2026-10-02", "2026-10-05"]
    assert odd == dict.fromkeys(["2024-09-30", *spun], 504)
    assert [len(members(date(*day))) for day in ((2020, 11, 30), (2022, 4, 11))] == [505, 504]


@pytest.mark.parametrize(
    ("key", "last", "before", "after"),
    [
        ("XOM", date(2026, 7, 1), "0000034088", "0002115436"),
        ("BLK", date(2024, 9, 30), "0001364742", "0002012383"),
        ("BG", date(2023, 10, 31), "0001144519", "0001996862"),
        ("APA", date(2021, 3, 1), "0000006769", "0001841666"),
    ],
)
def test_a_company_changes_its_cik_on_its_day(key: str, last: date, before: str, after: str) -> None:
    (line,) = (line for line in lines() if line.key == key)
    assert (line.cik_on(last), line.cik_on(date.fromordinal(last.toordinal() + 1))) == (before, after)


def test_no_two_companies_share_a_cik_on_a_day() -> None:
    for day in (date(2020, 11, 30), date(2023, 6, 30), LAST_CHANGE):
        ciks = Counter(line.cik_on(day) for line in lines() if line.main == line.key)
        assert [cik for cik, number in ciks.items() if cik is not None and number > 1] == []
        assert ciks[None] == 1  # VYLR's


@pytest.mark.parametrize(
    ("key", "symbols"),
    [
        ("FISV", {"2023-06-06": "FISV", "2023-06-07": "FI", "2025-11-10": "FI", "2025-11-11": "FISV"}),
        ("ECHO", {"2026-03-23": "SATS", "2026-06-24": "ECHO"}),
        ("P", {"2026-04-16": "PSTG", "2026-09-21": "P"}),
    ],
)
def test_symbols_go_and_come_back(key: str, symbols: dict[str, str]) -> None:
    (line,) = (line for line in lines() if line.key == key)
    assert {day: line.symbol_on(date.fromisoformat(day)) for day in symbols} == symbols


def test_a_line_may_leave_and_return(tmp_path: Path) -> None:
    (line,) = (line for line in lines() if line.key == "ILMN")
    stays = {"2024-06-21": True, "2024-06-24": False, "2026-09-18": False, "2026-09-21": True}
    assert {day: line.is_member(date.fromisoformat(day)) for day in stays} == stays
    assert line.listed.holds(date(2025, 1, 2))


def test_a_symbol_holds_over_the_weekend_before_its_successor(tmp_path: Path) -> None:
    new, second = write_tables(
        tmp_path,
        "NEW,New Corp,NEW,Energy,2019-01-02,,,,\nNEWB,New Corp B,NEW,Energy,2024-01-02,,,OLDB,\n",
        "NEW,OLD,,2021-10-03,Old Corp,\nNEW,NEW,2021-10-04,,,\n",
        "NEW,0000000001,,2021-12-31,\nNEW,0000000002,2022-01-01,,\n",
    )
    assert [new.symbol_on(date(2021, 10, day)) for day in (1, 3, 4)] == ["OLD", "OLD", "NEW"]
    assert [new.name_under(symbol) for symbol in ("OLD", "NEW")] == ["Old Corp", "New Corp"]
    assert [second.cik_on(date(year, 6, 1)) for year in (2021, 2022)] == ["0000000001", "0000000002"]
    assert (new.drawn_as, second.drawn_as) == ("NEW", "OLDB")


def test_listing_dates_reach_as_far_as_the_stay_in_the_index(tmp_path: Path) -> None:
    airbnb, gone, xilinx = write_tables(
        tmp_path,
        "ABNB,Airbnb,ABNB,Energy,2023-09-18,,,,\nGONE,Gone,GONE,Energy,2000-01-03,2025-07-22,2025-07-17,,\n"
        "XLNX,Xilinx,XLNX,Energy,1999-11-08,2022-02-14,,,\n",
    )
    assert (airbnb.listed.first, airbnb.listed.last) == (date(2020, 12, 10), date.max)
    assert xilinx.listed.last == date(2022, 2, 14)
    assert xilinx.listed.first < date(2020, 11, 2)
    assert gone.listed.last == date(2025, 7, 17)
    assert gone.is_member(date(2025, 7, 22))
