"""When the daily DAG runs: once for each session, some hours after its close."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import UTC, DateTime, instance

from mag7.sessions import FIRST_DAY, NYSE, Session, SessionCalendar, load_calendar

# Cheaper plans refuse a day's bars "before end of day": refused at 19:00 New York time was seen, and midnight is the
# end of a day. 8 h 30 min after a close at 16:00 is half past midnight; an early close's run comes at 21:30, earlier
# than such a plan may answer, and waits in its DAG like any run that finds no bars.
RELEASE_DELAY: Final = timedelta(hours=8, minutes=30)
ONE_DAY: Final = timedelta(days=1)


class SessionTimetable(Timetable):
    """One run for each session of an exchange, ``delay`` after its actual close; none on any other day.

    The data interval of a session is [00:00 UTC of its date, its close], so the logical date is the session's label:
    ``dags test <dag> 2024-12-13`` runs that session, and a backfill to a date includes it. A manual run of a day that
    is no session gets an interval of no length at that day, so that its first task can refuse it
    (mag7.sessions.session_asked_for) instead of working on a neighbour that nobody asked for.

    The serialized form holds the calendar's name and the delay, never a list of sessions.
    """

    def __init__(self, *, calendar: str = NYSE, delay: timedelta = RELEASE_DELAY) -> None:
        self.calendar = calendar
        self.delay = delay
        self.description = f"Each {calendar} session, {_hours(delay)} after its close"

    @property
    def summary(self) -> str:
        """What the user interface shows as the schedule."""
        return f"{self.calendar} close + {_hours(self.delay)}"

    def serialize(self) -> dict[str, Any]:
        """Return what the scheduler needs to build this timetable again."""
        return {"calendar": self.calendar, "delay": self.delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> SessionTimetable:
        """Build a timetable from its serialized form."""
        return cls(calendar=data["calendar"], delay=timedelta(seconds=data["delay"]))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the run after the last one, inside the DAG's bounds; without catchup not before the newest one due."""
        sessions = self._calendar()
        bounds = [FIRST_DAY]
        if last_automated_data_interval is not None:
            bounds.append(_session_date(last_automated_data_interval.start) + ONE_DAY)
        if restriction.earliest is not None:
            bounds.append(_first_label(restriction.earliest))
        if not restriction.catchup:
            bounds.append(sessions.last_closed(DateTime.now(UTC) - self.delay).date)
        if len(bounds) == 1:
            return None  # catchup without a start date: nothing says where to begin
        earliest = max(bounds)
        # One year is never without a session; the calendar's own end ends the schedule.
        upcoming = sessions.between(earliest, earliest + timedelta(days=365))
        if not upcoming:
            return None
        session = sessions.get(upcoming[0])
        if restriction.latest is not None and _label(session.date) > restriction.latest:
            return None
        return DagRunInfo(run_after=instance(session.close) + self.delay, data_interval=_interval(session))

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the interval of the session of a date, or one of no length where the date is no session."""
        day = _session_date(run_after)
        session = self._calendar().find(day)
        return DataInterval.exact(_label(day)) if session is None else _interval(session)

    def _calendar(self) -> SessionCalendar:
        return load_calendar(self.calendar)


def _interval(session: Session) -> DataInterval:
    return DataInterval(_label(session.date), instance(session.close))


def _label(day: date) -> DateTime:
    return DateTime(day.year, day.month, day.day, tzinfo=UTC)


def _session_date(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _first_label(moment: datetime) -> date:
    """Return the first day whose label, 00:00 UTC, is not before a moment."""
    day = _session_date(moment)
    return day if _label(day) >= moment else day + ONE_DAY


def _hours(delay: timedelta) -> str:
    hours, seconds = divmod(int(delay.total_seconds()), 3600)
    return f"{hours} h {seconds // 60} min" if seconds else f"{hours} h"
