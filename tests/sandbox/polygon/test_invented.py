"""The invented changes: what each quarter brings, and that it stays what it is."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from sandbox.polygon import facts
from sandbox.polygon.invented import FIRST_QUARTER, PLAN, invent_changes, list_quarters, list_unannounced
from sandbox.polygon.sessions import find_horizon, list_sessions
from sandbox.polygon.universe import Line, read_lines

DAYS = list_sessions(find_horizon(date(2034, 1, 1)))
LINES = invent_changes(read_lines(), DAYS)
QUARTERS = list_quarters(DAYS)


def members(day: date) -> dict[str, Line]:
    return {line.symbol_on(day): line for line in LINES if line.is_member(day)}


def test_quarters_begin_after_the_third_friday() -> None:
    assert [str(DAYS[row]) for row in QUARTERS[:4]] == ["2026-12-21", "2027-03-22", "2027-06-21", "2027-09-20"]
    assert len(QUARTERS) == 1 + 8 * 4 + 3  # the last December's ten sessions pass the horizon


@pytest.mark.parametrize("row", QUARTERS)
def test_each_quarter_brings_one_of_everything(row: int) -> None:
    lists = [members(DAYS[row + later]) for later in range(-1, PLAN.large + 2)]
    joined = [len(set(now) - set(before)) for before, now in pairwise(lists)]
    left = [len(set(before) - set(now)) for before, now in pairwise(lists)]
    assert joined == [2, 0, 1, 1, 1, 0, 0, 6, 0]  # the rename counts as a symbol that comes and one that goes
    assert left == [2, 0, 1, 1, 0, 0, 1, 6, 0]
    assert [len(found) for found in lists] == [503, 503, 503, 503, 503, 504, 504, 503, 503, 503]
    keys = [{line.key for line in found.values()} for found in lists]
    assert keys[PLAN.rename + 1] == keys[PLAN.rename]


def test_the_seven_stay_and_every_new_name_says_that_it_is_simulated() -> None:
    last = members(DAYS[-1])
    known = {symbol for line in read_lines() for symbol in (line.key, *(span.value for span in line.symbols))}
    new = {symbol: line.name_under(symbol) for symbol, line in last.items() if symbol not in known}
    assert set(facts.SEVEN) <= set(last)
    assert len(new) > 250
    assert [name for name in new.values() if "Simulated" not in name] == []
    assert len({line.main for line in last.values()}) == 500


@pytest.mark.parametrize("row", QUARTERS[:3])
def test_a_line_that_is_bought_has_no_close_for_two_sessions(row: int) -> None:
    for day, missing in ((DAYS[row - 3], 0), (DAYS[row - 2], 1), (DAYS[row - 1], 1), (DAYS[row], 0)):
        assert sum(not line.listed.holds(day) for line in members(day).values()) == missing


def test_ciks_and_symbols_belong_to_one_company() -> None:
    invented = [line for line in LINES if line.company.startswith("Simulated")]
    assert len({line.cik_on(DAYS[-1]) for line in invented}) == len(invented) == 10 * len(QUARTERS)
    for row in QUARTERS[:4]:
        listed = [line.symbol_on(DAYS[row + 8]) for line in LINES if line.listed.holds(DAYS[row + 8])]
        assert len(set(listed)) == len(listed)


def test_a_later_end_changes_nothing_before() -> None:
    today = date(2028, 12, 29)
    sooner = {line.key: line for line in invent_changes(read_lines(), list_sessions(find_horizon(today)))}
    days = [day for day in DAYS if day <= today]
    for day in days[:: len(days) // 40] + days[-260::10]:
        for line in LINES:
            if line.listed.holds(day) or line.is_member(day):
                other = sooner[line.key]
                assert (other.symbol_on(day), other.is_member(day)) == (line.symbol_on(day), line.is_member(day))
                assert other.listed.holds(day) == line.listed.holds(day)


def test_nothing_is_invented_before_the_first_quarter() -> None:
    before = FIRST_QUARTER.replace(day=18)
    assert {line.key for line in read_lines() if line.is_member(before)} == {x.key for x in members(before).values()}
    assert {day for day in list_unannounced(DAYS) if day.year == 2026} == {date(2026, 12, 23), date(2026, 12, 31)}
