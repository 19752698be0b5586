"""A published document is taken for one only if everything that reads it can."""

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

    assert document == STORED
    assert list_changes(document, NEW) == []


def test_nothing_published_says_nothing(store: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
    assert read_published(store, DAY) is None
    assert caplog.messages == []


def test_a_document_of_an_older_version_is_read(store: ObjectStore) -> None:
    older = {name: value for name, value in STORED.items() if name not in {"splits", "seven_outside"}}
    put(
        store,
        {
            **older,
            "constituents": [leave_out(line, "split_factor", "splits_applied") for line in STORED["constituents"]],
        },
    )

    assert read_published(store, DAY) is not None


def leave_out(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}


def damaged() -> dict[str, Any]:
    """Documents each of which broke one of its readers."""
    line, company = STORED["constituents"][0], STORED["companies"]["AAPL"]

    def with_line(**changes: Any) -> dict[str, Any]:
        return {**deepcopy(STORED), "constituents": [{**line, **changes}]}

    return {
        "nested beyond a stack": b"[" * 100_000,
        "no object": [],
        "no constituents": leave_out(STORED, "constituents"),
        "no companies": leave_out(STORED, "companies"),
        "no bar": {**STORED, "companies": {"AAPL": leave_out(company, "trading_data")}},
        "half a bar": {**STORED, "companies": {"AAPL": {**company, "trading_data": {"close_price": 1}}}},
        "constituents by name": {**STORED, "constituents": {"AAPL": line}},
        "a line without a ticker": {**STORED, "constituents": [leave_out(line, "ticker")]},
        "a cap without a close": with_line(close=None),
        "a cap that is a text": with_line(market_cap="1"),
        "flags that are numbers": with_line(flags=[1]),
        "a ticker that is a list": with_line(ticker=["AAPL"]),
        "a failure without a reason": {**STORED, "sp500_details": {"failed_tickers": [{"ticker": "XOM"}]}},
        "figures inside figures": {**STORED, "concentration_metrics": {"hhi": {"a": 1}}},
        "a split without a date": {**STORED, "splits": [leave_out(STORED["splits"][0], "execution_date")]},
        "another session": {**STORED, "trading_date": "2024-12-12"},
        "not a number": json.dumps(with_line(close=1.5)).replace("1.5", "NaN").encode(),
    }


@pytest.mark.parametrize(
    ("why", "document"), damaged().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_damaged_document_is_as_if_not_published(
    store: ObjectStore, caplog: pytest.LogCaptureFixture, why: str, document: Any
) -> None:
    put(store, document)

    assert read_published(store, DAY) is None
    assert "trading_date=2024-12-13/market_data.json is no document of this project" in caplog.text
