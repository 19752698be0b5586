"""Evenings of the invented future: what the tasks of mag7_constituents and mag7_decide make of them, and the truth.

Everything here is simulated. The table of it: ``pytest -s tests/differential/test_evenings.py``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from mag7.constituents.facts import Facts
from mag7.constituents.timeline import Timeline
from mag7.index.facts import IndexFacts, read_facts
from mag7.lake.fact_log import FactLog
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.sessions import list_sessions, next_session, previous_session
from mag7.settings import read_settings
from mag7.tasks import constituents, questions, received, sources
from mag7.tasks.constituents import Outcome
from mag7.tasks.facts import pin_newest
from mag7.tasks.window import make_window
from sandbox.polygon.faults import Fault
from sandbox.polygon.fund_files import write_csv, write_workbook
from sandbox.polygon.holdings import IVV, SPY, list_held
from sandbox.polygon.market import load_market
from tests.evening_market import EveningMarket, serve_evenings, true_members
from tests.unit.tasks.conftest import aws, environment, store  # noqa: F401 - fixtures

CONFIRMED = date(2026, 10, 6)
LAST = date(2027, 1, 8)

LATE = [date(2026, 12, 28), *list_sessions(date(2026, 12, 30), date(2027, 1, 5))]
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

    def run(self, session: date, happened: str, *faults: Fault) -> Evening:
        """An evening: the tasks of mag7_constituents in their order; the daily run has published the session before."""
        self.market.turn_to(session, *faults)
        self.store.put(document_key(previous_session(session)), b"{}")
        window = make_window(f"evening-{session}", [session], pin_newest(self.store, read_settings()).name)
        fetched = [sources.fetch(source) for source in sources.list_sources(window)]
        read = received.read_files(window, fetched)
        constituents.propose_facts(window)
        outcome = constituents.publish_facts(window)
        evening = Evening(session, happened, outcome)
        try:
            sources.report_sources(read, outcome)
        except sources.SourceFailedError as failed:
            evening.complaint = str(failed)
        return self._judge(evening)

    def answer(self, question: str, verdict: str, effective: str | None = None) -> Evening:
        """A person answers: the tasks of mag7_decide in their order."""
        assert "| change | symbol |" in questions.show_question(question)["body"]
        response = {
            "chosen_options": [verdict],
            "params_input": {"effective_date": effective},
            "responded_by_user": {"id": "1", "name": "an operator"},
        }
        outcome = constituents.publish_answer(questions.record_answer(question, response))
        session = self.rows[-1].session
        return self._judge(Evening(session, f"a person answers {question}: {verdict}", outcome))

    def _judge(self, evening: Evening) -> Evening:
        facts = self.facts(evening.outcome["after"])
        evening.confirmed = facts.confirmed_through
        evening.lines = len(symbols(facts, evening.session))
        days = list_sessions(date(2026, 12, 1), evening.confirmed)
        evening.wrong = {day for day in days if symbols(facts, day) != true_members(day)}
        evening.expected = expect_repairs(self, evening.outcome)
        self.rows.append(evening)
        return evening


def symbols(facts: IndexFacts, session: date) -> frozenset[str]:
    return frozenset(Timeline(Facts.of(facts)).members(session).values())


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


def drop_row(symbol: str) -> Any:
    """Bend a fund's file: one line is not there, as where a fund has sold it."""

    def bend(body: bytes) -> bytes:
        return b"".join(row for row in body.splitlines(keepends=True) if not row.startswith(f'"{symbol}",'.encode()))

    return bend


def never_announce(symbol: str) -> Any:
    """Bend the page of changes: one line is not on it."""

    def bend(body: bytes) -> bytes:
        if not body.startswith(b"{"):
            return body
        content = json.loads(body)
        return json.dumps(
            {**content, "changes": [row for row in content["changes"] if row["symbol"] != symbol]}
        ).encode()

    return bend


def holdings(fund: str, session: date) -> bytes:
    """A fund's file of a session, as a person downloads it."""
    market = load_market(session)
    row = market.session_row(session)
    assert row is not None
    if fund == IVV:
        return write_csv("iShares Core S&P 500 ETF", session, list_held(market, IVV, row))
    return write_workbook("SPDR® S&P 500® ETF Trust", SPY, session, list_held(market, SPY, row))


def stated(*rows: tuple[str, str, str]) -> bytes:
    """A list of changes by a person: effective date, added, removed."""
    text = io.StringIO()
    csv.writer(text).writerows([("effective_date", "added", "removed"), *rows])
    return text.getvalue().encode()


