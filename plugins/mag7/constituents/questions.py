"""What a person decides: questions, each with an id made of its content, and the answers to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256

from mag7.constituents.announcements import Action


class Kind(StrEnum):
    """Why a question is asked."""

    UNSTATED = "unstated"
    """Funds' files show a difference that nobody stated, and the rule does not accept it."""
    FILES_MISSING = "files_missing"
    """The list is old, and no file since is at hand: two files answer it, no person has to."""


class Verdict(StrEnum):
    """What a person decided about a question."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LEFT_OPEN = "left_open"


@dataclass(frozen=True, order=True)
class Item:
    """One line of a question's table: a line that joins or leaves.

    ``ticker`` is the key of a line that leaves or returns. ``earliest`` and ``latest`` are the sessions between which
    the files place it, ``effective`` is the best of them.
    """

    action: Action
    symbol: str
    ticker: str | None
    company: str
    cik: str | None
    effective: date
    earliest: date
    latest: date
    seen_in: tuple[str, ...] = ()
    weight_pct: str | None = None

    @property
    def subject(self) -> str:
        """What the item is about, whatever is found out about it later."""
        return f"{self.action.value} {self.symbol}"

    def is_about(self, other: Item) -> bool:
        """Return whether two items have one subject, and not two companies of one symbol."""
        differs = self.cik is not None and other.cik is not None and self.cik != other.cik
        return self.subject == other.subject and not differs


@dataclass(frozen=True)
class Question:
    """A question for a person; the id depends on kind and subjects alone, so the same one is never asked twice."""

    kind: Kind
    items: tuple[Item, ...]
    text: str
    since: date

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of kind and subjects (and dates, where a date is in question)."""
        subjects = sorted(item.subject for item in self.items)
        if self.kind is not Kind.UNSTATED:
            subjects.append(str(self.since))
        return sha256(json.dumps([self.kind.value, subjects]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Answer:
    """What a person decided about a question; ``effective`` replaces the dates of its items where it is given."""

    question: Question
    verdict: Verdict
    person: str
    effective: date | None = None
