"""Questions about the index's members that a person decides, and what people decided: objects of the lake.

No run waits for a person: a question is stored, the run ends, and mag7_decide asks. What was answered is not asked
again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, TypedDict

from mag7.constituents.questions import Answer, Kind, Question, Verdict
from mag7.errors import Mag7Error, one_line
from mag7.lake.keys import answer_key, answers_to_questions_prefix, question_key
from mag7.lake.objects import ObjectStore
from mag7.settings import read_settings
from mag7.tasks.connections import open_store

log = logging.getLogger(__name__)

ACCEPT, REJECT, LEAVE_OPEN = "Accept", "Reject", "Leave open"
VERDICTS: Final[Mapping[str, Verdict]] = {
    ACCEPT: Verdict.ACCEPTED,
    REJECT: Verdict.REJECTED,
    LEAVE_OPEN: Verdict.LEFT_OPEN,
}


class QuestionMissingError(Mag7Error):
    """There is no such question."""


class AnswerInvalidError(Mag7Error):
    """What a person entered cannot be used."""


class AlreadyDecidedError(Mag7Error):
    """Somebody else decided the question first."""


class Shown(TypedDict):
    """A question as a person sees it."""

    subject: str
    body: str


def store_questions(store: ObjectStore, questions: Iterable[Question], session: date) -> list[str]:
    """Store questions; returns the ids of those that a person has to answer, whether or not they were asked before."""
    asked: list[str] = []
    for question in questions:
        log.warning("question %s: %s", question.id, question.text)
        body = json.dumps({**question.to_document(), "asked": session.isoformat()}, indent=1).encode()
        store.replace(question_key(question.id), body, None)
        if question.kind is not Kind.FILES_MISSING:
            asked.append(question.id)
    return asked


def read_question(store: ObjectStore, identifier: str) -> Question:
    """Read a question; raises QuestionMissingError."""
    found = store.find(question_key(identifier)) if identifier.isalnum() else None
    if found is None:
        raise QuestionMissingError(
            f"{one_line(identifier)!r} is the id of no question: mag7_constituents logs the ids that it stores"
        )
    return Question.from_document(json.loads(found.body))


def show_question(identifier: str) -> Shown:
    """Show a question as a subject and a table that Markdown renders."""
    question = read_question(open_store(read_settings()), identifier)
    rows = [
        "| change | symbol | company | CIK | effective | seen in |",
        "|---|---|---|---|---|---|",
        *(
            f"| {item.action.value} | {item.symbol} | {item.company} | {item.cik or 'not known'} | {item.effective}"
            f"{'' if item.earliest == item.latest else f' ({item.earliest} to {item.latest})'} |"
            f" {', '.join(item.seen_in)} |"
            for item in question.items
        ),
    ]
    text = (
        f"{question.text}\n\n"
        + "\n".join(rows)
        + "\n\nAccept it, reject it (it is not asked again), or leave it open. "
        "A date in the field replaces the effective date of every row."
    )
    return {"subject": f"Did the index change as of {question.since}?", "body": text}


def record_answer(identifier: str, response: Mapping[str, Any]) -> str:
    """Store what a person decided; ``response`` is what the human-in-the-loop operator returns. Returns the verdict.

    Raises AnswerInvalidError, and AlreadyDecidedError where somebody else decided it first.
    """
    store = open_store(read_settings())
    question = read_question(store, identifier)
    (chosen,) = response["chosen_options"]
    verdict = VERDICTS[chosen]
    effective = read_effective((response.get("params_input") or {}).get("effective_date"))
    person = (response.get("responded_by_user") or {}).get("name") or "a person"
    content = {
        "question": question.to_document(),
        "verdict": verdict.value,
        "person": person,
        "effective": None if effective is None else effective.isoformat(),
        "decided": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    key = answer_key(identifier)
    before = store.find(key)
    if before is not None and json.loads(before.body)["verdict"] != Verdict.LEFT_OPEN.value:
        known = json.loads(before.body)
        raise AlreadyDecidedError(f"question {identifier} was {known['verdict']} by {known['person']}: that stays")
    if not store.replace(key, json.dumps(content, indent=1).encode(), before):
        raise AlreadyDecidedError(f"somebody else decided question {identifier} at the same moment: that stays")
    return verdict.value


def read_effective(given: object) -> date | None:
    """Read the effective date that a person entered; raises AnswerInvalidError for what is no date."""
    if given in {None, ""}:
        return None
    try:
        return date.fromisoformat(str(given))
    except ValueError:
        raise AnswerInvalidError(
            f"the effective date is {one_line(str(given))!r}, but must be a date such as 2026-12-21: trigger "
            "mag7_decide for the question again"
        ) from None


def list_answers(store: ObjectStore) -> list[Answer]:
    """List everything that people decided."""
    found = (json.loads(store.get(entry.key)) for entry in store.list(answers_to_questions_prefix()))
    return [
        Answer(
            Question.from_document(content["question"]),
            Verdict(content["verdict"]),
            content["person"],
            None if content["effective"] is None else date.fromisoformat(content["effective"]),
        )
        for content in found
    ]
