"""Announced changes of the index, with the day of their announcement.

Changes from July 2025 on are facts; invented ones are marked. The day of an announcement is simulated where it is not
known. Unannounced changes are left out.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import lru_cache

from sandbox.polygon.invented import FIRST_QUARTER, list_unannounced
from sandbox.polygon.market import Market
from sandbox.polygon.universe import LAST_DAY, Line

FIRST_CHANGE = date(2025, 7, 18)
#: Days of press releases, as published texts quote them.
_PUBLISHED = {
    date(2025, 10, 30): date(2025, 10, 27),
    date(2025, 10, 31): date(2025, 10, 27),
    date(2026, 9, 21): date(2026, 9, 4),
}
ADDITION, DELETION, SYMBOL_CHANGE = "addition", "deletion", "symbol change"


@dataclass(frozen=True)
class Change:
    """A line that joins or leaves before the open of its effective date, or gets a new symbol then."""

    effective: date
    announced: date
    announced_basis: str
    action: str
    symbol: str
    new_symbol: str
    company: str
    simulated: bool

    def as_row(self) -> dict[str, object]:
        """The change for JSON."""
        return {name: str(value) if isinstance(value, date) else value for name, value in asdict(self).items()}


@lru_cache(maxsize=4)
def list_changes(market: Market) -> tuple[Change, ...]:
    """List all announced changes, by effective date."""
    hidden = list_unannounced(market.days)
    found = [change for line in market.lines for change in _changes_of(market, line) if change.effective not in hidden]
    return tuple(sorted(found, key=lambda change: (change.effective, change.action, change.symbol)))


def _changes_of(market: Market, line: Line) -> list[Change]:
    changes = []
    for span in line.member:
        if span.first >= FIRST_CHANGE:
            changes.append(_make(line, ADDITION, span.first, line.symbol_on(span.first)))
        if span.last != LAST_DAY and (row := bisect_right(market.days, span.last)) < len(market.days):
            changes.append(_make(line, DELETION, market.days[row], line.symbol_on(span.last)))
    for before, after in zip(line.symbols[:-1], line.symbols[1:], strict=True):
        if line.is_member(after.first):
            changes.append(_make(line, SYMBOL_CHANGE, after.first, before.value, after.value))
    return [change for change in changes if change.effective >= FIRST_CHANGE]


def _make(line: Line, action: str, effective: date, symbol: str, new_symbol: str = "") -> Change:
    announced = _PUBLISHED.get(effective)
    basis = "published" if announced else "simulated"
    if announced is None:
        announced = effective - timedelta(days=17 if _is_quarterly(effective) else 5)
    company = line.name_under(new_symbol or symbol)
    simulated = effective >= FIRST_QUARTER
    return Change(effective, announced, basis, action, symbol, new_symbol, company, simulated)


def _is_quarterly(day: date) -> bool:
    """Whether a day is the Monday after the third Friday of a quarter's last month."""
    return day.month % 3 == 0 and day.weekday() == 0 and 18 <= day.day <= 24
