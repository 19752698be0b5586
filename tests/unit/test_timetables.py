"""The timetable by itself; what Airflow makes of it is tested in tests/dags/test_timetable_runs.py."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from hypothesis import given
from hypothesis import strategies as st
from pendulum import UTC, DateTime

from mag7.sessions import get_session, is_session, last_closed_session, list_sessions
from mag7.timetables import SessionTimetable

START = DateTime(2020, 11, 30, tzinfo=UTC)


def label(text: str) -> DateTime:
    return DateTime.fromisoformat(text).replace(tzinfo=UTC)


def list_runs(timetable: SessionTimetable, restriction: TimeRestriction) -> list[DagRunInfo]:
    runs: list[DagRunInfo] = []
    last: DataInterval | None = None
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        runs.append(info)
        last = info.data_interval
    return runs


def sessions_of(runs: list[DagRunInfo]) -> list[date]:
    return [run.logical_date.date() for run in runs if run.logical_date]


class TestSchedule:
    def test_one_run_for_each_session_of_the_four_years(self) -> None:
        runs = list_runs(SessionTimetable(), TimeRestriction(START, label("2024-12-13"), catchup=True))

        assert sessions_of(runs) == list(list_sessions(date(2020, 11, 30), date(2024, 12, 13)))

    def test_a_run_follows_the_actual_close_by_the_delay(self) -> None:
        timetable = SessionTimetable(delay=timedelta(minutes=30))
        runs = list_runs(timetable, TimeRestriction(label("2024-11-27"), label("2024-12-02"), catchup=True))

        assert [str(run.run_after) for run in runs] == [
            "2024-11-27 21:30:00+00:00",
            "2024-11-29 18:30:00+00:00",  # closed at 13:00 in New York
            "2024-12-02 21:30:00+00:00",
        ]

    def test_the_default_delay_ends_after_midnight_in_new_york(self) -> None:
        restriction = TimeRestriction(label("2024-06-07"), label("2024-06-07"), catchup=True)
        (run,) = list_runs(SessionTimetable(), restriction)

        assert run.run_after.in_timezone("America/New_York").isoformat() == "2024-06-08T00:30:00-04:00"

    def test_the_bounds_are_included(self) -> None:
        runs = list_runs(SessionTimetable(), TimeRestriction(label("2024-12-12"), label("2024-12-13"), catchup=True))

        assert sessions_of(runs) == [date(2024, 12, 12), date(2024, 12, 13)]

    def test_a_start_during_a_session_begins_with_the_next_one(self) -> None:
        restriction = TimeRestriction(label("2024-12-12T09:00"), label("2024-12-13"), catchup=True)

        assert sessions_of(list_runs(SessionTimetable(), restriction)) == [date(2024, 12, 13)]

    def test_a_start_before_the_calendar_begins_with_its_first_session(self) -> None:
        restriction = TimeRestriction(label("1990-01-01"), label("2000-01-04"), catchup=True)

        assert sessions_of(list_runs(SessionTimetable(), restriction)) == [date(2000, 1, 3), date(2000, 1, 4)]

    def test_without_catchup_only_the_newest_session_that_is_due_runs(self) -> None:
        timetable = SessionTimetable()
        run = timetable.next_dagrun_info(
            last_automated_data_interval=None, restriction=TimeRestriction(START, None, catchup=False)
        )

        assert run is not None
        assert sessions_of([run]) == [last_closed_session(DateTime.now(UTC) - timetable.delay)]
        assert run.run_after <= DateTime.now(UTC)

    def test_catchup_without_a_start_makes_no_run(self) -> None:
        assert list_runs(SessionTimetable(), TimeRestriction(None, None, catchup=True)) == []

    def test_the_end_of_the_calendar_ends_the_schedule(self) -> None:
        restriction = TimeRestriction(DateTime.now(UTC).add(years=3), None, catchup=True)

        assert list_runs(SessionTimetable(), restriction) == []


class TestManualRuns:
    def test_a_session_gets_its_interval(self) -> None:
        interval = SessionTimetable().infer_manual_data_interval(run_after=label("2024-11-29"))

        assert interval == DataInterval(label("2024-11-29"), label("2024-11-29T18:00"))

    def test_a_time_of_day_belongs_to_its_day(self) -> None:
        interval = SessionTimetable().infer_manual_data_interval(run_after=label("2024-12-13T23:59"))

        assert interval.start == label("2024-12-13")

    @pytest.mark.parametrize("day", ["2024-12-14", "2024-12-25", "2025-01-09", "1999-12-31"])
    def test_a_day_without_a_session_gets_no_neighbours_interval(self, day: str) -> None:
        interval = SessionTimetable().infer_manual_data_interval(run_after=label(day))

        assert interval == DataInterval(label(day), label(day))

    @given(st.dates(date(2000, 1, 1), date(2026, 12, 31)), st.integers(0, 86_399))
    def test_the_interval_starts_on_the_day_and_is_empty_only_without_a_session(self, day: date, second: int) -> None:
        moment = DateTime(day.year, day.month, day.day, tzinfo=UTC).add(seconds=second)
        interval = SessionTimetable().infer_manual_data_interval(run_after=moment)

        assert interval.start == moment.start_of("day")
        assert interval.end == (get_session(day).close if is_session(day) else interval.start)


class TestForm:
    @given(st.timedeltas(timedelta(0), timedelta(days=2)))
    def test_it_survives_serialization_as_calendar_and_delay_only(self, delay: timedelta) -> None:
        timetable = SessionTimetable(delay=delay)
        stored = json.loads(json.dumps(timetable.serialize()))

        assert set(stored) == {"calendar", "delay"}
        again = SessionTimetable.deserialize(stored)
        assert (again.calendar, again.delay) == ("XNYS", delay)

    def test_it_says_in_the_interface_when_it_runs(self) -> None:
        assert SessionTimetable().summary == "XNYS close + 8 h 30 min"
        assert SessionTimetable(delay=timedelta(hours=1)).description == "Each XNYS session, 1 h after its close"

    def test_the_plugin_registers_it_and_stays_light(self) -> None:
        code = """
import sys
from mag7_plugin import Mag7Plugin
from mag7.timetables import SessionTimetable
assert Mag7Plugin.timetables == [SessionTimetable]
heavy = {"pandas", "pandas_market_calendars", "numpy", "pyarrow", "pyspark", "polygon", "boto3"} & set(sys.modules)
sys.exit(", ".join(heavy) or 0)
"""
        plugins = Path(__file__).parents[2] / "plugins"
        done = subprocess.run([sys.executable, "-c", code], cwd=plugins, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr
