"""Injected faults: rules that delay, refuse, cut off or alter responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.fault_rules import FaultRule

KINDS = (
    "latency", "status", "reset", "stall", "truncate", "not_json", "wrong_types", "missing_keys", "other_company",
    "empty_results", "scale", "yesterday", "half_file", "other_fund", "few_lines",
)  # fmt: skip


@dataclass(kw_only=True)
class Fault(FaultRule):
    """One rule for responses whose request target matches ``path``.

    ``missing_keys`` removes ``keys``; ``scale`` multiplies them by ``factor``, which gives a corrupt figure. The last
    four kinds alter a fund's file, see :mod:`sandbox.polygon.funds`; the kinds that alter JSON do not.
    """

    kinds = KINDS
    pattern = "path"

    path: str = ""
    status: int = 500
    retry_after: float | None = None
    seconds: float = 0.0
    factor: float = 0.05
    keys: tuple[str, ...] = ("market_cap", "weighted_shares_outstanding", "share_class_shares_outstanding")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.keys = tuple(self.keys)


@dataclass(frozen=True)
class Strike:
    """What the rules do to one response."""

    delay: float = 0.0
    fault: Fault | None = None


def choose_strike(rules: list[Fault], target: str) -> Strike:
    """Apply the rules: latencies add up; of the other rules the first that matches applies."""
    delay, chosen = 0.0, None
    for rule in rules:
        if (rule.kind == "latency" or chosen is None) and rule.strikes(target):
            if rule.kind == "latency":
                delay += rule.seconds
            else:
                chosen = rule
    return Strike(delay, chosen)


def bend_body(fault: Fault, body: bytes) -> bytes:
    """Change the content of a response."""
    if fault.kind == "not_json":
        return b"<html><body><h1>upstream connect error</h1></body></html>"
    if body[:1] not in {b"{", b"["}:
        return body
    content = json.loads(body)
    if fault.kind == "empty_results":
        content.pop("results", None)
        content |= {"queryCount": 0, "resultsCount": 0}
    elif fault.kind == "missing_keys":
        _drop_keys(content, fault.keys)
    elif fault.kind == "scale":
        content = _scale_keys(content, fault.keys, fault.factor)
    elif fault.kind == "wrong_types":
        content = _write_as_text(content)
    return json.dumps(content, separators=(",", ":")).encode()


def _drop_keys(content: Any, keys: tuple[str, ...]) -> None:
    for part in content.values() if isinstance(content, dict) else content:
        if isinstance(part, dict | list):
            _drop_keys(part, keys)
    if isinstance(content, dict):
        for key in keys:
            content.pop(key, None)


def _scale_keys(content: Any, keys: tuple[str, ...], factor: float) -> Any:
    if isinstance(content, list):
        return [_scale_keys(part, keys, factor) for part in content]
    if not isinstance(content, dict):
        return content
    return {
        key: round(value * factor)
        if key in keys and isinstance(value, int | float)
        else _scale_keys(value, keys, factor)
        for key, value in content.items()
    }


def _write_as_text(content: Any) -> Any:
    """Replace every number by a text."""
    if isinstance(content, Mapping):
        return {key: _write_as_text(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_write_as_text(value) for value in content]
    return "n/a" if isinstance(content, int | float) and not isinstance(content, bool) else content
