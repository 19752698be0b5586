"""Shapes, pages, error bodies and the remaining endpoints."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.polygon import facts
from sandbox.polygon.app import DENIED_KEY, MarketApp
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings
from tests.sandbox.polygon.conftest import NOW, ROOT, Ask, Said, make_ask

REFERENCE = Path(os.environ.get("REFERENCE_DATA", ROOT.parent / "shared" / "data")) / "polygon_recorded_official"
GROUPED = "/v2/aggs/grouped/locale/us/market/stocks/{}?adjusted=false&include_otc=false"


def follow(ask: Ask, target: str) -> list[list[dict[str, Any]]]:
    pages = []
    while target:
        said = ask(target)
        assert said.status == 200, said.body
        pages.append(said.json["results"])
        parts = urlsplit(said.json.get("next_url", ""))
        target = f"{parts.path}?{parts.query}" if parts.path else ""
    return pages


# --- shapes ---------------------------------------------------------------------------------------------------------


def kinds(content: Any) -> Any:
    """Key sets and JSON types; of a list the first element stands for all."""
    if isinstance(content, dict):
        return {key: kinds(value) for key, value in content.items()}
    if isinstance(content, list):
        return [kinds(content[0])] if content else []
    if isinstance(content, bool):
        return "boolean"
    return "number" if isinstance(content, int | float | Decimal) else type(content).__name__


@pytest.mark.reference
@pytest.mark.parametrize(
    ("recorded", "target", "extra"),
    [
        ("v3/reference/tickers/AAPL", "/v3/reference/tickers/AAPL?date=2024-12-13", {"round_lot"}),
        ("v2/aggs/ticker/AAPL/prev", "/v2/aggs/ticker/AAPL/prev", set()),
        (
            "v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04",
            "/v2/aggs/ticker/AAPL/range/1/day/2024-12-12/2024-12-13",
            set(),
        ),
        (
            "v2/aggs/grouped/locale/us/market/stocks/2005-04-04&adjusted=true",
            "/v2/aggs/grouped/locale/us/market/stocks/2024-12-13?adjusted=true",
            set(),
        ),
        ("v1/open-close/AAPL/2005-04-01&adjusted=true", "/v1/open-close/AAPL/2024-12-13", set()),
        ("v3/reference/tickers", "/v3/reference/tickers?limit=2&date=2024-12-13", set()),
        ("v3/reference/splits", "/v3/reference/splits?limit=10&order=asc", {"id", "next_url"}),
        ("vX/reference/tickers/META/events&types=ticker_change", "/vX/reference/tickers/META/events", set()),
    ],
)
def test_shapes_are_the_recorded_ones(ask: Ask, recorded: str, target: str, extra: set[str]) -> None:
    file = REFERENCE / f"{recorded}.json"
    if not file.exists():
        pytest.skip("no recorded bodies at hand")
    body = drop(ask(target).json, extra)
    assert kinds(body) == kinds(json.loads(file.read_text()))


def drop(content: Any, keys: set[str]) -> Any:
    if isinstance(content, dict):
        return {key: drop(value, keys) for key, value in content.items() if key not in keys}
    return [drop(value, keys) for value in content] if isinstance(content, list) else content


def test_descriptions_say_that_they_are_simulated(ask: Ask) -> None:
    said = ask("/v3/reference/tickers/JPM?date=2024-12-13").json["results"]
    assert said["description"].startswith(said["name"])
    assert "simulated company of the offline market" in said["description"]


# --- bars -----------------------------------------------------------------------------------------------------------


def test_aggregates_start_at_midnight_and_grouped_bars_end_at_four(ask: Ask) -> None:
    bars = ask("/v2/aggs/ticker/AAPL/range/1/day/2024-12-13/2024-12-13?adjusted=false").json["results"]
    assert [bar["t"] for bar in bars] == [1734066000000]
    grouped = ask(GROUPED.format("2024-12-13")).json["results"]
    assert {bar["t"] for bar in grouped} == {1734066000000 + 16 * 3_600_000}


def test_a_range_under_meta_mixes_two_issuers(ask: Ask) -> None:
    bars = ask("/v2/aggs/ticker/META/range/1/day/2022-01-27/2022-06-10").json["results"]
    assert [bar["t"] for bar in bars[2:]] == [1654747200000, 1654833600000]
    assert [bar["c"] < 20 for bar in bars] == [True, True, False, False]


def test_adjusted_bars_stand_on_todays_basis(ask: Ask) -> None:
    path = "/v2/aggs/ticker/NVDA/range/1/day/2021-07-19/2021-07-20?adjusted={}"
    raw, adjusted = (ask(path.format(text)).json["results"] for text in ("false", "true"))
    assert [bar["c"] for bar in raw] == [Decimal("751.19"), Decimal("186.12")]
    assert [float(bar["c"]) for bar in adjusted] == pytest.approx([751.19 / 40, 186.12 / 10], abs=0.0001)
    assert adjusted[0]["v"] == pytest.approx(raw[0]["v"] * 40)


def test_aggregates_page_and_sort(ask: Ask) -> None:
    path = "/v2/aggs/ticker/AAPL/range/1/day/2024-12-02/2024-12-13"
    whole = ask(path).json["results"]
    for sort, expected in (("asc", whole), ("desc", whole[::-1])):
        pages = follow(ask, f"{path}?limit=4&sort={sort}")
        assert [len(page) for page in pages] == [4, 4, 2]
        assert [bar for page in pages for bar in page] == expected


def test_unknown_symbols_and_weekends_have_no_bars(ask: Ask) -> None:
    for target in ("ZZZZ/range/1/day/2024-12-12/2024-12-13", "AAPL/range/1/day/2024-12-14/2024-12-15"):
        said = ask(f"/v2/aggs/ticker/{target}")
        assert (said.status, said.json["resultsCount"], "results" in said.json) == (200, 0, False)
    said = ask("/v1/open-close/AAPL/2024-12-14")
    assert (said.status, said.json["message"]) == (404, "Data not found.")


def test_previous_close_is_that_of_the_last_released_session() -> None:
    for hour, day in ((21, "2025-06-30"), (17, "2025-06-27")):
        told = make_ask(MarketApp(Settings(clock=Clock(datetime(2025, 6, 30, hour, tzinfo=NEW_YORK)))))
        bar = told("/v2/aggs/ticker/AAPL/prev").json["results"][0]
        same = told(f"/v2/aggs/ticker/AAPL/range/1/day/{day}/{day}").json["results"][0]
        assert bar == {"T": "AAPL", **same}


def test_cheaper_plans_say_delayed() -> None:
    told = make_ask(MarketApp(Settings(clock=Clock(NOW), status="DELAYED")))
    assert told(GROUPED.format("2024-12-13")).json["status"] == "DELAYED"


# --- lists ----------------------------------------------------------------------------------------------------------


def test_tickers_page_through_every_listed_symbol(ask: Ask) -> None:
    pages = follow(ask, "/v3/reference/tickers?market=stocks&active=true&date=2022-06-08&limit=100&type=CS")
    symbols = [row["ticker"] for page in pages for row in page]
    bars = {bar["T"] for bar in ask(GROUPED.format("2022-06-08")).json["results"]}
    assert symbols == sorted(bars)
    assert [len(page) for page in pages[:-1]] == [100] * (len(pages) - 1)


def test_tickers_filters(ask: Ask) -> None:
    only = ask("/v3/reference/tickers?ticker=BRK.B&date=2024-12-13").json
    assert [row["ticker"] for row in only["results"]] == ["BRK.B"]
    some = ask("/v3/reference/tickers?ticker.gte=X&ticker.lt=Y&limit=1000&date=2024-12-13").json
    assert {row["ticker"][0] for row in some["results"]} == {"X"}
    gone = ask("/v3/reference/tickers?active=false&ticker=TWTR&date=2024-12-13").json["results"][0]
    assert gone["active"] is False
    assert gone["delisted_utc"].startswith("2022-10")
    assert ask("/v3/reference/tickers?market=crypto").json["results"] == []


def test_splits_page_and_contain_every_split_of_the_seven(ask: Ask) -> None:
    pages = follow(ask, "/v3/reference/splits?execution_date.gte=2020-08-01&limit=7")
    rows = [row for page in pages for row in page]
    assert [row["execution_date"] for row in rows] == sorted((row["execution_date"] for row in rows), reverse=True)
    found = {(row["ticker"], row["execution_date"]) for row in rows}
    assert {(s.symbol, str(s.execution_date)) for s in facts.splits() if str(s.execution_date) <= "2025-06-30"} <= found
    assert len(rows) > len(found)
    nvidia = ask("/v3/reference/splits?ticker=NVDA").json["results"]
    assert [(row["split_from"], row["split_to"]) for row in nvidia] == [(1, 10), (1, 4)]
    assert [row["ticker"] for row in ask("/v3/reference/splits?reverse_split=true").json["results"]] == ["GE"]


def test_the_newer_list_of_splits_has_the_same_ones_with_their_kind(ask: Ask) -> None:
    query = "execution_date.gte=2020-08-01&sort=execution_date.asc&limit=7"
    rows = [row for page in follow(ask, f"/stocks/v1/splits?{query}") for row in page]
    older = [row for page in follow(ask, "/v3/reference/splits?execution_date.gte=2020-08-01&limit=7") for row in page]
    names = ("id", "ticker", "execution_date", "split_from", "split_to")

    assert sorted(tuple(row[name] for name in names) for row in rows) == sorted(
        tuple(row[name] for name in names) for row in older
    )
    assert [row["execution_date"] for row in rows] == sorted(row["execution_date"] for row in rows)
    assert [row["adjustment_type"] for row in rows if row["ticker"] == "GE"] == ["reverse_split", "forward_split"]
    nvidia = ask("/stocks/v1/splits?ticker=NVDA").json["results"]
    assert [(str(row["split_to"]), str(row["historical_adjustment_factor"])) for row in nvidia] == [
        ("10.0", "0.1"),
        ("4.0", "0.025"),
    ]
    assert {row["ticker"] for row in ask("/stocks/v1/splits?ticker.any_of=NVDA,GE").json["results"]} == {"NVDA", "GE"}
    assert len(ask("/stocks/v1/splits?adjustment_type=reverse_split&ticker=GE").json["results"]) == 1
    assert ask("/stocks/v1/splits?sort=nothing.asc").status == 400


def test_events_name_the_change_of_meta_two_days_late(ask: Ask) -> None:
    results = ask("/vX/reference/tickers/META/events?types=ticker_change").json["results"]
    assert [(event["date"], event["ticker_change"]["ticker"]) for event in results["events"]] == [
        ("2022-06-11", "META"),
        ("2012-05-18", "FB"),
    ]
    assert ask(f"/vX/reference/tickers/{results['composite_figi']}/events").json["results"] == results
    assert ask("/vX/reference/tickers/ZZZZ/events").status == 404


# --- errors ---------------------------------------------------------------------------------------------------------


def tell(app: MarketApp, target: str, headers: dict[str, str]) -> Said:
    reply = app.answer(target, headers).reply
    return Said(reply.status, reply.body)


@pytest.mark.parametrize(
    ("headers", "query", "status", "text"),
    [
        ({}, "", 401, "API Key was not provided"),
        ({"authorization": "Bearer wrong"}, "", 401, "Unknown API Key"),
        ({"authorization": f"Bearer {DENIED_KEY}"}, "", 403, "NOT_AUTHORIZED"),
        ({"authorization": "Bearer right"}, "", 200, "AAPL"),
        ({}, "&apiKey=right", 200, "AAPL"),
    ],
)
def test_keys(headers: dict[str, str], query: str, status: int, text: str) -> None:
    app = MarketApp(Settings(clock=Clock(NOW), key="right"))
    said = tell(app, f"/v3/reference/tickers/AAPL?date=2024-12-13{query}", headers)
    assert said.status == status
    assert text in said.body.decode()
    assert b"right" not in said.body


@pytest.mark.parametrize(
    ("target", "status", "keys", "text"),
    [
        ("/v3/reference/tickers/ZZZZ?date=2024-12-13", 404, {"status", "request_id", "message"}, "Ticker not found."),
        ("/v3/reference/tickers/AAPL?date=2025-07-01", 403, {"status", "request_id", "message"}, "data timeframe"),
        (GROUPED.format("2025-07-01"), 403, {"status", "request_id", "message"}, "data timeframe"),
        (GROUPED.format("2020-10-30"), 403, {"status", "request_id", "message"}, "data timeframe"),
        (GROUPED.format("2024-13-01"), 400, {"status", "request_id", "error"}, "2024-13-01"),
        ("/v3/reference/tickers/AAPL?date=yesterday", 400, {"status", "request_id", "error"}, "yesterday"),
        ("/v2/aggs/ticker/AAPL/range/1/hour/2024-12-13/2024-12-13", 400, {"status", "request_id", "error"}, "hour"),
        ("/v3/reference/tickers?cursor=broken", 400, {"status", "request_id", "error"}, "cursor"),
        ("/v3/reference/tickers?limit=0", 400, {"status", "request_id", "error"}, "limit"),
    ],
)
def test_error_bodies(ask: Ask, target: str, status: int, keys: set[str], text: str) -> None:
    said = ask(target)
    assert (said.status, set(said.json)) == (status, keys)
    assert text in (said.json.get("message") or said.json.get("error"))


@pytest.mark.parametrize(("hour", "minute", "status"), [(12, 0, 403), (19, 0, 403), (20, 0, 200)])
def test_bars_of_today_are_released_late(hour: int, minute: int, status: int) -> None:
    told = make_ask(MarketApp(Settings(clock=Clock(datetime(2024, 12, 13, hour, minute, tzinfo=NEW_YORK)))))
    said = told(GROUPED.format("2024-12-13"))
    assert said.status == status
    if status == 403:
        assert "before end of day" in said.json["message"]
    assert told(GROUPED.format("2024-12-12")).status == 200


def test_details_of_today_rest_on_the_close_before_until_the_close() -> None:
    caps = {}
    for hour in (12, 17):
        clock = Clock(datetime(2024, 12, 13, hour, tzinfo=NEW_YORK), timedelta(hours=4))
        told = make_ask(MarketApp(Settings(clock=clock)))
        caps[hour] = told("/v3/reference/tickers/TSLA?date=2024-12-13").json["results"]["market_cap"]
        assert told("/v3/reference/tickers/TSLA").json["results"]["market_cap"] == caps[hour]
    assert caps[17] == Decimal("1400324325045.57") != caps[12]
