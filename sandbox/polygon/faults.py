"""Faults on request: rules that slow down, refuse, break off or bend answers."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

KINDS = (
    "latency", "status", "reset", "stall", "truncate", "not_json", "wrong_types", "missing_keys", "other_company",
    "empty_results", "scale",
)  # fmt: skip


class FaultRuleError(ValueError):
    """A fault rule that cannot be used."""


@dataclass
class Fault:
    """One rule: what happens to answers whose request target matches ``path``.

    ``count`` bounds how often it strikes (None: always), ``probability`` draws from its own seeded stream. ``keys``
    are what ``missing_keys`` takes away, and what ``scale`` multiplies by ``factor``: a corrupt figure.
    """

    kind: str
    path: str = ""
    count: int | None = None
    probability: float = 1.0
    seed: int = 0
    status: int = 500
    retry_after: float | None = None
    seconds: float = 0.0
    factor: float = 0.05
    keys: tuple[str, ...] = ("market_cap", "weighted_shares_outstanding", "share_class_shares_outstanding")
    struck: int = field(default=0, init=False)
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultRuleError(f"fault kind {self.kind!r} is none of {', '.join(KINDS)}")
        if not 0 <= self.probability <= 1:
            raise FaultRuleError(f"fault probability {self.probability} is not between 0 and 1")
        try:
            re.compile(self.path)
        except re.error as error:
            raise FaultRuleError(f"fault path {self.path!r} is no regular expression: {error}") from error
        self.keys = tuple(self.keys)
        self._random = random.Random(self.seed)

    def strikes(self, target: str) -> bool:
        """Whether the rule applies to this request; it counts what it strikes."""
        if self.count is not None and self.struck >= self.count:
            return False
        if not re.search(self.path, target) or self._random.random() >= self.probability:
            return False
        self.struck += 1
        return True


@dataclass(frozen=True)
class Strike:
    """What the rules that struck do to one answer."""

    delay: float = 0.0
    fault: Fault | None = None


def read_rules(content: object) -> list[Fault]:
    """Read rules from JSON: an object or a list of objects with the fields of Fault."""
    rules = content if isinstance(content, list) else [content]
    known = {item.name for item in fields(Fault) if item.init}
    found = []
    for rule in rules:
        if not isinstance(rule, dict) or not set(rule) <= known or "kind" not in rule:
            raise FaultRuleError(f"a fault rule is an object with kind and any of {sorted(known)}: {rule!r}")
        try:
            found.append(Fault(**rule))
        except TypeError as error:
            raise FaultRuleError(f"a value of the fault rule {rule!r} is of the wrong type: {error}") from error
    return found


def choose_strike(rules: list[Fault], target: str) -> Strike:
    """Every latency that strikes adds up; of the other rules the first that strikes decides."""
    delay, chosen = 0.0, None
    for rule in rules:
        if (rule.kind == "latency" or chosen is None) and rule.strikes(target):
            if rule.kind == "latency":
                delay += rule.seconds
            else:
                chosen = rule
    return Strike(delay, chosen)


def bend_body(fault: Fault, body: bytes) -> bytes:
    """Change the content of an answer."""
    if fault.kind == "not_json":
        return b"<html><body><h1>upstream connect error</h1></body></html>"
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
    """Turn every number into words."""
    if isinstance(content, Mapping):
        return {key: _write_as_text(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_write_as_text(value) for value in content]
    return "n/a" if isinstance(content, int | float) and not isinstance(content, bool) else content
