"""What a slow plan makes of a run, said before it starts."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from mag7.lake.keys import answers_date
from sandbox import cost
from sandbox.stack import Stack
from sandbox.tally import StoredCalls

SESSION, BEFORE = date(2024, 12, 13), date(2024, 12, 12)
LINES = 503


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[date, int]:
    """How many responses are stored of a session."""
    found: dict[date, int] = {}

    def count(_: None, prefix: str) -> StoredCalls:
        assert prefix.startswith("raw/polygon/ticker_details/")
        calls = found.get(answers_date(prefix), 0)
        return StoredCalls(calls, calls)

    monkeypatch.setattr(cost, "open_stack", lambda _: SimpleNamespace(store=None))
    monkeypatch.setattr(cost, "count_stored", count)
    return found


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack for a key of the free plan."""
    monkeypatch.setenv("POLYGON_PLAN", "free")
    monkeypatch.delenv("POLYGON_CALLS_PER_MINUTE", raising=False)
    return Stack(Path("stack"), "polygon", "http://127.0.0.1:1", "https://api.polygon.io", simulated=False)


def test_a_first_session_says_what_it_and_a_later_one_cost(free: Stack, stored: dict[date, int]) -> None:
    assert cost.describe_session_cost(free, SESSION, again=False) == (
        "the plan's limit is 5 calls a minute: this run takes about 1,006 calls, at least 3 h 21 min; if it is stopped,"
        " the same command continues from the stored responses\n"
        "503 of these calls are for the session before, which this one is compared with: a session after a stored one"
        " takes about 503 calls, at least 1 h 41 min"
    )


def test_what_is_stored_is_not_counted(free: Stack, stored: dict[date, int]) -> None:
    stored |= {BEFORE: LINES, SESSION: 203}
    told = cost.describe_session_cost(free, SESSION, again=False)
    assert told is not None
    assert "about 300 calls, at least 1 h 00 min" in told
    assert "\n" not in told
    stored[SESSION] = LINES
    assert cost.describe_session_cost(free, SESSION, again=False) is None
    again = cost.describe_session_cost(free, SESSION, again=True)
    assert again is not None
    assert "about 503 calls" in again


def test_a_range_says_what_it_costs_at_most(free: Stack) -> None:
    told = cost.describe_range_cost(free, date(2022, 3, 1), date(2022, 4, 29))
    assert told is not None
    # 43 sessions' closes, and what the search for two months' counts is expected to take.
    assert "about 2,5" in told
    assert "at least 8 h" in told


@pytest.mark.parametrize("calls_per_minute", ["0", "5400"])
def test_a_fast_plan_says_nothing(
    free: Stack, stored: dict[date, int], monkeypatch: pytest.MonkeyPatch, calls_per_minute: str
) -> None:
    monkeypatch.setenv("POLYGON_CALLS_PER_MINUTE", calls_per_minute)
    assert cost.describe_session_cost(free, SESSION, again=False) is None
    assert cost.describe_range_cost(free, date(2022, 3, 1), date(2022, 3, 31)) is None


def test_a_day_that_the_run_refuses_is_left_to_it() -> None:
    assert cost._count_lines([date(2020, 1, 2)]) == 0
    assert cost._count_lines([SESSION]) == LINES
