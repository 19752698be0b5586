"""Questions for a person, each with an id derived from its content, and the answers."""

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
    """A stored question is damaged."""


class Kind(StrEnum):
    """The reason for a question."""

    UNSTATED = "unstated"
    """Funds' files show a change that nobody stated and no rule accepts."""
    FILES_MISSING = "files_missing"
    """The list is old, and there is no newer file. Two files answer the question; no person has to."""


class Verdict(StrEnum):
    """What a person decided about a question."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LEFT_OPEN = "left_open"


@dataclass(frozen=True, order=True)
class Item:
    """A row of a question's table: a line that joins or leaves.

    ``ticker`` is the key of a line that leaves or returns. By the files, the change is effective between ``earliest``
    and ``latest``; ``effective`` is the best estimate.
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
        """What the item is about; it does not change when more becomes known."""
        return f"{self.action.value} {self.symbol}"

    def is_about(self, other: Item) -> bool:
        """Return whether two items have the same subject, and not two companies with one symbol."""
        differs = self.cik is not None and other.cik is not None and self.cik != other.cik
        return self.subject == other.subject and not differs


@dataclass(frozen=True)
class Question:
    """A question for a person; its id depends on kind and subjects, so the same question is not asked twice.

    ``again`` counts how often the same subjects were decided before, perhaps years ago: each time is a new question.
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
        """Return the question as a JSON object, with its id."""
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
        """Read a question from a JSON object; raises QuestionInvalidError where it or its id is damaged."""
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
                f"a stored question is damaged ({one_line(repr(wrong))}): delete it, the next run asks again"
            ) from wrong
        if question.id != document.get("id"):
            raise QuestionInvalidError(
                f"a stored question has the id {one_line(str(document.get('id')))}, but its content has the id "
                f"{question.id}: delete it, the next run asks again"
            )
        return question


def _read_item(item: Mapping[str, Any]) -> Item:
    days = {name: date.fromisoformat(item[name]) for name in ("effective", "earliest", "latest")}
    return Item(**{**item, **days, "action": Action(item["action"]), "seen_in": tuple(item["seen_in"])})


@dataclass(frozen=True)
class Answer:
    """What a person decided about a question; ``effective``, if given, replaces the dates of its items."""

    question: Question
    verdict: Verdict
    person: str
    effective: date | None = None
