"""The backfill by a real scheduler: whole, killed half way, beside other runs, asked for nonsense, repeated, refused.

What must come out is said by an undisturbed backfill in a house of its own: the first session covered, and the two
months in which Amazon and Alphabet split and Facebook became Meta. Everything else happens in a second house. Only one
of them is open at a time: each is a whole Airflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from mag7.index.constituents import list_lines
from mag7.lake.keys import answers_prefix
from mag7.runs.record import RunRecord
from sandbox.airflow_home import TaskRun
from sandbox.scheduler import ScheduledRun
from sandbox.tally import SessionRows, StoredCalls, count_rows, count_served, count_stored
from sandbox.trigger import AirflowRefusedError
from tests.e2e.scheduled import (
    CAPS,
    DAG,
    DAILY,
    ScheduledHouse,
    given_caps,
    objects_of,
    open_house,
    rows_apart_from_asking,
    rows_of,
    sessions_between,
)
from tools.stack_reader import Published

pytestmark = pytest.mark.slow

FIRST = "2020-11-30"
JUNE = sessions_between("2022-06-01", "2022-06-30")
JULY = sessions_between("2022-07-01", "2022-07-31")
ALL = [FIRST, *JUNE, *JULY]
#: Every session has as many rows of these.
EXACT = {"concentration_metrics": 1, "company_details": 7, "daily_trading": 7, "magnificent7_metrics": 7}
COLLECTING = "collect.collect_counts"
#: Tells people how a run ended, whatever became of it.
TEARDOWNS = {"write_run_manifest", "send_alert"}
OBJECT = 50
SHARED = 100
#: Seconds until a run that asks for what cannot be had must have been refused by its first task.
QUICK_SECONDS = 30.0
#: Seconds that an answer takes while workers are about to be killed, and the calls after which they are.
SLOW = {"kind": "latency", "seconds": 0.5, "path": "/v3/reference/tickers/"}
HALF_WAY = 400


@dataclass(frozen=True)
class Undisturbed:
    """What one backfill left where nothing else happened."""

    runs: list[ScheduledRun]
    records: list[RunRecord]
    failures: list[str]
    rows: list[SessionRows]
    published: Published
    served: int
    kept: StoredCalls


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The first session by its logical date, beside a backfill of two months at a time."""
    with open_house(tmp_path_factory.mktemp("undisturbed")) as house:
        first = house.airflow.trigger(DAG, {}, date.fromisoformat(FIRST))
        months = house.airflow.backfill(DAG, date(2022, 6, 1), date(2022, 7, 31), max_active_runs=2)
        runs = house.airflow.wait_for_runs(DAG, [first, *months], 1500)
        return Undisturbed(
            runs,
            [house.record(run) for run in runs],
            [house.explain(run) for run in runs if run.state != "success"],
            count_rows(house.place.warehouse),
            house.house.published(),
            count_served(house.house.stack),
            count_stored(house.place.store),
        )


@pytest.fixture(scope="module")
def disturbed(undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScheduledHouse]:
    """A second house; the first one is closed by then."""
    with open_house(tmp_path_factory.mktemp("disturbed")) as house:
        yield house


class TestWhole:
    def test_every_month_has_one_run_that_succeeds(self, undisturbed: Undisturbed) -> None:
        assert undisturbed.failures == []
        for record, days in zip(undisturbed.records, ([FIRST], JUNE, JULY), strict=True):
            assert record.summary and record.asked
            assert (list(record.summary.sessions), record.asked.complete, record.refused) == (list(days), [], {})
        months = [run.logical_date.date().isoformat() for run in undisturbed.runs if run.logical_date]
        assert sorted(months) == [FIRST, "2022-06-01", "2022-07-01"]

    def test_every_session_is_there_once(self, undisturbed: Undisturbed) -> None:
        found = {(row.table, row.session): row.rows for row in undisturbed.rows}
        for table, count in EXACT.items():
            assert {session: rows for (name, session), rows in found.items() if name == table} == dict.fromkeys(
                ALL, count
            ), table
        lines = {day: len(list_lines(date.fromisoformat(day))) for day in ALL}
        # Tesla has a line of its own before it joins.
        assert all(found["constituent_market_caps", day] in {lines[day], lines[day] + 1} for day in ALL)
        assert [row for row in undisturbed.rows if row.duplicates] == []
        assert {row.session for row in undisturbed.rows} == set(ALL)

    def test_hardly_a_call_was_made_twice(self, undisturbed: Undisturbed) -> None:
        """Runs that begin side by side ask each for the counts a hundred days after recent splits."""
        assert undisturbed.kept.responses == undisturbed.served
        assert undisturbed.served - undisturbed.kept.calls <= SHARED


@dataclass(frozen=True)
class Killed:
    """A month whose workers were killed: tasks that were collecting then, the run and its tasks, and the calls."""

    collecting: list[TaskRun]
    served_before: int
    run: ScheduledRun
    why: str
    tries: dict[str, int]
    recovery_seconds: float
    served: int
    kept: StoredCalls


