"""NYSE sessions and the clock of the simulated market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
FIRST_SESSION = date(2020, 11, 2)
LAST_DAY = date(2027, 12, 31)
_CLOSE = time(16)


@cache
def list_sessions() -> tuple[date, ...]:
    """Every session of the simulated market, oldest first."""
    import pandas_market_calendars

    calendar = pandas_market_calendars.get_calendar("XNYS")
    days = calendar.valid_days(FIRST_SESSION.isoformat(), LAST_DAY.isoformat())
    return tuple(day.date() for day in days)


def to_milliseconds(day: date, at: time) -> int:
    """Milliseconds since the epoch of a time of day in New York."""
    return int(datetime.combine(day, at, NEW_YORK).timestamp()) * 1000


@dataclass(frozen=True)
class Clock:
    """What time the market believes it is; ``release`` is how long after the close bars of today are refused."""

    now: datetime | None = None
    release: timedelta = timedelta(hours=4)

    def read(self) -> datetime:
        """The time in New York."""
        return self.now.astimezone(NEW_YORK) if self.now else datetime.now(NEW_YORK)

    def today(self) -> date:
        """The date in New York."""
        return self.read().date()

    def has_closed(self, day: date) -> bool:
        """Whether the session of the day is over."""
        return self.read() >= datetime.combine(day, _CLOSE, NEW_YORK)

    def has_released(self, day: date) -> bool:
        """Whether the plan may see the day's bars."""
        return self.read() >= datetime.combine(day, _CLOSE, NEW_YORK) + self.release
