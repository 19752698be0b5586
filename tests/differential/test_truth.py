"""Every cap against the truth that the offline market knows and its answers bend, over the whole range of sessions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise

import pytest

from mag7.index.constituents import Line, list_lines
from mag7.index.seven import SEVEN
from mag7.index.splits import SPLITS
from mag7.index.symbols import SYMBOL_HISTORY
from mag7.market.caps import FROZEN, FailedLine, PricedLine, price_line
from mag7.market.figures import SessionFigures
from mag7.market.input_reader import open_inputs
from mag7.market.response_reader import COUNTS_FROZEN_BEFORE
from mag7.paths import DATA
from mag7.sessions import list_sessions, next_session, previous_session
from mag7.settings import Settings
from mag7.tasks.document import compute_session, judge_coverage
from sandbox.market_responses import NAMED, NOW, MarketResponses, open_market, work_out
from sandbox.polygon import facts
from sandbox.polygon import settings as market
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.truth import UnknownLineError, true_market_cap, true_split_factor

FIRST, LAST = date(2020, 11, 30), date(2024, 12, 13)

THAW = COUNTS_FROZEN_BEFORE
"""From this session on counts are the day's own, so those of the session before differ by up to a year's issuance."""

THAW_SESSION = next_session(previous_session(THAW))

UNFLAGGED, FROZEN_ROWS, FLAGGED_PART, STEP = 0.001, 0.10, 0.01, 0.02

ORIGIN_FLAGS = {"count_behind_market_cap", "share_class_count", "market_cap_missing"}
"""Of a frozen row they say the same again: two counts of one answer disagree, as in the recorded one of 2020-10-01."""


@dataclass(frozen=True)
class Row:
    """A priced line: how far its cap is off the truth (0.01: one per cent), and its flags."""

    session: date
    ticker: str
    off: float
    flags: tuple[str, ...]

    @property
    def frozen(self) -> bool:
        return FROZEN in self.flags

    @property
    def flagged(self) -> bool:
        """Whether there is more to say of the row than that its count is frozen."""
        return bool({*self.flags} - ({FROZEN, *ORIGIN_FLAGS} if self.frozen else set()))


@dataclass
class Comparison:
    """What came of comparing many lines: rows that say something, and how many there were."""

    rows: int = 0
    flagged: list[Row] = field(default_factory=list)
    worst: dict[str, Row] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, lines: Iterable[PricedLine | FailedLine], session: date) -> None:
        for line in lines:
            ticker = line.line.ticker
            try:
                truth = true_market_cap(ticker, session)
            except UnknownLineError:
                assert isinstance(line, FailedLine), f"{ticker} on {session} is priced, though it did not trade"
                continue
            if isinstance(line, FailedLine):
                self.failed.append(f"{session} {ticker}: {line.reason}")
                continue
            row = Row(session, ticker, abs(float(line.market_cap / truth) - 1), line.accepted.flags)
            self.rows += 1
            self.flagged += [row] if row.flagged else []
            kind = FROZEN if row.frozen else "flagged" if row.flags else "unflagged"
            self.worst[kind] = max(row, self.worst.get(kind, row), key=lambda other: other.off)

    def add_session(self, figures: SessionFigures) -> None:
        self.add((*figures.lines, *figures.seven_outside), figures.session)
        self.refused += [f"{figures.session}: {reason}" for reason in judge_coverage(figures, Settings())]

    def show(self) -> str:
        """Every figure of the comparison, for `pytest -s`."""
        worst = "; ".join(f"{kind} {row.off:.5%} ({row.ticker} {row.session})" for kind, row in self.worst.items())
        return f"{self.rows} rows, {len(self.flagged) / self.rows:.3%} flagged, worst: {worst}"


@pytest.fixture(
    scope="module", params=["named", pytest.param("all", marks=pytest.mark.slow)], ids=["sample", "whole_range"]
)
def sessions(request: pytest.FixtureRequest) -> tuple[date, ...]:
    return NAMED if request.param == "named" else list_sessions(FIRST, LAST)


@dataclass
class Range:
    """A stretch of sessions worked out: the comparison, and the seven's counts of each session by ticker."""

    comparison: Comparison
    seven: dict[date, dict[str, PricedLine]]


@pytest.fixture(scope="module")
def worked_out(sessions: tuple[date, ...]) -> Range:
    found = Range(Comparison(), {})
    for session in sessions:
        figures = work_out(session) if session in NAMED else compute_session(open_market(), session)
        found.comparison.add_session(figures)
        found.seven[session] = {ticker: line for ticker, line in figures.seven.items() if isinstance(line, PricedLine)}
    print(found.comparison.show())
    return found


def test_the_range_is_every_session_of_it() -> None:
    assert len(list_sessions(FIRST, LAST)) == 1017
    assert set(NAMED) <= set(list_sessions(FIRST, LAST))


def test_no_line_fails_that_the_market_can_answer_and_no_session_is_refused(worked_out: Range) -> None:
    assert worked_out.comparison.failed == []
    assert worked_out.comparison.refused == []


