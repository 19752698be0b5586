"""NYSE sessions and the clock of the simulated market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
FIRST_SESSION = date(2020, 11, 2)
#: The market is built at least up to this day: every fact in its tables lies before it.
FIRST_HORIZON = date(2027, 12, 31)
_CLOSE = time(16)


def find_horizon(today: date) -> date:
    """The last day for which the market is built: the end of next year, so that it goes on as years pass."""
    return max(FIRST_HORIZON, date(today.year + 1, 12, 31))


@lru_cache(maxsize=4)
def _find_closes(horizon: date) -> dict[date, datetime]:
    """Sessions and their closes in New York, early ones too: the calendar package knows them, this project does not."""
    import pandas_market_calendars

    schedule = pandas_market_calendars.get_calendar("XNYS").schedule(FIRST_SESSION.isoformat(), horizon.isoformat())
    closes = schedule["market_close"].dt.tz_convert(str(NEW_YORK))
    return {day.date(): close.to_pydatetime() for day, close in closes.items()}


def list_sessions(horizon: date = FIRST_HORIZON) -> tuple[date, ...]:
    """Every session of the simulated market up to its horizon, oldest first."""
    return tuple(_find_closes(horizon))


def find_close(day: date) -> datetime:
    """When a session closes; four in the afternoon on a day that is none."""
    return _find_closes(find_horizon(day)).get(day, datetime.combine(day, _CLOSE, NEW_YORK))


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
        return self.read() >= find_close(day)

    def has_released(self, day: date) -> bool:
        """Whether the plan may see the day's bars."""
        return self.read() >= find_close(day) + self.release
