"""The reconciliation: what the warehouse holds of a window compared with the lake's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from mag7.errors import Mag7Error

TOLERANCE = 1e-9
"""Largest relative gap between two sums of the same doubles: they are added in different orders."""


class ReconciliationError(Mag7Error):
    """The warehouse does not hold what the lake's files hold."""


@dataclass(frozen=True)
class Tally:
    """How many rows a table holds of a session, and the sum of its money column (USD, 0 where it has none).

    Of a company's split of a day: how often it is held, and how many shares one share became.
    """

    rows: int
    total: float


Tallies = Mapping[tuple[str, date], Tally]


def name_split(issuer: str) -> str:
    """Name a company's splits in the place of a table, so that each company is compared by itself."""
    return f"splits of {issuer}"


def list_differences(lake: Tallies, warehouse: Tallies) -> list[str]:
    """List, one sentence each, where the two sides differ; a side without an entry holds no row."""
    nothing = Tally(0, 0.0)
    differences = []
    for table, session in sorted({*lake, *warehouse}):
        left, right = lake.get((table, session), nothing), warehouse.get((table, session), nothing)
        if left.rows != right.rows:
            differences.append(f"{table} of {session}: {left.rows} rows in the lake, {right.rows} in the warehouse")
        elif abs(left.total - right.total) > TOLERANCE * max(abs(left.total), abs(right.total)):
            differences.append(f"{table} of {session}: total {left.total} in the lake, {right.total} in the warehouse")
    return differences


def require_equal(lake: Tallies, warehouse: Tallies) -> None:
    """Raise ReconciliationError naming every difference."""
    if differences := list_differences(lake, warehouse):
        raise ReconciliationError(
            f"{'; '.join(differences)}. The lake is published; clear the load task of this run to load it again"
        )
