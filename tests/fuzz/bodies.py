"""The provider's bodies: ticker details, grouped daily, splits, and the address of a listing's next page."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mag7.polygon.answers import Answer
from mag7.polygon.client import next_page_path
from mag7.polygon.response_bodies import (
    GroupedDaily,
    TickerDetails,
    parse_grouped_daily,
    parse_splits,
    parse_ticker_details,
)
from tests.fuzz.hostile import Raw, json_bodies
from tests.fuzz.tiers import Fuzzed, ours_or_value

DAY = date(2024, 12, 13)
STAMP = int(datetime(2024, 12, 13, 21, tzinfo=UTC).timestamp() * 1000)
LARGEST = Decimal("1e24")

DETAILS = {
    "status": "OK",
    "request_id": "r",
    "results": {
        "ticker": "AAPL",
        "name": "Apple Inc.",
        "type": "CS",
        "cik": "0000320193",
        "currency_name": "usd",
        "description": "Phones.",
        "market_cap": Raw("3750689160990.00"),
        "weighted_shares_outstanding": 15115823000,
        "share_class_shares_outstanding": 15115820000,
    },
}
FIELDS = {
    "name": "name",
    "type": "kind",
    "cik": "cik",
    "currency_name": "currency",
    "description": "description",
    "market_cap": "market_cap",
    "weighted_shares_outstanding": "weighted_shares_outstanding",
    "share_class_shares_outstanding": "share_class_shares_outstanding",
}


def bar(ticker: str, **changes: Any) -> dict[str, Any]:
    return {"T": ticker, "o": 1.5, "h": 2, "l": Raw("1.25"), "c": 1.75, "v": 1000.5, "vw": 1.6, "t": STAMP, **changes}


GROUPED = {"status": "OK", "adjusted": False, "resultsCount": 3, "results": [bar("AAPL"), bar("MSFT"), bar("BRK.B")]}
SPLITS = {
    "status": "OK",
    "results": [
        {"ticker": "NVDA", "execution_date": "2024-06-10", "split_from": 1, "split_to": 10},
        {"ticker": "GE", "execution_date": "2021-08-02", "split_from": 8, "split_to": 1},
    ],
    "next_url": "https://api.polygon.io/v3/reference/splits?cursor=abc",
}


def check_details(body: str) -> None:
    details = ours_or_value(lambda: parse_ticker_details(body, "AAPL"), "AAPL")
    if details is None:
        return
    given = json.loads(body)["results"]
    assert details.ticker == given["ticker"] == "AAPL"
    for field, name in FIELDS.items():
        if given.get(field) not in {None, ""} if not isinstance(given.get(field), dict | list) else True:
            assert getattr(details, name) is not None or field in details.unusable, f"{field} was dropped"
    check_amounts(details)


def check_amounts(details: TickerDetails) -> None:
    assert details.market_cap is None or 0 < details.market_cap < LARGEST
    for count in (details.weighted_shares_outstanding, details.share_class_shares_outstanding):
        assert count is None or (type(count) is int and 0 < count < LARGEST)
    assert details.cik is None or (len(details.cik) == 10 and details.cik.isascii() and details.cik.isdigit())
    for text in (details.name, details.kind, details.currency, details.description):
        assert text is None or text.encode()
    for reason in details.unusable.values():
        assert reason.splitlines() == [reason]
        reason.encode()


def check_grouped(body: str) -> None:
    grouped = ours_or_value(lambda: parse_grouped_daily(body, DAY), DAY.isoformat())
    if grouped is None:
        return
    given = [entry["T"] for entry in json.loads(body)["results"]]
    assert set(given) == grouped.bars.keys() | grouped.unusable.keys()
    assert not grouped.bars.keys() & grouped.unusable.keys()
    check_bars(grouped)


def check_bars(grouped: GroupedDaily) -> None:
    for ticker, found in grouped.bars.items():
        assert found.ticker == ticker
        prices = (found.open, found.high, found.low, found.vwap, found.volume)
        assert all(price is None or 0 < price < LARGEST for price in (*prices, found.close))
        assert found.whole_volume is None or 0 < found.whole_volume < 2**63
        low, high = found.low or 0, found.high or LARGEST
        assert low <= found.close <= high and low <= (found.open or found.close) <= high
        assert found.inconsistent or None not in {found.open, found.high, found.low, found.volume}
    for reason in grouped.unusable.values():
        assert reason.splitlines() == [reason]
        reason.encode()


def check_splits(body: str) -> None:
    page = ours_or_value(lambda: parse_splits(body), "list of splits")
    if page is None:
        return
    given = [entry["ticker"] for entry in json.loads(body)["results"]]
    taken = [split.ticker for split in page.splits]
    assert [ticker for ticker in given if ticker not in page.unusable] == [
        ticker for ticker in taken if ticker not in page.unusable
    ]
    assert set(given) == {*taken, *page.unusable}
    for split in page.splits:
        assert 0 < split.split_from < LARGEST
        assert 0 < split.split_to < LARGEST
        assert type(split.execution_date) is date


KEPT = ("cursor", "limit", "order")
ADDRESSES = (
    "https://api.polygon.io/v3/reference/splits?cursor=abc&apiKey=0123456789abcdef",
    "https://elsewhere.example/v3/x?APIKEY=0123456789abcdef&cursor=a%20b",
    "/v3/reference/splits?cursor=&limit=1000",
    "//elsewhere.example/v3",
    "https://[::1/v3",
    "https://api.polygon.io/v3/a?x=\ud800",
    "https://api.polygon.io/v3/\ud800",
    "https://api.polygon.io/\n../v3?a=1#fragment",
)


def check_next_url(body: str) -> None:
    answer = Answer("/v3/reference/splits", datetime(2024, 12, 14, tzinfo=UTC), 200, "polygon", body)
    path = ours_or_value(lambda: next_page_path(answer), "/v3/reference/splits")
    if path is None:
        return
    path.encode()
    assert path.startswith("/") and not path.startswith("//")
    given = json.loads(body)["next_url"]
    asked = parse_qsl(urlsplit(given).query, keep_blank_values=True)
    assert parse_qsl(urlsplit(path).query, keep_blank_values=True) == [
        pair for pair in asked if pair[0].lower() != "apikey"
    ]


NEXT_URLS = json_bodies(*({"status": "OK", "results": [], "next_url": address} for address in ADDRESSES))

TARGETS = (
    Fuzzed("bodies.ticker_details", json_bodies(DETAILS), check_details, short=60, long=2000),
    Fuzzed("bodies.grouped_daily", json_bodies(GROUPED), check_grouped, short=60, long=2000),
    Fuzzed("bodies.splits", json_bodies(SPLITS), check_splits, short=50, long=1500),
    Fuzzed("client.next_url", NEXT_URLS, check_next_url, short=30, long=800),
)
