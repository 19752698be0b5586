from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.polygon.bars import DailyBar
from mag7.polygon.errors import BodyInvalidError
from mag7.polygon.response_bodies import ListedSplit, SplitPage, parse_grouped_daily, parse_splits, parse_ticker_details
from mag7.polygon.response_fields import parse_object
from tests.unit.polygon.local_provider import CLOSE_MS, DAY, bar, details_body, grouped_body

YESTERDAY_MS = CLOSE_MS - 86_400_000
MIDNIGHT_MS = CLOSE_MS - 16 * 3_600_000
APPLE_2020 = {
    "name": "Apple Inc.",
    "cik": "0000320193",
    "currency_name": "usd",
    "market_cap": 1916103105630,
    "share_class_shares_outstanding": 16406400000,
    "weighted_shares_outstanding": 16185181000,
    "list_date": "12/12/1980",
    "active": "yes",
}
"""The recorded response for 2020-10-01, whose market_cap rests on another count than the one it names.

Its last two fields are not as recorded: nobody reads them, so they may say what they like.
"""

# Finite: a body with NaN or Infinity is not JSON and is refused as a whole (tested beside these).
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SPLIT_FIELDS = ["ticker", "execution_date", "split_from", "split_to"]
BAR_FIELDS = ["T", "o", "h", "l", "c", "v", "vw", "t"]
DETAIL_FIELDS = [
    *("ticker", "name", "type", "cik", "currency_name", "description", "market_cap", "weighted_shares_outstanding"),
    "share_class_shares_outstanding",
]


def parse_details(symbol: str = "AAPL", **fields: Any) -> Any:
    return parse_ticker_details(details_body(symbol, **fields).decode(), symbol)


@pytest.mark.parametrize(("said", "kind"), [("CS", "CS"), ("ETF", "ETF"), (None, None), ("", None)])
def test_details_say_what_kind_of_security_it_is(said: str | None, kind: str | None) -> None:
    assert parse_details(type=said).kind == kind


def test_a_kind_that_is_no_text_is_noted() -> None:
    details = parse_details(type=7)
    assert (details.kind, details.unusable) == (None, {"type": "type is a number, not a string"})


def test_details_are_read_as_the_provider_says_them() -> None:
    details = parse_details(**APPLE_2020)
    assert details.market_cap == Decimal(1916103105630)
    assert details.weighted_shares_outstanding == 16185181000
    assert (details.name, details.cik, details.currency) == ("Apple Inc.", "0000320193", "usd")
    assert details.unusable == {}


def test_a_market_cap_keeps_every_digit() -> None:
    body = '{"status":"OK","results":{"ticker":"AAPL","market_cap":3746917340909.6600001}}'
    assert parse_ticker_details(body, "AAPL").market_cap == Decimal("3746917340909.6600001")


def test_everything_but_the_ticker_may_be_missing() -> None:
    """Microsoft had neither market_cap nor the weighted count in November 2024."""
    details = parse_details("MSFT", share_class_shares_outstanding=7433040000)
    assert details.market_cap is None
    assert details.weighted_shares_outstanding is None
    assert details.name is None
    assert details.share_class_shares_outstanding == 7433040000


def test_a_count_written_with_a_point_is_a_whole_number() -> None:
    assert parse_details(weighted_shares_outstanding=12241000000.0).weighted_shares_outstanding == 12241000000


