"""What the figures mean: company caps, the line sum, the share, ranks, coverage."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.index.seven import SEVEN
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.concentration import (
    CoverageBounds,
    NothingPricedError,
    list_refusals,
    measure_concentration,
    measure_coverage,
)
from mag7.market.inputs import LastKnownCap, LookBack
from tests.unit.market.conftest import Make

BOUNDS = CoverageBounds(Decimal(99), Decimal("99.5"))
MAKE = Make()
DAY = date(2024, 12, 12)


def priced(ticker: str, cap: int, **line: object) -> PricedLine:
    found = price_line(MAKE.inputs(MAKE.line(ticker, **line), cap, "1"))
    assert isinstance(found, PricedLine)
    return found


def failed(ticker: str, look_back: LookBack | None = None, **changes: object) -> FailedLine:
    changes = {"bar_failure": "no bar", **changes}
    inputs = MAKE.inputs(MAKE.line(ticker), None, None, look_back=look_back, **changes)
    found = price_line(inputs)
    assert isinstance(found, FailedLine)
    return found


def test_a_company_with_two_lines_counts_once_and_twice_in_the_line_sum():
    lines = [priced("GOOGL", 60, issuer="G"), priced("GOOG", 61, issuer="G", main_line=False), priced("XOM", 40)]
    figures = measure_concentration(lines, [])
    assert figures.sp500_total_market_cap == 100
    assert figures.mag7_pct_of_sp500 == 60
    assert figures.line_sum_market_cap == 161
    assert figures.line_sum_mag7_pct == Decimal(6000) / 161
    assert figures.hhi == 60**2 + 40**2
    assert figures.effective_companies == Decimal(10_000) / 5200


def test_tesla_before_its_admission_is_in_the_seven_but_not_in_the_share():
    figures = measure_concentration([priced("AAPL", 60), priced("XOM", 40)], [priced("TSLA", 90)])
    assert figures.total_mag7_market_cap == 150
    assert figures.mag7_in_index_market_cap == 60
    assert figures.mag7_pct_of_sp500 == 60
    assert [(item.priced.line.ticker, item.ranking, item.pct_of_sp500) for item in figures.ranked] == [
        ("TSLA", 1, None),
        ("AAPL", 2, Decimal(60)),
    ]


@pytest.mark.parametrize(
    ("outside", "quality"), [("priced", "complete"), ("flagged", "flagged"), ("failed", "partial")]
)
def test_quality_counts_tesla_before_its_admission(outside: str, quality: str):
    plain = priced("TSLA", 90)
    flagged = replace(plain, accepted=replace(plain.accepted, flags=("share_class_count",)))
    tesla = {"priced": plain, "flagged": flagged, "failed": failed("TSLA")}[outside]
    assert measure_concentration([priced("AAPL", 60), priced("XOM", 40)], [tesla]).quality == quality


def test_a_missing_line_leaves_no_line_sum_and_never_counts_as_zero():
    figures = measure_concentration([priced("AAPL", 60), failed("XOM")], [])
    assert figures.line_sum_market_cap is None
    assert figures.line_sum_mag7_pct is None
    assert figures.quality == "partial"


def test_coverage_takes_the_cap_of_an_earlier_session_else_the_last_known_one_of_an_unpriced_company():
    back = LookBack(date(2024, 12, 12), count=30, close=Decimal(1))
    known = LastKnownCap(Decimal(60), "published cap of 2024-12-06")
    coverage = measure_coverage(
        [priced("AAPL", 50), priced("XOM", 10), failed("CVX", back), failed("KO", last_known=known)]
    )
    assert coverage.cap_pct == Decimal(6000) / (50 + 10 + 30 + 60)
    assert [(company.assumed_market_cap, company.basis) for company in coverage.unpriced] == [
        (30, "cap of 2024-12-12"),
        (60, "published cap of 2024-12-06"),
    ]
    assert (coverage.companies_priced, coverage.companies_expected, coverage.companies_pct) == (2, 4, 50)


def test_no_priced_company_is_an_error():
    with pytest.raises(NothingPricedError, match="no company of 1 lines could be priced, such as XOM: no bar"):
        measure_concentration([failed("XOM")], [])


def test_refusals_name_the_missing_one_of_the_seven_and_the_bounds():
    lines = [priced("AAPL", 60), failed("XOM", LookBack(DAY, count=60, close=Decimal(1)))]
    refusals = list_refusals(measure_concentration(lines, []), [failed("NVDA")], BOUNDS)
    assert refusals[0] == "NVDA (NVDA Corp), one of the seven, could not be priced: no bar"
    assert refusals[1].startswith("only 1 of 2 companies are priced (50.00 %), at least 99 %")
    assert refusals[2].startswith("only 50.00 % of the index's market capitalization is priced")
    assert list_refusals(measure_concentration([priced("AAPL", 60)], []), [], BOUNDS) == []


def test_a_company_of_which_nothing_is_known_refuses_the_session_however_small_it_may_be():
    """Berkshire is a 404 on every date. Counted as a mean company, coverage was 99.80 % instead of 97.95 %."""
    lines = [*(priced(f"T{place}", 10) for place in range(499)), failed("BRK.B")]
    (refusal,) = list_refusals(measure_concentration(lines, []), [], BOUNDS)

    assert refusal.startswith("BRK.B (BRK.B Corp) could not be priced, and neither a cap of an earlier session nor")


def test_a_line_that_stopped_trading_before_it_leaves_the_index_does_not_lower_the_quality():
    back = LookBack(DAY, count=1, close=Decimal(1))
    bought = failed("HES", back, bar_failure=None, stopped_trading=True)
    missing = failed("HES", back)

    assert measure_concentration([priced("AAPL", 60), bought], []).quality == "complete"
    assert measure_concentration([priced("AAPL", 60), missing], []).quality == "partial"


def compared(ticker: str, cap: int, before: int | None) -> PricedLine:
    """A line with its company's cap on the session before; None where that is not known."""
    line = priced(ticker, cap)
    yesterday = None if before is None else LookBack(DAY, before, Decimal(1))
    return replace(line, inputs=replace(line.inputs, yesterday=yesterday))


