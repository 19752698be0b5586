"""The axes of the model's arrays: sessions by lines."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date

from sandbox.polygon import facts
from sandbox.polygon.universe import Line


@dataclass(frozen=True)
class Frame:
    """The axes of the model's arrays."""

    days: tuple[date, ...]
    lines: tuple[Line, ...]
    column: dict[str, int]

    def at(self, day: date) -> int:
        """Return the row of a session, or of the next one."""
        return min(bisect_left(self.days, day), len(self.days) - 1)

    def children(self) -> list[Line]:
        """List the lines that were spun off within the days, oldest first."""
        found = [line for line in self.lines if line.parent and line.listed.first <= self.days[-1]]
        return sorted(found, key=lambda line: (line.listed.first, line.key))

    @property
    def base(self) -> int:
        """The row of the anchor session."""
        return self.at(facts.ANCHOR_SESSION)