def test_a_short_cik_is_filled_up() -> None:
    assert parse_details(cik="320193").cik == "0000320193"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("market_cap", "3746917340909", "is a string, not a number"),
        ("market_cap", True, "is true or false, not a number"),
        ("market_cap", -1, "is -1, less than zero"),
        ("market_cap", 0, "is 0, not more than zero"),
        ("weighted_shares_outstanding", 1.5, "is 1.5, not a whole number"),
        ("weighted_shares_outstanding", 0, "is 0, not a number of shares"),
        ("weighted_shares_outstanding", 10**30, f"is {10**30}, too large or too small to be true"),
        ("share_class_shares_outstanding", [1], "is an array, not a number"),
        ("name", 7, "is a number, not a string"),
        ("name", "\ud83d", "holds half a surrogate pair, which is not text"),
        ("description", {}, "is an object, not a string"),
        ("currency_name", 1, "is a number, not a string"),
    ],
)
def test_a_malformed_field_is_unusable_and_leaves_the_others(field: str, value: Any, says: str) -> None:
    good = {"name": "Apple Inc.", "market_cap": 10, "weighted_shares_outstanding": 5}
    details = parse_details(**{**good, field: value})
    assert details.unusable == {field: f"{field} {says}"}
    assert getattr(details, field.removesuffix("_name")) is None
    kept = {name: getattr(details, name) for name in good if name != field}
    assert kept == {name: good[name] for name in kept}


@pytest.mark.parametrize(("cik", "says"), [("CIK0000320193", "is CIK0000320193, not a CIK"), (320193, "is a number")])
def test_a_cik_that_is_none_refuses_the_response(cik: Any, says: str) -> None:
    with pytest.raises(BodyInvalidError, match=f"ticker details of AAPL: results.cik {says}"):
        parse_details(cik=cik)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "the body is empty"),
        ("  \n", "the body is empty"),
        ("<html>", "not JSON that can be used"),
        ('{"status":"OK","results":{"ticker":"AAPL"', "not JSON that can be used"),
        ("[]", "an array, not an object"),
        ("null", "null, not an object"),
        ('{"a":NaN}', "NaN is not a JSON number"),
        ('{"a":1e99999999999999999999}', "not JSON that can be used"),
        ("9" * 5000, "not JSON that can be used"),
        ("[" * 100_000, "not JSON that can be used"),
    ],
)
def test_what_is_no_json_object_is_refused(body: str, says: str) -> None:
    with pytest.raises(BodyInvalidError, match=says):
        parse_object(body, "it")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"status":"OK"}', "results is missing"),
        ('{"status":"OK","results":[]}', "results is an array, not an object"),
        ('{"status":"OK","results":{}}', "results.ticker is None, not AAPL"),
        ('{"status":"OK","results":{"ticker":"MSFT"}}', "results.ticker is MSFT, not AAPL: a response for another"),
        ('{"status":"OK","results":{"ticker":"aapl"}}', "results.ticker is aapl, not AAPL"),
        ('{"status":"ERROR","error":"try\\nlater","results":{"ticker":"AAPL"}}', r"status is ERROR.*\(try later\)"),
    ],
)
def test_details_that_are_not_of_the_ticker_are_refused(body: str, says: str) -> None:
    with pytest.raises(BodyInvalidError, match=says):
        parse_ticker_details(body, "AAPL")


def test_bars_are_read_by_ticker() -> None:
    bars = parse_grouped_daily(grouped_body(bar("AAPL"), bar("BRK.B", c=452.11, vw=None)), DAY).bars
    assert set(bars) == {"AAPL", "BRK.B"}
    assert bars["AAPL"].close == Decimal("248.13")
    assert bars["AAPL"].volume == Decimal("33155300.5")
    assert bars["BRK.B"].vwap is None


