"""A line's price: its own count, else an earlier session's, never one that may stand on another split basis."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from mag7.market.caps import FailedLine, LookBack, PricedLine, price_line
from tests.unit.market.conftest import Make

MAKE = Make()


def price_with(close: str, back: LookBack) -> PricedLine | FailedLine:
    evidence = MAKE.evidence(MAKE.line("KO"), None, close, look_back=back, details_failure="HTTP 404")
    return price_line(evidence)


def test_an_earlier_sessions_count_is_taken_and_flagged():
    priced = price_with("61.50", LookBack(date(2024, 12, 12), 4_300_000_000, Decimal("63.10")))
    assert isinstance(priced, PricedLine)
    assert priced.market_cap == 4_300_000_000 * Decimal("61.50")
    assert priced.accepted.flags == ("look_back", "count_of_2024-12-12")


@pytest.mark.parametrize("close", ["121.79", "2417.76", "1.20"])
def test_a_count_from_before_a_split_is_not_multiplied_with_a_price_after_it(close: str):
    failed = price_with(close, LookBack(date(2024, 6, 7), 2_460_000_000, Decimal("1208.88")))
    assert isinstance(failed, FailedLine)
    assert failed.reason == (f"HTTP 404; the count of 2024-06-07 is not used: the price went from 1208.88 to {close}")


def test_nothing_earlier_leaves_the_true_reason():
    evidence = MAKE.evidence(MAKE.line("KO"), None, "61.50", details_failure="HTTP 404")
    failed = price_line(evidence)
    assert isinstance(failed, FailedLine)
    assert failed.reason == "HTTP 404"
