"""Invented changes of the index after the last known change; the name of each company says that it is invented.

From December 2026 on, ten sessions around the third Friday of each quarter have one change of each kind (see ``PLAN``).
The changes depend only on the calendar, quarter by quarter: a later horizon changes nothing before it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sandbox.polygon import facts
from sandbox.polygon.counts import LARGEST
from sandbox.polygon.draws import unit
from sandbox.polygon.universe import FIRST_DAY, LAST_DAY, Line, Span

FIRST_QUARTER = date(2026, 12, 1)
MONTHS = (3, 6, 9, 12)


@dataclass(frozen=True)
class Plan:
    """A quarter's changes, in sessions after the Monday that follows the third Friday."""

    swaps: int = (
        0  # two lines for two, announced; the second that leaves was acquired and has no close for two sessions
    )
    quiet_swap: int = 2  # one line for another, unannounced
    rename: int = 3
    spin_off: int = 4  # a child joins its parent: 504 lines
    leaver: int = 6  # a line leaves for the child: 503 again
    large: int = 7  # six lines for six others, unannounced: a question for a person


PLAN = Plan()
_LARGE_SWAPS, _LISTED_BEFORE, _LAST = 6, 120, PLAN.large


def list_quarters(days: tuple[date, ...]) -> list[int]:
    """Return the rows of the first sessions after the third Friday of each quarter's last month; whole plans only."""
    found = []
    for year in range(FIRST_QUARTER.year, days[-1].year + 1):
        for month in MONTHS:
            first = date(year, month, 1)
            friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
            row = bisect_left(days, friday + timedelta(days=1))
            if first >= FIRST_QUARTER and row + _LAST < len(days):
                found.append(row)
    return found


def list_unannounced(days: tuple[date, ...]) -> frozenset[date]:
    """Return the sessions with unannounced changes."""
    return frozenset(days[row + later] for row in list_quarters(days) for later in (PLAN.quiet_swap, PLAN.large))


def invent_changes(lines: tuple[Line, ...], days: tuple[date, ...]) -> tuple[Line, ...]:
    """Return the lines, with the invented changes and lines of each quarter."""
    book = {line.key: line for line in lines}
    for number, row in enumerate(list_quarters(days)):
        _Quarter(book, days, row, number).run()
    return tuple(sorted(book.values(), key=lambda line: line.key))


class _Quarter:
    """One quarter's changes to the lines."""

    def __init__(self, book: dict[str, Line], days: tuple[date, ...], row: int, number: int) -> None:
        self._book, self._days, self._row, self._number = book, days, row, number
        self._joined = 0
        self._chosen = iter(self._choose())

    def run(self) -> None:
        """Apply the plan."""
        self._swap(PLAN.swaps)
        self._swap(PLAN.swaps, closes_before=2)
        self._swap(PLAN.quiet_swap)
        self._rename(next(self._chosen), PLAN.rename)
        parent = next(self._chosen)
        self._join(PLAN.spin_off, "Simulated Spin-off", parent)
        self._leave(next(self._chosen), PLAN.leaver)
        for _ in range(_LARGE_SWAPS):
            self._swap(PLAN.large)

    def _choose(self) -> list[Line]:
        """List the members that may change, in this quarter's own order."""
        eve, seconds = self._days[self._row - 1], {line.main for line in self._book.values() if line.main != line.key}
        spared = {*facts.SEVEN, *LARGEST, *seconds}
        members = [x for x in self._book.values() if x.main == x.key and x.is_member(eve) and x.listed.holds(eve)]
        free = [line for line in members if line.key not in spared]
        return sorted(free, key=lambda line: unit("invented", str(self._number), line.drawn_as))

    def _day(self, later: int) -> date:
        return self._days[self._row + later]

    def _name(self) -> str:
        """Return a symbol that no real line has: ZZ, two letters for the quarter and one for the joining line."""
        letters = [chr(65 + part) for part in (self._number // 26 % 26, self._number % 26, self._joined)]
        self._joined += 1
        return "ZZ" + "".join(letters)

    def _swap(self, later: int, *, closes_before: int = 0) -> None:
        self._leave(next(self._chosen), later, closes_before=closes_before)
        self._join(later, "Simulated Company")

    def _join(self, later: int, name: str, parent: Line | None = None) -> None:
        cik = f"0009{self._number:03d}{self._joined:03d}"
        symbol, day = self._name(), self._day(later)
        listed = day if parent else self._days[self._row + later - _LISTED_BEFORE]
        self._book[symbol] = Line(
            symbol,
            f"{name} {symbol}",
            "Industrials",
            symbol,
            (Span(day, LAST_DAY),),
            Span(listed, LAST_DAY),
            symbol,
            ciks=(Span(FIRST_DAY, LAST_DAY, cik),),
            parent=parent.key if parent else "",
            kept=0.7 if parent else 1.0,
        )

    def _leave(self, line: Line, later: int, *, closes_before: int = 0) -> None:
        """Remove a line: its last session in the index is the eve; an acquired line has its last close earlier."""
        eve = self._day(later - 1)
        member = (*line.member[:-1], replace(line.member[-1], last=eve))
        listed = line.listed
        if closes_before:
            listed = Span(listed.first, self._day(later - 1 - closes_before))
        self._book[line.key] = replace(line, member=member, listed=listed)

    def _rename(self, line: Line, later: int) -> None:
        symbol, day = self._name(), self._day(later)
        spans = line.symbols or (Span(FIRST_DAY, LAST_DAY, line.key),)
        before = replace(spans[-1], last=day - timedelta(days=1))
        names = (*line.names, (symbol, f"Simulated New Name of {line.company}"))
        self._book[line.key] = replace(line, symbols=(*spans[:-1], before, Span(day, LAST_DAY, symbol)), names=names)
