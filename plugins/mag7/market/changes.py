"""Comparing two documents of one session: every line, figure, failure and split that differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mag7.market.document import Document

NOT_COMPARED = frozenset({"answers", "splits_applied", "trading_data", "collection_date"})
"""Not figures, or (bars) compared separately."""

FIELDS_OF_THE_LINE = frozenset({"market_cap", "shares_outstanding", "share_count_origin", "cik"})
"""Fields that a company's entry repeats from its line."""


def list_changes(before: Document, after: Document) -> list[str]:
    """List the differences between two documents, a phrase each; collection times and response keys are ignored."""
    sides = before, after
    changes = _compare_items("line", *({line.ticker: dict(line) for line in side.lines} for side in sides))
    changes += _compare_items("company", *(_index_companies(side) for side in sides))
    for ticker in sorted(before.companies.keys() & after.companies.keys()):
        changes += _compare(f"{ticker} bar", *(dict(side.companies[ticker].trading_data) for side in sides))
    changes += _compare_items("failure", *(_index_failures(side) for side in sides))
    changes += _compare_items("split", *(_index_splits(side) for side in sides))
    return changes + _compare("session", *(dict(side.concentration_metrics) for side in sides))


def _index_companies(document: Document) -> dict[str, dict[str, Any]]:
    return {
        ticker: {field: value for field, value in company if field not in FIELDS_OF_THE_LINE}
        for ticker, company in document.companies.items()
    }


def _index_failures(document: Document) -> dict[str, dict[str, Any]]:
    return {item.ticker: {"reason": item.reason} for item in document.sp500_details.failed_tickers}


def _index_splits(document: Document) -> dict[str, dict[str, Any]]:
    return {f"{split.ticker} {split.execution_date}": dict(split) for split in document.splits}


def _compare_items(kind: str, before: Mapping[str, dict[str, Any]], after: Mapping[str, dict[str, Any]]) -> list[str]:
    changes = [f"{name} is no longer a {kind}" for name in sorted(before.keys() - after.keys())]
    changes += [f"{name} is now a {kind}" for name in sorted(after.keys() - before.keys())]
    for name in sorted(before.keys() & after.keys()):
        changes += _compare(name, before[name], after[name])
    return changes


def _compare(subject: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        f"{subject} {field}: {_show(before[field])} -> {_show(after[field])}"
        for field in before
        if field not in NOT_COMPARED and before[field] != after[field]
    ]


def _show(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ",".join(value) or "none" if isinstance(value, list) else str(value)
    return f"{value:,}"
