"""Fifteen sessions of the invented future by a real scheduler: evening, answers, repairs, daily run, in their order.

All of it is simulated. The market's invented changes begin in October 2026 here instead of December: a scheduler runs
no session of the future. The table of it: ``pytest -s -m slow tests/e2e/test_invented_future.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from mag7.index.facts import read_facts
from mag7.lake.fact_log import FactLog
from mag7.sessions import previous_session
from mag7.tasks.constituents import Outcome
from sandbox.polygon import announced, invented, market
from sandbox.polygon.faults import Fault
from sandbox.polygon.invented import PLAN
from tests.e2e.scheduled import DAG, DAILY, open_house
from tests.e2e.scheduled_index import CONSTITUENTS, DECIDE, REPAIR_SECONDS, Index
from tests.evening_market import EveningMarket, serve_evenings, true_members
from tests.evening_scenario import Quarter, Seen, play
from tools.validation import true_share

pytestmark = pytest.mark.slow

MONTH = date(2026, 10, 1)
QUARTER = Quarter.around(date(2026, 10, 19))
EVE = previous_session(QUARTER.days[0])


@dataclass
class Row:
    """An evening or an answer: what it did, the sessions that were built again, and what changed in them."""

    session: date
    happened: str
    outcome: Outcome
    complaint: str
    repaired: list[str]
    changed: dict[str, str] = field(default_factory=dict)
    confirmed: date = QUARTER.days[0]

    def show(self) -> str:
        did = [f"asks {', '.join(self.outcome['questions'])}"] if self.outcome["questions"] else []
        did += [f"says: {self.complaint}"] if self.complaint else []
        did += [f"rebuilds {day[5:]} ({what})" for day, what in self.changed.items()] or ["rebuilds nothing"]
        return f"| {self.session} | {self.happened} | {'; '.join(did)} | {self.confirmed} |"


class ScheduledPlayer:
    """Plays the scenario by a scheduler: the evening of a session, what it asks and repairs, and its daily run."""

    def __init__(self, index: Index, market: EveningMarket) -> None:
        self.index, self.market = index, market
        self.rows: list[Row] = []
        self.first_published: dict[date, frozenset[str]] = {}

    def put(self, name: str, body: bytes) -> None:
        self.index.store.put(f"inbox/{name}", body)

    def publish(self, session: date) -> None:
        """Run mag7_daily for a session."""
        self.market.turn_to(session)
        run_id = self.index.airflow.trigger(DAILY, {"trading_date": str(session)})
        run = self.index.house.wait(run_id, DAILY, REPAIR_SECONDS)
        assert run.state == "success", (session, self.index.house.failure(run, DAILY))
        self.first_published[session] = frozenset(self.index.symbols(session))

    def run(self, session: date, happened: str, *faults: Fault) -> Seen:
        self.market.turn_to(session, *faults)
        before = self.index.metrics()
        run = self.index.try_evening(session)
        outcome = self.index.outcome(CONSTITUENTS, run.run_id, "publish_facts")
        complaint = self.index.house.failure(run, CONSTITUENTS)
        assert (run.state == "failed") is bool(complaint), run
        seen = self._judge(Row(session, happened, outcome, complaint, self.index.repaired()), before)
        self.index.wait_for_questions([f"question__{one}" for one in outcome["questions"]])
        self.publish(session)
        return seen

    def read_question(self, question: str) -> str:
        run_id = f"question__{question}"
        return self.index.wait_for_questions([run_id])[run_id]

    def answer(self, question: str, verdict: str, effective: date | None = None) -> Seen:
        run_id = f"question__{question}"
        if self.index.airflow.read_run(DECIDE, run_id).ended:
            # It was left open: a person asks for it again.
            run_id = self.index.airflow.trigger(DECIDE, {"question": question})
            self.index.wait_for_questions([run_id])
        before = self.index.metrics()
        self.index.answer(run_id, verdict, effective)
        run = self.index.decided(run_id)
        assert run.state == "success", self.index.house.failure(run, DECIDE)
        outcome = self.index.outcome(DECIDE, run_id, "publish_answer")
        happened = f"a person answers {question}: {verdict}"
        return self._judge(Row(self.rows[-1].session, happened, outcome, "", self.index.repaired()), before)

    def _judge(self, row: Row, before: dict[str, dict[str, Any]]) -> Seen:
        log = FactLog(self.index.store)
        entry = log.newest()
        assert entry is not None
        facts = read_facts(log.read_tables(entry), source=entry.source, name=entry.name)
        row.confirmed = facts.confirmed_through
        after = self.index.metrics()
        row.changed = {day: _compare(before[day], after[day]) for day in after if before.get(day) != after[day]}
        self.rows.append(row)
        print(row.show(), flush=True)
        return Seen(row.outcome["questions"], row.outcome["repair"], row.complaint, facts)


def _compare(before: dict[str, Any], after: dict[str, Any]) -> str:
    share = "mag7_pct_of_sp500"
    if before[share] != after[share]:
        return f"{before[share]:.4f} to {after[share]:.4f} %"
    return "confirmed" if before["membership_provisional"] and not after["membership_provisional"] else "same share"


@contextmanager
def invented_from(month: date) -> Iterator[None]:
    """Let the invented changes of this process's market begin in another month, and come in that month only."""

    def forget() -> None:
        market._load_market.cache_clear()
        announced.list_changes.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(invented, "FIRST_QUARTER", month)
        patch.setattr(announced, "FIRST_QUARTER", month)
        patch.setattr(invented, "MONTHS", (month.month,))
        forget()
        yield
    forget()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScheduledPlayer]:
    with invented_from(MONTH), serve_evenings() as evenings:
        evenings.turn_to(EVE)
        with open_house(tmp_path_factory.mktemp("future"), evenings.environment()) as house:
            house.airflow.unpause(CONSTITUENTS)
            player = ScheduledPlayer(Index(house), evenings)
            player.publish(EVE)
            play(player, QUARTER)
            yield player


