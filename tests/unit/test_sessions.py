"""The calendar of sessions, and the session that a run was asked for."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.session_calendar import (
    NotASessionError,
)
from mag7.sessions import (
    SessionNotClosedError,
    SessionTooEarlyError,
    get_session,
    is_session,
    last_closed_session,
    list_sessions,
    month_ends,
    next_session,
    previous_session,
    session_asked_for,
    sessions_asked_for,
)

FIRST, LAST = date(2020, 11, 30), date(2024, 12, 13)
WEEKDAY_HOLIDAYS = {
    2020: "12-25",
    2021: "01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24",
    2022: "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26",
    2023: "01-02 01-16 02-20 04-07 05-29 06-19 07-04 09-04 11-23 12-25",
    2024: "01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28",
}
EARLY_CLOSES = ["2020-12-24", "2021-11-26", "2022-11-25", "2023-07-03", "2023-11-24", "2024-07-03", "2024-11-29"]
DAYS = st.dates(date(2001, 1, 2), date(2026, 12, 1))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days_between(first: date, last: date) -> list[date]:
    return [date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1)]


class TestCalendar:
    def test_sessions_of_the_four_years(self) -> None:
        assert len(list_sessions(FIRST, LAST)) == 1017

    def test_weekday_holidays_of_the_four_years(self) -> None:
        weekdays = [day for day in days_between(FIRST, LAST) if day.weekday() < 5]

        holidays = [day for day in weekdays if not is_session(day)]
        assert len(holidays) == 38
        for year, days in WEEKDAY_HOLIDAYS.items():
            assert " ".join(f"{day:%m-%d}" for day in holidays if day.year == year) == days

    def test_early_closes_of_the_four_years(self) -> None:
        hours = {day: get_session(day).close - get_session(day).open for day in list_sessions(FIRST, LAST)}

        assert [str(day) for day, length in hours.items() if length < timedelta(hours=6)] == EARLY_CLOSES
        assert {hours[date.fromisoformat(day)] for day in EARLY_CLOSES} == {timedelta(hours=3, minutes=30)}

    def test_closes_follow_new_york_summer_time(self) -> None:
        assert get_session(date(2024, 12, 13)).close == at("2024-12-13T21:00")
        assert get_session(date(2024, 6, 7)).close == at("2024-06-07T20:00")
        assert get_session(date(2024, 11, 29)).close == at("2024-11-29T18:00")

    @pytest.mark.parametrize(
        ("day", "message"),
        [
            ("2024-12-25", "2024-12-25 is not a session of XNYS (Christmas); ask for 2024-12-24 or 2024-12-26"),
            ("2024-12-14", "2024-12-14 is not a session of XNYS (a Saturday); ask for 2024-12-13 or 2024-12-16"),
            ("2024-03-29", "2024-03-29 is not a session of XNYS (Good Friday); ask for 2024-03-28 or 2024-04-01"),
            ("2018-12-05", "2018-12-05 is not a session of XNYS (a special closure); ask for 2018-12-04 or 2018-12-06"),
        ],
    )
    def test_a_day_that_is_no_session_is_refused_with_its_reason_and_both_sides(self, day: str, message: str) -> None:
        with pytest.raises(NotASessionError) as refused:
            get_session(date.fromisoformat(day))

        assert str(refused.value) == message

    def test_a_closure_at_short_notice_names_the_notice(self) -> None:
        with pytest.raises(NotASessionError, match=r"closed at short notice, NYSE notice.*2025-01-08 or 2025-01-10"):
            get_session(date(2025, 1, 9))

    def test_a_day_outside_the_calendar_is_refused_with_its_bounds(self) -> None:
        with pytest.raises(NotASessionError, match=r"1999-12-31 lies outside .* from 2000-01-01 to"):
            get_session(date(1999, 12, 31))
        with pytest.raises(NotASessionError, match="no session -1 from 2000-01-01"):
            previous_session(date(2000, 1, 1))

    def test_a_number_of_sessions_is_at_least_one(self) -> None:
        with pytest.raises(ValueError, match="at least 1, not 0"):
            next_session(FIRST, 0)

    def test_importing_the_module_imports_no_pandas(self) -> None:
        code = (
            "import sys, mag7.sessions; sys.exit('pandas' in sys.modules or 'pandas_market_calendars' in sys.modules)"
        )

        assert (
            subprocess.run(
                [sys.executable, "-c", code], cwd=Path(__file__).parents[2] / "plugins", check=False
            ).returncode
            == 0
        )


class TestProperties:
    @given(DAYS)
    def test_next_and_previous_are_inverse_on_sessions(self, day: date) -> None:
        session = next_session(day)

        assert previous_session(next_session(session)) == session
        assert next_session(previous_session(session)) == session

    @given(DAYS)
    def test_neighbours_enclose_the_day_and_nothing_lies_between(self, day: date) -> None:
        before, after = previous_session(day), next_session(day)

        assert before < day < after
        assert list_sessions(before, after) == (before, *([day] if is_session(day) else []), after)

    @given(DAYS, st.integers(1, 30))
    def test_n_steps_are_one_step_n_times(self, day: date, n: int) -> None:
        stepped = day
        for _ in range(n):
            stepped = previous_session(stepped)

        assert previous_session(day, n) == stepped
        assert list_sessions(stepped, day - timedelta(days=1))[0] == stepped
        assert len(list_sessions(stepped, day - timedelta(days=1))) == n

    @given(DAYS, st.integers(0, 24 * 60))
    def test_the_last_closed_session_has_closed_and_the_next_has_not(self, day: date, minutes: int) -> None:
        moment = datetime.combine(day, time(0), UTC) + timedelta(minutes=minutes)
        last = last_closed_session(moment)

        assert get_session(last).close <= moment < get_session(next_session(last)).close

    @given(DAYS)
    def test_the_session_asked_for_is_the_day_itself_or_it_is_refused(self, day: date) -> None:
        asked = datetime.combine(day, time(0), UTC)
        later = asked + timedelta(days=30)

        if is_session(day):
            assert session_asked_for(asked, later) == day
        else:
            with pytest.raises(NotASessionError):
                session_asked_for(asked, later)


class TestSessionAskedFor:
    def test_a_date_is_taken_as_it_was_asked_for(self) -> None:
        assert session_asked_for(at("2024-12-13"), at("2026-01-05T12:00")) == date(2024, 12, 13)

    def test_a_time_of_day_that_is_not_the_trigger_stands_for_its_date(self) -> None:
        assert session_asked_for(at("2024-12-13T15:30"), at("2026-01-05T12:00")) == date(2024, 12, 13)

    def test_a_date_in_another_zone_stands_for_its_date_in_utc(self) -> None:
        berlin = datetime(2024, 12, 13, 12, tzinfo=timezone(timedelta(hours=1)))

        assert session_asked_for(berlin, at("2026-01-05T12:00")) == date(2024, 12, 13)

    @pytest.mark.parametrize(
        ("run_after", "session"),
        [
            ("2024-12-14T15:00", "2024-12-13"),  # a Saturday
            ("2024-12-13T20:59", "2024-12-12"),  # a minute before the close
            ("2024-12-13T21:00", "2024-12-13"),
            ("2024-12-25T12:00", "2024-12-24"),  # a holiday after an early close
        ],
    )
    def test_without_a_date_the_last_closed_session_is_taken(self, run_after: str, session: str) -> None:
        assert session_asked_for(None, at(run_after)) == date.fromisoformat(session)

    def test_the_moment_of_the_trigger_counts_as_no_date(self) -> None:
        """`dags test` without a date and the trigger form, as it opens, put the moment there."""
        assert session_asked_for(at("2024-12-14T15:00:00.25"), at("2024-12-14T15:00:00.31")) == date(2024, 12, 13)
        assert session_asked_for(at("2024-12-14T14:20"), at("2024-12-14T15:00")) == date(2024, 12, 13)

    def test_a_form_left_open_for_an_hour_is_refused_rather_than_guessed(self) -> None:
        with pytest.raises(NotASessionError, match="2024-12-14"):
            session_asked_for(at("2024-12-14T14:00"), at("2024-12-14T15:00"))

    def test_midnight_is_a_date_even_just_after_midnight(self) -> None:
        with pytest.raises(NotASessionError, match="2024-12-14"):
            session_asked_for(at("2024-12-14"), at("2024-12-14T00:10"))

    def test_a_session_still_open_names_the_last_closed_one(self) -> None:
        with pytest.raises(SessionNotClosedError, match=r"2024-12-13 closes at 2024-12-13 21:00 UTC.* is 2024-12-12"):
            session_asked_for(at("2024-12-13"), at("2024-12-13T20:59"))

    def test_a_session_in_the_future_names_the_last_closed_one(self) -> None:
        with pytest.raises(SessionNotClosedError, match="the last closed session is 2024-12-13"):
            session_asked_for(at("2024-12-20"), at("2024-12-16T12:00"))

    def test_a_session_before_the_first_one_covered_is_refused(self) -> None:
        with pytest.raises(SessionTooEarlyError, match="2020-11-27 is before 2020-11-30"):
            session_asked_for(at("2020-11-27"), at("2024-12-16T12:00"), first=FIRST)
        assert session_asked_for(at("2020-11-30"), at("2024-12-16T12:00"), first=FIRST) == FIRST


class TestMonthEnds:
    @given(st.dates(FIRST, date(2026, 12, 31)))
    def test_they_are_the_last_sessions_of_the_month_before_and_of_the_days_month(self, day: date) -> None:
        before, last = month_ends(day)

        assert is_session(before)
        assert is_session(last)
        assert (last.year, last.month) == (day.year, day.month)
        assert next_session(before).month == day.month == previous_session(next_session(last)).month
        assert next_session(last).month != day.month != before.month

    def test_two_months_share_the_one_between_them(self) -> None:
        assert month_ends(date(2024, 12, 13))[0] == month_ends(date(2024, 11, 29))[1] == date(2024, 11, 29)


class TestSessionsAskedFor:
    AT = datetime(2024, 12, 13, 22, tzinfo=UTC)

    def ask(self, first: str, last: str) -> list[str]:
        days = date.fromisoformat(first), date.fromisoformat(last)
        return [day.isoformat() for day in sessions_asked_for(*days, self.AT, covered=FIRST)]

    def test_they_are_those_of_the_range_both_ends_included(self) -> None:
        assert self.ask("2024-12-12", "2024-12-13") == ["2024-12-12", "2024-12-13"]
        assert self.ask("2020-11-30", "2020-12-01") == ["2020-11-30", "2020-12-01"]

    def test_days_ahead_without_a_session_do_no_harm(self) -> None:
        assert self.ask("2024-12-13", "2024-12-15") == ["2024-12-13"]

    @pytest.mark.parametrize(
        ("first", "last", "error", "said"),
        [
            ("2024-12-13", "2024-12-16", SessionNotClosedError, "2024-12-16 has not closed .* 2024-12-13$"),
            ("2020-11-28", "2020-11-30", SessionTooEarlyError, "2020-11-28 is before 2020-11-30"),
            ("2024-11-28", "2024-11-28", NotASessionError, "Thanksgiving.*2024-11-27 or 2024-11-29"),
            ("2024-12-14", "2024-12-15", NotASessionError, "2024-12-13 or 2024-12-16"),
        ],
    )
    def test_a_range_that_cannot_be_is_refused_by_name(
        self, first: str, last: str, error: type[Exception], said: str
    ) -> None:
        with pytest.raises(error, match=said):
            self.ask(first, last)


@pytest.mark.parametrize("day", ["2027-12-25", "2099-01-05", "2025-01-11"])
def test_a_date_ahead_names_the_last_closed_session_whatever_day_it_is(day: str) -> None:
    asked = datetime.fromisoformat(day).replace(tzinfo=UTC)
    with pytest.raises(SessionNotClosedError, match=f"{day} is in the future; the last closed session is 2025-01-08"):
        session_asked_for(asked, datetime(2025, 1, 10, 12, tzinfo=UTC))
