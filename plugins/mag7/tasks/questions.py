"""Questions about the index's members that a person decides, and the decisions, as objects in the lake.

No run waits for a person: a question is stored, the run ends, and mag7_decide asks it. An answered question is not
asked again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, TypedDict

from mag7.constituents.questions import Answer, Kind, Question, Verdict
from mag7.errors import Mag7Error, one_line
from mag7.lake.fact_log import FactLog
from mag7.lake.keys import answer_key, answers_to_questions_prefix, question_key
from mag7.lake.objects import ObjectStore
from mag7.session_calendar import load_calendar
from mag7.sessions import next_session, previous_session
from mag7.settings import read_settings
from mag7.tasks.connections import open_store

log = logging.getLogger(__name__)

ACCEPT, REJECT, LEAVE_OPEN = "Accept", "Reject", "Leave open"
VERDICTS: Final[Mapping[str, Verdict]] = {
    ACCEPT: Verdict.ACCEPTED,
    REJECT: Verdict.REJECTED,
    LEAVE_OPEN: Verdict.LEFT_OPEN,
}

FAR_SESSIONS: Final = 10
"""Sessions by which a person's date may lie outside the range in which the files place a change."""


class QuestionMissingError(Mag7Error):
    """There is no question with this id."""


class AnswerInvalidError(Mag7Error):
    """A person's entry cannot be used."""


class AnswerDamagedError(Mag7Error):
    """A stored decision cannot be read."""


class AlreadyDecidedError(Mag7Error):
    """Another person decided the question first."""


class Shown(TypedDict):
    """A question as a person sees it."""

    subject: str
    body: str


class Recorded(TypedDict):
    """What was recorded: the verdict, and the version of the facts before it."""

    verdict: str
    facts: str


def store_questions(store: ObjectStore, questions: Iterable[Question], session: date, run: str) -> list[str]:
    """Store questions; returns the ids of those that wait for a person, whether or not they were asked before.

    The DAG asks each in a run named after it, and skips a run that exists: a repeated task asks nothing twice.
    """
    asked: list[str] = []
    for question in questions:
        log.warning("question %s: %s", question.id, question.text)
        if question.kind is Kind.FILES_MISSING:
            continue  # two files answer it, no person has to
        content = {**question.to_document(), "asked": session.isoformat(), "run": run}
        store.replace(question_key(question.id), json.dumps(content, indent=1).encode(), None)
        if store.find(answer_key(question.id)) is None:
            asked.append(question.id)
    return asked


def read_question(store: ObjectStore, identifier: str) -> Question:
    """Read a question; raises QuestionMissingError."""
    found = store.find(question_key(identifier)) if identifier.isalnum() else None
    if found is None:
        raise QuestionMissingError(
            f"{one_line(identifier)!r} is not the id of a question: mag7_constituents logs the ids that it stores"
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


def record_answer(identifier: str, response: Mapping[str, Any]) -> Recorded:
    """Store what a person decided; ``response`` is what the human-in-the-loop operator returns.

    Raises AnswerInvalidError, and AlreadyDecidedError where another person decided it first.
    """
    store = open_store(read_settings())
    question = read_question(store, identifier)
    (chosen,) = response["chosen_options"]
    verdict = VERDICTS[chosen]
    effective = read_effective((response.get("params_input") or {}).get("effective_date"), question)
    person = (response.get("responded_by_user") or {}).get("name") or "a person"
    content = {
        "question": question.to_document(),
        "verdict": verdict.value,
        "person": person,
        "effective": None if effective is None else effective.isoformat(),
        "decided": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    newest = FactLog(store).newest()
    recorded: Recorded = {"verdict": verdict.value, "facts": newest.name if newest is not None else ""}
    key = answer_key(identifier)
    before = store.find(key)
    if before is not None:
        known = json.loads(before.body)
        if {**known, "decided": ""} == {**json.loads(json.dumps(content)), "decided": ""}:
            return recorded  # the same answer: this task was here before
        if known["verdict"] != Verdict.LEFT_OPEN.value:
            raise AlreadyDecidedError(
                f"question {identifier} was already {known['verdict']} by {known['person']}: that decision stays"
            )
    if not store.replace(key, json.dumps(content, indent=1).encode(), before):
        raise AlreadyDecidedError(
            f"another person decided question {identifier} at the same moment: that decision stays"
        )
    return recorded


def read_effective(given: object, question: Question) -> date | None:
    """Read the effective date that a person entered.

    Raises AnswerInvalidError for what is not a date, not a session, or far from what the files show.
    """
    if given in {None, ""}:
        return None
    try:
        day = datetime.strptime(str(given), "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise _invalid_date(given, "a date such as 2026-12-21") from None
    calendar = load_calendar()
    if calendar.find(day) is None:
        raise _invalid_date(given, f"a session, and {calendar.explain(day)}")
    first = previous_session(min((item.earliest for item in question.items), default=question.since), FAR_SESSIONS)
    last = next_session(max((item.latest for item in question.items), default=question.since), FAR_SESSIONS)
    if not first <= day <= last:
        raise _invalid_date(given, f"from {first} to {last}, as the files show the change")
    return day


def _invalid_date(given: object, wanted: str) -> AnswerInvalidError:
    return AnswerInvalidError(
        f"the effective date is {one_line(str(given))!r}, but must be {wanted}: trigger mag7_decide for the question "
        "again"
    )


def list_answers(store: ObjectStore) -> list[Answer]:
    """List everything that people have decided."""
    return [_read_answer(store, entry.key) for entry in store.list(answers_to_questions_prefix())]


def _read_answer(store: ObjectStore, key: str) -> Answer:
    try:
        content = json.loads(store.get(key))
        return Answer(
            Question.from_document(content["question"]),
            Verdict(content["verdict"]),
            content["person"],
            None if content["effective"] is None else date.fromisoformat(content["effective"]),
        )
    except (ValueError, KeyError, TypeError) as damaged:
        raise AnswerDamagedError(
            f"{store.uri(key)} is not an answer to a question ({type(damaged).__name__}): restore its earlier version,"
            " or delete it, and the next evening's run asks again"
        ) from damaged
