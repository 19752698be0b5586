"""Reference share counts of the seven: what a count of theirs must be near, from public filings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from mag7.index.membership import load_membership
from mag7.index.splits import SplitTable
from mag7.index.tables import Row, read_rows
from mag7.paths import DATA

REFERENCES: Final = DATA / "share_count_references.csv"
REFERENCE_COLUMNS: Final = ("ticker", "as_of", "shares", "source")

REFERENCE_DAYS: Final = 400
"""A reference count serves sessions that are no further away than this."""


@dataclass(frozen=True)
class ReferenceCount:
    """A company's whole share count, all classes, on the split basis of its date."""

    issuer: str
    as_of: date
    shares: int
    source: str


@lru_cache(maxsize=4)
def load_references(path: Path = REFERENCES) -> Mapping[str, tuple[ReferenceCount, ...]]:
    """Load the reference counts by company.

    Raises FactTableInvalidError, which names the row, for a ticker that no line of the index has, a count that is not
    a whole number above zero, and a second count of one company and date.
    """
    issuers = {stay.ticker: stay.issuer for stay in load_membership().stays}
    found: defaultdict[str, list[ReferenceCount]] = defaultdict(list)
    for row in read_rows(path, REFERENCE_COLUMNS):
        reference = _parse(row, issuers)
        if any(other.as_of == reference.as_of for other in found[reference.issuer]):
            raise row.refuse("a second reference count of this company and date")
        found[reference.issuer].append(reference)
    return MappingProxyType({issuer: tuple(references) for issuer, references in found.items()})


def find_reference(issuer: str, session: date, splits: SplitTable) -> tuple[ReferenceCount, Fraction] | None:
    """Find the reference count nearest to a session, with its shares on the session's split basis.

    None where there is none within REFERENCE_DAYS.
    """
    near = [
        reference
        for reference in load_references().get(issuer, ())
        if abs(reference.as_of - session) <= timedelta(days=REFERENCE_DAYS)
    ]
    if not near:
        return None
    nearest = min(near, key=lambda reference: (abs(reference.as_of - session), reference.as_of))
    factor = splits.factor_between(issuer, nearest.as_of, session) / splits.factor_between(
        issuer, session, nearest.as_of
    )
    return nearest, nearest.shares * factor


def _parse(row: Row, issuers: Mapping[str, str]) -> ReferenceCount:
    ticker = row.text("ticker")
    if ticker not in issuers:
        raise row.refuse("no line of the index has this ticker")
    shares = row.positive("shares")
    if shares != int(shares):
        raise row.refuse(f"shares is {row.values['shares']!r}, but must be a whole number")
    return ReferenceCount(issuers[ticker], row.day("as_of"), int(shares), row.text("source"))
