"""The document: system A's keys, exact cents, one entry a line, the same bytes for the same session."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from mag7.market.document import decode_document, encode_document
from mag7.market.figures import compute_figures, write_document
from mag7.market.shares import AcceptedCount, Origin
from mag7.polygon.answers import Answer
from tests.unit.market.conftest import Make

SESSION = date(2024, 12, 13)
ANSWERS = tuple(Answer(path, datetime(2024, 12, 14, tzinfo=UTC), 200, "x", "", None, f"k{path}") for path in "12")
COLLECTED = datetime(2024, 12, 14, 1, 59, 5, tzinfo=UTC)


@pytest.fixture
def document(make: Make) -> dict[str, Any]:
    inputs = [
        make.inputs(make.line("MSFT", cik="0000789019"), 7_434_880_776, "447.27", answers=ANSWERS),
        make.inputs(make.line("AAPL"), 15_115_823_000, "248.13"),
        make.inputs(make.line("XOM"), None, "107.5"),
    ]
    figures = compute_figures(SESSION, inputs, [make.inputs(make.line("TSLA"), 3_210_059_659, "436.23")])
    return json.loads(encode_document(write_document(figures, "simulated", COLLECTED)))


def test_caps_are_exact_to_the_cent(document: dict[str, Any]):
    caps = {ticker: company["market_cap"] for ticker, company in document["companies"].items()}
    assert caps == {"AAPL": 3_750_689_160_990.00, "MSFT": 3_325_399_124_681.52, "TSLA": 1_400_324_325_045.57}


def test_times_are_new_yorks(document: dict[str, Any]):
    assert document["data_collection_time"] == "2024-12-13T20:59:05-05:00"
    assert document["companies"]["AAPL"]["trading_data"]["timestamp"] == 1734066000000


def test_membership_decides_the_share_of_the_index(document: dict[str, Any]):
    ranking = {item["ticker"]: item for item in document["rankings"]["by_market_cap"]}
    assert ranking["TSLA"]["in_index"] is False
    assert ranking["TSLA"]["pct_of_sp500"] is None
    assert document["concentration_metrics"]["mag7_in_index_count"] == 2
    assert document["concentration_metrics"]["mag7_companies_count"] == 3


def test_a_failed_line_is_named_with_its_reason_and_has_no_price(document: dict[str, Any]):
    assert document["sp500_details"]["failed_tickers"] == [{"ticker": "XOM", "reason": "no details of XOM"}]
    line = next(item for item in document["constituents"] if item["ticker"] == "XOM")
    assert (line["close"], line["share_count"], line["market_cap"], line["counted"]) == (None, None, None, False)
    assert document["concentration_metrics"]["line_sum_market_cap"] is None
    assert document["coverage"]["companies_priced"] == 2


def test_constituents_name_their_answers_and_volume_is_whole(document: dict[str, Any]):
    line = next(item for item in document["constituents"] if item["ticker"] == "MSFT")
    assert line["answers"] == ["k1", "k2"]
    assert document["companies"]["MSFT"]["trading_data"]["volume"] == 1000


def test_what_could_not_be_true_of_a_bar_is_null_and_the_session_flagged(make: Make):
    inputs = make.inputs(make.line("NVDA"), 24_490_000_000, "134.25")
    bar = replace(inputs.bar, open=None, high=None, low=None, volume=None, vwap=None, inconsistent=True)
    figures = compute_figures(SESSION, [replace(inputs, bar=bar)], [])
    body = encode_document(write_document(figures, "simulated", COLLECTED))
    document = json.loads(body)
    data = document["companies"]["NVDA"]["trading_data"]

    assert {data[f"{name}_price"] for name in ("open", "high", "low")} | {data["volume"], data["vwap"]} == {None}
    assert (data["close_price"], document["companies"]["NVDA"]["market_cap"]) == (134.25, 3287782500000.0)
    assert document["constituents"][0]["flags"] == ["bar_inconsistent"]
    assert document["concentration_metrics"]["quality"] == "flagged"
    assert encode_document(decode_document(body, "a test")) == body


def test_amounts_are_written_as_the_nearest_double(make: Make):
    inputs = make.inputs(make.line("NVDA"), 24_490_000_000, "0.000012340")
    body = encode_document(write_document(compute_figures(SESSION, [inputs], []), "Ünic", COLLECTED))

    assert b'"close": 1.234e-05,\n' in body
    assert b'"market_cap": 302206.6,\n' in body
    assert b'"share_count": 24490000000,\n' in body
    assert body == json.dumps(json.loads(body), indent=1, ensure_ascii=False).encode()


def test_the_order_of_the_lines_changes_nothing(make: Make):
    inputs = [make.inputs(make.line(ticker), 10, "2.5") for ticker in ("XOM", "AAPL", "KO")]
    first, second = (
        encode_document(write_document(compute_figures(SESSION, order, []), "simulated", COLLECTED))
        for order in (inputs, inputs[::-1])
    )
    assert first == second


def test_a_session_that_was_not_asked_about_has_no_market_cap_of_the_providers(make: Make):
    """Its count is from two sessions around it that were; the provider's cap is the earlier one's."""
    asked = make.inputs(make.line("AAPL"), 15_115_823_000, "248.13")
    between = replace(asked, between=AcceptedCount(15_115_823_000, Origin.WEIGHTED))
    documents = [
        write_document(compute_figures(SESSION, [inputs], []), "simulated", COLLECTED) for inputs in (asked, between)
    ]
    caps = [(line.market_cap, line.provider_market_cap) for found in documents for line in found.constituents]

    assert caps == [(3750689160990.00, 3750689160990.00), (3750689160990.00, None)]
