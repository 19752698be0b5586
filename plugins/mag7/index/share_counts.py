"""Reference counts of the seven, from the cover pages of their filings: an accepted count must be near one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from mag7.index.membership import MembershipTable
from mag7.index.pinned import pinned_facts
from mag7.index.splits import SplitTable
from mag7.index.tables import FactTable, Row, read_rows

REFERENCES: Final = "share_count_references.csv"
REFERENCE_COLUMNS: Final = ("ticker", "as_of", "shares", "accession", "source")

ACCESSION: Final = re.compile(r"\d{10}-\d{2}-\d{6}")

REFERENCE_DAYS: Final = 400
"""Days from a session after which its nearest reference count is old: the line is flagged."""

REFERENCE_LIMIT_DAYS: Final = 800
"""Days from a session after which a reference count is not used: without one, the line is refused."""


@dataclass(frozen=True)
class ReferenceCount:
    """A company's whole share count, all classes, on the split basis of its date.

    ``accession`` is the SEC's number of the filing that states it; None where the filing is not known.
    """

    issuer: str
    as_of: date
    shares: int
    source: str
    accession: str | None = None


def load_references() -> Mapping[str, tuple[ReferenceCount, ...]]:
    """Return the reference counts of the pinned facts, by company."""
    return pinned_facts().references


def read_references(table: FactTable, membership: MembershipTable) -> Mapping[str, tuple[ReferenceCount, ...]]:
    """Read the reference counts by company.

    Raises FactTableInvalidError, which names the row, for an unknown ticker, a count that is not a whole number above
    zero, and a second count of one company and date.
    """
    issuers = {stay.ticker: stay.issuer for stay in membership.stays}
    found: defaultdict[str, list[ReferenceCount]] = defaultdict(list)
    for row in read_rows(table, REFERENCE_COLUMNS):
        reference = _parse(row, issuers)
        if any(other.as_of == reference.as_of for other in found[reference.issuer]):
            raise row.refuse("a second reference count of this company and date")
        found[reference.issuer].append(reference)
    return MappingProxyType({issuer: tuple(references) for issuer, references in found.items()})


def find_reference(issuer: str, session: date, splits: SplitTable) -> tuple[ReferenceCount, Fraction] | None:
    """Find the reference count nearest to a session, with its shares on the session's split basis.

    None where there is none within REFERENCE_LIMIT_DAYS.
    """
    near = [
        reference
        for reference in load_references().get(issuer, ())
        if abs(reference.as_of - session) <= timedelta(days=REFERENCE_LIMIT_DAYS)
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
    accession = row.values["accession"] or None
    if accession is not None and not ACCESSION.fullmatch(accession):
        raise row.refuse(f"accession is {accession!r}, but must have the form 0000320193-24-000123, or be empty")
    return ReferenceCount(issuers[ticker], row.day("as_of"), int(shares), row.text("source"), accession)
