"""The calendar of an exchange: every session with its open and close, and the reasons of closed days.

The calendars are those of pandas-market-calendars, loaded on first use and cached: importing this module costs nothing.
Closures announced at short notice, which no released calendar can know, are facts: ``use_overrides`` sets them.
Days are dates of New York; instants are aware and in UTC.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from mag7.errors import Mag7Error, one_line

if TYPE_CHECKING:
    from pandas_market_calendars import MarketCalendar


NYSE: Final = "XNYS"

NEW_YORK: Final = ZoneInfo("America/New_York")

FIRST_DAY: Final = date(2000, 1, 1)

OVERRIDES: Final = "session_overrides.csv"

OVERRIDE_COLUMNS: Final = ("date", "kind", "close", "announced", "source")


class NotASessionError(Mag7Error):
    """The day asked for is not a session."""


class OverrideInvalidError(Mag7Error):
    """A row of the override file contradicts the calendar, another row or its own form."""


@dataclass(frozen=True)
class Session:
    """A trading day: its date in New York, its open and its actual close (aware, UTC)."""

    date: date
    open: datetime
    close: datetime


@dataclass(frozen=True)
class Override:
    """A closure (``close`` is None) or an early close (New York time) that was announced at short notice."""

    date: date
    close: time | None
    source: str


@dataclass(frozen=True)
class SessionCalendar:
    """Every session of an exchange from FIRST_DAY to ``last_day``, in order, with the reasons of closed days."""

    name: str
    last_day: date
    sessions: tuple[Session, ...]
    closures: Mapping[date, str]

    @cached_property
    def dates(self) -> tuple[date, ...]:
        """The sessions' dates, ascending."""
        return tuple(session.date for session in self.sessions)

    @cached_property
    def closes(self) -> tuple[datetime, ...]:
        """The sessions' closes, ascending."""
        return tuple(session.close for session in self.sessions)

    def find(self, day: date) -> Session | None:
        """Return the session of a day, or None where it is not a session."""
        place = bisect_left(self.dates, day)
        return self.sessions[place] if self.dates[place : place + 1] == (day,) else None

    def get(self, day: date) -> Session:
        """Return the session of a day; raises NotASessionError, which names the sessions on both sides."""
        session = self.find(day)
        if session is None:
            raise NotASessionError(self.explain(day))
        return session

    def step(self, day: date, count: int) -> date:
        """Return the date ``count`` sessions after a day (before it, where negative); the day need not be one."""
        start = bisect_right(self.dates, day) - 1 if count > 0 else bisect_left(self.dates, day)
        place = start + count
        if not 0 <= place < len(self.dates):
            raise NotASessionError(
                f"there is no session {count:+d} from {day}: the {self.name} calendar reaches from {FIRST_DAY} "
                f"to {self.last_day}"
            )
        return self.dates[place]

    def between(self, first: date, last: date) -> tuple[date, ...]:
        """Return the dates of the sessions from ``first`` to ``last``, both included."""
        return self.dates[bisect_left(self.dates, first) : bisect_right(self.dates, last)]

    def last_closed(self, at: datetime) -> Session:
        """Return the newest session whose close is not after an aware instant."""
        place = bisect_right(self.closes, at) - 1
        if place < 0:
            raise NotASessionError(f"no {self.name} session had closed at {at}: the calendar begins on {FIRST_DAY}")
        return self.sessions[place]

    def explain(self, day: date) -> str:
        """Return why a day is not a session, with the sessions on both sides of it."""
        if not FIRST_DAY <= day <= self.last_day:
            return (
                f"{day} lies outside the {self.name} calendar, which reaches from {FIRST_DAY} to {self.last_day}; "
                "ask for a date in it"
            )
        before, after = bisect_left(self.dates, day) - 1, bisect_right(self.dates, day)
        sides = [str(self.dates[place]) for place in (before, after) if 0 <= place < len(self.dates)]
        return f"{day} is not a session of {self.name} ({self._reason(day)}); ask for {' or '.join(sides)}"

    def _reason(self, day: date) -> str:
        if day in self.closures:
            return self.closures[day]
        if day.weekday() >= 5:
            return f"a {day:%A}"
        return _name_holiday(self.name, day)


_overrides: list[Override] = []


def use_overrides(overrides: Iterable[Override]) -> None:
    """Use what was announced at short notice in NYSE's calendar, for the rest of the process."""
    _overrides[:] = overrides


