"""The funds' files and the page of changes: their forms, their lag, and what a source does wrong."""

from __future__ import annotations

import io
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from mag7.index.holdings import Holdings, HoldingsError, NoHoldingsError, WrongFundError, read_holdings
from sandbox.polygon.app import MarketApp
from sandbox.polygon.faults import Fault
from sandbox.polygon.holdings import IVV, SPY, list_held
from sandbox.polygon.market import load_market
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings
from tests.sandbox.polygon.conftest import Ask, Server, make_ask

IVV_FILE, SPY_FILE = "/funds/ivv.csv?asOfDate={:%Y%m%d}", "/funds/spy.xlsx"


def ask_at(*moment: int, faults: list[Fault] | None = None) -> Ask:
    return make_ask(MarketApp(Settings(clock=Clock(datetime(*moment, tzinfo=NEW_YORK))), faults))


@pytest.fixture(scope="module")
def ask() -> Ask:
    return ask_at(2026, 11, 20, 21)


def read_ivv(folder: Path, body: bytes) -> Holdings:
    file = folder / "IVV_holdings.csv"
    file.write_bytes(body)
    return read_holdings(file)


def read_spy(body: bytes) -> tuple[list[list[Any]], dict[str, Any]]:
    """The rows above the table, and what is held by symbol."""
    rows = [list(row) for row in openpyxl.load_workbook(io.BytesIO(body)).active.iter_rows(values_only=True)]
    assert rows[4] == ["Name", "Ticker", "Identifier", "SEDOL", "Weight", "Sector", "Shares Held", "Local Currency"]
    return rows[:4], {row[1]: row for row in rows[5:] if row[1] not in {None, "-"}}


def members(day: date) -> set[str]:
    return {line.symbol_on(day) for line in load_market(day).lines if line.is_member(day)}


@pytest.mark.parametrize("day", [date(2020, 11, 30), date(2024, 12, 6), date(2026, 8, 20), date(2026, 11, 19)])
def test_the_products_reader_finds_the_index_in_a_file_by_date(ask: Ask, tmp_path: Path, day: date) -> None:
    body = ask(IVV_FILE.format(day)).body
    held = read_ivv(tmp_path, body)
    assert held.as_of == day
    assert {line.symbol for line in held.lines} == members(day)
    assert 99 < sum(line.weight for line in held.lines) < 100.5
    assert body.startswith("\ufeffiShares Core S&P 500 ETF\nFund Holdings as of,".encode())
    assert "SIMULATED" in body.decode().splitlines()[-1]
    assert b'"BRKB"' in body
    assert [text in body for text in (b'"Futures"', b'"Money Market"', b'"USD CASH"')] == [True] * 3


def test_the_workbook_has_the_newest_session_only(ask: Ask) -> None:
    head, held = read_spy(ask(SPY_FILE).body)
    assert [row[:2] for row in head[1:3]] == [["Ticker Symbol:", "SPY"], ["Holdings:", "As of 19-Nov-2026"]]
    assert set(held) == members(date(2026, 11, 19))
    assert "BRK.B" in held
    assert sum(row[4] for row in held.values()) == pytest.approx(99.8, abs=0.3)
    assert ask(SPY_FILE).body == ask_at(2026, 11, 20, 9)(SPY_FILE).body


@pytest.mark.parametrize("day", [date(2026, 11, 15), date(2026, 11, 20), date(2026, 12, 1), date(2015, 1, 2)])
def test_a_day_without_holdings_answers_with_a_dash(ask: Ask, tmp_path: Path, day: date) -> None:
    """A Sunday, a session whose file is not out, days to come and long gone."""
    said = ask(IVV_FILE.format(day))
    assert said.status == 200
    assert b'Fund Holdings as of,"-"' in said.body
    with pytest.raises(NoHoldingsError):
        read_ivv(tmp_path, said.body)


def test_files_come_out_in_the_morning_after() -> None:
    day = date(2026, 11, 20)
    for hour, out in ((6, False), (7, True)):
        assert (b'of,"-"' in ask_at(2026, 11, 21, hour)(IVV_FILE.format(day)).body) is not out
    assert ask_at(2026, 11, 21, 7)("/funds/ivv.csv?asOfDate=yesterday").status == 400


def test_a_line_that_was_bought_stays_for_months_without_a_market(ask: Ask, tmp_path: Path) -> None:
    body = ask(IVV_FILE.format(date(2026, 8, 20))).body
    (row,) = (text for text in body.decode().splitlines() if text.startswith('"HOLX"'))
    assert "NO MARKET" in row
    assert "HOLX" not in {line.symbol for line in read_ivv(tmp_path, body).lines}
    assert "HOLX" not in read_spy(ask_at(2026, 8, 21, 9)(SPY_FILE).body)[1]


def test_a_fund_is_at_most_a_session_beside_the_index() -> None:
    market = load_market()
    lags: dict[str, set[int]] = {IVV: set(), SPY: set()}
    for row in range(market.days.index(date(2025, 7, 1)), market.days.index(date(2027, 6, 30))):
        near = [members(market.days[row + step]) for step in (-1, 0, 1)]
        for fund, found in lags.items():
            shown = [one.symbol for one in list_held(market, fund, row) if not one.contra]
            assert len(set(shown)) == len(shown)
            # Each line of the fund is in the index on this session or a neighbour, and what is in all three is held.
            assert near[0] & near[1] & near[2] <= set(shown) <= near[0] | near[1] | near[2]
            found |= {step - 1 for step in range(3) if set(shown) == near[step] != near[1]}
    assert lags[IVV] == {-1, 1}
    assert 0 not in lags[SPY] and 1 not in lags[SPY]


