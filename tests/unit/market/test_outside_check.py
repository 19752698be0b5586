"""The seven's part of the index by full caps against a fund that is weighted by free float, on one real day."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from mag7.index.constituents import list_lines
from mag7.index.holdings import Holdings, read_holdings
from mag7.index.seven import SEVEN, seven_lines
from mag7.market.caps import price_line
from mag7.market.concentration import Concentration, measure_concentration
from mag7.market.input_reader import open_inputs
from sandbox.market_responses import MarketResponses

REFERENCE = Path(os.environ.get("REFERENCE_DATA") or Path(__file__).parents[4] / "shared/data")
FUND = REFERENCE / "IVV_holdings_2024-12-06.csv"

POINTS = Decimal("1.5")
"""Free float leaves out founders' and other held shares, of the seven (Amazon, Meta, Tesla, Alphabet) and of others."""

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not FUND.exists(), reason="REFERENCE_DATA names no folder with the real holdings file"),
]


@pytest.fixture(scope="module")
def fund() -> Holdings:
    return read_holdings(FUND)


@pytest.fixture(scope="module")
def full(fund: Holdings) -> Concentration:
    """The figures by full caps of the day of the holdings, from the offline market's answers."""
    inputs = open_inputs(MarketResponses()).read_lines(fund.as_of, list_lines(fund.as_of))
    return measure_concentration([price_line(line) for line in inputs], [])


def weigh(fund: Holdings, issuers: set[str]) -> Decimal:
    """Add up companies' part of the fund's equity in per cent; a company is all of its lines, as GOOG and GOOGL."""
    issuer_of = {line.symbol: line.issuer for line in list_lines(fund.as_of)}
    total = sum(line.market_value for line in fund.lines)
    return sum(100 * line.market_value / total for line in fund.lines if issuer_of[line.symbol] in issuers)


def test_the_seven_weigh_in_the_fund_what_their_full_caps_say_within_a_point_and_a_half(
    fund: Holdings, full: Concentration
) -> None:
    floated = weigh(fund, {line.issuer for line in seven_lines(fund.as_of)})

    assert full.coverage.companies_priced == 500
    assert abs(full.mag7_pct_of_sp500 - floated) <= POINTS


def test_a_line_sum_or_alphabet_without_its_second_line_would_be_seen(fund: Holdings, full: Concentration) -> None:
    """Counting Alphabet twice in the total, or half of it in the fund, ends further from the fund than the truth."""
    floated = weigh(fund, {line.issuer for line in seven_lines(fund.as_of)})
    only_main_lines = sum(
        100 * line.market_value / sum(line.market_value for line in fund.lines)
        for line in fund.lines
        if line.symbol in SEVEN
    )

    assert full.line_sum_mag7_pct is not None
    for wrong, right in ((full.line_sum_mag7_pct, floated), (full.mag7_pct_of_sp500, only_main_lines)):
        assert abs(wrong - right) > abs(full.mag7_pct_of_sp500 - floated)


def test_each_of_the_sevens_part_is_smaller_by_float_where_insiders_hold_much(
    fund: Holdings, full: Concentration
) -> None:
    smaller = {
        ranked.priced.line.ticker
        for ranked in full.ranked
        if ranked.pct_of_sp500 and weigh(fund, {ranked.priced.line.issuer}) < ranked.pct_of_sp500
    }

    assert {"AMZN", "META", "TSLA", "GOOGL"} <= smaller