@pytest.fixture(scope="module")
def killed(disturbed: ScheduledHouse) -> Killed:
    """June, scheduler and workers killed when a part of its calls was made."""
    airflow, stack = disturbed.airflow, disturbed.house.stack
    with disturbed.house.faults(SLOW):
        (run_id,) = airflow.backfill(DAG, date(2022, 6, 1), date(2022, 6, 30), max_active_runs=1)

        def list_collecting() -> list[TaskRun]:
            tasks = airflow.list_tasks(DAG, run_id)
            return [task for task in tasks if task.task_id == COLLECTING and task.state == "running"]

        def under_way() -> bool:
            return count_served(stack) > HALF_WAY and len(list_collecting()) > 1

        airflow.wait_until(under_way, 300, lambda: f"{count_served(stack)} calls")
        collecting, served_before = list_collecting(), count_served(stack)
        airflow.kill_scheduler()
    killed_at = datetime.now(UTC)
    airflow.start_scheduler()
    run = disturbed.wait(run_id, seconds=900)
    tasks = disturbed.tasks(run)
    again = [task.start for task in tasks if task.try_number > 1 and task.start is not None]
    tries: dict[str, int] = {}
    for task in tasks:
        tries[task.task_id] = max(tries.get(task.task_id, 0), task.try_number)
    return Killed(
        collecting,
        served_before,
        run,
        disturbed.explain(run),
        tries,
        (min(again) - killed_at).total_seconds() if again else -1.0,
        count_served(stack),
        count_stored(disturbed.place.store),
    )


class TestKilled:
    def test_half_way_it_is_taken_up_again_and_succeeds(self, killed: Killed) -> None:
        assert killed.run.state == "success", killed.why
        assert killed.collecting
        assert killed.served_before < 0.9 * killed.kept.calls, "killed too late to tell anything"
        assert 0 < killed.recovery_seconds < 90
        assert killed.tries[COLLECTING] == 2

    def test_what_comes_out_is_what_an_undisturbed_run_leaves(
        self, killed: Killed, disturbed: ScheduledHouse, undisturbed: Undisturbed
    ) -> None:
        after = disturbed.house.published()
        assert rows_of(after.rows, JUNE) == rows_of(undisturbed.published.rows, JUNE)
        assert objects_of(after.objects, JUNE) == objects_of(undisturbed.published.objects, JUNE)
        assert set(after.rows["splits"]) <= set(undisturbed.published.rows["splits"])

    def test_each_killed_worker_repeats_no_more_than_one_stored_object(self, killed: Killed) -> None:
        repeated = killed.served - killed.kept.calls
        assert killed.kept.responses == killed.kept.calls
        assert 0 <= repeated <= OBJECT * len(killed.collecting), (repeated, len(killed.collecting))


class TestSideBySide:
    """After the killed month, whose calls are counted: the house is of one history by then."""

    def test_two_backfills_that_overlap_and_a_daily_run_leave_what_one_leaves(
        self, disturbed: ScheduledHouse, killed: Killed, undisturbed: Undisturbed
    ) -> None:
        airflow = disturbed.airflow
        one = disturbed.start_range(FIRST, FIRST), disturbed.start_range("2022-07-01", "2022-07-20")
        two = disturbed.start_range("2022-07-12", "2022-07-31")
        daily = airflow.trigger(DAILY, {"trading_date": "2022-07-13"})

        runs = airflow.wait_for_runs(DAG, [*one, two], 1500)
        (day,) = airflow.wait_for_runs(DAILY, [daily], 600)

        assert [disturbed.explain(run) for run in runs if run.state != "success"] == []
        assert day.state == "success", airflow.list_tasks(DAILY, daily)
        begun = [run.start for run in (*runs[1:], day) if run.start]
        assert max(begun) < min(run.end for run in (*runs[1:], day) if run.end), "they ran one after the other"
        after = disturbed.house.published()
        assert rows_apart_from_asking(after.rows) == rows_apart_from_asking(undisturbed.published.rows)
        given, alone = given_caps(after.rows), given_caps(undisturbed.published.rows)
        assert [key for key in given.keys() & alone.keys() if given[key] != alone[key]] == []
        differing = {
            key.split("/")[1]
            for key, digest in objects_of(undisturbed.published.objects, ALL).items()
            if after.objects.get(key) != digest
        }
        assert differing <= {CAPS}
        assert [row for row in count_rows(disturbed.place.warehouse) if row.duplicates] == []