def expect_repairs(house: House, outcome: Outcome) -> list[str]:
    """Which published sessions a version changes: by every session's lines, and whether they are confirmed."""
    before, after = house.facts(outcome["before"]), house.facts(outcome["after"])
    days = list_sessions(date(2026, 12, 10), LAST)
    changed = {day for day in days if lines_of(before, day) != lines_of(after, day)}
    changed |= {next_session(day) for day in changed}
    changed |= {day for day in days if before.membership.is_provisional(day) != after.membership.is_provisional(day)}
    return [str(day) for day in sorted(changed) if house.store.find(document_key(day)) is not None]


def test_evenings_of_the_invented_future_come_out_as_the_market_has_them(house: House) -> None:
    market, rows = house.market, house.rows
    silent = Fault(kind="status", path="^/funds/spy", status=503)
    question: dict[str, str] = {}

    market.bend["/funds/changes.json"] = never_announce("ROST")
    house.put("ivv-2026-12-16.csv", holdings(IVV, date(2026, 12, 16)))
    house.put("spy-2026-12-16.xlsx", holdings(SPY, date(2026, 12, 16)))
    first = house.run(date(2026, 12, 17), "two files in the inbox; the list is 50 sessions old")
    assert (first.confirmed, first.complaint, first.outcome["repair"]) == (date(2026, 12, 17), "", ["2026-12-16"])

    market.bend["/funds/ivv.csv"] = drop_row("MMM")
    house.put("changes-2026-12-21.csv", stated(("2026-12-21", "ZZAAA", "LYV"), ("2026-12-21", "ZZAAB", "WAB")))
    house.run(date(2026, 12, 18), "a person states the swaps that the page announced; IVV's files lack MMM from now on")

    asked = house.run(date(2026, 12, 21), "two lines for two, stated before")
    (question["MMM"],) = asked.outcome["questions"]
    assert symbols(house.facts(), date(2026, 12, 21)) == true_members(date(2026, 12, 21))
    assert house.facts().membership.is_provisional(date(2026, 12, 21))
    house.answer(question["MMM"], questions.REJECT)

    lie = house.run(
        date(2026, 12, 22),
        "IVV's address sends yesterday's file",
        Fault(kind="yesterday", path="^/funds/ivv.*20261221"),
    )
    assert "ivv 2026-12-21: IVV ivv.csv: expected holdings as of 2026-12-21, found holdings as of 2026-12-18" in (
        lie.complaint
    )
    # The set was right before: only the column of the session changes, and no session rests on that.
    assert lie.outcome["repair"] == ["2026-12-21"]

    for day, happened in (
        (date(2026, 12, 23), "one line for another, announced by nobody; SPY is silent, the page is another"),
        (date(2026, 12, 24), "KKR becomes ZZAAD, as the page said; SPY is silent"),
    ):
        page = Fault(kind="not_json", path="changes")
        row = house.run(day, happened, silent, *([page] if day.day == 23 else []))
        assert "no file came: status 503" in row.complaint
        assert ("changes 2026-12-22: changes changes.json: expected a table" in row.complaint) is (day.day == 23)
    house.run(date(2026, 12, 28), "the spin-off ZZAAE joins, as the page said: 504 lines")
    by_rule = house.run(date(2026, 12, 29), "nothing")
    assert symbols(house.facts(), date(2026, 12, 23)) == true_members(date(2026, 12, 23))
    assert by_rule.lines == 504

    for day, happened in (
        (date(2026, 12, 30), "ROST leaves, announced by nobody"),
        (date(2026, 12, 31), "six lines for six, announced by nobody; SPY is silent"),
        (date(2027, 1, 4), "SPY is silent"),
        (date(2027, 1, 5), "SPY is silent"),
        (date(2027, 1, 6), "SPY is silent"),
    ):
        row = house.run(day, happened, silent)
        for name in row.outcome["questions"]:
            leaver = "ROST" in questions.show_question(name)["body"]
            question["ROST" if leaver else "six"] = name
            if leaver:
                house.answer(name, questions.ACCEPT, "2026-12-30")
            else:
                house.answer(name, questions.LEAVE_OPEN)
    house.run(date(2027, 1, 7), "SPY is back")
    house.answer(question["six"], questions.ACCEPT, "2026-12-31")
    house.run(LAST, "nothing")

    print("\n| evening | what happened | what the run did | version | confirmed through |\n|---|---|---|---|---|")
    print("\n".join(row.show() for row in rows))
    for row in rows:
        assert row.outcome["repair"] == row.expected, row.show()
        # A session is confirmed in its evening where nothing is stated for it: what nobody announced shows later.
        assert row.wrong <= {date(2026, 12, 30), date(2026, 12, 31)}, row.show()
    assert not rows[-1].wrong
    assert [row.session for row in rows if row.lines != len(true_members(row.session))] == LATE
    assert house.facts().confirmed_through == LAST
    assert set(question) == {"MMM", "ROST", "six"}
