"""Fault rules of both servers: what a rule matches, how often it applies, and how rules are read from JSON."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, fields
from typing import ClassVar, TypeVar


class FaultRuleError(ValueError):
    """A fault rule that cannot be used."""


@dataclass(kw_only=True)
class FaultRule:
    """One rule: it lets the first ``skip`` matches pass, then applies ``count`` times (None: always).

    ``probability`` draws from the rule's own seeded random stream, for each match after the skipped ones. ``kinds`` are
    the kinds that a server knows. ``pattern`` names the field with the regular expression of what the rule matches.
    """

    kinds: ClassVar[tuple[str, ...]]
    pattern: ClassVar[str]

    kind: str
    count: int | None = None
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    struck: int = field(default=0, init=False)
    passed: int = field(default=0, init=False)
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in self.kinds:
            raise FaultRuleError(f"fault kind {self.kind!r} is none of {', '.join(self.kinds)}")
        if not 0 <= self.probability <= 1:
            raise FaultRuleError(f"fault probability {self.probability} is not between 0 and 1")
        text = getattr(self, self.pattern)
        try:
            re.compile(text)
        except re.error as error:
            raise FaultRuleError(f"fault {self.pattern} {text!r} is not a regular expression: {error}") from error
        self._random = random.Random(self.seed)

    def strikes(self, target: str) -> bool:
        """Whether the rule applies to a target; counts what it lets pass and what it applies to."""
        if (self.count is not None and self.struck >= self.count) or not re.search(getattr(self, self.pattern), target):
            return False
        if self.passed < self.skip:
            self.passed += 1
            return False
        if self._random.random() >= self.probability:
            return False
        self.struck += 1
        return True


Rule = TypeVar("Rule", bound=FaultRule)


def read_rules(kind: type[Rule], content: object) -> list[Rule]:
    """Read rules of a server from JSON: an object or a list of objects with the fields of its rule."""
    known = {item.name for item in fields(kind) if item.init}
    found = []
    for rule in content if isinstance(content, list) else [content]:
        if not isinstance(rule, dict) or not set(rule) <= known or "kind" not in rule:
            raise FaultRuleError(f"a fault rule is an object with kind and any of {sorted(known)}: {rule!r}")
        try:
            found.append(kind(**rule))
        except TypeError as error:
            raise FaultRuleError(f"a value of the fault rule {rule!r} is of the wrong type: {error}") from error
    return found
