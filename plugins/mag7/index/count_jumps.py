"""Known count jumps without a split: mergers paid in shares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

from mag7.index.membership import MembershipTable
from mag7.index.pinned import pinned_facts
from mag7.index.tables import FactTable, read_rows

COUNT_JUMPS: Final = "count_jumps.csv"
COUNT_JUMP_COLUMNS: Final = ("ticker", "first_session", "factor", "reason", "source")

DAYS_BEFORE, DAYS_AFTER = 10, 150
"""Days before and after its date within which the provider's count may jump: it changes with a filing."""

TOLERANCE: Final = Fraction(15, 100)
"""Largest relative difference between the provider's jump and the table's: the two counts are filings apart."""


@dataclass(frozen=True)
class CountJump:
    """A company's count became ``factor`` times as large on or about a session, with the reason."""

    issuer: str
    ticker: str
    first_session: date
    factor: Fraction
    reason: str


def load_count_jumps() -> tuple[CountJump, ...]:
    """Return the count jumps of the pinned facts."""
    return pinned_facts().count_jumps


def read_count_jumps(table: FactTable, membership: MembershipTable) -> tuple[CountJump, ...]:
    """Read the table; raises FactTableInvalidError, which names the row, for an invalid row."""
    issuers = {stay.ticker: stay.issuer for stay in membership.stays}
    found: list[CountJump] = []
    for row in read_rows(table, COUNT_JUMP_COLUMNS):
        ticker = row.text("ticker")
        if ticker not in issuers:
            raise row.refuse("no line of the index has this ticker")
        row.text("source")
        jump = CountJump(
            issuers[ticker],
            ticker,
            row.day("first_session"),
            Fraction(row.positive("factor")),
            row.text("reason"),
        )
        found.append(jump)
    return tuple(found)


def find_count_jump(issuer: str, session: date, ratio: Fraction) -> CountJump | None:
    """Find the table's entry for a company's count that moved by a ratio on a session."""
    for jump in load_count_jumps():
        near = timedelta(days=-DAYS_BEFORE) <= session - jump.first_session <= timedelta(days=DAYS_AFTER)
        if jump.issuer == issuer and near and abs(ratio / jump.factor - 1) <= TOLERANCE:
            return jump
    return None
