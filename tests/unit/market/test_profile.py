"""The profile of a session, and its differences from the session before."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from mag7.index.splits import RefusedSplit, Split, SplitTable
from mag7.market.figures import compute_figures, write_document
from mag7.market.profile import list_changed, list_departures, profile_document
from mag7.polygon.answers import Answer
from tests.unit.market.conftest import Make

SESSION = date(2024, 12, 13)
ANSWERS = (Answer("1", datetime(2024, 12, 14, tzinfo=UTC), 200, "x", "", None, "k1"),)


@pytest.fixture
def profile(make: Make) -> dict[str, Any]:
    inputs = [
        make.inputs(make.line("MSFT"), 7_434_880_776, "447.27", answers=ANSWERS),
        make.inputs(make.line("AAPL"), 15_115_823_000, "248.13", yesterday=None),
        make.inputs(make.line("XOM"), None, "107.5"),
    ]
    figures = compute_figures(SESSION, inputs, [make.inputs(make.line("TSLA"), 3_210_059_659, "436.23")])
    document = write_document(figures, "simulated", datetime(2024, 12, 14, tzinfo=UTC))
    return profile_document(document) | {"rows": {"daily_trading": 3, "failed_collections": 1}}


def test_counts_flags_origins_and_failures_of_all_lines(profile: dict[str, Any]) -> None:
    assert profile["flags"] == {"continuity_skipped": 1}
    assert sum(profile["origins"].values()) == 3
    assert profile["failed"] == {"XOM": "no details of XOM"}
    assert (profile["source"], profile["companies_priced"], profile["quality"]) == ("simulated", 2, "partial")


def test_the_same_is_no_departure_and_figures_may_move(profile: dict[str, Any]) -> None:
    assert list_departures(profile, {**profile, "mag7_pct_of_sp500": 99.0}) == []


def test_every_other_difference_is_named(profile: dict[str, Any]) -> None:
    after = {
        **profile,
        "source": "api.polygon.io",
        "rows": {"daily_trading": 4, "failed_collections": 1},
        "flags": {"frozen_count": 2},
        "failed": {"MSFT": "HTTP 500 after 5 tries"},
    }

    assert list_departures(profile, after) == [
        "source: api.polygon.io, before simulated",
        "rows daily_trading: 4, before 3",
        "flags continuity_skipped: 0, before 1",
        "flags frozen_count: 2, before 0",
        "MSFT failed: HTTP 500 after 5 tries",
        "XOM no longer fails",
    ]


def test_a_session_that_was_not_loaded_has_no_rows_to_compare(profile: dict[str, Any]) -> None:
    published = {name: value for name, value in profile.items() if name != "rows"}

    assert list_departures(profile, published) == list_departures(published, profile) == []


def test_versions_that_came_went_and_changed_are_named() -> None:
    before, after = {"pandas": "2.1", "pyarrow": "20", "old": "1"}, {"pandas": "2.2", "pyarrow": "20", "new": "1"}

    assert list_changed("version of", before, after) == [
        "version of new: 1, before none",
        "version of old: none, before 1",
        "version of pandas: 2.2, before 2.1",
    ]


def test_a_listed_split_that_is_not_applied_stands_in_document_and_profile_with_its_reason(
    make: Make, profile: dict[str, Any]
) -> None:
    split = Split("X-ge", "GE", date(2023, 1, 4), Decimal(1000), Decimal(1281), "provider")
    table = SplitTable({}, refused={"X-ge": (RefusedSplit(split, "the count stands", settled=True),)})
    inputs = [make.inputs(make.line("MSFT"), 7_434_880_776, "447.27", answers=ANSWERS)]
    figures = compute_figures(SESSION, inputs, [], table)
    document = write_document(figures, "simulated", datetime(2024, 12, 14, tzinfo=UTC))

    (entry,) = document.contested_splits
    assert (entry.ticker, entry.execution_date, entry.reason) == ("GE", date(2023, 1, 4), "the count stands")
    assert document.splits == []
    after = {**profile, "contested_splits": profile_document(document)["contested_splits"]}
    assert list_departures(profile, after) == [
        "listed split GE 1281 for 1000 on 2023-01-04 is not applied: the count stands"
    ]
