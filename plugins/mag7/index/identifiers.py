"""The CIKs of companies and the share-class FIGIs of lines, each valid for a period.

A company's CIK can change: a new holding company files under a new one while the company and its line continue.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from mag7.index.membership import MembershipTable
from mag7.index.pinned import pinned_facts
from mag7.index.tables import FactTable, Row, read_rows

ISSUER_CIKS: Final = "issuer_ciks.csv"
CIK_COLUMNS: Final = ("issuer", "cik", "first_session", "last_session", "source")
LINE_FIGIS: Final = "line_figis.csv"
FIGI_COLUMNS: Final = ("ticker", "share_class_figi", "first_session", "last_session", "source")
CIK: Final = re.compile(r"\d{10}")
FIGI: Final = re.compile(r"BBG[0-9BCDFGHJ-NP-TV-Z]{9}")


@dataclass(frozen=True)
class IdentifierPeriod:
    """The sessions on which an owner had an identifier, both ends included; an open end is None."""

    owner: str
    value: str
    first: date | None
    last: date | None

    def covers(self, session: date) -> bool:
        """Return whether the owner had the identifier on a session."""
        return (self.first is None or self.first <= session) and (self.last is None or session <= self.last)


@dataclass(frozen=True)
class Identifiers:
    """Identifiers of one kind: the periods of each owner, and the owner of each identifier."""

    periods: Mapping[str, tuple[IdentifierPeriod, ...]]
    owners: Mapping[str, str]

    def all_of(self, owner: str) -> frozenset[str]:
        """Return every identifier that an owner ever had."""
        return frozenset(period.value for period in self.periods.get(owner, ()))

    def on(self, owner: str, session: date) -> str | None:
        """Return an owner's identifier on a session; None where none is known, or more than one."""
        found = {period.value for period in self.periods.get(owner, ()) if period.covers(session)}
        return found.pop() if len(found) == 1 else None


def load_ciks() -> Identifiers:
    """Return the CIKs of the pinned facts, by issuer key."""
    return pinned_facts().ciks


def load_figis() -> Identifiers:
    """Return the share-class FIGIs of the pinned facts, by ticker."""
    return pinned_facts().figis


def read_ciks(table: FactTable, membership: MembershipTable) -> Identifiers:
    """Read the CIKs of companies by issuer key.

    Raises FactTableInvalidError, which names the row, for an unknown issuer, a CIK that is not ten digits or belongs to
    two issuers, and a period that ends before it begins.
    """
    return _read(table, CIK_COLUMNS, {stay.issuer for stay in membership.stays}, CIK)


def read_figis(table: FactTable, membership: MembershipTable) -> Identifiers:
    """Read the share-class FIGIs of lines by ticker; raises FactTableInvalidError as ``read_ciks`` does."""
    return _read(table, FIGI_COLUMNS, {stay.ticker for stay in membership.stays}, FIGI)


def _read(table: FactTable, columns: tuple[str, ...], known: Iterable[str], form: re.Pattern[str]) -> Identifiers:
    names = frozenset(known)
    periods: defaultdict[str, list[IdentifierPeriod]] = defaultdict(list)
    owners: dict[str, str] = {}
    for row in read_rows(table, columns):
        period = _parse(row, columns, form)
        if period.owner not in names:
            raise row.refuse(f"no line of the index has this {columns[0]}")
        if owners.setdefault(period.value, period.owner) != period.owner:
            raise row.refuse(f"{columns[1]} {period.value} already belongs to {owners[period.value]}")
        periods[period.owner].append(period)
    return Identifiers(
        MappingProxyType({owner: tuple(mine) for owner, mine in periods.items()}), MappingProxyType(owners)
    )


def _parse(row: Row, columns: tuple[str, ...], form: re.Pattern[str]) -> IdentifierPeriod:
    value = row.text(columns[1])
    if not form.fullmatch(value):
        raise row.refuse(f"{columns[1]} is {value!r}, which does not have the form {form.pattern}")
    period = IdentifierPeriod(
        row.text(columns[0]), value, row.optional_day("first_session"), row.optional_day("last_session")
    )
    row.text("source")
    if period.first and period.last and period.last < period.first:
        raise row.refuse("last_session is before first_session")
    return period
