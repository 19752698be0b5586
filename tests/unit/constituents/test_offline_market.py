"""The offline market's invented changes of December 2026, read from its own files and page, through the rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime

import pytest

from mag7.constituents.announcements import read_announcements
from mag7.constituents.decision import Decision
from mag7.constituents.facts import Facts, Table
from mag7.constituents.identities import Identity, Wanted
from mag7.constituents.ishares import read_ivv
from mag7.constituents.questions import Answer, Verdict
from mag7.constituents.readings import Reading
from mag7.constituents.spdr import read_spy
from mag7.polygon.calls import ticker_details
from mag7.sessions import list_sessions, previous_session
from sandbox.market_responses import HEADERS
from sandbox.polygon.app import MarketApp
from sandbox.polygon.market import load_market
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings
from tests.unit.constituents.replay import decide, members, truth

FIRST, LAST = date(2026, 12, 17), date(2027, 1, 8)
LARGE = date(2026, 12, 31)
"""Six lines for six others, announced by nobody."""


class Evenings:
    """One evening after the other: the files of the session before, the page of changes, the provider's details."""

    def __init__(self) -> None:
        self.facts: Facts = truth()
        self._readings: list[Reading] = []

    def decide(self, session: date, answers: Sequence[Answer] = ()) -> Decision:
        app = MarketApp(Settings(clock=Clock(datetime(session.year, session.month, session.day, 18, tzinfo=NEW_YORK))))
        eve = previous_session(session)

        def get(path: str) -> bytes:
            return app.answer(path, HEADERS).reply.body

        self._readings += [
            read_ivv(get(f"/funds/ivv.csv?asOfDate={eve:%Y%m%d}"), f"IVV {eve}", session=eve),
            read_spy(get("/funds/spy.xlsx"), f"SPY {eve}", session=eve),
        ]
        stated = [
            one for name in ("page", "copy of the page") for one in read_announcements(get("/funds/changes.json"), name)
        ]

        def ask(wanted: Iterable[Wanted]) -> tuple[Identity, ...]:
            return tuple(tell(app, one) for one in wanted)

        decision = decide(self.facts, session, self._readings[-8:], stated, answers=answers, ask=ask, simulated=True)
        self.facts = decision.facts
        return decision


def tell(app: MarketApp, wanted: Wanted) -> Identity:
    reply = app.answer(ticker_details(wanted.symbol, wanted.day).path, HEADERS).reply
    if reply.status != 200:
        return Identity(wanted.symbol, wanted.day, known=False, simulated=True)
    told = json.loads(reply.body)["results"]
    figi = told.get("share_class_figi")
    return Identity(wanted.symbol, wanted.day, True, told["name"], told.get("cik"), figi, simulated=True)


def true_symbols(session: date) -> set[str]:
    return {line.symbol_on(session) for line in load_market(LAST).lines if line.is_member(session)}


def wrong(facts: Facts, first: date, last: date) -> list[date]:
    days = list_sessions(first, last)
    return [day for day in days if {symbol for symbol, _ in members(facts, day)} != true_symbols(day)]


@pytest.fixture(scope="module")
def decisions() -> dict[date, Decision]:
    """Every evening; the question of the large change is accepted three sessions after it was asked."""
    evenings, found, answers = Evenings(), {}, []
    for session in list_sessions(FIRST, LAST):
        found[session] = evenings.decide(session, answers)
        if session == date(2027, 1, 7):
            answers.append(Answer(found[session].questions[0], Verdict.ACCEPTED, "operator"))
    return found


def test_every_session_ends_up_with_its_true_lines(decisions: dict[date, Decision]) -> None:
    assert wrong(decisions[LAST].facts, FIRST, LAST) == []
    assert decisions[LAST].confirmed_through == LAST


def test_the_first_files_close_the_gap_since_the_table_ends(decisions: dict[date, Decision]) -> None:
    first = decisions[FIRST]

    assert first.confirmed_through == FIRST
    assert {edit.table for edit in first.edits if edit.decided.by == "rule: files agree"} == {Table.SPAN}


def test_what_was_stated_applied_on_its_evening(decisions: dict[date, Decision]) -> None:
    late = {day for day, one in decisions.items() if wrong(one.facts, day, day)}

    # The unannounced swap until both funds showed it twice, and the large change until it was accepted.
    assert late == {date(2026, 12, 23), date(2026, 12, 24), *list_sessions(LARGE, date(2027, 1, 7))}


def test_one_question_was_asked_for_a_person(decisions: dict[date, Decision]) -> None:
    asked = {question.id: question for one in decisions.values() for question in one.questions}

    (question,) = asked.values()
    assert len(question.items) == 12
    assert {item.effective for item in question.items} == {LARGE}
    assert {day for day, one in decisions.items() if one.questions} == set(
        list_sessions(date(2027, 1, 5), date(2027, 1, 7))
    )


def test_what_comes_of_it_is_simulated(decisions: dict[date, Decision]) -> None:
    assert all(one.simulated for one in decisions.values())
    added = [edit.after or {} for one in decisions.values() for edit in one.edits if edit.table is Table.CIKS]
    assert added
    assert all(row["source"].endswith("(simulated)") for row in added)
