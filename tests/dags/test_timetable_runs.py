"""What Airflow itself makes of the timetables: the runs of its scheduler, its backfill and its commands.

A few small DAGs in a temporary AIRFLOW_HOME; every command runs in one process, since starting Airflow costs seconds.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mag7.sessions import last_closed_session, list_sessions, session_asked_for

ROOT = Path(__file__).parents[2]
CATCHUP_FIRST, CATCHUP_LAST = date(2024, 11, 20), date(2025, 1, 15)
MONTHS_LAST = date(2021, 2, 15)

DAGS = f'''
from datetime import date, datetime, timezone
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from mag7.sessions import session_asked_for
from mag7.timetables import MonthTimetable, SessionTimetable

def midnight(day):
    return datetime.fromisoformat(day).replace(tzinfo=timezone.utc)

with DAG("every_session", schedule=SessionTimetable(), start_date=midnight("{CATCHUP_FIRST}"),
         end_date=midnight("{CATCHUP_LAST}"), catchup=True, max_active_runs=64, is_paused_upon_creation=False):
    EmptyOperator(task_id="nothing")

with DAG("every_month", schedule=MonthTimetable(first=date(2020, 11, 30)), start_date=midnight("2000-01-01"),
         end_date=midnight("{MONTHS_LAST}"), catchup=True, max_active_runs=64, is_paused_upon_creation=False):
    EmptyOperator(task_id="nothing")

with DAG("months_asked", schedule=MonthTimetable(first=date(2020, 11, 30)), start_date=midnight("2000-01-01"),
         catchup=True, max_active_runs=64):
    EmptyOperator(task_id="nothing")

with DAG("asked", schedule=SessionTimetable(), start_date=midnight("2020-11-30"), catchup=False):
    @task
    def resolve(dag_run=None):
        return str(session_asked_for(dag_run.logical_date, dag_run.run_after))
    resolve()
'''

DRIVER = """
import shlex, sys
from airflow.utils.db import initdb
initdb()
from airflow.cli.cli_parser import get_parser
for line in sys.stdin:
    print("COMMAND", line.strip(), flush=True)
    given = get_parser().parse_args(shlex.split(line))
    try:
        given.func(given)
    except SystemExit as ended:
        print("EXIT", ended.code, flush=True)
"""

COMMANDS = """\
dags reserialize
dags test asked 2024-12-13
dags test asked 2024-12-25
dags test asked 2020-11-27
dags test asked
dags trigger asked --logical-date 2024-12-12
dags trigger asked
backfill create --dag-id asked --from-date 2024-12-20 --to-date 2024-12-27
backfill create --dag-id months_asked --from-date 2024-02-01 --to-date 2024-03-31
scheduler --num-runs 60 --skip-serve-logs
"""


@dataclass(frozen=True)
class Run:
    """A row of Airflow's table of runs."""

    dag_id: str
    run_type: str
    state: str
    logical_date: datetime | None
    start: datetime | None
    end: datetime | None
    run_after: datetime
    tasks: str

    @property
    def session(self) -> date:
        return session_asked_for(self.logical_date, self.run_after)