def load_calendar(name: str = NYSE) -> SessionCalendar:
    """Load an exchange's calendar up to the end of next year, with the overrides in use for NYSE.

    It is cached, so only the first call takes long (about 1 s).
    """
    return _load_calendar(name, datetime.now(UTC).year + 1, tuple(_overrides) if name == NYSE else ())


def load_schedule(name: str = NYSE) -> SessionCalendar:
    """Load an exchange's calendar as its package has it: schedules follow it, whatever facts a run pins."""
    return _load_calendar(name, datetime.now(UTC).year + 1, ())


@lru_cache(maxsize=4)
def _load_calendar(name: str, last_year: int, overrides: tuple[Override, ...]) -> SessionCalendar:
    last_day = date(last_year, 12, 31)
    schedule = _market_calendar(name).schedule(FIRST_DAY.isoformat(), last_day.isoformat())
    days = (
        Session(label.date(), _instant(row.market_open), _instant(row.market_close))
        for label, row in schedule.iterrows()
    )
    sessions = tuple(apply_overrides(days, overrides))
    closures = {
        override.date: f"closed at short notice, {override.source}" for override in overrides if override.close is None
    }
    return SessionCalendar(name, last_day, sessions, closures)


def read_overrides(name: str, body: bytes) -> tuple[Override, ...]:
    """Read a table of overrides, in date order; raises OverrideInvalidError, which names the line."""
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8"), newline=""))
        if tuple(next(reader, ())) != OVERRIDE_COLUMNS:
            raise OverrideInvalidError(f"{name} must have the columns {','.join(OVERRIDE_COLUMNS)}")
        overrides = [_parse_override(row, f"{name} line {reader.line_num}") for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as wrong:
        raise OverrideInvalidError(f"{name} is not comma-separated text in UTF-8 ({wrong})") from wrong
    dates = [override.date for override in overrides]
    if dates != sorted(set(dates)):
        raise OverrideInvalidError(f"{name} must name each date once and be in date order")
    return tuple(overrides)


def apply_overrides(sessions: Iterable[Session], overrides: Iterable[Override]) -> Iterable[Session]:
    """Yield the sessions without those that an override closes, and with the early closes that it sets."""
    changes = {override.date: override for override in overrides}
    for session in sessions:
        change = changes.get(session.date)
        if change is None:
            yield session
        elif change.close is not None:
            close = datetime.combine(session.date, change.close, NEW_YORK).astimezone(UTC)
            if not session.open < close <= session.close:
                raise OverrideInvalidError(
                    f"{session.date} cannot close early at {change.close}: it opens at {session.open:%H:%M} and closes"
                    f" at {session.close:%H:%M} UTC"
                )
            yield Session(session.date, session.open, close)


def _parse_override(row: Sequence[str], place: str) -> Override:
    if len(row) != len(OVERRIDE_COLUMNS):
        raise OverrideInvalidError(f"{place}: has {len(row)} values, but must have {len(OVERRIDE_COLUMNS)}")
    day, kind, close, _, source = row
    if kind not in {"closed", "early_close"} or (kind == "early_close") != bool(close):
        raise OverrideInvalidError(
            f"{place}: kind must be closed (without a close) or early_close (with one, such as 13:00), "
            f"not {one_line(kind)!r} with close {one_line(close)!r}"
        )
    try:
        override = Override(date.fromisoformat(day), time.fromisoformat(close) if close else None, source)
    except ValueError as invalid:
        raise OverrideInvalidError(f"{place}: {one_line(str(invalid))}") from None
    if override.close is not None and override.close.tzinfo is not None:
        raise OverrideInvalidError(f"{place}: close is {close}, but must be New York's time such as 13:00")
    return override


def _instant(stamp: object) -> datetime:
    return stamp.to_pydatetime().astimezone(UTC)  # type: ignore[attr-defined, no-any-return]


def _market_calendar(name: str) -> MarketCalendar:
    import pandas_market_calendars

    return pandas_market_calendars.get_calendar(name)


def _name_holiday(calendar: str, day: date) -> str:
    import pandas

    stamp = pandas.Timestamp(day)
    rules = _market_calendar(calendar).regular_holidays.rules
    names = [str(rule.name) for rule in rules if len(rule.dates(stamp, stamp))]
    return names[0] if names else "a special closure"