class TestRepeated:
    def test_a_complete_month_asks_nothing_and_changes_nothing(self, disturbed: ScheduledHouse, killed: Killed) -> None:
        before, served = disturbed.house.published(), count_served(disturbed.house.stack)

        (run_id,) = disturbed.airflow.backfill(
            DAG, date(2022, 6, 1), date(2022, 6, 30), max_active_runs=1, reprocess="completed"
        )
        run = disturbed.wait(run_id)

        assert run.state == "success", disturbed.explain(run)
        assert count_served(disturbed.house.stack) == served
        assert disturbed.house.published() == before

    def test_complete_sessions_done_again_on_purpose_ask_nothing_either(
        self, disturbed: ScheduledHouse, killed: Killed
    ) -> None:
        before, served = disturbed.house.published(), count_served(disturbed.house.stack)

        run = disturbed.run_range("2022-06-06", "2022-06-09", repeat=True)

        assert run.state == "success", disturbed.explain(run)
        assert count_served(disturbed.house.stack) == served
        after = disturbed.house.published()
        assert after.rows == before.rows
        assert after.objects == before.objects

    def test_three_times_the_same_month_leaves_the_same_and_three_manifests_that_say_so(
        self, disturbed: ScheduledHouse, killed: Killed
    ) -> None:
        before, served = disturbed.house.published(), count_served(disturbed.house.stack)

        runs = [disturbed.run_range(JUNE[0], JUNE[-1], repeat=True) for _ in range(2)]

        assert [disturbed.explain(run) for run in runs if run.state != "success"] == []
        assert count_served(disturbed.house.stack) == served
        assert disturbed.house.published() == before
        manifests = [disturbed.manifest(run) for run in (killed.run, *runs)]
        folders = [manifest.pop("run")["folder"] for manifest in manifests]
        assert len(set(folders)) == 3
        assert manifests[0] == manifests[1] == manifests[2]
        assert {session["state"] for session in manifests[0]["sessions"].values()} == {"loaded"}
        assert set(manifests[0]["sessions"]) == set(JUNE)
        assert all(manifests[0]["inputs"].values())


NEXT_YEAR = datetime.now(UTC).year + 1


class TestBadInput:
    @pytest.mark.parametrize(
        ("first", "last", "said"),
        [
            ("2021-01-29", "2021-01-04", ["2021-01-29", "2021-01-04", "ends before it begins"]),
            (f"{NEXT_YEAR}-02-01", f"{NEXT_YEAR}-02-28", ["the last closed session is"]),
            ("2021-01-16", "2021-01-18", ["2021-01-16", "2021-01-18", "no session"]),
            ("2025-08-04", "2025-08-08", ["2025-08-04", "2025-07-17"]),
            ("2021-01-04", None, ["end_date"]),
        ],
        ids=["reversed", "future", "no session", "after the data", "one end"],
    )
    def test_is_refused_by_the_first_task_in_one_line(
        self, disturbed: ScheduledHouse, first: str, last: str | None, said: list[str]
    ) -> None:
        served = count_served(disturbed.house.stack)

        run = disturbed.wait(disturbed.airflow.trigger(DAG, {"start_date": first, "end_date": last}), seconds=120)

        assert run.state == "failed"
        tasks = disturbed.tasks(run)
        (task,) = (task for task in tasks if task.state == "failed")
        assert (task.task_id, task.try_number) == ("resolve_window", 1)
        assert task.start and task.end and (task.end - task.start).total_seconds() < QUICK_SECONDS
        assert {task.state for task in tasks if task.task_id not in TEARDOWNS} == {"failed", "upstream_failed"}
        reason = disturbed.failure(run)
        assert len(reason.splitlines()) == 1
        assert all(word in reason for word in said), reason
        assert count_served(disturbed.house.stack) == served

    @pytest.mark.parametrize(
        ("first", "last"),
        [("1999-01-04", "1999-01-29"), ("2020-11-02", "2020-12-04")],
        ids=["before the calendar", "before the data"],
    )
    def test_before_the_first_session_is_refused_by_the_form(
        self, disturbed: ScheduledHouse, first: str, last: str
    ) -> None:
        with pytest.raises(AirflowRefusedError) as refused:
            disturbed.start_range(first, last)

        assert refused.value.status == 400
        assert "start_date" in str(refused.value)
        assert FIRST in str(refused.value)


class TestRefused:
    """Of a week in which the provider's figure of one session is corrupt; that session was published before.

    It is the week's last one: the search asks about it for certain.
    """

    REFUSED = "2022-08-05"
    WEEK = ("2022-08-01", "2022-08-05")

    def test_the_others_are_published_and_the_one_keeps_what_it_had(self, disturbed: ScheduledHouse) -> None:
        house = disturbed.house
        first = disturbed.run_range(self.REFUSED, self.REFUSED)
        assert first.state == "success", disturbed.explain(first)
        before = house.published().of(self.REFUSED)
        store = disturbed.place.store
        kept = answers_prefix("ticker_details", date.fromisoformat(self.REFUSED))
        store.delete([stored.key for stored in store.list(kept)])

        with house.faults({"kind": "scale", "factor": 0.05, "path": f"/v3/reference/tickers/NVDA.*{self.REFUSED}"}):
            run = disturbed.run_range(*self.WEEK, repeat=True)

        assert run.state == "failed"
        reason = disturbed.failure(run)
        assert f"{self.REFUSED} refused: NVDA" in reason
        others = [day for day in sessions_between(*self.WEEK) if day != self.REFUSED]
        assert all(f"{day} refused" not in reason for day in others), reason
        failed = sorted({task.task_id for task in disturbed.tasks(run) if task.state == "failed"})
        assert failed == ["report_refusals"], disturbed.explain(run)
        after = house.published()
        assert after.of(self.REFUSED) == before
        for table, count in EXACT.items():
            found = rows_of(after.rows, others)[table]
            assert len(found) == count * len(others), table