@dataclass(frozen=True)
class Airflow:
    """What the commands left: their output and the runs, in the order of their creation."""

    output: str
    runs: tuple[Run, ...]

    def manual(self) -> list[Run]:
        return [run for run in self.runs if run.run_type == "manual"]


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    (home / "dags" / "sessions.py").write_text(DAGS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PARALLELISM": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "PYTHONPATH": str(ROOT / "plugins"),
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=COMMANDS,
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Airflow(done.stdout + done.stderr, read_runs(home / "airflow.db"))


def read_runs(database: Path) -> tuple[Run, ...]:
    query = """
        select r.dag_id, r.run_type, r.state, r.logical_date, r.data_interval_start, r.data_interval_end, r.run_after,
               (select coalesce(group_concat(t.state), '') from task_instance t
                 where t.dag_id = r.dag_id and t.run_id = r.run_id)
        from dag_run r order by r.id
    """
    with sqlite3.connect(database) as connection:
        return tuple(
            Run(
                *row[:3],
                *(datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None for text in row[3:7]),
                row[7],
            )
            for row in connection.execute(query)
        )


def test_catchup_makes_one_run_for_each_session(airflow: Airflow) -> None:
    runs = [run for run in airflow.runs if run.dag_id == "every_session"]

    # Thanksgiving, Christmas, New Year and the closure of 2025-01-09 have none; the half days have one.
    assert [run.session for run in runs] == list(list_sessions(CATCHUP_FIRST, CATCHUP_LAST))
    assert {(run.run_type, run.state) for run in runs} == {("scheduled", "success")}
    assert len(runs) == 37


def test_scheduled_runs_follow_the_actual_close(airflow: Airflow) -> None:
    intervals = {
        run.session: (run.start, run.end, run.run_after) for run in airflow.runs if run.dag_id == "every_session"
    }

    assert intervals[date(2024, 11, 29)] == (
        datetime(2024, 11, 29, tzinfo=UTC),
        datetime(2024, 11, 29, 18, tzinfo=UTC),
        datetime(2024, 11, 30, 2, 30, tzinfo=UTC),
    )
    assert intervals[date(2024, 12, 2)][1:] == (
        datetime(2024, 12, 2, 21, tzinfo=UTC),
        datetime(2024, 12, 3, 5, 30, tzinfo=UTC),
    )


def test_backfill_makes_the_sessions_of_its_dates_both_included(airflow: Airflow) -> None:
    sessions = [run.session for run in airflow.runs if run.dag_id == "asked" and run.run_type == "backfill"]

    assert sessions == [date(2024, 12, day) for day in (20, 23, 24, 26, 27)]


def test_dags_test_of_a_session_runs_that_session(airflow: Airflow) -> None:
    run = airflow.manual()[0]

    assert (run.session, run.state, run.tasks) == (date(2024, 12, 13), "success", "success")
    assert (run.start, run.end) == (datetime(2024, 12, 13, tzinfo=UTC), datetime(2024, 12, 13, 21, tzinfo=UTC))


def test_dags_test_of_a_holiday_fails_in_the_task_and_names_both_sides(airflow: Airflow) -> None:
    run = airflow.manual()[1]

    assert (run.logical_date, run.state, run.tasks) == (datetime(2024, 12, 25, tzinfo=UTC), "failed", "failed")
    assert run.start == run.end == run.logical_date
    assert "2024-12-25 is not a session of XNYS (Christmas); ask for 2024-12-24 or 2024-12-26" in airflow.output


def test_dags_test_before_the_start_date_runs_no_task_and_calls_it_success(airflow: Airflow) -> None:
    """Airflow's own behaviour, which whoever runs a date must guard against: no task, yet success."""
    run = airflow.manual()[2]

    assert (run.logical_date, run.state, run.tasks) == (datetime(2020, 11, 27, tzinfo=UTC), "success", "")


def test_dags_test_without_a_date_takes_the_last_closed_session(airflow: Airflow) -> None:
    run = airflow.manual()[3]

    assert run.logical_date is not None
    assert run.logical_date < run.run_after
    assert (run.session, run.tasks) == (last_closed_session(run.run_after), "success")


def test_dags_trigger_with_a_date_has_the_data_interval_of_today(airflow: Airflow) -> None:
    """Why the session is never taken from data_interval_start."""
    run = airflow.manual()[4]

    assert run.session == date(2024, 12, 12)
    assert run.start is not None
    assert run.start.date() == run.run_after.date()


def test_dags_trigger_without_a_date_has_no_interval_and_takes_the_last_closed_session(airflow: Airflow) -> None:
    run = airflow.manual()[5]

    assert (run.logical_date, run.start, run.end) == (None, None, None)
    assert run.session == last_closed_session(run.run_after)


def months_of(airflow: Airflow, dag_id: str) -> list[tuple[datetime | None, datetime | None, datetime]]:
    return [(run.logical_date, run.end, run.run_after) for run in airflow.runs if run.dag_id == dag_id]


def test_catchup_makes_one_run_for_each_month_and_one_for_the_first_session(airflow: Airflow) -> None:
    assert {run.state for run in airflow.runs if run.dag_id == "every_month"} == {"success"}
    assert months_of(airflow, "every_month") == [
        (
            datetime(2020, 11, 30, tzinfo=UTC),
            datetime(2020, 11, 30, 21, tzinfo=UTC),
            datetime(2020, 12, 2, 17, 30, tzinfo=UTC),
        ),
        (
            datetime(2020, 12, 1, tzinfo=UTC),
            datetime(2020, 12, 31, 21, tzinfo=UTC),
            datetime(2021, 1, 2, 17, 30, tzinfo=UTC),
        ),
        (
            datetime(2021, 1, 1, tzinfo=UTC),
            datetime(2021, 1, 29, 21, tzinfo=UTC),
            datetime(2021, 1, 31, 17, 30, tzinfo=UTC),
        ),
        (
            datetime(2021, 2, 1, tzinfo=UTC),
            datetime(2021, 2, 26, 21, tzinfo=UTC),
            datetime(2021, 2, 28, 17, 30, tzinfo=UTC),
        ),
    ]


def test_backfill_of_whole_months_makes_a_run_for_each(airflow: Airflow) -> None:
    assert {run.run_type for run in airflow.runs if run.dag_id == "months_asked"} == {"backfill"}
    assert [(start, end) for start, end, _ in months_of(airflow, "months_asked")] == [
        (datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 2, 29, 21, tzinfo=UTC)),
        (datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 28, 20, tzinfo=UTC)),
    ]
