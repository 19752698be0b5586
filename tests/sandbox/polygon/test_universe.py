"""Lines, their symbols and listing dates, with and without the project's index tables."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from sandbox.polygon import facts
from sandbox.polygon.market import build_market, load_market
from sandbox.polygon.universe import read_lines


def test_without_index_tables_the_lines_of_the_anchor_session_serve(tmp_path: Path) -> None:
    lines = read_lines(tmp_path)
    assert [line.key for line in lines] == sorted(facts.closes())
    assert [line.key for line in lines if line.main != line.key] == ["FOX", "GOOG", "NWS"]
    market = build_market(load_market().days, lines)
    row = market.session_row(facts.GOLDEN_SESSION)
    assert row is not None
    total = sum(int(c) * int(n) for c, n in zip(market.cents[row], market.counts[row], strict=True))
    assert total / 100 == pytest.approx(float(facts.GOLDEN_LINE_SUM), rel=1e-6)


def test_the_index_tables_give_the_503_lines_of_the_anchor_session() -> None:
    members = {line.key: line for line in read_lines() if line.is_member(facts.ANCHOR_SESSION)}
    assert {line.symbol_on(facts.ANCHOR_SESSION) for line in members.values()} == set(facts.closes())
    assert len({line.main for line in members.values()}) == 500


def test_a_symbol_holds_over_the_weekend_before_its_successor(tmp_path: Path) -> None:
    (tmp_path / "index_membership.csv").write_text(
        "ticker,company,issuer,cik,sector,main_line,member_from,member_to,note\n"
        "NEW,New Corp,X-new,,Energy,true,2019-01-02,2023-03-31,\n"
        "NEW,New Corp,X-new,,Energy,true,2024-01-02,,\n"
        "NEWB,New Corp B,X-new,,Energy,false,2024-01-02,,\n"
    )
    (tmp_path / "symbol_history.csv").write_text(
        "ticker,symbol,first_session,last_session,source\nNEW,OLD,,2021-10-01,\nNEW,NEW,2021-10-04,,\n"
    )
    new, second = read_lines(tmp_path)
    assert [new.symbol_on(date(2021, 10, day)) for day in (1, 3, 4)] == ["OLD", "OLD", "NEW"]
    assert [new.is_member(date(year, 6, 1)) for year in (2022, 2023, 2024)] == [True, False, True]
    assert second.main == "NEW"


def test_listing_dates_reach_as_far_as_the_stay_in_the_index(tmp_path: Path) -> None:
    (tmp_path / "index_membership.csv").write_text(
        "ticker,company,issuer,cik,sector,main_line,member_from,member_to,note\n"
        "ABNB,Airbnb,X-a,,Energy,true,2023-09-18,,\nXLNX,Xilinx,X-x,,Energy,true,1999-11-08,2022-02-14,\n"
    )
    airbnb, xilinx = read_lines(tmp_path)
    assert (airbnb.listed.first, airbnb.listed.last) == (date(2020, 12, 10), date.max)
    assert xilinx.listed.last == date(2022, 2, 14)
    assert xilinx.listed.first < date(2020, 11, 2)
