"""When the DAGs run: the daily one some hours after each session's close, the backfill after each month's last."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import UTC, DateTime, instance

from mag7.session_calendar import FIRST_DAY, NYSE, Session, SessionCalendar, load_schedule

# Cheaper plans refuse a day's bars "before end of day": a refusal at 19:00 New York time was seen, and a day ends at
# midnight. 8 h 30 min after a close at 16:00 is half past midnight. The run of an early close comes at 21:30, perhaps
# before such a plan has the bars, and waits in its DAG like any run that finds none.
RELEASE_DELAY: Final = timedelta(hours=8, minutes=30)
ONE_DAY: Final = timedelta(days=1)
# After the daily run of the month's last session, which is then complete and left out, and half a day from the daily
# runs before and after: the next one looks back at sessions whose gaps this run closes.
MONTH_DELAY: Final = RELEASE_DELAY + timedelta(hours=36)


class SessionTimetable(Timetable):
    """One run for each session of an exchange, ``delay`` after its actual close; none on any other day.

    The data interval of a session is [00:00 UTC of its date, its close], so the logical date is the session's label:
    ``dags test <dag> 2024-12-13`` runs that session, and a backfill to a date includes it. A manual run of a day that
    is not a session gets an empty interval at that day, so that its first task can refuse it
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
        """Return the next run inside the DAG's bounds; without catchup not before the newest one due."""
        sessions = self._calendar()
        bounds = [FIRST_DAY]
        if last_automated_data_interval is not None:
            bounds.append(_session_date(last_automated_data_interval.start) + ONE_DAY)
        if restriction.earliest is not None:
            bounds.append(_first_label(restriction.earliest))
        if not restriction.catchup:
            bounds.append(sessions.last_closed(DateTime.now(UTC) - self.delay).date)
        if len(bounds) == 1:
            return None  # catchup without a start date: there is no first run
        earliest = max(bounds)
        # A year always has a session; the schedule ends with the calendar.
        upcoming = sessions.between(earliest, earliest + timedelta(days=365))
        if not upcoming:
            return None
        session = sessions.get(upcoming[0])
        if restriction.latest is not None and _label(session.date) > restriction.latest:
            return None
        return DagRunInfo(run_after=instance(session.close) + self.delay, data_interval=_interval(session))

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the interval of the session of a date, or an empty one where the date is not a session."""
        day = _session_date(run_after)
        session = self._calendar().find(day)
        return DataInterval.exact(_label(day)) if session is None else _interval(session)

    def _calendar(self) -> SessionCalendar:
        return load_schedule(self.calendar)


class MonthTimetable(Timetable):
    """One run for each month of an exchange's sessions, ``delay`` after the actual close of its last one.

    The data interval of a month is [00:00 UTC of its first day, its last close]; that of the first month begins with
    ``first``, as does that of the month in which a DAG's start date lies with that. A manual run of a day gets the
    interval of its month. The serialized form holds the calendar's name, the first day and the delay.
    """

    def __init__(self, *, first: date, calendar: str = NYSE, delay: timedelta = MONTH_DELAY) -> None:
        self.first = first
        self.calendar = calendar
        self.delay = delay
        self.description = f"Each month of {calendar} sessions since {first}, {_hours(delay)} after its last close"

    @property
    def summary(self) -> str:
        """What the user interface shows as the schedule."""
        return f"{self.calendar} month's last close + {_hours(self.delay)}"

    def serialize(self) -> dict[str, Any]:
        """Return what the scheduler needs to build this timetable again."""
        return {"first": self.first.isoformat(), "calendar": self.calendar, "delay": self.delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> MonthTimetable:
        """Build a timetable from its serialized form."""
        first, delay = date.fromisoformat(data["first"]), timedelta(seconds=data["delay"])
        return cls(first=first, calendar=data["calendar"], delay=delay)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run inside the DAG's bounds; without catchup not before the newest one due."""
        bounds = [self.first]
        if last_automated_data_interval is not None:
            bounds.append(_next_month(_session_date(last_automated_data_interval.start)))
        if restriction.earliest is not None:
            bounds.append(_first_label(restriction.earliest))
        if not restriction.catchup:
            bounds.append(self._newest_due())
        begin = max(bounds)
        sessions = load_schedule(self.calendar).between(begin, _next_month(begin) - ONE_DAY)
        if not sessions:
            # A bound after the month's last session, or the end of the calendar.
            begin = _next_month(begin)
            sessions = load_schedule(self.calendar).between(begin, _next_month(begin) - ONE_DAY)
        if not sessions or (restriction.latest is not None and _label(begin) > restriction.latest):
            return None
        interval = self._interval(begin)
        return DagRunInfo(run_after=interval.end + self.delay, data_interval=interval)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the interval of a day's month, an empty one where the calendar does not know it."""
        day = _session_date(run_after)
        begin = day.replace(day=1)
        return self._interval(max(begin, self.first) if _next_month(begin) > self.first else begin)

    def _newest_due(self) -> date:
        """Return the first day of the newest month whose last close is due."""
        calendar = load_schedule(self.calendar)
        month = calendar.last_closed(DateTime.now(UTC) - self.delay).date.replace(day=1)
        last = calendar.step(_next_month(month), -1)
        due = calendar.get(last).close + self.delay <= DateTime.now(UTC)
        return month if due else (month - ONE_DAY).replace(day=1)

    def _interval(self, begin: date) -> DataInterval:
        calendar = load_schedule(self.calendar)
        sessions = calendar.between(begin, _next_month(begin) - ONE_DAY)
        if not sessions:
            # Outside the calendar: the first task refuses it, and says what to ask for.
            return DataInterval.exact(_label(begin))
        return DataInterval(_label(begin), instance(calendar.get(sessions[-1]).close))


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


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
