"""A published document is used only if everything that reads it can read it."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.market.changes import list_changes
from mag7.tasks.published import read_published
from tests.fuzz.documents import NEW, STORED
from tests.unit.tasks.conftest import DAY


def put(store: ObjectStore, document: Any) -> None:
    store.put(document_key(DAY), document if isinstance(document, bytes) else json.dumps(document).encode())


def test_a_whole_document_is_read(store: ObjectStore) -> None:
    put(store, STORED)
    document = read_published(store, DAY)

    assert document == NEW
    assert list_changes(document, NEW) == []


def test_nothing_published_says_nothing(store: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
    assert read_published(store, DAY) is None
    assert caplog.messages == []


def test_a_document_of_an_older_version_says_in_one_line_what_writes_it_again(
    store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, {**leave_out(STORED, "splits", "seven_outside"), "schema_version": 3})

    assert read_published(store, DAY) is None
    assert caplog.messages == [
        "s3://lake/raw/magnificent7/trading_date=2024-12-13/market_data.json is not a document of schema_version 4"
        " (schema_version 3: Input should be 4): rebuild its session from stored responses, which makes no call;"
        " treated as not published"
    ]


def leave_out(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}


def damaged() -> dict[str, Any]:
    """Documents each of which broke one of its readers, and the field that is named."""
    line, company = STORED["constituents"][0], STORED["companies"]["AAPL"]

    def with_line(**changes: Any) -> dict[str, Any]:
        return {**deepcopy(STORED), "constituents": [{**line, **changes}]}

    def with_part(name: str, **changes: Any) -> dict[str, Any]:
        return {**STORED, name: STORED[name] | changes}

    return {
        "Invalid JSON: recursion limit exceeded": b"[" * 100_000,
        "Input should be an object": [],
        "(constituents: Field required)": leave_out(STORED, "constituents"),
        "(companies: Field required)": leave_out(STORED, "companies"),
        "(companies.AAPL.trading_data: Field required)": {
            **STORED,
            "companies": {"AAPL": leave_out(company, "trading_data")},
        },
        "(companies.AAPL.trading_data.date: Field required)": {
            **STORED,
            "companies": {"AAPL": {**company, "trading_data": {"close_price": 1}}},
        },
        "(constituents: Input should be a valid array)": {**STORED, "constituents": {"AAPL": line}},
        "(constituents.0.ticker: Field required)": {**STORED, "constituents": [leave_out(line, "ticker")]},
        "(constituents.0: Value error, a market_cap without": with_line(close=None),
        "(constituents.0.market_cap '1': Input should be a valid number)": with_line(market_cap="1"),
        "(constituents.0.flags.0 1: Input should be a valid string)": with_line(flags=[1]),
        "(constituents.0.ticker: Input should be a valid string)": with_line(ticker=["AAPL"]),
        "(sp500_details.failed_tickers.0.reason: Field required)": with_part(
            "sp500_details", failed_tickers=[{"ticker": "XOM"}]
        ),
        "(concentration_metrics.hhi: Input should be a valid number)": with_part("concentration_metrics", hhi={"a": 1}),
        "(splits.0.execution_date: Field required)": {
            **STORED,
            "splits": [leave_out(STORED["splits"][0], "execution_date")],
        },
        "is the document of 2024-12-12": {**STORED, "trading_date": "2024-12-12"},
        "(constituents.0.close nan: Input should be a finite number)": json.dumps(with_line(close=1.5))
        .replace("1.5", "NaN")
        .encode(),
    }


@pytest.mark.parametrize(("field", "document"), damaged().items(), ids=damaged())
def test_a_damaged_document_is_as_if_not_published_and_names_the_field(
    store: ObjectStore, caplog: pytest.LogCaptureFixture, field: str, document: Any
) -> None:
    put(store, document)

    assert read_published(store, DAY) is None
    (message,) = caplog.messages
    assert "trading_date=2024-12-13/market_data.json is " in message
    assert field in message
    assert len(message) < 400