def test_what_is_shown_does_not_flicker() -> None:
    market = load_market()
    rows = range(market.days.index(date(2025, 7, 1)), market.days.index(date(2027, 6, 30)))
    held = {row: {one.line.key for one in list_held(market, IVV, row) if not one.contra} for row in rows}
    first, last = market.days[rows[0]], market.days[rows[-1]]
    for key in set.union(*held.values()):
        shown = [key in held[row] for row in rows]
        turns = sum(before != after for before, after in pairwise(shown))
        stays = market.lines[market.column[key]].member
        assert turns <= sum(first < day <= last for span in stays for day in (span.first, span.last)), key


# --- the page of changes --------------------------------------------------------------------------------------------


def test_changes_are_told_from_the_day_of_their_announcement() -> None:
    for moment, known in (((2026, 9, 3, 9), False), ((2026, 9, 4, 9), True)):
        rows = ask_at(*moment)("/funds/changes.json").json["changes"]
        found = [row for row in rows if row["effective"] == "2026-09-21"]
        assert bool(found) is known
    assert {(row["action"], row["symbol"]) for row in found} == {
        *(("addition", symbol) for symbol in ("BE", "P", "ILMN")),
        *(("deletion", symbol) for symbol in ("TAP", "TTD", "BLDR")),
    }
    assert {row["announced_basis"] for row in found} == {"published"}


def test_every_known_change_of_the_index_is_told(ask: Ask) -> None:
    rows = ask("/funds/changes.json").json["changes"]
    symbols = {row["symbol"]: row["new_symbol"] for row in rows if row["action"] == "symbol change"}
    assert symbols == {"FI": "FISV", "MMC": "MRSH", "BK": "BNY", "SATS": "ECHO", "EQR": "VMRK", "PSKY": "SKYD"}
    index = members(date(2025, 7, 17))
    for row in reversed(rows):
        index -= {row["symbol"]} if row["action"] != "addition" else set()
        index |= {row["new_symbol"] or row["symbol"]} if row["action"] != "deletion" else set()
    assert index == members(date(2026, 10, 6))
    assert not any(row["simulated"] for row in rows)


def test_invented_changes_are_told_but_for_those_that_nobody_announced() -> None:
    rows = ask_at(2027, 1, 10, 9)("/funds/changes.json").json["changes"]
    told = [(row["effective"], row["action"]) for row in rows if row["simulated"]]
    assert sorted(told) == [
        *[("2026-12-21", "addition")] * 2,
        *[("2026-12-21", "deletion")] * 2,
        ("2026-12-24", "symbol change"),
        ("2026-12-28", "addition"),
        ("2026-12-30", "deletion"),
    ]
    assert all("Simulated" in row["company"] for row in rows if row["simulated"] and row["action"] != "deletion")


def test_the_page_says_the_same_and_that_it_is_simulated(ask: Ask) -> None:
    page, rows = ask("/funds/changes").body.decode(), ask("/funds/changes.json").json["changes"]
    assert page.startswith("<!DOCTYPE html>")
    assert "SIMULATED" in page
    assert page.count("<tr>") == len(rows) + 1


# --- sources that fail or lie ---------------------------------------------------------------------------------------


def bent(kind: str, target: str, **values: Any) -> Any:
    return ask_at(2026, 11, 20, 21, faults=[Fault(kind=kind, path="/funds/", **values)])(target)


def test_a_source_may_be_silent_or_answer_with_a_page(ask: Ask) -> None:
    target = IVV_FILE.format(date(2026, 11, 19))
    assert bent("status", target, status=503).status == 503
    page = bent("not_json", target)
    assert (page.status, page.body[:6]) == (200, b"<html>")
    assert bent("scale", target).body == ask(target).body


def test_yesterdays_file_comes_under_todays_name(tmp_path: Path) -> None:
    day, before = date(2026, 11, 19), date(2026, 11, 18)
    assert read_ivv(tmp_path, bent("yesterday", IVV_FILE.format(day)).body).as_of == before
    assert read_spy(bent("yesterday", SPY_FILE).body)[0][2][1] == "As of 18-Nov-2026"


def test_half_a_file_is_a_whole_answer(ask: Ask, tmp_path: Path) -> None:
    target = IVV_FILE.format(date(2026, 11, 19))
    half = bent("half_file", target)
    assert half.status == 200
    assert ask(target).body.startswith(half.body)
    with pytest.raises(HoldingsError):
        read_ivv(tmp_path, half.body)
    with pytest.raises(Exception, match="not a zip file"):
        read_spy(bent("half_file", SPY_FILE).body)


def test_another_funds_file_and_one_of_480_lines(tmp_path: Path) -> None:
    target = IVV_FILE.format(date(2026, 11, 19))
    with pytest.raises(WrongFundError):
        read_ivv(tmp_path, bent("other_fund", target).body)
    head, held = read_spy(bent("other_fund", SPY_FILE).body)
    assert (head[1][1], "AAPL" in held) == ("MDY", False)
    with pytest.raises(HoldingsError, match="480"):
        read_ivv(tmp_path, bent("few_lines", target).body)
    assert len(read_spy(bent("few_lines", SPY_FILE).body)[1]) == 480


def test_files_are_served_without_a_key(server: Server) -> None:
    response, body = server.get("/funds/ivv.csv?asOfDate=20241206", None)
    assert (response.status, response.headers["Content-Type"]) == (200, "text/csv;charset=UTF-8")
    assert response.headers["X-Market-Source"] == "simulated"
    assert body.startswith(b"\xef\xbb\xbfiShares")
    assert server.get(SPY_FILE, None)[0].headers["Content-Type"].startswith("application/vnd.openxml")
    assert server.get("/funds/none.csv", None)[0].status == 404
