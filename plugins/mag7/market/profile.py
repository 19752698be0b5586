"""The profile of a session: a summary of its document for the manifest, compared with that of the session before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mag7.market.document import Document, DocumentSplit

Profile = dict[str, Any]
"""Source, quality, figures, number of lines by flag and by count origin, reasons of failed lines, and listed splits
that were not applied."""

FIGURES = ("mag7_pct_of_sp500", "line_sum_mag7_pct", "companies_priced", "coverage_pct")
"""The session's metrics in a profile."""
STATED = ("schema_version", "source", "quality", "membership_provisional")
NEEDED = {"schema_version", "source", "quality", "flags", "origins", "failed"}
"""Keys of every stored profile; newer keys may be absent."""
COUNTED = ("rows", "flags", "origins")


def profile_document(document: Document) -> Profile:
    """Summarize a document, with the lines of the seven outside the index."""
    lines, metrics = document.lines, document.concentration_metrics
    origins = Counter(line.share_count_origin for line in lines if line.share_count_origin is not None)
    return {
        "schema_version": document.schema_version,
        "source": document.source,
        "quality": metrics.quality,
        "membership_provisional": metrics.membership_provisional,
        **{figure: getattr(metrics, figure) for figure in FIGURES},
        "flags": dict(sorted(Counter(flag for line in lines for flag in line.flags).items())),
        "origins": dict(sorted(origins.items())),
        "failed": {item.ticker: item.reason for item in document.sp500_details.failed_tickers},
        "contested_splits": {_name_split(split): split.reason for split in document.contested_splits},
    }


def _name_split(split: DocumentSplit) -> str:
    return f"{split.ticker} {split.split_to:g} for {split.split_from:g} on {split.execution_date}"


def is_profile(value: Any) -> bool:
    """Whether a value read from the lake has the form of a profile."""
    if not isinstance(value, dict) or not value.keys() >= NEEDED:
        return False
    return all(isinstance(value.get(name, {}), dict) for name in (*COUNTED, "failed", "contested_splits"))


def list_departures(before: Profile, after: Profile) -> list[str]:
    """List the differences between a session's profile and that of the session before, a phrase each.

    Figures change every day and are not compared. ``rows`` by table are compared where both profiles have them.
    """
    departures = [
        f"{name}: {after[name]}, before {before[name]}" for name in STATED if before.get(name) != after.get(name)
    ]
    for name in COUNTED:
        if name in before and name in after:
            departures += _compare_counts(name, before[name], after[name])
    departures += [
        f"{ticker} failed: {after['failed'][ticker]}"
        for ticker in sorted(after["failed"].keys() - before["failed"].keys())
    ]
    departures += [f"{ticker} no longer fails" for ticker in sorted(before["failed"].keys() - after["failed"].keys())]
    contested = after.get("contested_splits", {})
    departures += [
        f"listed split {name} is not applied: {contested[name]}"
        for name in sorted(contested.keys() - before.get("contested_splits", {}).keys())
    ]
    return departures


def list_changed(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """List the versions or digests, by name, that changed, a phrase each."""
    return [
        f"{kind} {name}: {after.get(name, 'none')}, before {before.get(name, 'none')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _compare_counts(kind: str, before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    return [
        f"{kind} {name}: {after.get(name, 0)}, before {before.get(name, 0)}"
        for name in sorted({*before, *after})
        if before.get(name, 0) != after.get(name, 0)
    ]
