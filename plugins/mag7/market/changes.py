"""What changed between two documents of one session: every line and every figure that differs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mag7.market.document import Document, encode_document

LINE_FIELDS = (
    "symbol",
    "issuer",
    "main_line",
    "close",
    "share_count",
    "share_count_origin",
    "split_factor",
    "market_cap",
    "flags",
)
BAR_FIELDS = ("open_price", "high_price", "low_price", "close_price", "volume", "vwap")
FIGURES = ("total_mag7_market_cap", "sp500_total_market_cap", "mag7_pct_of_sp500", "line_sum_market_cap", "quality")


def list_changes(before: Document, after: Document) -> list[str]:
    """Say, one phrase each, what a new document says differently; times of collection and keys are not compared.

    ``before`` may be of an older schema version: what it did not hold yet counts as changed only where it has a value
    now that is not the plain one (a split factor of 1).
    """
    # Numbers of a document that was not encoded yet are Decimal; those of a stored one are floats.
    after = json.loads(encode_document(after))
    changes = _compare_lines(_index(before), _index(after))
    for ticker in sorted({*before["companies"], *after["companies"]}):
        bars = [content["companies"].get(ticker, {}).get("trading_data", {}) for content in (before, after)]
        changes += _compare(f"{ticker} bar", bars[0], bars[1], BAR_FIELDS)
    changes += _compare("session", before["concentration_metrics"], after["concentration_metrics"], FIGURES)
    return changes


def _index(document: Document) -> dict[str, dict[str, Any]]:
    return {line["ticker"]: line for line in [*document["constituents"], *document.get("seven_outside", [])]}


def _compare_lines(before: Mapping[str, dict[str, Any]], after: Mapping[str, dict[str, Any]]) -> list[str]:
    changes = [f"{ticker} is no line any more" for ticker in sorted(before.keys() - after.keys())]
    changes += [f"{ticker} is a line now" for ticker in sorted(after.keys() - before.keys())]
    for ticker in sorted(before.keys() & after.keys()):
        changes += _compare(ticker, {"split_factor": 1.0, **before[ticker]}, after[ticker], LINE_FIELDS)
    return changes


def _compare(subject: str, before: Mapping[str, Any], after: Mapping[str, Any], fields: Iterable[str]) -> list[str]:
    return [
        f"{subject} {field}: {_show(before.get(field))} -> {_show(after.get(field))}"
        for field in fields
        if before.get(field) != after.get(field)
    ]


def _show(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ",".join(value) or "none" if isinstance(value, list) else str(value)
    return f"{value:,}"