def test_caps_are_the_truth(worked_out: Range) -> None:
    worst = worked_out.comparison.worst

    assert worst["unflagged"].off <= UNFLAGGED, worst["unflagged"]
    assert worst[FROZEN].off <= FROZEN_ROWS, worst[FROZEN]
    # A flag warns of an answer that is odd; what was made of it is no less right.
    assert worst["flagged"].off <= UNFLAGGED, worst["flagged"]


def test_few_rows_have_more_to_say_than_that_their_count_is_frozen(worked_out: Range) -> None:
    comparison = worked_out.comparison

    assert 0 < len(comparison.flagged) <= FLAGGED_PART * comparison.rows


def test_caps_of_the_seven_move_as_their_prices_do(worked_out: Range) -> None:
    """From each session to the next that was worked out, across every split and rename."""
    moved = [
        (ticker, earlier, later, count_step(before[ticker], after[ticker], earlier, later))
        for (earlier, before), (later, after) in pairwise(worked_out.seven.items())
        if later == next_session(earlier)
        for ticker in SEVEN
    ]

    assert {later for _, _, later, _ in moved} >= {later for later in NAMED if previous_session(later) in NAMED}
    assert [step for step in moved if step[3] > (STEP if step[2] != THAW_SESSION else FROZEN_ROWS)] == []


def count_step(before: PricedLine, after: PricedLine, earlier: date, later: date) -> float:
    """By how much a cap moved more than the split-adjusted price did (0.02: two per cent)."""
    factor = true_split_factor(before.line.ticker, earlier, later)
    cap_ratio = float(after.market_cap / before.market_cap)
    price_ratio = float(after.bar.close / before.bar.close) * factor
    return abs(cap_ratio / price_ratio - 1)


@pytest.mark.parametrize("session", [day for day in NAMED if day < date(2023, 1, 1)], ids=str)
def test_what_is_listed_and_did_not_happen_is_not_applied(session: date) -> None:
    """The market lists a spin-off of GE, and the first days of two splits that were postponed by 63 days."""
    listed = {
        "ISRG 3 for 1 on 2021-08-03",
        "CPRT 2 for 1 on 2022-09-02",
        "GE 1281 for 1000 on 2023-01-04",
    }
    refused = {f"{item.split.ticker} {item.split}" for item in open_market().splits.table(session).list_refused()}

    assert refused == {name for name in listed if date.fromisoformat(name[-10:]) > session - timedelta(days=200)}


def list_changes() -> list[tuple[str, date]]:
    """Every member and session up to the market's today that splits or is renamed, by its tables and by ours."""
    found = {(split.symbol, split.execution_date) for split in facts.splits()}
    found |= {(row["ticker"], date.fromisoformat(row["execution_date"])) for row in facts.read_table(DATA / SPLITS)}
    renamed = [row for row in facts.read_table(DATA / SYMBOL_HISTORY) if row["first_session"]]
    found |= {(row["ticker"], date.fromisoformat(row["first_session"])) for row in renamed}
    merged = {(ticker, day) for ticker, day, _ in facts.count_jumps()}
    days = [(ticker, day) for ticker, day in found - merged if FIRST < day <= NOW.date()]
    inside = [(ticker, day) for ticker, day in days if find_member(ticker, day) is not None]
    return sorted(inside, key=lambda change: (change[1], change[0]))


def find_member(ticker: str, session: date) -> Line | None:
    return next((line for line in list_lines(session) if line.ticker == ticker), None)


@pytest.mark.parametrize(("ticker", "day"), list_changes(), ids=str)
def test_a_split_or_a_rename_leaves_the_cap_where_it_was(ticker: str, day: date) -> None:
    comparison, priced = Comparison(), {}
    for session in (previous_session(day), day, next_session(day)):
        line = find_member(ticker, session)
        if line is not None:
            priced[session] = price_line(open_market().read_line(session, line))
            comparison.add([priced[session]], session)

    assert comparison.failed == []
    for row in comparison.worst.values():
        assert row.off <= (FROZEN_ROWS if row.frozen else UNFLAGGED), row
    for (earlier, before), (later, after) in pairwise(priced.items()):
        assert isinstance(before, PricedLine)
        assert isinstance(after, PricedLine)
        assert count_step(before, after, earlier, later) <= STEP


@pytest.mark.parametrize("session", [day for day in NAMED if day >= THAW], ids=str)
def test_the_evening_of_a_session_knows_no_later_count_and_comes_to_the_same(session: date) -> None:
    """That evening nothing can be asked for beyond it, and market caps may rest on the close before."""
    clock = Clock(datetime.combine(session, time(21), NEW_YORK))
    evening = MarketResponses(market.Settings(clock=clock, evening=True))
    figures = compute_session(open_inputs(evening), session)
    comparison = Comparison()
    comparison.add_session(figures)

    assert evening.grouped(next_session(session)).status == 403
    assert (comparison.failed, comparison.refused) == ([], [])
    assert max(row.off for row in comparison.worst.values()) <= UNFLAGGED
