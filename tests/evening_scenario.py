"""Fifteen evenings around one quarter's invented changes, written once and run twice: as calls, and by a scheduler.

All data are simulated. ``play`` has the events; a ``Player`` runs the evenings and a person's answers. Symbols come
from the market's own truth. Only ``MMM``, which one fund's file lacks from some day on, is chosen here.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from mag7.constituents.facts import Facts
from mag7.constituents.timeline import Timeline
from mag7.index.facts import IndexFacts
from mag7.sessions import list_sessions, next_session, previous_session
from mag7.tasks.questions import ACCEPT, LEAVE_OPEN, REJECT
from sandbox.polygon.faults import Fault
from sandbox.polygon.fund_files import write_csv, write_workbook
from sandbox.polygon.holdings import IVV, SPY, list_held
from sandbox.polygon.invented import PLAN
from sandbox.polygon.market import load_market
from tests.evening_market import EveningMarket, true_members

LACKING = "MMM"
BEFORE = 2
"""Sessions from the first evening to the Monday of the first change."""

EVENINGS = 15


@dataclass(frozen=True)
class Quarter:
    """The sessions of a scenario, and their changes."""

    days: list[date]

    @classmethod
    def around(cls, monday: date) -> Quarter:
        """Return the quarter whose first change is on ``monday``, the session after a third Friday."""
        first = previous_session(monday, BEFORE)
        return cls(list_sessions(first, next_session(monday, EVENINGS - BEFORE - 1)))

    def __getitem__(self, later: int) -> date:
        """Return a session, counted from the Monday as in ``PLAN``."""
        return self.days[BEFORE + later]

    def joined(self, later: int) -> list[str]:
        """List the symbols that are new on a session."""
        return sorted(true_members(self[later]) - true_members(self[later - 1]))

    def left(self, later: int) -> list[str]:
        """List the symbols that are gone on a session."""
        return sorted(true_members(self[later - 1]) - true_members(self[later]))


@dataclass(frozen=True)
class Seen:
    """The result of an evening or an answer: questions asked, sessions to build again, complaints, the new facts."""

    questions: list[str]
    repair: list[str]
    complaint: str
    facts: IndexFacts


class Player(Protocol):
    """Runs the events of a scenario."""

    market: EveningMarket

    def put(self, name: str, body: bytes) -> None:
        """Put a file into the inbox."""

    def run(self, session: date, happened: str, *faults: Fault) -> Seen:
        """Run the evening of a session."""

    def read_question(self, question: str) -> str:
        """Read the text that a person sees."""

    def answer(self, question: str, verdict: str, effective: date | None = None) -> Seen:
        """Answer a question as a person."""


def list_symbols(facts: IndexFacts, session: date) -> frozenset[str]:
    """Return the symbols that are in the index on a session by some facts."""
    return frozenset(Timeline(Facts.of(facts)).members(session).values())


def drop_row(symbol: str) -> Any:
    """Return a change of a fund's file that removes one line, as if the fund had sold it."""

    def bend(body: bytes) -> bytes:
        return b"".join(row for row in body.splitlines(keepends=True) if not row.startswith(f'"{symbol}",'.encode()))

    return bend


def never_announce(symbol: str) -> Any:
    """Return a change of the page of announcements that removes one line."""

    def bend(body: bytes) -> bytes:
        if not body.startswith(b"{"):
            return body
        content = json.loads(body)
        return json.dumps(
            {**content, "changes": [row for row in content["changes"] if row["symbol"] != symbol]}
        ).encode()

    return bend


def holdings(fund: str, session: date) -> bytes:
    """Return a fund's file of a session, as a person downloads it."""
    market = load_market(session)
    row = market.session_row(session)
    assert row is not None
    if fund == IVV:
        return write_csv("iShares Core S&P 500 ETF", session, list_held(market, IVV, row))
    return write_workbook("SPDR® S&P 500® ETF Trust", SPY, session, list_held(market, SPY, row))


def stated(*rows: tuple[str, str, str]) -> bytes:
    """Return a person's list of changes: effective date, added, removed."""
    text = io.StringIO()
    csv.writer(text).writerows([("effective_date", "added", "removed"), *rows])
    return text.getvalue().encode()


