"""Each session ends with a right figure, also on days on which anything changes and as their evenings see them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time

import pytest

from mag7.market.input_reader import open_inputs
from mag7.sessions import list_sessions, next_session, previous_session
from mag7.tasks.document import compute_session
from sandbox.market_responses import MarketResponses, open_market
from sandbox.polygon import facts
from sandbox.polygon.market import load_market
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings
from tools.docs.validation_table import LAST, REGION, list_validated, render
from tools.validation import Verdict, judge

SINCE = date(2025, 7, 1)
ROUNDING, SHARE = 1e-6, 0.05

WITHOUT_CLOSE = {
    **{day: {"HES"} for day in list_sessions(date(2025, 7, 18), date(2025, 7, 22))},
    **{day: {"DAY"} for day in list_sessions(date(2026, 2, 4), date(2026, 2, 6))},
}
"""Lines that stopped trading before they left the index."""

SPUN_OFF = {
    *(date(2025, 10, 30), date(2025, 11, 3), date(2026, 6, 1), date(2026, 6, 29)),
    *list_sessions(date(2026, 10, 1), date(2026, 10, 5)),
}
"""Sessions of 504 lines since July 2025."""

SAMPLE = (
    *(date(2025, 7, 22), date(2025, 7, 23), date(2025, 10, 30), date(2025, 11, 3), date(2025, 11, 17)),
    *(date(2025, 12, 1), date(2026, 1, 15), date(2026, 2, 4), date(2026, 2, 10), date(2026, 5, 7), date(2026, 6, 24)),
    *(date(2026, 6, 29), date(2026, 6, 30), date(2026, 7, 2), date(2026, 8, 18), date(2026, 10, 1), date(2026, 10, 6)),
    *(date(2026, 10, 7), LAST),
)
"""Changes of each kind: a split, a spin-off, both on one day, a merger, a rename, a new CIK, a line without a close."""

EVENINGS = (date(2022, 1, 10), date(2025, 11, 17), date(2025, 11, 3), date(2026, 6, 29), date(2026, 7, 2))


def list_changes() -> Iterator[date]:
    """List the sessions on which anything changes in the market since July 2025, and those beside them."""
    market = load_market(LAST)
    days = {split.execution_date for split in facts.splits()} | {day for _, day, _ in facts.count_jumps()}
    for line in market.lines:
        spans = (*line.member, *line.symbols, *line.ciks, line.listed)
        days |= {span.first for span in spans} | {span.last for span in spans}
    sessions = list_sessions(SINCE, LAST)
    changed = [session for session in sessions if session in days]
    beside = {*changed, *map(previous_session, changed), *map(next_session, changed)}
    return (session for session in sessions if session in beside)


def assert_right(verdict: Verdict) -> None:
    session = verdict.session
    assert (verdict.refusals, verdict.strangers) == ((), ())
    assert set(verdict.reasons) == WITHOUT_CLOSE.get(session, set())
    assert verdict.quality != "partial"
    assert verdict.lines == (504 if session in SPUN_OFF else 503) or session < SINCE
    assert verdict.share_off <= ROUNDING
    assert max(verdict.unflagged_off, verdict.flagged_off) <= ROUNDING, verdict


@pytest.mark.parametrize("session", SAMPLE, ids=str)
def test_a_change_leaves_the_session_right(session: date) -> None:
    assert_right(judge(compute_session(open_market(), session)))


@pytest.mark.slow
def test_every_change_since_july_2025_leaves_the_sessions_round_it_right() -> None:
    for session in list_changes():
        assert_right(judge(compute_session(open_market(), session)))


def work_out_evening(session: date) -> Verdict:
    clock = Clock(datetime.combine(session, time(21), NEW_YORK))
    market = MarketResponses(Settings(clock=clock, evening=True))
    return judge(compute_session(open_inputs(market), session))


@pytest.mark.parametrize("session", EVENINGS, ids=str)
def test_the_evening_of_a_change_comes_to_the_same(session: date) -> None:
    """Nothing after the session can be asked for, and market caps may rest on the close before."""
    assert_right(work_out_evening(session))


@pytest.mark.slow
def test_the_evening_of_every_change_since_july_2025_comes_to_the_same() -> None:
    for session in list_changes():
        assert_right(work_out_evening(session))


def test_the_table_has_every_year_and_all_its_sessions() -> None:
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in REGION.read().splitlines()[2:]]

    assert sum(int(row[1]) for row in rows) == len(list_validated())
    assert [row[0] for row in rows] == sorted({str(session.year) for session in list_validated()})
    # Counts are of another date before November 2021; Microsoft's of 2024 are those of one share class, and flagged.
    assert [row[3] for row in rows] == ["0.000"] * len(rows)
    assert max(float(row[2]) for row in rows if row[0] >= "2022") <= SHARE / 10
    assert [row[5:] for row in rows] == [["0", "0"]] * len(rows)
    assert max(float(row[2]) for row in rows) <= 2 * SHARE


@pytest.mark.slow
def test_the_table_is_what_every_session_comes_to() -> None:
    assert REGION.read() == render(), f"refresh it with `make {REGION.command}`"
