"""NYSE sessions: which days trade, which sessions lie around a day, and which session a run is for.

Days are dates of New York; instants are aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Final

from mag7.errors import Mag7Error
from mag7.session_calendar import NotASessionError, Session, load_calendar

LONGEST_FORM: Final = timedelta(hours=1)


class SessionNotClosedError(Mag7Error):
    """The session asked for has not closed yet."""


class ClosedAtShortNoticeError(Mag7Error):
    """NYSE stayed closed at short notice on a scheduled session."""


class SessionTooEarlyError(Mag7Error):
    """The session asked for lies before the first one that the project covers."""


def is_session(day: date) -> bool:
    """Return whether NYSE trades on a day."""
    return load_calendar().find(day) is not None


def get_session(day: date) -> Session:
    """Return the session of a day; raises NotASessionError with the reason and the sessions on both sides."""
    return load_calendar().get(day)


def require_open(day: date) -> None:
    """Raise ClosedAtShortNoticeError where NYSE stayed closed on a day that its schedule has."""
    reason = load_calendar().closures.get(day)
    if reason is not None:
        raise ClosedAtShortNoticeError(f"{day} turned out not to be a session ({reason}): there is nothing to do")


def previous_session(day: date, n: int = 1) -> date:
    """Return the n-th session before a day, which need not be a session; n is at least 1."""
    return load_calendar().step(day, -_check_count(n))


def next_session(day: date, n: int = 1) -> date:
    """Return the n-th session after a day, which need not be a session; n is at least 1."""
    return load_calendar().step(day, _check_count(n))


def list_sessions(first: date, last: date) -> tuple[date, ...]:
    """List the sessions from ``first`` to ``last``, both included."""
    return load_calendar().between(first, last)


def month_ends(day: date) -> tuple[date, date]:
    """Return the last session of the month before a day's month, and the last one of the day's month."""
    first = day.replace(day=1)
    return previous_session(first), previous_session((first + timedelta(days=31)).replace(day=1))


def group_months(days: Iterable[date]) -> list[list[date]]:
    """Divide days, which are in order, by month."""
    return [list(month) for _, month in groupby(days, key=lambda day: (day.year, day.month))]


def last_closed_session(at: datetime) -> date:
    """Return the date of the newest session whose close is not after an aware instant."""
    return load_calendar().last_closed(at).date


def session_asked_for(logical_date: datetime | None, run_after: datetime, *, first: date | None = None) -> date:
    """Return the session that a DAG run is for: the one of its date, or without a date the last one that had closed.

    ``logical_date`` and ``run_after`` are the DAG run's own, aware; ``first`` is the first session covered. Pass the
    logical date, never data_interval_start. What Airflow 3.3.2 was seen to set, for a date D asked for:

    ====================================  ==================  =========================  ===================
    run                                   logical_date        data_interval              run_after
    ====================================  ==================  =========================  ===================
    scheduled, catchup, backfill create   00:00 UTC of D      D's                        D's close and delay
    dags test D, REST with a date         D as given          D's (empty if no session)  the moment
    dags trigger --logical-date D         D as given          **today's**, not D's       the moment
    dags test without a date              the moment          today's                    the moment, just after
    form of the user interface, as it is  form's opening      its day's                  the moment of the press
    REST and dags trigger without a date  None                None                       the moment
    ====================================  ==================  =========================  ===================

    So a logical date with a time of day less than an hour before ``run_after`` was not chosen: it is the moment of the
    trigger, and counts as no date. Any other one stands for its date in UTC.

    Raises NotASessionError (weekend, holiday: names the sessions on both sides), SessionNotClosedError (in the future
    or still open at ``run_after``: names the last closed one) and SessionTooEarlyError (before ``first``).
    """
    calendar = load_calendar()
    last = calendar.last_closed(run_after).date
    asked = day_asked_for(logical_date, run_after)
    if asked is None:
        return last
    if asked > run_after.astimezone(UTC).date():
        raise SessionNotClosedError(f"{asked} is in the future; the last closed session is {last}")
    session = calendar.get(asked)
    if first is not None and session.date < first:
        raise SessionTooEarlyError(f"{session.date} is before {first}, the first session covered; ask for a later one")
    if session.close > run_after:
        raise SessionNotClosedError(
            f"the session of {session.date} closes at {session.close:%Y-%m-%d %H:%M} UTC, after this run's "
            f"{run_after.astimezone(UTC):%Y-%m-%d %H:%M} UTC; the last closed session is {last}"
        )
    return session.date


def day_asked_for(logical_date: datetime | None, run_after: datetime) -> date | None:
    """Return the day for which a run was requested, None where nobody chose one; see ``session_asked_for``."""
    if logical_date is None or _is_moment_of_trigger(logical_date, run_after):
        return None
    return logical_date.astimezone(UTC).date()


def sessions_asked_for(first: date, last: date, at: datetime, *, covered: date) -> tuple[date, ...]:
    """Return the sessions from ``first`` to ``last``, which must have closed at an aware instant.

    ``covered`` is the first session that may be asked for. Raises SessionTooEarlyError, SessionNotClosedError and
    NotASessionError, where there is no session in between: it names those on both sides.
    """
    calendar = load_calendar()
    newest = calendar.last_closed(at)
    if first < covered:
        raise SessionTooEarlyError(f"{first} is before {covered}, the first session covered; begin there or later")
    if last > newest.date and calendar.between(newest.date + timedelta(days=1), last):
        raise SessionNotClosedError(
            f"{last} has not closed at {at:%Y-%m-%d %H:%M}; the last closed session is {newest.date}"
        )
    sessions = calendar.between(first, last)
    if not sessions:
        raise NotASessionError(f"there is no session from {first} to {last}: {calendar.explain(first)}")
    return sessions


def _is_moment_of_trigger(logical_date: datetime, run_after: datetime) -> bool:
    if logical_date.astimezone(UTC).time() == time.min:
        return False
    return timedelta(0) <= run_after - logical_date < LONGEST_FORM


def _check_count(n: int) -> int:
    if n < 1:
        raise ValueError(f"a number of sessions must be at least 1, not {n}")
    return n