class TestInventedFuture:
    def test_each_evening_rebuilds_what_it_lists_and_nothing_else_changes(self, played: ScheduledPlayer) -> None:
        assert len(played.rows) == 15 + 4
        for row in played.rows:
            assert row.repaired == row.outcome["repair"], row.show()
            assert set(row.changed) <= set(row.repaired), row.show()

    def test_every_session_ends_with_the_members_and_the_share_that_the_market_has(
        self, played: ScheduledPlayer
    ) -> None:
        metrics = played.index.metrics()
        assert sorted(metrics) == [str(day) for day in (EVE, *QUARTER.days)]
        assert not any(row["membership_provisional"] for row in metrics.values())
        late = [day for day in (EVE, *QUARTER.days) if played.index.symbols(day) != true_members(day)]
        # A fund may show a session late what nobody announced; files cannot date it better.
        assert late in ([], [QUARTER[PLAN.quiet_swap]])
        for day in (EVE, *QUARTER.days):
            within = 0.05 if day in late else 0.001
            assert metrics[str(day)]["mag7_pct_of_sp500"] == pytest.approx(true_share(day), abs=within)

    def test_only_what_nobody_announced_was_wrong_at_first(self, played: ScheduledPlayer) -> None:
        wrong = {day for day, found in played.first_published.items() if found != true_members(day)}
        assert QUARTER[PLAN.large] in wrong
        assert QUARTER[PLAN.quiet_swap] in wrong
        assert not wrong & {QUARTER[PLAN.swaps], QUARTER[-1], QUARTER[1], QUARTER.days[-1]}

    def test_nobody_waits_and_nothing_is_deployed(self, played: ScheduledPlayer) -> None:
        airflow = played.index.airflow
        for dag_id in (DAILY, DAG):
            assert {run.state for run in airflow.list_runs(dag_id)} == {"success"}
        assert all(run.ended for dag_id in (CONSTITUENTS, DECIDE) for run in airflow.list_runs(dag_id))
