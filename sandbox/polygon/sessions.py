"""NYSE sessions and the clock of the simulated market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
FIRST_SESSION = date(2020, 11, 2)
#: The market is built at least up to this day: all facts in its tables are earlier.
FIRST_HORIZON = date(2027, 12, 31)
_CLOSE = time(16)


def find_horizon(today: date) -> date:
    """Return the last day of the market: the end of next year."""
    return max(FIRST_HORIZON, date(today.year + 1, 12, 31))


@lru_cache(maxsize=4)
def _find_closes(horizon: date) -> dict[date, datetime]:
    """Return sessions and closes in New York, with early closes, from the calendar package, not from this project."""
    import pandas_market_calendars

    schedule = pandas_market_calendars.get_calendar("XNYS").schedule(FIRST_SESSION.isoformat(), horizon.isoformat())
    closes = schedule["market_close"].dt.tz_convert(str(NEW_YORK))
    return {day.date(): close.to_pydatetime() for day, close in closes.items()}


def list_sessions(horizon: date = FIRST_HORIZON) -> tuple[date, ...]:
    """Every session of the simulated market up to its horizon, oldest first."""
    return tuple(_find_closes(horizon))


def find_close(day: date) -> datetime:
    """Return when a session closes; 16:00 on a day that is not a session."""
    return _find_closes(find_horizon(day)).get(day, datetime.combine(day, _CLOSE, NEW_YORK))


def to_milliseconds(day: date, at: time) -> int:
    """Return milliseconds since the epoch of a time of day in New York."""
    return int(datetime.combine(day, at, NEW_YORK).timestamp()) * 1000


@dataclass(frozen=True)
class Clock:
    """The market's clock; ``release`` is the time after the close in which today's bars are still refused."""

    now: datetime | None = None
    release: timedelta = timedelta(hours=4)

    def read(self) -> datetime:
        """The time in New York."""
        return self.now.astimezone(NEW_YORK) if self.now else datetime.now(NEW_YORK)

    def today(self) -> date:
        """The date in New York."""
        return self.read().date()

    def has_closed(self, day: date) -> bool:
        """Return whether the day's session is over."""
        return self.read() >= find_close(day)

    def has_released(self, day: date) -> bool:
        """Return whether the plan has access to the day's bars."""
        return self.read() >= find_close(day) + self.release
