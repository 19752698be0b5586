"""Questions that a person decides: asked once, answered once, and only with what can be used."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mag7.constituents.announcements import Action
from mag7.constituents.questions import Item, Kind, Question, Verdict
from mag7.lake.keys import answer_key, question_key
from mag7.lake.objects import ObjectStore, Version
from mag7.tasks.questions import (
    ACCEPT,
    LEAVE_OPEN,
    REJECT,
    AlreadyDecidedError,
    AnswerInvalidError,
    QuestionMissingError,
    list_answers,
    read_question,
    record_answer,
    show_question,
    store_questions,
)

DAY = date(2026, 12, 23)
EVENING = date(2026, 12, 28)


def make_item(action: Action = Action.JOINS, symbol: str = "ZZAAC") -> Item:
    return Item(action, symbol, None, f"Simulated Company {symbol}", None, DAY, date(2026, 12, 22), DAY, ("IVV",))


QUESTION = Question(Kind.UNSTATED, (make_item(), make_item(Action.LEAVES, "MGM")), "ZZAAC joins, MGM leaves", DAY)


@pytest.fixture
def asked(store: ObjectStore) -> str:
    (identifier,) = store_questions(store, [QUESTION], EVENING, "run-1")
    return identifier


def respond(chosen: str, day: object = None, person: str = "ann") -> dict[str, Any]:
    """What the operator returns."""
    return {
        "chosen_options": [chosen],
        "params_input": {"effective_date": day},
        "responded_by_user": {"id": "1", "name": person},
    }


def test_a_question_waits_until_somebody_answers_it(store: ObjectStore, asked: str) -> None:
    assert store_questions(store, [QUESTION], EVENING, "run-2") == [asked]
    assert read_question(store, asked) == QUESTION


def test_what_somebody_answered_waits_no_more(store: ObjectStore, asked: str) -> None:
    record_answer(asked, respond(REJECT))
    assert store_questions(store, [QUESTION], EVENING, "run-1") == []


def test_missing_files_are_no_question_for_a_person(store: ObjectStore) -> None:
    missing = Question(Kind.FILES_MISSING, (), "put files into the inbox", DAY)

    assert store_questions(store, [missing], EVENING, "run-1") == []
    assert store.find(question_key(missing.id)) is None


def test_it_is_shown_as_a_table(asked: str) -> None:
    shown = show_question(asked)

    assert shown["subject"] == "Did the index change as of 2026-12-23?"
    assert (
        "| joins | ZZAAC | Simulated Company ZZAAC | not known | 2026-12-23 (2026-12-22 to 2026-12-23) | IVV |"
        in shown["body"]
    )


@pytest.mark.parametrize("identifier", ["", "0" * 16, "../log/00000001", "a\nb"])
def test_an_id_of_no_question_is_refused(store: ObjectStore, identifier: str) -> None:
    with pytest.raises(QuestionMissingError, match="is not the id of a question"):
        read_question(store, identifier)


@pytest.mark.parametrize(
    ("chosen", "verdict"),
    [(ACCEPT, Verdict.ACCEPTED), (REJECT, Verdict.REJECTED), (LEAVE_OPEN, Verdict.LEFT_OPEN)],
)
def test_an_answer_is_remembered_with_its_person_and_the_version_before(
    store: ObjectStore, asked: str, chosen: str, verdict: Verdict
) -> None:
    recorded = record_answer(asked, respond(chosen))

    assert recorded["verdict"] == verdict.value
    assert recorded["facts"].startswith("00000001-")
    (answer,) = list_answers(store)
    assert (answer.question, answer.verdict, answer.person, answer.effective) == (QUESTION, verdict, "ann", None)


def test_a_question_left_open_is_decided_later(store: ObjectStore, asked: str) -> None:
    record_answer(asked, respond(LEAVE_OPEN))
    record_answer(asked, respond(ACCEPT, "2026-12-24", "bob"))

    (answer,) = list_answers(store)
    assert (answer.verdict, answer.person, answer.effective) == (Verdict.ACCEPTED, "bob", date(2026, 12, 24))


@pytest.mark.parametrize("second", [ACCEPT, REJECT, LEAVE_OPEN])
def test_the_first_decision_stays(store: ObjectStore, asked: str, second: str) -> None:
    record_answer(asked, respond(REJECT))

    with pytest.raises(AlreadyDecidedError, match="was already rejected by ann: that decision stays"):
        record_answer(asked, respond(second, person="bob"))
    assert [answer.person for answer in list_answers(store)] == ["ann"]


def test_a_task_that_runs_again_after_it_stored_the_answer_goes_on(asked: str) -> None:
    assert record_answer(asked, respond(ACCEPT)) == record_answer(asked, respond(ACCEPT))


@pytest.mark.parametrize("first", [None, LEAVE_OPEN])
def test_of_two_who_decide_at_once_one_is_refused(
    store: ObjectStore, asked: str, first: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if first is not None:
        record_answer(asked, respond(first))
    replace = ObjectStore.replace

    def overtaken(self: ObjectStore, key: str, body: bytes, before: Version | None) -> bool:
        """Bob's answer arrives between Ann's look and her write."""
        if key == answer_key(asked) and b"ann" in body:
            monkeypatch.setattr(ObjectStore, "replace", replace)
            record_answer(asked, respond(REJECT, person="bob"))
        return replace(self, key, body, before)

    monkeypatch.setattr(ObjectStore, "replace", overtaken)
    with pytest.raises(AlreadyDecidedError, match="at the same moment"):
        record_answer(asked, respond(ACCEPT))
    assert [(answer.person, answer.verdict) for answer in list_answers(store)] == [("bob", Verdict.REJECTED)]


@pytest.mark.parametrize("day", ["2026-12-24", "2026-12-09", "2027-01-07", "", None])
def test_a_date_near_what_the_files_show_is_taken(store: ObjectStore, asked: str, day: str | None) -> None:
    record_answer(asked, respond(ACCEPT, day))

    assert list_answers(store)[0].effective == (date.fromisoformat(day) if day else None)


@pytest.mark.parametrize(
    ("day", "why"),
    [
        ("tomorrow", "must be a date such as 2026-12-21"),
        ("2026-13-01", "must be a date such as 2026-12-21"),
        ("20261223", "must be a date such as 2026-12-21"),
        ("2026-12-25", "Christmas"),
        ("2026-12-26", "must be a session"),
        ("2025-12-23", "must be from 2026-12-08 to 2027-01-08"),
        ("2062-12-22", "must be a session"),
    ],
)
def test_a_date_that_cannot_be_is_refused_and_nothing_is_stored(
    store: ObjectStore, asked: str, day: object, why: str
) -> None:
    with pytest.raises(AnswerInvalidError, match=why):
        record_answer(asked, respond(ACCEPT, day))
    assert list_answers(store) == []
