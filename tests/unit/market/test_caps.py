"""A line's cap: by its own count, else an earlier session's, never one that may be on another split basis."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from mag7.index.share_counts import ReferenceCount
from mag7.index.splits import Split
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.inputs import LookBack
from mag7.market.split_basis import SplitBasisInputs, SplitCounts
from mag7.polygon.bars import leave_out_impossible
from tests.unit.market.conftest import Make

MAKE = Make()


def price_with(close: str, back: LookBack) -> PricedLine | FailedLine:
    inputs = MAKE.inputs(MAKE.line("KO"), None, close, look_back=back, details_failure="HTTP 404")
    return price_line(inputs)


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
    inputs = MAKE.inputs(MAKE.line("KO"), None, "61.50", details_failure="HTTP 404")
    failed = price_line(inputs)
    assert isinstance(failed, FailedLine)
    assert failed.reason == "HTTP 404"


def price_beside(count: int, yesterday: LookBack | None, **changes: object) -> PricedLine | FailedLine:
    return price_line(MAKE.inputs(MAKE.line("KO"), count, "61.50", yesterday=yesterday, **changes))


def back(count: int, factor: Fraction = Fraction(1)) -> LookBack:
    return LookBack(date(2024, 12, 12), count, Decimal("61.50") * int(factor), factor=factor)


@pytest.mark.parametrize(("count", "continuous"), [(139, True), (140, False), (72, True), (71, False), (5, False)])
def test_a_count_may_move_by_less_than_a_split_of_7_for_5_both_ways(count: int, continuous: bool):
    found = price_beside(count, back(100))
    assert isinstance(found, PricedLine) is continuous
    if isinstance(found, FailedLine):
        assert found.reason.startswith("the count went from 100 (2024-12-12, on this session's split basis) to ")
        assert "times as many, and no known split explains it: add it to " in found.reason


@pytest.mark.parametrize(("count", "continuous"), [(1000, True), (1390, True), (100, False), (10_000, False)])
def test_the_count_before_is_compared_across_a_known_split(count: int, continuous: bool):
    assert isinstance(price_beside(count, back(100, Fraction(10))), PricedLine) is continuous


def test_a_session_before_that_cannot_be_had_is_flagged():
    found = price_beside(100, None)
    assert isinstance(found, PricedLine)
    assert found.accepted.flags == ("continuity_skipped",)


def test_a_frozen_count_is_flagged_and_compared():
    found = price_beside(100, back(100), frozen=True)
    assert isinstance(found, PricedLine)
    assert found.accepted.flags == ("frozen_count",)
    assert isinstance(price_beside(200, back(100), frozen=True), FailedLine)


def test_an_earlier_count_is_multiplied_across_a_known_split():
    priced = price_with(
        "121.79", LookBack(date(2024, 6, 7), 2_460_000_000, Decimal("1208.88"), factor=Fraction(10), frozen=True)
    )
    assert isinstance(priced, PricedLine)
    assert priced.accepted.count == 24_600_000_000
    assert priced.accepted.flags == ("look_back", "count_of_2024-06-07", "frozen_count")


def test_an_earlier_count_is_not_multiplied_where_the_price_did_not_split():
    failed = price_with("1208.88", LookBack(date(2024, 6, 7), 2_460_000_000, Decimal("1209.98"), factor=Fraction(10)))
    assert isinstance(failed, FailedLine)
    assert "is not used: the price went from 1209.98 to 1208.88" in failed.reason


def test_an_earlier_count_is_held_to_the_reference_but_not_judged_by_splits_again():
    """The look-back has put it on its basis; the split after it is in the factor."""
    ten = Split("X-ko", "KO", date(2024, 12, 13), Decimal(1), Decimal(10), "test")
    reference = ReferenceCount("X-ko", date(2024, 11, 1), 24_000_000_000, "a filing"), Fraction(24_000_000_000)
    basis = SplitBasisInputs(date(2024, 12, 13), (SplitCounts(ten, after=2_460_000_000),), reference)
    near = LookBack(date(2024, 12, 12), 2_460_000_000, Decimal(1210), factor=Fraction(10))
    for found, kind in ((near, PricedLine), (replace(near, count=820_000_000), FailedLine)):
        inputs = MAKE.inputs(MAKE.line("KO"), None, "121", look_back=found, split_basis=basis)
        assert isinstance(price_line(inputs), kind)


def test_a_bar_that_contradicts_itself_is_flagged_and_its_close_used(make: Make):
    inputs = make.inputs(make.line("NVDA"), 24_490_000_000, "134.25")
    low = replace(inputs.bar, low=Decimal("0.92"))
    priced = price_line(replace(inputs, bar=leave_out_impossible(low)))

    assert isinstance(priced, PricedLine)
    assert (priced.market_cap, priced.bar.low) == (Decimal("3287782500000.00"), None)
    assert priced.accepted.flags == ("bar_inconsistent",)