def test_the_share_before_is_that_of_todays_companies():
    """A second line does not count, as today; a line that failed today is left out of yesterday, too."""
    second = priced("GOOG", 99, issuer="G", main_line=False)
    lines = [compared("AAPL", 60, 50), compared("XOM", 40, 200), second, failed("KO", LookBack(DAY, 500, Decimal(1)))]
    figures = measure_concentration(lines, [compared("TSLA", 90, 80)])

    assert figures.mag7_pct_of_sp500 == 60
    assert figures.mag7_pct_of_sp500_before == 20


def test_the_share_before_is_none_where_one_of_the_seven_had_no_cap():
    lines = [compared("AAPL", 60, None), *(compared(f"T{place}", 10, 10) for place in range(200))]
    assert measure_concentration(lines, []).mag7_pct_of_sp500_before is None


@pytest.mark.parametrize(("unknown", "compares"), [(0, True), (2, True), (3, False)])
def test_the_share_before_needs_99_per_cent_of_the_companies(unknown: int, compares: bool):
    others = [compared(f"T{place}", 10, None if place < unknown else 10) for place in range(199)]
    before = measure_concentration([compared("AAPL", 60, 10), *others], []).mag7_pct_of_sp500_before

    assert before == (Decimal(100) / (200 - unknown) if compares else None)


def test_an_index_without_any_of_the_seven_had_a_share_of_zero():
    assert measure_concentration([compared("XOM", 40, 30)], []).mag7_pct_of_sp500_before == 0


@settings(max_examples=50)
@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=30), st.permutations(SEVEN), st.integers(1, 7))
def test_parts_add_up_and_ranks_are_a_permutation(caps: list[int], seven: list[str], members: int):
    lines = [priced(ticker, 10**9 + place) for place, ticker in enumerate(seven[:members])]
    lines += [priced(f"T{place}", cap) for place, cap in enumerate(caps)]
    figures = measure_concentration(lines, [])
    assert figures.sp500_total_market_cap == sum(line.market_cap for line in lines)
    assert sorted(item.ranking for item in figures.ranked) == list(range(1, members + 1))
    assert abs(sum(item.pct_of_mag7 for item in figures.ranked) - 100) < Decimal("1e-20")
    shares = sum(item.pct_of_sp500 or 0 for item in figures.ranked)
    assert abs(shares - figures.mag7_pct_of_sp500) < Decimal("1e-20")
    assert measure_concentration(list(reversed(lines)), []).hhi == pytest.approx(figures.hhi)
