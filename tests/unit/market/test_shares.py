"""Which share count is accepted: every step of the rule, on the provider's real contradictions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.constituents import Line, list_lines
from mag7.index.membership import ShareClasses
from mag7.market.shares import CountUnavailableError, Origin, accept_count, needs_previous_close
from mag7.polygon.response_bodies import TickerDetails

LINE = Line("AAPL", "AAPL", "Apple Inc.", "0000320193", "0000320193", "Information Technology", True, ShareClasses.ONE)


def details(**values: object) -> TickerDetails:
    empty = dict.fromkeys(TickerDetails.__dataclass_fields__)
    return TickerDetails(**{**empty, "ticker": "AAPL", "name": "Apple Inc.", "unusable": {}, **values})  # type: ignore[arg-type]


def test_weighted_count_that_agrees_is_taken_without_a_flag():
    answer = details(weighted_shares_outstanding=15_115_823_000, market_cap=Decimal(3750689160990))
    accepted = accept_count(LINE, answer, Decimal("248.13"), None)
    assert (accepted.count, accepted.origin, accepted.flags) == (15_115_823_000, Origin.WEIGHTED, ())


def test_recorded_answer_of_2020_10_01_takes_the_count_behind_market_cap():
    answer = details(
        weighted_shares_outstanding=16_185_181_000,
        share_class_shares_outstanding=16_319_440_000,
        market_cap=Decimal(1916103105630),
    )
    accepted = accept_count(LINE, answer, Decimal("116.79"), Decimal("115.81"))
    assert accepted.count == 16_406_397_000
    assert accepted.origin is Origin.BEHIND_MARKET_CAP
    assert accepted.flags == ("count_behind_market_cap",)


def test_evening_market_cap_on_yesterdays_close_agrees():
    answer = details(weighted_shares_outstanding=1_000_000, market_cap=Decimal(99_000_000))
    assert needs_previous_close(answer, Decimal(100))
    accepted = accept_count(LINE, answer, Decimal(100), Decimal(99))
    assert (accepted.count, accepted.origin) == (1_000_000, Origin.WEIGHTED)


@pytest.mark.parametrize(("gap", "origin"), [("0.00009", Origin.WEIGHTED), ("0.00012", Origin.BEHIND_MARKET_CAP)])
def test_agreement_ends_at_a_hundredth_of_a_per_cent(gap: str, origin: Origin):
    cap = Decimal(10**12) * (1 + Decimal(gap))
    answer = details(weighted_shares_outstanding=10**10, market_cap=cap)
    assert accept_count(LINE, answer, Decimal(100), None).origin is origin


def test_a_disagreement_that_yesterdays_close_could_not_settle_is_flagged():
    answer = details(weighted_shares_outstanding=1_000_000, market_cap=Decimal(99_000_000))
    accepted = accept_count(LINE, answer, Decimal(100), None)
    assert (accepted.count, accepted.flags) == (990_000, ("count_behind_market_cap", "previous_close_missing"))
    without = accept_count(LINE, replace(answer, weighted_shares_outstanding=None), Decimal(100), None)
    assert without.flags == ("count_behind_market_cap",)


def test_weighted_alone_is_flagged():
    accepted = accept_count(LINE, details(weighted_shares_outstanding=5), Decimal(1), None)
    assert (accepted.origin, accepted.flags) == (Origin.WEIGHTED_ALONE, ("market_cap_missing",))


def test_microsoft_of_november_2024_rests_on_its_share_class_count():
    (line,) = (line for line in list_lines(date(2024, 11, 20)) if line.ticker == "MSFT")
    answer = details(name="Microsoft Corp", share_class_shares_outstanding=7_433_040_000)
    accepted = accept_count(line, answer, Decimal(415), None)
    assert (accepted.count, accepted.origin, accepted.flags) == (
        7_433_040_000,
        Origin.SHARE_CLASS,
        ("share_class_count",),
    )


@pytest.mark.parametrize("ticker", ["V", "CMCSA", "NKE", "UPS", "HSY", "META", "BRK.B", "GOOGL", "GOOG"])
def test_share_class_count_is_refused_for_a_company_with_more_classes(ticker: str):
    """Whatever the provider's name says: the names of Visa, Comcast, Nike and UPS may have no class."""
    (line,) = (line for line in list_lines(date(2024, 11, 20)) if line.ticker == ticker)
    answer = details(name="A company", share_class_shares_outstanding=100)
    with pytest.raises(CountUnavailableError, match=r"\(100\) counts one class, and the company has several"):
        accept_count(line, answer, Decimal(1), None)


