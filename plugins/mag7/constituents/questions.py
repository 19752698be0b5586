"""What a person decides: questions, each with an id made of its content, and the answers to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Any

from mag7.constituents.announcements import Action
from mag7.errors import Mag7Error, one_line


class QuestionInvalidError(Mag7Error):
    """A stored question is not what was stored."""


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
    """A question for a person; the id depends on kind and subjects, so the same one is never asked twice.

    ``again`` counts how often the same subjects were decided before, years ago perhaps: then it is another question.
    """

    kind: Kind
    items: tuple[Item, ...]
    text: str
    since: date
    again: int = 0

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of kind and subjects (and dates, where a date is in question)."""
        subjects = sorted(item.subject for item in self.items)
        if self.kind is not Kind.UNSTATED:
            subjects.append(str(self.since))
        subjects += [f"again {self.again}"] if self.again else []
        return sha256(json.dumps([self.kind.value, subjects]).encode()).hexdigest()[:16]

    def to_document(self) -> dict[str, object]:
        """Lay the question out for JSON, with its id."""
        items = [
            {**vars(item), "effective": str(item.effective), "earliest": str(item.earliest), "latest": str(item.latest)}
            for item in self.items
        ]
        return {
            "id": self.id,
            "kind": self.kind,
            "text": self.text,
            "since": str(self.since),
            "items": items,
            "again": self.again,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Question:
        """Read a question that was laid out; raises QuestionInvalidError where it is none, or its id is another's."""
        try:
            question = cls(
                Kind(document["kind"]),
                tuple(_read_item(item) for item in document["items"]),
                str(document["text"]),
                date.fromisoformat(document["since"]),
                int(document.get("again", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise QuestionInvalidError(
                f"a stored question is not of its form ({one_line(repr(wrong))}): delete it, the next run asks again"
            ) from wrong
        if question.id != document.get("id"):
            raise QuestionInvalidError(
                f"a stored question has the id {one_line(str(document.get('id')))}, but its content is that of "
                f"{question.id}: delete it, the next run asks again"
            )
        return question


def _read_item(item: Mapping[str, Any]) -> Item:
    days = {name: date.fromisoformat(item[name]) for name in ("effective", "earliest", "latest")}
    return Item(**{**item, **days, "action": Action(item["action"]), "seen_in": tuple(item["seen_in"])})


@dataclass(frozen=True)
class Answer:
    """What a person decided about a question; ``effective`` replaces the dates of its items where it is given."""

    question: Question
    verdict: Verdict
    person: str
    effective: date | None = None
