"""Which share count is accepted: every step of the order, on the provider's real contradictions."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.constituents import Line
from mag7.market.shares import CountUnavailableError, Origin, accept_count, needs_previous_close
from mag7.polygon.bodies import TickerDetails

LINE = Line("AAPL", "AAPL", "Apple Inc.", "0000320193", "0000320193", "Information Technology", True)


def details(**values: object) -> TickerDetails:
    empty = dict.fromkeys(TickerDetails.__dataclass_fields__)
    return TickerDetails(**{**empty, "ticker": "AAPL", "name": "Apple Inc.", **values})  # type: ignore[arg-type]


def test_weighted_count_that_agrees_is_taken_without_a_flag():
    answer = details(weighted_shares_outstanding=15_115_823_000, market_cap=Decimal(3750689160990))
    accepted = accept_count(LINE, answer, Decimal("248.13"), None, single_line=True)
    assert (accepted.count, accepted.origin, accepted.flags) == (15_115_823_000, Origin.WEIGHTED, ())


def test_recorded_answer_of_2020_10_01_takes_the_count_behind_market_cap():
    answer = details(
        weighted_shares_outstanding=16_185_181_000,
        share_class_shares_outstanding=16_319_440_000,
        market_cap=Decimal(1916103105630),
    )
    accepted = accept_count(LINE, answer, Decimal("116.79"), Decimal("115.81"), single_line=True)
    assert accepted.count == 16_406_397_000
    assert accepted.origin is Origin.BEHIND_MARKET_CAP
    assert accepted.flags == ("count_behind_market_cap",)


def test_evening_market_cap_on_yesterdays_close_agrees():
    answer = details(weighted_shares_outstanding=1_000_000, market_cap=Decimal(99_000_000))
    assert needs_previous_close(answer, Decimal(100))
    accepted = accept_count(LINE, answer, Decimal(100), Decimal(99), single_line=True)
    assert (accepted.count, accepted.origin) == (1_000_000, Origin.WEIGHTED)


@pytest.mark.parametrize(("gap", "origin"), [("0.00009", Origin.WEIGHTED), ("0.00012", Origin.BEHIND_MARKET_CAP)])
def test_agreement_ends_at_a_hundredth_of_a_per_cent(gap: str, origin: Origin):
    cap = Decimal(10**12) * (1 + Decimal(gap))
    answer = details(weighted_shares_outstanding=10**10, market_cap=cap)
    assert accept_count(LINE, answer, Decimal(100), None, single_line=True).origin is origin


def test_weighted_alone_is_flagged():
    accepted = accept_count(LINE, details(weighted_shares_outstanding=5), Decimal(1), None, single_line=True)
    assert (accepted.origin, accepted.flags) == (Origin.WEIGHTED_ALONE, ("market_cap_missing",))


def test_microsoft_of_november_2024_rests_on_its_share_class_count():
    line = Line("MSFT", "MSFT", "Microsoft", "0000789019", "0000789019", "Information Technology", True)
    answer = details(name="Microsoft Corp", share_class_shares_outstanding=7_433_040_000)
    accepted = accept_count(line, answer, Decimal(415), None, single_line=True)
    assert (accepted.count, accepted.origin, accepted.flags) == (
        7_433_040_000,
        Origin.SHARE_CLASS,
        ("share_class_count",),
    )


@pytest.mark.parametrize(
    ("symbol", "name", "single_line"),
    [
        ("BRK.B", "Berkshire Hathaway", True),
        ("META", "Meta Platforms, Inc. Class A Common Stock", True),
        ("GOOG", "Alphabet", False),
    ],
)
def test_share_class_count_is_refused_for_a_company_with_more_classes(symbol: str, name: str, single_line: bool):
    line = Line(symbol, symbol, "A company", "1", None, "Unknown", True)
    answer = details(name=name, share_class_shares_outstanding=100)
    with pytest.raises(CountUnavailableError, match="more than one"):
        accept_count(line, answer, Decimal(1), None, single_line=single_line)


@pytest.mark.parametrize("field", ["weighted_shares_outstanding", "market_cap", "share_class_shares_outstanding"])
def test_nothing_below_one_counts(field: str):
    with pytest.raises(CountUnavailableError, match=r"is 0|0, not above"):
        accept_count(LINE, details(**{field: 0}), Decimal(1), None, single_line=True)


def test_an_answer_without_any_count_names_what_is_missing():
    with pytest.raises(CountUnavailableError, match="neither market_cap nor weighted"):
        accept_count(LINE, details(), Decimal(1), None, single_line=True)


@given(
    count=st.integers(10**6, 10**11),
    cents=st.integers(100, 10**6),
)
def test_the_count_behind_a_market_cap_is_found_again(count: int, cents: int):
    close = Decimal(cents) / 100
    answer = details(weighted_shares_outstanding=count * 2, market_cap=count * close)
    assert accept_count(LINE, answer, close, None, single_line=True).count == count
