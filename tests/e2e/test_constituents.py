"""mag7_constituents and mag7_decide by a real scheduler: a gap closed, questions asked, answers by Airflow's API.

The sources with an address are off, as for a new user: everything comes through the inbox. All of it is simulated.
Six sessions are the last that have closed; three of them are published before the first file is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pytest

from mag7.index.facts import load_packaged_facts
from mag7.lake.fact_log import FactLog
from mag7.lake.keys import inbox_prefix
from mag7.sessions import last_closed_session, list_sessions, previous_session
from sandbox.scheduler import ScheduledRun
from sandbox.trigger import AirflowRefusedError
from tests.e2e.fund_files import FundFiles, Swap
from tests.e2e.scheduled import DAG, DAILY, open_house
from tests.e2e.scheduled_index import CONSTITUENTS, DECIDE, REPAIR_SECONDS, Index
from tools.stack_reader import Rows

pytestmark = pytest.mark.slow

OFF = {"MAG7_IVV_URL": "", "MAG7_SPY_URL": "", "MAG7_CHANGES_URL": "", "MAG7_TERMS_READ": ""}
LAST = last_closed_session(datetime.now(UTC))
DAYS = list_sessions(previous_session(LAST, 5), LAST)
PUBLISHED = [DAYS[0], DAYS[1], DAYS[4]]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with open_house(tmp_path_factory.mktemp("constituents"), OFF) as house:
        house.airflow.unpause(CONSTITUENTS)
        run_id = house.airflow.trigger(DAG, {"sessions": [str(day) for day in PUBLISHED]})
        run = house.wait(run_id)
        assert run.state == "success", house.explain(run)
        yield Index(house)


@pytest.fixture(scope="module")
def files() -> FundFiles:
    return FundFiles(load_packaged_facts().confirmed_through, LAST)


@dataclass(frozen=True)
class Closed:
    before: dict[str, dict[str, Any]]
    lines: Rows
    run: ScheduledRun
    repaired: list[str]


@pytest.fixture(scope="module")
def closed(index: Index, files: FundFiles) -> Closed:
    """Two files of the first session, weeks after the last one that the tables know, and one evening."""
    before, lines = index.metrics(), index.lines(DAYS[0])
    files.put(index.store, DAYS[0], [])
    run = index.evening()
    return Closed(before, lines, run, index.repaired())


class TestGap:
    def test_all_that_was_published_before_is_provisional(self, closed: Closed) -> None:
        assert {day: row["membership_provisional"] for day, row in closed.before.items()} == {
            str(day): True for day in PUBLISHED
        }

    def test_two_files_confirm_all_between_and_only_the_column_of_that_session_changes(
        self, closed: Closed, index: Index
    ) -> None:
        assert closed.repaired == [str(DAYS[0])]
        after = index.metrics()
        first, other = str(DAYS[0]), str(DAYS[1])
        changed = {name for name, value in after[first].items() if closed.before[first][name] != value}
        assert changed == {"membership_provisional", "facts_version"}
        assert not after[first]["membership_provisional"]
        assert after[other] == closed.before[other]
        assert index.lines(DAYS[0]) == closed.lines

    def test_nothing_was_asked(self, closed: Closed, index: Index) -> None:
        assert index.state(CONSTITUENTS, closed.run.run_id, "ask_person") == {"skipped"}
        assert index.airflow.list_runs(DECIDE) == []
        assert not list(index.store.list(inbox_prefix()))


@dataclass(frozen=True)
class Asked:
    """Runs of mag7_decide by the swap that they ask about, and the text of each."""

    run: ScheduledRun
    runs: list[str]
    texts: list[str]


@pytest.fixture(scope="module")
def asked(index: Index, files: FundFiles, closed: Closed) -> Asked:
    """Files in which one swap after another appears."""
    first, second, third = files.list_swaps()
    for day, count in zip(DAYS[2:], (1, 2, 3, 3), strict=True):
        files.put(index.store, day, [first, second, third][:count])
    run = index.evening()
    texts = index.wait_for_questions([one.run_id for one in index.airflow.list_runs(DECIDE)])
    by_swap = [next(one for one, text in texts.items() if swap.joins[0] in text) for swap in files.list_swaps()]
    return Asked(run, by_swap, [texts[one] for one in by_swap])


class TestQuestions:
    def test_each_swap_is_one_question_that_names_every_line_and_nobody_else_waits(
        self, asked: Asked, index: Index, files: FundFiles
    ) -> None:
        assert len(set(asked.runs)) == 3
        for swap, text in zip(files.list_swaps(), asked.texts, strict=True):
            assert [name for name in (*swap.joins, *swap.leaves) if f"| {name} |" not in text] == []
        assert index.state(CONSTITUENTS, asked.run.run_id, "repair") == {"skipped"}
        for dag_id in (CONSTITUENTS, DAG, DAILY):
            assert {run.state for run in index.airflow.list_runs(dag_id)} <= {"success"}

    def test_an_answer_that_is_none_is_refused_by_the_form(self, asked: Asked, index: Index) -> None:
        path = f"/api/v2/dags/{DECIDE}/dagRuns/{quote(asked.runs[0])}/taskInstances/ask/-1/hitlDetails"
        body = {"chosen_options": ["Perhaps"], "params_input": {}}
        with pytest.raises(AirflowRefusedError) as refused:
            index.airflow.api.call("PATCH", path, body)
        assert refused.value.status in {400, 422}


@pytest.fixture(scope="module")
def rejected(asked: Asked, index: Index) -> ScheduledRun:
    """The second swap is rejected by a person, and another evening follows."""
    index.answer(asked.runs[1], "Reject")
    run = index.decided(asked.runs[1])
    assert run.state == "success", index.airflow.list_tasks(DECIDE, run.run_id)
    return index.evening()


class TestRejected:
    def test_is_not_asked_again_and_changes_nothing(self, rejected: ScheduledRun, asked: Asked, index: Index) -> None:
        assert index.state(CONSTITUENTS, rejected.run_id, "ask_person") == {"skipped"}
        assert index.state(DECIDE, asked.runs[1], "repair") == {"skipped"}
        assert len(index.airflow.list_runs(DECIDE)) == 3


@dataclass(frozen=True)
class Accepted:
    before: dict[date, set[str]]
    metrics: dict[str, dict[str, Any]]
    repaired: list[str]
    decided_by: str


@pytest.fixture(scope="module")
def accepted(rejected: ScheduledRun, asked: Asked, index: Index) -> Accepted:
    """The first swap is accepted, from the session before the one that the files suggest."""
    before, metrics = {day: index.symbols(day) for day in PUBLISHED}, index.metrics()
    index.answer(asked.runs[0], "Accept", DAYS[1])
    run = index.decided(asked.runs[0])
    assert run.state == "success", index.airflow.list_tasks(DECIDE, run.run_id)
    return Accepted(before, metrics, index.repaired(), FactLog(index.store).list_entries()[-1].decided_by)


def swapped(symbols: set[str], *swaps: Swap) -> set[str]:
    """Symbols after some swaps."""
    return symbols.union(*(swap.joins for swap in swaps)).difference(*(swap.leaves for swap in swaps))


class TestAccepted:
    def test_exactly_the_published_sessions_from_that_date_on_are_built_again(
        self, accepted: Accepted, index: Index, files: FundFiles
    ) -> None:
        first = files.list_swaps()[0]
        assert accepted.decided_by.startswith("person: ")
        assert accepted.repaired == [str(DAYS[1]), str(DAYS[4])]
        assert index.symbols(DAYS[0]) == accepted.before[DAYS[0]]
        for day in (DAYS[1], DAYS[4]):
            assert index.symbols(day) == swapped(accepted.before[day], first)

    def test_what_is_still_asked_keeps_later_sessions_provisional(self, accepted: Accepted, index: Index) -> None:
        after = index.metrics()
        assert {day: row["membership_provisional"] for day, row in after.items()} == {
            str(DAYS[0]): False,
            str(DAYS[1]): False,
            str(DAYS[4]): True,
        }
        assert after[str(DAYS[0])] == accepted.metrics[str(DAYS[0])]


@dataclass(frozen=True)
class Twice:
    """The question that was left open, asked twice and answered by two people at once."""

    left_open: ScheduledRun
    before: set[str]
    runs: dict[str, ScheduledRun]
    recorded: dict[str, set[str | None]]
    repaired: list[str]
    daily: ScheduledRun


@pytest.fixture(scope="module")
def twice(accepted: Accepted, asked: Asked, index: Index) -> Twice:
    index.answer(asked.runs[2], "Leave open")
    left_open = index.decided(asked.runs[2])
    before = index.symbols(DAYS[4])
    conf = index.airflow.api.call("GET", f"/api/v2/dags/{DECIDE}/dagRuns/{quote(asked.runs[2])}")["conf"]
    runs = {option: index.airflow.trigger(DECIDE, conf) for option in ("Accept", "Reject")}
    index.wait_for_questions(list(runs.values()))
    for option, run_id in runs.items():
        index.answer(run_id, option)
    ended = {option: index.decided(run_id) for option, run_id in runs.items()}
    daily = index.airflow.trigger(DAILY, {"trading_date": str(LAST)})
    repaired = index.repaired()
    recorded = {option: index.state(DECIDE, run_id, "record_answer") for option, run_id in runs.items()}
    return Twice(left_open, before, ended, recorded, repaired, index.house.wait(daily, DAILY, REPAIR_SECONDS))


class TestTwoAnswers:
    def test_one_stays(self, twice: Twice) -> None:
        assert twice.left_open.state == "success"
        assert sorted(run.state for run in twice.runs.values()) == ["failed", "success"]
        assert sorted(map(str, twice.recorded.values())) == ["{'failed'}", "{'success'}"]

    def test_its_repair_builds_the_one_published_session_that_was_in_question(
        self, twice: Twice, index: Index, files: FundFiles
    ) -> None:
        assert twice.repaired == [str(DAYS[4])]
        accepts = twice.runs["Accept"].state == "success"
        third = files.list_swaps()[2]
        assert index.symbols(DAYS[4]) == (swapped(twice.before, third) if accepts else twice.before)
        assert not any(row["membership_provisional"] for row in index.metrics().values())

    def test_the_daily_session_has_the_new_members(self, twice: Twice, index: Index, files: FundFiles) -> None:
        assert twice.daily.state == "success"
        first, second, _ = files.list_swaps()
        found = index.symbols(LAST)
        assert found.issuperset(first.joins) and not found & set(first.leaves)
        assert found.issuperset(second.leaves) and not found & set(second.joins)
