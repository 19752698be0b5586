"""Evenings of the invented future: what the tasks of mag7_constituents and mag7_decide make of them, and the truth.

Everything here is simulated. The table of it: ``pytest -s tests/differential/test_evenings.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import pytest

from mag7.constituents.facts import Facts
from mag7.constituents.timeline import Timeline
from mag7.index.facts import IndexFacts, read_facts
from mag7.lake.fact_log import FactLog
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.sessions import list_sessions, next_session, previous_session
from mag7.settings import read_settings
from mag7.tasks import constituents, proposal, questions, received, sources
from mag7.tasks.constituents import Outcome
from mag7.tasks.facts import pin_newest
from mag7.tasks.window import make_window
from sandbox.polygon.faults import Fault
from sandbox.polygon.invented import PLAN
from tests.evening_market import EveningMarket, serve_evenings, true_members
from tests.evening_scenario import Quarter, Seen, list_symbols, play
from tests.unit.tasks.conftest import aws, environment, store  # noqa: F401 - fixtures

CONFIRMED = date(2026, 10, 6)
QUARTER = Quarter.around(date(2026, 12, 21))

LATE = [QUARTER[PLAN.spin_off], *list_sessions(QUARTER[PLAN.leaver], QUARTER[PLAN.large + 2])]
"""Evenings on which the list has another number of lines than the index: one source announced it, or none."""


@dataclass
class Evening:
    """One row of the table."""

    session: date
    happened: str
    outcome: Outcome
    complaint: str = ""
    confirmed: date = CONFIRMED
    lines: int = 0
    expected: list[str] = field(default_factory=list)
    wrong: set[date] = field(default_factory=set)

    def show(self) -> str:
        did = []
        if self.outcome["questions"]:
            did.append(f"asked {', '.join(self.outcome['questions'])}")
        if self.complaint:
            did.append(f"said: {self.complaint}")
        did.append(f"repairs {', '.join(day[5:] for day in self.outcome['repair']) or 'nothing'}")
        number, _, version = self.outcome["after"].partition("-")
        return (
            f"| {self.session} | {self.happened} | {'; '.join(did)} | {int(number)} {version[:6]} | {self.confirmed} |"
        )


class House:
    """The lake and the market, evening by evening."""

    def __init__(self, store: ObjectStore, market: EveningMarket) -> None:  # noqa: F811
        self.store, self.market = store, market
        self.rows: list[Evening] = []
        self._read: dict[str, IndexFacts] = {}

    def facts(self, name: str = "") -> IndexFacts:
        log = FactLog(self.store)
        entry = log.find(name) if name else log.newest()
        assert entry is not None
        if entry.name not in self._read:
            self._read[entry.name] = read_facts(log.read_tables(entry), source=entry.source, name=entry.name)
        return self._read[entry.name]

    def put(self, name: str, body: bytes) -> None:
        self.store.put(f"inbox/{name}", body)

    def run(self, session: date, happened: str, *faults: Fault) -> Seen:
        """An evening: the tasks of mag7_constituents in their order; the daily run has published the session before."""
        self.market.turn_to(session, *faults)
        self.store.put(document_key(previous_session(session)), b"{}")
        window = make_window(f"evening-{session}", [session], pin_newest(self.store, read_settings()).name)
        fetched = [sources.fetch(source) for source in sources.list_sources(window)]
        read = received.read_files(window, fetched)
        proposal.propose_facts(window)
        outcome = constituents.publish_facts(window)
        evening = Evening(session, happened, outcome)
        try:
            sources.report_sources(read, outcome)
        except sources.SourceFailedError as failed:
            evening.complaint = str(failed)
        return self._judge(evening)

    def read_question(self, question: str) -> str:
        return questions.show_question(question)["body"]

    def answer(self, question: str, verdict: str, effective: date | None = None) -> Seen:
        """A person answers: the tasks of mag7_decide in their order."""
        assert "| change | symbol |" in self.read_question(question)
        response = {
            "chosen_options": [verdict],
            "params_input": {"effective_date": str(effective) if effective else None},
            "responded_by_user": {"id": "1", "name": "an operator"},
        }
        outcome = constituents.publish_answer(questions.record_answer(question, response))
        session = self.rows[-1].session
        return self._judge(Evening(session, f"a person answers {question}: {verdict}", outcome))

    def _judge(self, evening: Evening) -> Seen:
        facts = self.facts(evening.outcome["after"])
        evening.confirmed = facts.confirmed_through
        evening.lines = len(list_symbols(facts, evening.session))
        days = list_sessions(previous_session(QUARTER.days[0], 5), evening.confirmed)
        evening.wrong = {day for day in days if list_symbols(facts, day) != true_members(day)}
        evening.expected = expect_repairs(self, evening.outcome)
        self.rows.append(evening)
        return Seen(evening.outcome["questions"], evening.outcome["repair"], evening.complaint, facts)


def lines_of(facts: IndexFacts, session: date) -> frozenset[tuple[str, str, str, str | None]]:
    """What a published session rests on: key, symbol, company and CIK of each line."""
    timeline = Timeline(Facts.of(facts))
    return frozenset(
        (ticker, symbol, stay.issuer, timeline.ciks.on(stay.issuer, session))
        for ticker, symbol in timeline.members(session).items()
        if (stay := timeline.line(ticker)) is not None
    )


@pytest.fixture
def house(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:  # noqa: F811
    monkeypatch.setattr(sources, "BACKOFF", 0.0)
    with serve_evenings() as market:
        for name, value in market.environment().items():
            monkeypatch.setenv(name, value)
        yield House(store, market)


def expect_repairs(house: House, outcome: Outcome) -> list[str]:
    """Which published sessions a version changes: by every session's lines, and whether they are confirmed."""
    before, after = house.facts(outcome["before"]), house.facts(outcome["after"])
    days = list_sessions(previous_session(QUARTER.days[0], 5), QUARTER.days[-1])
    changed = {day for day in days if lines_of(before, day) != lines_of(after, day)}
    changed |= {next_session(day) for day in changed}
    changed |= {day for day in days if before.membership.is_provisional(day) != after.membership.is_provisional(day)}
    return [str(day) for day in sorted(changed) if house.store.find(document_key(day)) is not None]


def test_evenings_of_the_invented_future_come_out_as_the_market_has_them(house: House) -> None:
    rows = house.rows

    play(house, QUARTER)

    print("\n| evening | what happened | what the run did | version | confirmed through |\n|---|---|---|---|---|")
    print("\n".join(row.show() for row in rows))
    for row in rows:
        assert row.outcome["repair"] == row.expected, row.show()
        # A session is confirmed in its evening where nothing is stated for it: what nobody announced shows later.
        assert row.wrong <= {QUARTER[PLAN.leaver], QUARTER[PLAN.large]}, row.show()
    assert not rows[-1].wrong
    assert {row.lines for row in rows if row.session == QUARTER[PLAN.spin_off + 1]} == {504}
    assert [row.session for row in rows if row.lines != len(true_members(row.session))] == LATE
    assert house.facts().confirmed_through == QUARTER.days[-1]