def test_delayed_is_good_data() -> None:
    assert parse_grouped_daily(grouped_body(bar("AAPL"), status="DELAYED"), DAY)


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        (1602705600000, date(2020, 10, 14)),
        (1734066000000, date(2024, 12, 13)),
        (1112331600000, date(2005, 4, 1)),
        (1112587200000, date(2005, 4, 4)),
    ],
    ids=["16:00 EDT", "midnight EST", "before daylight saving", "after daylight saving"],
)
def test_the_session_is_the_new_york_date_of_the_bar(moment: int, session: date) -> None:
    assert parse_grouped_daily(grouped_body(bar("AAPL", t=moment)), session).bars["AAPL"].timestamp_ms == moment


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (grouped_body(results=None), "no results"),
        (grouped_body(), "no results"),
        (grouped_body(results={}), "results is an object, not an array"),
        (grouped_body(bar("AAPL"), adjusted=True), "adjusted is True, not false"),
        (grouped_body(bar("AAPL"), adjusted=None), "adjusted is None, not false"),
        (grouped_body(bar("AAPL"), adjusted=0), "adjusted is 0, not false"),
        (grouped_body(bar("AAPL"), status="NOT_AUTHORIZED"), "status is NOT_AUTHORIZED"),
        (grouped_body(bar("AAPL"), status=["OK"]), "status is"),
        (grouped_body(bar("AAPL"), bar("AAPL", c=248)), r"results\[1\] \(AAPL\).T is AAPL, a second bar"),
        (grouped_body(bar("AAPL", c=0)), r"\(AAPL\).c is 0, not more than zero"),
        (grouped_body(bar("AAPL", c=-1.5)), r"\(AAPL\).c is -1.5, less than zero"),
        (grouped_body(bar("AAPL", c="247.82")), r"\(AAPL\).c is a string"),
        (grouped_body(bar("AAPL", c=None)), r"\(AAPL\).c is missing"),
        (grouped_body(bar("AAPL", T=None)), r"results\[0\].T is missing"),
        (grouped_body(bar("AAPL", t=CLOSE_MS + 86_400_000)), "that is 2024-12-14 in New York, not 2024-12-13"),
        (grouped_body(bar("AAPL", t=10**20)), "not a time in milliseconds"),
        (grouped_body(bar("AAPL", t=None)), r"results\[0\] \(AAPL\).t is missing"),
        (grouped_body("AAPL"), r"results\[0\] is a string, not an object"),
    ],
)
def test_a_grouped_day_that_cannot_be_trusted_is_refused(body: str, says: str) -> None:
    with pytest.raises(BodyInvalidError, match=says):
        parse_grouped_daily(body, DAY)


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([bar("ZVZZT", c=0)], "c is 0, not more than zero"),
        ([bar("ZVZZT", c=None)], "c is missing"),
        ([bar("ZVZZT"), bar("ZVZZT", v=5)], "a second bar of one ticker that differs"),
        ([bar("ZVZZT"), bar("ZVZZT", c=248.2), bar("ZVZZT")], "a second bar of one ticker that differs"),
        ([bar("ZVZZT", c=0), bar("ZVZZT")], "c is 0, not more than zero"),
        ([bar("ZVZZT"), bar("ZVZZT", c=0)], "c is 0, not more than zero"),
        ([bar("ZVZZT", t=None)], "t is missing"),
        ([bar("ZVZZT", t="today")], "t is a string, not a number"),
        ([bar("ZVZZT", t=CLOSE_MS + 0.5)], "not a whole number"),
        ([bar("ZVZZT", t=-1)], "t is -1, less than zero"),
        ([bar("ZVZZT", t=10**20)], "not a time in milliseconds"),
        ([bar("ZVZZT", t=YESTERDAY_MS)], "that is 2024-12-12 in New York, not 2024-12-13"),
        ([bar("ZVZZT", t=YESTERDAY_MS)] * 2, "that is 2024-12-12 in New York, not 2024-12-13"),
    ],
)
def test_one_tickers_bad_bar_spoils_that_ticker_only(results: list[dict[str, Any]], says: str) -> None:
    day = parse_grouped_daily(grouped_body(bar("AAPL"), *results, bar("MSFT")), DAY)
    assert set(day.bars) == {"AAPL", "MSFT"}
    assert set(day.unusable) == {"ZVZZT"}
    assert says in day.unusable["ZVZZT"]


EMPTY = {"o": 246.1, "h": 246.1, "l": 246.1, "c": 246.1, "v": 0, "vw": None}
"""Yesterday's close as a bar in which nothing was traded, as it was seen beside the session's."""