def play(player: Player, quarter: Quarter) -> dict[str, str]:
    """Run the evenings; returns the questions by subject.

    It asserts the results of single evenings. The players assert what must hold for all of them.
    """
    silent = Fault(kind="status", path="^/funds/spy", status=503)
    (leaver,) = quarter.left(PLAN.leaver)
    question: dict[str, str] = {}

    player.market.bend["/funds/changes.json"] = never_announce(leaver)
    _close_gap(player, quarter)
    question[LACKING] = _state_and_lie(player, quarter)
    _fall_silent(player, quarter, silent)
    for later, happened in (
        (PLAN.leaver, f"{leaver} leaves, announced by nobody"),
        (PLAN.large, "six lines for six, announced by nobody; SPY is silent"),
        *((PLAN.large + more, "SPY is silent") for more in (1, 2, 3)),
    ):
        for name in player.run(quarter[later], happened, silent).questions:
            asks_leaver = f"| {leaver} |" in player.read_question(name)
            question[leaver if asks_leaver else "six"] = name
            if asks_leaver:
                player.answer(name, ACCEPT, quarter[PLAN.leaver])
            else:
                player.answer(name, LEAVE_OPEN)
    player.run(quarter[PLAN.large + 4], "SPY is back")
    player.answer(question["six"], ACCEPT, quarter[PLAN.large])
    player.run(quarter[PLAN.large + 5], "nothing")
    assert set(question) == {LACKING, leaver, "six"}
    return question


def _close_gap(player: Player, quarter: Quarter) -> None:
    eve = previous_session(quarter.days[0])
    player.put(f"ivv-{eve}.csv", holdings(IVV, eve))
    player.put(f"spy-{eve}.xlsx", holdings(SPY, eve))
    first = player.run(quarter.days[0], "two files in the inbox; the list ends weeks before")
    assert (first.facts.confirmed_through, first.complaint, first.repair) == (quarter.days[0], "", [str(eve)])


def _state_and_lie(player: Player, quarter: Quarter) -> str:
    """Run stated swaps, a line that one fund lacks, and an old file; returns the question about the line."""
    player.market.bend["/funds/ivv.csv"] = drop_row(LACKING)
    monday = str(quarter[0])
    swaps = zip(quarter.joined(PLAN.swaps), quarter.left(PLAN.swaps), strict=True)
    player.put(f"changes-{monday}.csv", stated(*((monday, joins, leaves) for joins, leaves in swaps)))
    player.run(
        quarter[-1], f"a person states the swaps that the page announced; IVV's files lack {LACKING} from now on"
    )
    asked = player.run(quarter[0], "two lines for two, stated before")
    (question,) = asked.questions
    assert asked.facts.membership.is_provisional(quarter[0])
    assert list_symbols(asked.facts, quarter[0]) == true_members(quarter[0])
    player.answer(question, REJECT)

    lie = player.run(
        quarter[1],
        "IVV's address sends yesterday's file",
        Fault(kind="yesterday", path=f"^/funds/ivv.*{quarter[0]:%Y%m%d}"),
    )
    assert (
        f"ivv {quarter[0]}: IVV ivv.csv: expected holdings as of {quarter[0]}, found holdings as of {quarter[-1]}"
        in lie.complaint
    )
    # The set was right before: only the session's column changes, and no session uses that.
    assert lie.repair == [str(quarter[0])]
    return question


def _fall_silent(player: Player, quarter: Quarter, silent: Fault) -> None:
    """Run a swap by rule, a rename and a spin-off while one source is silent and another returns a page."""
    (renamed,), (named,) = quarter.left(PLAN.rename), quarter.joined(PLAN.rename)
    for later, happened, faults in (
        (
            PLAN.quiet_swap,
            "one line for another, announced by nobody; SPY is silent, the page is another",
            [Fault(kind="not_json", path="changes")],
        ),
        (PLAN.rename, f"{renamed} becomes {named}, as the page said; SPY is silent", []),
    ):
        seen = player.run(quarter[later], happened, silent, *faults)
        assert "no file came: status 503" in seen.complaint
        page = f"changes {quarter[later - 1]}: changes changes.json: expected a table"
        assert (page in seen.complaint) is bool(faults)
    (child,) = quarter.joined(PLAN.spin_off)
    player.run(quarter[PLAN.spin_off], f"the spin-off {child} joins, as the page said: 504 lines")
    by_rule = player.run(quarter[PLAN.spin_off + 1], "nothing")
    # Files date an unannounced change to within a session: a fund may be one session late.
    shown = quarter[PLAN.quiet_swap + 1]
    assert list_symbols(by_rule.facts, shown) == true_members(shown)