def test_share_class_count_is_refused_where_nobody_says_that_there_is_one_class():
    line = replace(LINE, share_classes=ShareClasses.UNKNOWN)
    with pytest.raises(CountUnavailableError, match="the company is not known to have no other"):
        accept_count(line, details(share_class_shares_outstanding=100), Decimal(1), None)


BAD_CAP = {"market_cap": "market_cap is 0, not more than zero"}
BAD_WEIGHTED = {"weighted_shares_outstanding": "weighted_shares_outstanding is 1.5, not a whole number"}


def test_a_bad_market_cap_leaves_the_weighted_count():
    answer = details(weighted_shares_outstanding=5, unusable=BAD_CAP)
    accepted = accept_count(LINE, answer, Decimal(1), None)
    assert (accepted.count, accepted.origin) == (5, Origin.WEIGHTED_ALONE)
    assert accepted.flags == ("market_cap_unusable",)


def test_a_market_cap_of_less_than_a_share_leaves_the_weighted_count():
    answer = details(weighted_shares_outstanding=5, market_cap=Decimal(3))
    accepted = accept_count(LINE, answer, Decimal(10), None)
    assert (accepted.count, accepted.flags) == (5, ("market_cap_unusable",))


def test_a_bad_weighted_count_leaves_the_one_behind_market_cap():
    answer = details(market_cap=Decimal(1000), unusable=BAD_WEIGHTED)
    accepted = accept_count(LINE, answer, Decimal(10), None)
    assert (accepted.count, accepted.origin) == (100, Origin.BEHIND_MARKET_CAP)


def test_two_bad_fields_leave_the_share_class_count():
    answer = details(share_class_shares_outstanding=7, unusable={**BAD_CAP, **BAD_WEIGHTED})
    accepted = accept_count(LINE, answer, Decimal(10), None)
    assert (accepted.count, accepted.origin) == (7, Origin.SHARE_CLASS)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"unusable": BAD_CAP}, "market_cap is 0, not more than zero; weighted_shares_outstanding is missing; share"),
        ({"unusable": BAD_WEIGHTED}, "market_cap is missing; weighted_shares_outstanding is 1.5, not a whole number;"),
        ({"market_cap": Decimal(3)}, "market_cap is 3, less than one share at 10; weighted"),
        ({}, "weighted_shares_outstanding is missing; share_class_shares_outstanding is missing"),
    ],
)
def test_an_answer_without_a_usable_count_says_what_is_wrong_with_each(answer: dict[str, object], says: str):
    with pytest.raises(CountUnavailableError) as unavailable:
        accept_count(LINE, details(**answer), Decimal(10), None)
    assert says in str(unavailable.value)


@given(cap=st.integers(1, 10**14), cents=st.integers(1, 10**6), weighted=st.none() | st.integers(1, 10**12))
def test_an_accepted_count_is_a_whole_share_at_least(cap: int, cents: int, weighted: int | None):
    answer = details(market_cap=Decimal(cap) / 100, weighted_shares_outstanding=weighted)
    try:
        accepted = accept_count(LINE, answer, Decimal(cents) / 100, None)
    except CountUnavailableError:
        assert weighted is None
        return
    assert accepted.count >= 1


@given(
    count=st.integers(10**6, 10**11),
    cents=st.integers(100, 10**6),
)
def test_the_count_behind_a_market_cap_is_found_again(count: int, cents: int):
    close = Decimal(cents) / 100
    answer = details(weighted_shares_outstanding=count * 2, market_cap=count * close)
    assert accept_count(LINE, answer, close, None).count == count
