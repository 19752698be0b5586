"""How far an old list of members moves the seven's share: ``python -m bench.list_age``.

Each session is worked out with its true list and with the true list of some days before, from the offline market's
caps. The changes are facts, the seven's caps are close to real ones, and other caps are simulated. A line of the old
list that no longer trades counts nothing, as in a run. Nothing is asserted; ``--record`` writes the figures into
docs/figures.json.
"""

from __future__ import annotations

import argparse
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from bench.figures import record
from bench.machine import describe_machine
from sandbox.polygon.facts import SEVEN
from sandbox.polygon.market import Market, load_market

FIRST, LAST = date(2020, 12, 21), date(2026, 10, 6)
"""The session on which Tesla joined: an older list lacks one of the seven and is 1.5 points off."""

AGES = (1, 5, 10, 30, 60, 90, 120, 180, 250)


@dataclass(frozen=True)
class Moved:
    """A session worked out with an old list: the seven's share beside the true one (points), and the difference."""

    session: date
    points: float
    lines: int
    doubtful_pct: float


class Lists:
    """The companies' caps by session, and whether they are in the index."""

    def __init__(self, market: Market) -> None:
        self.days = market.days
        mains = [number for number, line in enumerate(market.lines) if line.main == line.key]
        lines = [market.lines[number] for number in mains]
        self.keys = [line.key for line in lines]
        self._caps = market.cents[:, mains].astype(float) * market.counts[:, mains]
        listed = np.array([[line.listed.holds(day) for line in lines] for day in market.days])
        self._caps = np.where(listed, self._caps, 0.0)
        self._members = np.array([[line.is_member(day) for line in lines] for day in market.days])
        self._seven = np.array([key in SEVEN for key in self.keys])

    def compare(self, row: int, old: int) -> Moved:
        """Work out a session with the list of another session."""
        true, stale, caps = self._members[row], self._members[old], self._caps[row]
        total, seven = caps[true].sum(), caps[true & self._seven].sum()
        other = caps[stale & self._seven].sum() / caps[stale].sum()
        changed = true ^ stale
        doubtful = max(caps[changed & true].sum(), caps[changed & stale].sum()) / total
        return Moved(self.days[row], 100 * float(other - seven / total), int(changed.sum()), 100 * float(doubtful))

    def at_age(self, days: int) -> Iterator[Moved]:
        """Work out every session with the list that was true ``days`` days before."""
        for row, day in enumerate(self.days):
            before = day - timedelta(days=days)
            if before >= FIRST and day <= LAST:
                yield self.compare(row, bisect_right(self.days, before) - 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.list_age", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the figures into docs/figures.json")
    recording, figures = parser.parse_args().record, {}
    lists = Lists(load_market(LAST))
    print(
        "| days old | companies off, mean | most | cap in doubt, mean % | most % | share off, mean points | most | on |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|---|")
    for age in AGES:
        moved = list(lists.at_age(age))
        worst = max(moved, key=lambda one: abs(one.points))
        lines, doubt = [one.lines for one in moved], [one.doubtful_pct for one in moved]
        points = np.mean([abs(one.points) for one in moved])
        print(
            f"| {age} | {np.mean(lines):.1f} | {max(lines)} | {np.mean(doubt):.2f} | {max(doubt):.2f} | {points:.3f} | "
            f"{worst.points:+.3f} | {worst.session} |"
        )
        figures[str(age)] = {
            "companies": round(float(np.mean(lines)), 1),
            "doubt": round(max(doubt), 2),
            "share_mean": round(float(points), 3),
            "share_most": round(abs(worst.points), 3),
        }
    if recording:
        record("list_age", figures, describe_machine())


if __name__ == "__main__":
    main()