@pytest.mark.parametrize(
    "others",
    [
        [bar("NVDA", t=YESTERDAY_MS, **EMPTY)],
        [bar("NVDA", t=YESTERDAY_MS, c=0), bar("NVDA", t=YESTERDAY_MS + 1)],
        [bar("NVDA", t=CLOSE_MS + 86_400_000)],
        [bar("NVDA", t=None)],
        [bar("NVDA")],
        [bar("NVDA", t=MIDNIGHT_MS)],
    ],
    ids=[
        "yesterday's, empty",
        "yesterday's, twice",
        "tomorrow's",
        "without a time",
        "the same",
        "the same at midnight",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_of_several_bars_the_sessions_is_used(others: list[dict[str, Any]], first: bool) -> None:
    results = [bar("NVDA"), *others] if first else [*others, bar("NVDA")]
    day = parse_grouped_daily(grouped_body(*results, bar("AAPL")), DAY)
    assert replace(day.bars["NVDA"], timestamp_ms=CLOSE_MS) == parse_one(bar("NVDA"))
    assert day.unusable == {}


@pytest.mark.parametrize(("stale", "right"), [(11, 100), (11, 1), (99, 1), (9_500, 505)])
def test_strangers_bars_of_another_day_refuse_nothing(stale: int, right: int) -> None:
    old = [bar(f"OLD{number}", t=YESTERDAY_MS) for number in range(stale)]
    day = parse_grouped_daily(grouped_body(*old, *(bar(f"T{number}") for number in range(right))), DAY)
    assert (len(day.bars), len(day.unusable)) == (right, stale)
    assert "that is 2024-12-12 in New York" in day.unusable["OLD0"]


@pytest.mark.parametrize(("stale", "right"), [(1, 0), (100, 1), (1_000, 10)])
def test_a_response_of_another_day_is_refused(stale: int, right: int) -> None:
    old = [bar(f"OLD{number}", t=YESTERDAY_MS) for number in range(stale)]
    body = grouped_body(*old, *(bar(f"T{number}") for number in range(right)))
    says = rf"{stale} of {stale + right} bars are of another day: results\[0\] \(OLD0\).t is .*-12 in New York"
    with pytest.raises(BodyInvalidError, match=says):
        parse_grouped_daily(body, DAY)


def parse_one(result: dict[str, Any]) -> DailyBar:
    day = parse_grouped_daily(grouped_body(result), DAY)
    assert day.unusable == {}
    return day.bars[result["T"]]


NAMES = {"o": "open", "h": "high", "l": "low", "v": "volume", "vw": "vwap"}


@pytest.mark.parametrize("value", [None, 0, -1, "247.82", True, 10**30, [1], {}])
@pytest.mark.parametrize("field", NAMES)
def test_a_value_that_is_none_leaves_the_others(field: str, value: Any) -> None:
    good, found = parse_one(bar("AAPL")), parse_one(bar("AAPL", **{field: value}))
    # A provider that has no volume-weighted price gives none, or zero: that is no contradiction.
    said = field == "vw" and value in (None, 0) and value is not False
    assert found == replace(good, **{NAMES[field]: None}, inconsistent=not said)
    assert found.flags == (() if said else ("bar_inconsistent",))


@pytest.mark.parametrize("volume", ["1000000000000000", "9.3e18"])
def test_a_volume_that_no_column_holds_is_none(volume: str) -> None:
    body = grouped_body(bar("AAPL", v="VOLUME")).replace('"VOLUME"', volume)
    found = parse_grouped_daily(body, DAY).bars["AAPL"]
    assert (found.volume, found.flags) == (None, ("bar_inconsistent",))


def split(ticker: str = "NVDA", **changes: Any) -> dict[str, Any]:
    entry = {"execution_date": "2024-06-10", "split_from": 1, "split_to": 10, "ticker": ticker, **changes}
    return {field: value for field, value in entry.items() if value is not None}


def splits_body(*results: Any, **changes: Any) -> str:
    return json.dumps({"results": results, "status": "OK", "request_id": "r", **changes})


def test_splits_are_read_in_the_providers_order() -> None:
    """A reverse split and a fractional one, as they stand in the recorded list."""
    brw = split("BRW", execution_date="2022-05-20", split_from=2, split_to=1)
    cig = split("CIG.C", execution_date="2022-05-02", split_from=3, split_to=4.0, id="E1", adjustment_type="x")

    assert parse_splits(splits_body(brw, cig)) == SplitPage(
        (
            ListedSplit("BRW", date(2022, 5, 20), Decimal(2), Decimal(1)),
            ListedSplit("CIG.C", date(2022, 5, 2), Decimal(3), Decimal(4)),
        ),
        {},
    )


def test_a_page_without_splits_is_good_and_entries_that_repeat_are_kept() -> None:
    assert parse_splits(splits_body()) == SplitPage((), {})
    assert len(parse_splits(splits_body(split(), split())).splits) == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"execution_date": None}, "execution_date is missing"),
        ({"execution_date": "2024-06-31"}, "execution_date is 2024-06-31, not a date"),
        ({"execution_date": "June 10, 2024"}, "execution_date is June 10, 2024, not a date"),
        ({"execution_date": 20240610}, "execution_date is a number, not a string"),
        ({"split_from": None}, "split_from is missing"),
        ({"split_from": 0}, "split_from is 0, not more than zero"),
        ({"split_to": -10}, "split_to is -10, less than zero"),
        ({"split_to": "10"}, "split_to is a string, not a number"),
        ({"split_to": 10**30}, "too large or too small to be true"),
        ({"split_to": True}, "split_to is true or false, not a number"),
    ],
)
def test_a_malformed_split_spoils_its_ticker_only(changes: dict[str, Any], says: str) -> None:
    page = parse_splits(splits_body(split("AMZN"), split(**changes), split("TSLA")))
    assert [entry.ticker for entry in page.splits] == ["AMZN", "TSLA"]
    assert set(page.unusable) == {"NVDA"}
    assert page.unusable["NVDA"].startswith("results[1] (NVDA).")
    assert says in page.unusable["NVDA"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"status":"OK"}', "list of splits: results is null, not an array"),
        ('{"status":"OK","results":{}}', "results is an object, not an array"),
        (splits_body(split(), status="ERROR", error="try later"), r"status is ERROR.*\(try later\)"),
        (splits_body(split(ticker=None)), r"results\[0\].ticker is missing"),
        (splits_body(split(ticker="")), r"results\[0\].ticker is missing"),
        (splits_body("NVDA"), r"results\[0\] is a string, not an object"),
    ],
)
def test_a_list_of_splits_that_names_no_ticker_is_refused(body: str, says: str) -> None:
    with pytest.raises(BodyInvalidError, match=says):
        parse_splits(body)


