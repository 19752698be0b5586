"""The project's table of index members: each line's stays in the index, read and checked as a whole."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from mag7.errors import Mag7Error
from mag7.index.pinned import pinned_facts
from mag7.index.tables import FactTable, FactTableInvalidError, Row, read_rows

MEMBERSHIP: Final = "index_membership.csv"
SPAN: Final = "index_membership_span.csv"
MEMBERSHIP_COLUMNS: Final = (
    "ticker",
    "company",
    "issuer",
    "sector",
    "main_line",
    "share_classes",
    "member_from",
    "member_to",
    "note",
)
SPAN_COLUMNS: Final = ("first_session", "last_session", "source")
ISSUER: Final = re.compile(r"\d{10}|X-[a-z0-9]+(-[a-z0-9]+)*")


CARRY_FORWARD_DAYS: Final = 120
"""Days after its last session for which the newest list of members is carried forward as provisional."""


class MembershipUnknownError(Mag7Error):
    """The members of the index on a session are not known."""


class ShareClasses(StrEnum):
    """How many share classes a company has, listed or not; unknown where no source says."""

    ONE = "one"
    SEVERAL = "several"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Membership:
    """A stay of a line in the index, both ends included; ``member_to`` is None while it lasts.

    ``issuer`` is our key of the company. It never changes; the company's CIK can.
    """

    ticker: str
    company: str
    issuer: str
    sector: str
    main_line: bool
    share_classes: ShareClasses
    member_from: date
    member_to: date | None
    note: str

    def covers(self, session: date) -> bool:
        """Return whether the line was in the index on a session."""
        return self.member_from <= session and (self.member_to is None or session <= self.member_to)


@dataclass(frozen=True)
class MembershipTable:
    """Every stay of every line, by ticker and date, and the sessions for which they are the whole index."""

    stays: tuple[Membership, ...]
    first_session: date
    last_session: date
    carry_forward_days: int = CARRY_FORWARD_DAYS

    def on(self, session: date) -> tuple[Membership, ...]:
        """Return the stays that cover a session, by ticker.

        For ``carry_forward_days`` after the last session the newest list is used: see ``is_provisional``. Raises
        MembershipUnknownError before the first session and after those days.
        """
        if not self.first_session <= session <= self.last_session + timedelta(days=self.carry_forward_days):
            raise MembershipUnknownError(
                f"the index members of {session} are not known: {MEMBERSHIP} covers {self.first_session} to "
                f"{self.last_session}, and its newest list is valid {self.carry_forward_days} days longer: put the "
                "holdings of IVV and SPY of a session since into inbox/ of the bucket and run mag7_constituents"
            )
        return tuple(stay for stay in self.stays if stay.covers(session))

    def is_provisional(self, session: date) -> bool:
        """Return whether the members of a session are those of the newest list, carried forward."""
        return session > self.last_session


def load_membership() -> MembershipTable:
    """Return the membership of the pinned facts."""
    return pinned_facts().membership


def read_membership(table: FactTable, span: FactTable) -> MembershipTable:
    """Read and check a table.

    Raises FactTableInvalidError, which names the row, for unknown columns, repeated rows, a stay that ends before it
    begins, stays of one ticker that overlap or contradict each other, an invalid issuer key, a company that does not
    always have exactly one main line, and two lines of a company whose share_classes is not several.
    """
    stays = check_rows(read_rows(table, MEMBERSHIP_COLUMNS))
    bounds = read_rows(span, SPAN_COLUMNS)
    if len(bounds) != 1:
        raise FactTableInvalidError(f"{span.name} must have one row, not {len(bounds)}")
    first, last = bounds[0].day("first_session"), bounds[0].day("last_session")
    if last < first:
        raise bounds[0].refuse("last_session is before first_session")
    return MembershipTable(stays, first, last)


def check_rows(rows: Iterable[Row]) -> tuple[Membership, ...]:
    """Read and check all rows of a table; returns its stays by ticker and date. See ``read_membership``."""
    pairs = [(_parse(row), row) for row in rows]
    pairs.sort(key=lambda pair: (pair[0].ticker, pair[0].member_from))
    _check_tickers(pairs)
    _check_main_lines(pairs)
    _check_share_classes(pairs)
    return tuple(stay for stay, _ in pairs)


def _parse(row: Row) -> Membership:
    issuer = row.text("issuer")
    if not ISSUER.fullmatch(issuer):
        raise row.refuse(f"issuer is {issuer!r}, but must be a key of 10 digits or one such as X-twitter")
    member_from, member_to = row.day("member_from"), row.optional_day("member_to")
    if member_to is not None and member_to < member_from:
        raise row.refuse("member_to is before member_from")
    return Membership(
        ticker=row.text("ticker"),
        company=row.text("company"),
        issuer=issuer,
        sector=row.text("sector"),
        main_line=row.flag("main_line"),
        share_classes=parse_share_classes(row),
        member_from=member_from,
        member_to=member_to,
        note=row.values["note"],
    )


def parse_share_classes(row: Row) -> ShareClasses:
    """Read a row's share_classes; raises FactTableInvalidError for an unknown value."""
    text = row.values["share_classes"]
    if text not in list(ShareClasses):
        raise row.refuse(f"share_classes is {text!r}, but must be {', '.join(ShareClasses)}")
    return ShareClasses(text)


def _check_tickers(pairs: Sequence[tuple[Membership, Row]]) -> None:
    for (earlier, before), (later, row) in pairwise(pairs):
        if earlier.ticker != later.ticker:
            continue
        if earlier.member_to is None or later.member_from <= earlier.member_to:
            raise row.refuse(f"overlaps the stay in {before.place}")
        if _identity(earlier) != _identity(later):
            raise row.refuse(f"{later.ticker} has another company, issuer, sector or share_classes in {before.place}")


def _identity(stay: Membership) -> tuple[str, str, str, bool, str]:
    return stay.company, stay.issuer, stay.sector, stay.main_line, stay.share_classes


def _check_main_lines(pairs: Iterable[tuple[Membership, Row]]) -> None:
    companies: defaultdict[str, list[tuple[Membership, Row]]] = defaultdict(list)
    for stay, row in pairs:
        companies[stay.issuer].append((stay, row))
    for issuer, lines in companies.items():
        for changed, row in lines:
            # A company's lines change only where a stay begins, or on the session after one ends.
            for day in (changed.member_from, *_day_after(changed)):
                mains = [stay.ticker for stay, _ in lines if stay.covers(day) and stay.main_line]
                if len(mains) != 1 and any(stay.covers(day) for stay, _ in lines):
                    raise row.refuse(f"{issuer} has {len(mains)} main lines on {day} ({mains}), but must have one")


def _check_share_classes(pairs: Sequence[tuple[Membership, Row]]) -> None:
    lines: defaultdict[str, set[str]] = defaultdict(set)
    for stay, _ in pairs:
        lines[stay.issuer].add(stay.ticker)
    for stay, row in pairs:
        if len(lines[stay.issuer]) > 1 and stay.share_classes != ShareClasses.SEVERAL:
            names = " and ".join(sorted(lines[stay.issuer]))
            raise row.refuse(f"{stay.issuer} has the lines {names}, so share_classes must be several")


def _day_after(stay: Membership) -> tuple[date, ...]:
    if stay.member_to is None or stay.member_to == date.max:
        return ()
    return (date.fromordinal(stay.member_to.toordinal() + 1),)
