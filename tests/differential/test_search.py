"""A backfilled month against the same month with every call made: the same counts and totals, on awkward months."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import pytest

from mag7.index.constituents import Line
from mag7.index.seven import SEVEN
from mag7.index.splits import SPLITS
from mag7.index.symbols import SYMBOL_HISTORY
from mag7.market.caps import PricedLine, price_line
from mag7.market.input_reader import InputReader, open_inputs
from mag7.paths import DATA
from mag7.sessions import list_sessions, month_ends
from mag7.tasks.collect import list_session_lines
from mag7.tasks.document import compute_session
from sandbox.market_responses import NOW, MarketResponses
from sandbox.polygon import facts
from tests.backfilled import Backfill

MONTHS = {
    "2020-11": "the first session alone, with counts frozen a year later",
    "2020-12": "Tesla joins, frozen counts",
    "2021-11": "counts thaw",
    "2022-06": "Amazon splits, FB becomes META, which details know a session later",
    "2022-07": "Alphabet splits",
    "2022-08": "Tesla splits",
    "2024-06": "Nvidia splits, its count a session early; Microsoft's market cap ends",
    "2024-07": "Microsoft without market cap",
    "2024-11": "Microsoft with market cap again",
}
FIRST = date(2020, 11, 30)
CALLS_A_SESSION = 70
"""Calls for details a session, where the month's first end is kept: asking all takes 505."""

EVERY = 40
"""In the quick test, every so many lines one to which nothing need happen."""


def list_month(month: str) -> tuple[date, ...]:
    first = date.fromisoformat(f"{month}-01")
    return list_sessions(max(first, FIRST), month_ends(first)[1])


def list_awkward(sessions: Sequence[date]) -> set[str]:
    """The seven, every line that splits or gets a new symbol near these sessions, and some others."""
    near = (sessions[0] - timedelta(days=10), sessions[-1] + timedelta(days=10))
    rows = [(row["ticker"], row["execution_date"]) for row in facts.read_table(DATA / SPLITS)]
    renamed = facts.read_table(DATA / SYMBOL_HISTORY)
    rows += [(row["ticker"], row["first_session"]) for row in renamed if row["first_session"]]
    found = {ticker for ticker, day in rows if near[0] <= date.fromisoformat(day) <= near[1]}
    lines = [line.ticker for line in list_session_lines(sessions[-1])]
    return {*SEVEN, "GOOG", *found, *lines[::EVERY]}


@pytest.fixture(scope="module")
def market() -> MarketResponses:
    return MarketResponses()


def count_of(reader: InputReader, session: date, line: Line) -> int | str:
    """A line's accepted count, or why there is none."""
    priced = price_line(reader.read_line(session, line))
    return priced.accepted.count if isinstance(priced, PricedLine) else priced.reason


@pytest.mark.parametrize("month", MONTHS, ids=[f"{month}: {what}" for month, what in MONTHS.items()])
def test_lines_to_which_much_happens_come_to_the_same_as_with_every_call(market: MarketResponses, month: str) -> None:
    sessions = list_month(month)
    awkward = list_awkward(sessions)
    backfill = Backfill(market, NOW)
    asked = backfill.collect(sessions, awkward)
    few, all_of_it = backfill.reader(), open_inputs(market)

    for session in sessions:
        lines = [line for line in list_session_lines(session) if line.ticker in awkward]
        found = {line.ticker: count_of(few, session, line) for line in lines}
        assert found == {line.ticker: count_of(all_of_it, session, line) for line in lines}, session
    if len(sessions) > 1:
        assert asked.total() < len(sessions) * len(awkward) / 2


def figures_of(reader: InputReader, sessions: Sequence[date]) -> Iterator[tuple[date, object, object]]:
    for session in sessions:
        figures = compute_session(reader, session)
        counts = {
            line.line.ticker: line.accepted.count if isinstance(line, PricedLine) else line.reason
            for line in (*figures.lines, *figures.seven_outside)
        }
        totals = figures.concentration
        yield session, counts, (totals.sp500_total_market_cap, totals.line_sum_market_cap, totals.mag7_pct_of_sp500)


@pytest.mark.slow
@pytest.mark.parametrize("month", MONTHS, ids=[f"{month}: {what}" for month, what in MONTHS.items()])
def test_a_backfilled_month_comes_to_the_same_as_with_every_call(market: MarketResponses, month: str) -> None:
    sessions = list_month(month)
    backfill = Backfill(market, NOW)
    asked = backfill.collect(sessions)
    first_end, _ = month_ends(sessions[0])
    further = asked.total() - asked[first_end]
    print(f"{month}: {len(sessions)} sessions, {asked.total() / len(sessions):.1f} calls for details a session,")
    print(f"  {further / len(sessions):.1f} with the first end kept")

    few = figures_of(backfill.reader(), sessions)
    all_of_it = figures_of(open_inputs(market), sessions)
    for (session, counts, totals), (_, all_counts, all_totals) in zip(few, all_of_it, strict=True):
        assert counts == all_counts, session
        assert totals == all_totals, session
    if len(sessions) > 1:
        assert further / len(sessions) <= CALLS_A_SESSION
        assert asked[first_end] <= 510
    assert backfill.collect(sessions).total() == 0
