"""The timetables by themselves; what Airflow makes of them is tested in tests/dags/test_timetable_runs.py."""

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
from mag7.timetables import MONTH_DELAY, RELEASE_DELAY, MonthTimetable, SessionTimetable

START = DateTime(2020, 11, 30, tzinfo=UTC)


def label(text: str) -> DateTime:
    return DateTime.fromisoformat(text).replace(tzinfo=UTC)


def list_runs(timetable: SessionTimetable | MonthTimetable, restriction: TimeRestriction) -> list[DagRunInfo]:
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

    def test_the_plugin_registers_both_and_stays_light(self) -> None:
        code = """
import sys
from mag7_plugin import Mag7Plugin
from mag7.timetables import MonthTimetable, SessionTimetable
assert Mag7Plugin.timetables == [MonthTimetable, SessionTimetable]
heavy = {"pandas", "pandas_market_calendars", "numpy", "pyarrow", "pyspark", "polygon", "boto3"} & set(sys.modules)
sys.exit(", ".join(heavy) or 0)
"""
        plugins = Path(__file__).parents[2] / "plugins"
        done = subprocess.run([sys.executable, "-c", code], cwd=plugins, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr


FIRST = date(2020, 11, 30)
MONTHS = MonthTimetable(first=FIRST)


def months(
    earliest: str | None = None, latest: str | None = None, *, catchup: bool = True, timetable: MonthTimetable = MONTHS
) -> list[DagRunInfo]:
    """Every run between two bounds."""
    bounds = [None if text is None else label(text) for text in (earliest, latest)]
    return list_runs(timetable, TimeRestriction(*bounds, catchup=catchup))


def window_of(run: DagRunInfo) -> tuple[date, ...]:
    """The sessions of a run's data interval."""
    interval = run.data_interval
    assert interval is not None
    return list_sessions(interval.start.date(), interval.end.date())


class TestMonths:
    def test_the_first_session_has_a_run_of_its_own(self) -> None:
        first, second, *_ = months("2000-01-01", "2021-01-01")

        assert first.data_interval == DataInterval(label("2020-11-30"), label("2020-11-30T21:00"))
        assert str(first.run_after) == "2020-12-02 17:30:00+00:00"
        assert second.data_interval == DataInterval(label("2020-12-01"), label("2020-12-31T21:00"))
        assert str(second.run_after) == "2021-01-02 17:30:00+00:00"

    def test_runs_cover_every_session_once(self) -> None:
        runs = months("2000-01-01", "2024-12-31")

        assert len(runs) == 1 + 1 + 4 * 12
        assert [day for run in runs for day in window_of(run)] == list(list_sessions(FIRST, date(2024, 12, 31)))
        for run in runs:
            assert run.data_interval is not None
            assert run.data_interval.end == get_session(window_of(run)[-1]).close
            assert run.run_after == run.data_interval.end + MONTH_DELAY

    def test_a_months_last_close_may_be_early_or_days_before_its_end(self) -> None:
        (november,) = months("2024-11-01", "2024-11-30")
        (may,) = months("2020-05-01", "2020-05-31", timetable=MonthTimetable(first=date(2020, 1, 1)))

        assert str(november.run_after) == "2024-12-01 14:30:00+00:00"  # the day after Thanksgiving closes at 13:00
        assert window_of(may)[-1] == date(2020, 5, 29)

    def test_the_bounds_are_included(self) -> None:
        assert sessions_of(months("2024-02-01", "2024-04-01")) == [date(2024, month, 1) for month in (2, 3, 4)]
        assert sessions_of(months("2024-02-01", "2024-03-31")) == [date(2024, 2, 1), date(2024, 3, 1)]

    def test_a_start_inside_a_month_begins_with_the_rest_of_it(self) -> None:
        runs = months("2024-02-14T12:00", "2024-03-01")

        assert sessions_of(runs) == [date(2024, 2, 15), date(2024, 3, 1)]
        assert window_of(runs[0])[0] == date(2024, 2, 15)

    @pytest.mark.parametrize("start", ["2024-08-31", "2024-08-30T00:01", "2024-09-01"])
    def test_a_start_after_a_months_last_session_begins_with_the_next(self, start: str) -> None:
        assert sessions_of(months(start, "2024-09-30")) == [date(2024, 9, 1)]

    def test_bounds_without_a_month_between_them_make_no_run(self) -> None:
        assert months("2024-02-15", "2024-02-10") == []
        assert months("2019-01-01", "2020-11-29") == []

    def test_without_bounds_it_begins_with_the_first_session_and_ends_with_the_calendar(self) -> None:
        runs = months()

        assert sessions_of(runs)[0] == FIRST
        # The calendar reaches to the end of next year, and grows with the years.
        assert sessions_of(runs)[-1] == date(DateTime.now(UTC).year + 1, 12, 1)

    def test_a_run_that_airflow_has_made_already_is_followed_by_the_next_month(self) -> None:
        for end in ("2024-02-29T21:00", "2024-02-10"):
            last = DataInterval(label("2024-02-01"), label(end))
            run = MONTHS.next_dagrun_info(
                last_automated_data_interval=last, restriction=TimeRestriction(START, None, catchup=True)
            )
            assert run is not None
            assert sessions_of([run]) == [date(2024, 3, 1)]

    def test_a_day_after_the_first_session_as_the_first_day(self) -> None:
        late = MonthTimetable(first=date(2024, 2, 20))

        assert sessions_of(months(None, "2024-03-31", timetable=late)) == [date(2024, 2, 20), date(2024, 3, 1)]


class TestMonthsWithoutCatchup:
    @pytest.mark.parametrize(
        ("now", "month"),
        [
            ("2024-12-13T12:00", "2024-11-01"),
            ("2025-01-02T17:29", "2024-11-01"),
            ("2025-01-02T17:30", "2024-12-01"),
            ("2025-01-10T12:00", "2024-12-01"),
            ("2024-12-01T14:30", "2024-11-01"),  # a Sunday, after an early close on Friday
        ],
    )
    def test_the_newest_month_that_is_due_runs_first(
        self, monkeypatch: pytest.MonkeyPatch, now: str, month: str
    ) -> None:
        monkeypatch.setattr(DateTime, "now", classmethod(lambda cls, tz=None: label(now)))
        runs = months("2000-01-01", "2025-01-31", catchup=False)

        assert sessions_of(runs)[0] == date.fromisoformat(month)
        assert runs[0].run_after <= label(now) < runs[1].run_after


class TestManualMonths:
    @pytest.mark.parametrize("day", ["2024-12-01", "2024-12-13T17:45", "2024-12-25", "2024-12-31T23:59"])
    def test_a_day_gets_the_interval_of_its_month(self, day: str) -> None:
        interval = MONTHS.infer_manual_data_interval(run_after=label(day))

        assert interval == DataInterval(label("2024-12-01"), label("2024-12-31T21:00"))

    @pytest.mark.parametrize("day", ["2020-11-30", "2020-11-05"])
    def test_the_first_month_begins_with_the_first_session(self, day: str) -> None:
        interval = MONTHS.infer_manual_data_interval(run_after=label(day))

        assert interval == DataInterval(label("2020-11-30"), label("2020-11-30T21:00"))

    @pytest.mark.parametrize("day", ["2019-05-05", "1999-12-31", "1970-01-01", "2060-01-01"])
    def test_a_day_that_the_first_task_refuses_gets_an_interval_too(self, day: str) -> None:
        """A trigger that fails in Airflow's own code tells nobody what to ask for instead."""
        interval = MONTHS.infer_manual_data_interval(run_after=label(day))

        assert interval.start <= label(day)
        assert interval.start <= interval.end

    @given(st.dates(date(1990, 1, 1), date(2040, 12, 31)), st.integers(0, 86_399))
    def test_no_day_is_without_an_interval(self, day: date, second: int) -> None:
        moment = DateTime(day.year, day.month, day.day, tzinfo=UTC).add(seconds=second)
        interval = MONTHS.infer_manual_data_interval(run_after=moment)

        assert interval.start.date() in {day.replace(day=1), FIRST}
        assert interval.start <= interval.end

    @given(st.dates(date(2020, 12, 1), date(2025, 12, 31)))
    def test_it_is_the_interval_of_the_months_scheduled_run(self, day: date) -> None:
        month = day.replace(day=1).isoformat()
        (run,) = months(month, month)

        assert MONTHS.infer_manual_data_interval(run_after=label(day.isoformat())) == run.data_interval


class TestMonthsForm:
    @given(st.dates(date(2000, 1, 3), date(2025, 12, 31)), st.timedeltas(timedelta(0), timedelta(days=2)))
    def test_it_survives_serialization(self, first: date, delay: timedelta) -> None:
        timetable = MonthTimetable(first=first, delay=delay)
        stored = json.loads(json.dumps(timetable.serialize()))

        assert set(stored) == {"first", "calendar", "delay"}
        again = MonthTimetable.deserialize(stored)
        assert (again.first, again.calendar, again.delay) == (first, "XNYS", delay)
        assert again.serialize() == timetable.serialize()

    def test_it_comes_after_the_daily_run_of_its_last_session_and_far_from_any_other(self) -> None:
        later = MONTH_DELAY - RELEASE_DELAY

        assert later.days == 1
        assert timedelta(hours=6) <= later - timedelta(days=1) <= timedelta(hours=18)

    def test_it_says_in_the_interface_when_it_runs(self) -> None:
        assert MONTHS.summary == "XNYS month's last close + 44 h 30 min"
        assert MONTHS.description == "Each month of XNYS sessions since 2020-11-30, 44 h 30 min after its last close"


@given(st.dates(date(2020, 1, 1), date(2025, 6, 30)), st.integers(0, 900))
def test_a_backfill_of_dates_makes_whole_months_but_for_the_one_it_begins_in(first: date, days: int) -> None:
    """As `airflow backfill create --from-date --to-date` goes through a timetable."""
    last = first + timedelta(days=days)
    runs = months(first.isoformat(), last.isoformat())
    starts = sessions_of(runs)

    assert starts == sorted(starts)
    assert len({(start.year, start.month) for start in starts}) == len(starts)
    for run, start in zip(runs, starts, strict=True):
        assert max(first, FIRST) <= start <= last
        end = (start.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        assert window_of(run) == list_sessions(start, end)
    assert all(start.day == 1 for start in starts[1:])