@given(st.lists(st.dictionaries(st.sampled_from(SPLIT_FIELDS), json_values), max_size=3))
def test_splits_are_either_typed_or_refused(changes: list[dict[str, Any]]) -> None:
    body = splits_body(*({**split(f"T{number}"), **change} for number, change in enumerate(changes)))
    try:
        page = parse_splits(body)
    except BodyInvalidError:
        return
    assert len(page.splits) + len(page.unusable) <= len(changes)
    assert {entry.ticker for entry in page.splits} | set(page.unusable) or not changes
    assert all(entry.split_from > 0 and entry.split_to > 0 for entry in page.splits)


@given(st.text() | json_values.map(json.dumps))
def test_no_body_escapes_as_another_error(body: str) -> None:
    for parse in (
        lambda: parse_ticker_details(body, "AAPL"),
        lambda: parse_grouped_daily(body, DAY),
        lambda: parse_splits(body),
    ):
        with pytest.raises(BodyInvalidError) as caught:
            parse()
        assert "\n" not in str(caught.value)


@given(st.dictionaries(st.sampled_from(DETAIL_FIELDS), json_values, max_size=6))
def test_details_are_either_typed_or_refused(fields: dict[str, Any]) -> None:
    body = json.dumps({"status": "OK", "results": {"ticker": "AAPL", **fields}})
    try:
        details = parse_ticker_details(body, "AAPL")
    except BodyInvalidError:
        return
    assert details.ticker == "AAPL"
    assert details.market_cap is None or details.market_cap > 0
    assert details.weighted_shares_outstanding is None or details.weighted_shares_outstanding > 0
    assert details.description is None or details.description.encode()
    assert set(details.unusable) <= set(fields)


prices = st.decimals("0.0001", 10_000, places=4)


def assert_consistent(found: DailyBar) -> None:
    """Every price that was not left out lies where it can."""
    low = found.low if found.low is not None else Decimal(0)
    high = found.high if found.high is not None else Decimal("Infinity")
    assert low <= found.close <= high
    assert found.open is None or low <= found.open <= high
    assert found.vwap is None or low / 2 <= found.vwap <= high * 2
    assert found.inconsistent or None not in {found.open, found.high, found.low, found.volume}


@given(
    prices,
    st.dictionaries(st.sampled_from(["o", "h", "l", "v", "vw"]), prices.map(float) | json_values),
    st.booleans(),
)
def test_a_bar_with_a_close_and_a_time_is_never_lost(close: Decimal, changes: dict[str, Any], near: bool) -> None:
    """Also where its other values are of any kind, or none of them is there."""
    others = dict.fromkeys(("o", "h", "l", "vw"), float(close)) if near else {}
    found = parse_one(bar("AAPL", **{**others, **changes}, c=float(close)))
    assert found.close == close
    assert_consistent(found)


@given(st.lists(st.dictionaries(st.sampled_from(BAR_FIELDS), json_values), max_size=3))
def test_bars_are_either_typed_or_refused(changes: list[dict[str, Any]]) -> None:
    body = grouped_body(*({**bar(f"T{number}"), **change} for number, change in enumerate(changes)))
    try:
        day = parse_grouped_daily(body, DAY)
    except BodyInvalidError:
        return
    bars = day.bars
    assert len(bars) + len(day.unusable) == len(changes)
    assert len(bars) > 0
    for found in bars.values():
        assert found.close > 0
        assert found.volume is None or found.volume > 0
        assert_consistent(found)


def test_a_field_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(BodyInvalidError, match="a field is there twice"):
        parse_ticker_details('{"results": {"ticker": "AAPL", "cik": "1", "cik": "2"}}', "AAPL")


@pytest.mark.parametrize(("field", "flags"), [("v", ("bar_inconsistent",)), ("vw", ())])
def test_a_zero_with_a_large_exponent_is_zero(field: str, flags: tuple[str, ...]) -> None:
    body = grouped_body(bar("AAPL")).replace(f'"{field}": ', f'"{field}": 0e999999, "before": ')
    found = parse_grouped_daily(body, DAY).bars["AAPL"]

    assert getattr(found, NAMES[field]) is None
    assert found.flags == flags


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"status": "\\ud800"}', "status is , not OK"),
        ('{"status": "a\\u2028b"}', "status is a b, not OK"),
        ('{"status": ' + "[" * 900 + "]" * 900 + "}", "status is an array, not OK"),
    ],
)
def test_what_is_quoted_is_short_and_printable(body: str, says: str) -> None:
    with pytest.raises(BodyInvalidError, match=says) as refused:
        parse_ticker_details(body, "AAPL")

    assert refused.value.reason.isprintable()


def test_a_tickers_line_end_does_not_get_into_a_reason() -> None:
    grouped = parse_grouped_daily(grouped_body(bar("AAPL"), bar("X\nY", c=-1)), DAY)

    assert grouped.unusable == {"X\nY": "results[1] (X Y).c is -1, less than zero"}
