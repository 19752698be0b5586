"""Finding the line of a symbol that joins: a former line, another line of a company in the index, or a new line."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date

from mag7.constituents.identities import Identity
from mag7.constituents.timeline import Timeline
from mag7.index.membership import Membership, ShareClasses
from mag7.index.names import normalize_name
from mag7.sessions import previous_session

UNKNOWN_SECTOR = "Unknown"


@dataclass(frozen=True)
class Placement:
    """The stay that begins; ``renamed`` where the line is in the index already, under another symbol."""

    stay: Membership
    renamed: bool = False


def place_joiner(
    timeline: Timeline, symbol: str, effective: date, identity: Identity, leaving: Collection[str]
) -> Placement:
    """Find the line that joins under a symbol.

    ``leaving`` are the symbols that leave on the same date: a company that leaves under one symbol and joins under
    another is renamed.
    """
    eve = previous_session(effective)
    known = find_lines(timeline, identity) or _find_by_name(timeline, symbol, identity)
    inside = [ticker for ticker in known if ticker in timeline.members(eve)]
    for ticker in inside:
        if timeline.symbol(ticker, eve) in leaving and (stay := timeline.line(ticker)) is not None:
            return Placement(stay, renamed=True)
    outside = [ticker for ticker in known if ticker not in inside]
    returning = _choose_returning(timeline, symbol, outside, alone=not inside)
    if returning is not None:
        return Placement(replace(returning, member_from=effective, member_to=None, note=""))
    if inside and (main := timeline.line(inside[0])) is not None:
        return Placement(_second_line(timeline, symbol, effective, main))
    return Placement(_new_line(timeline, symbol, effective, identity))


def find_lines(timeline: Timeline, identity: Identity) -> tuple[str, ...]:
    """Return the lines that an identity's FIGI belongs to or, if no line has it, its CIK."""
    by_figi = timeline.figis.owners.get(identity.share_class_figi or "")
    if by_figi is not None:
        return (by_figi,)
    issuer = timeline.ciks.owners.get(identity.cik or "")
    return timeline.lines_of(issuer) if issuer is not None else ()


def _find_by_name(timeline: Timeline, symbol: str, identity: Identity) -> tuple[str, ...]:
    """Find a line by its symbol and its company's name, where no table has the identifiers."""
    line = timeline.line(symbol)
    if line is None or normalize_name(line.company) != normalize_name(identity.name):
        return ()
    return (symbol,)


def _choose_returning(timeline: Timeline, symbol: str, outside: list[str], *, alone: bool) -> Membership | None:
    lines = [line for ticker in outside if (line := timeline.line(ticker)) is not None]
    same = [line for line in lines if symbol in {line.ticker, timeline.symbol(line.ticker, line.member_to or date.max)}]
    if same:
        return same[0]
    main = [line for line in lines if line.main_line]
    return main[0] if alone and main else None


def _second_line(timeline: Timeline, symbol: str, effective: date, main: Membership) -> Membership:
    return replace(
        main,
        ticker=choose_ticker(timeline, symbol, effective),
        main_line=False,
        share_classes=ShareClasses.SEVERAL,
        member_from=effective,
        member_to=None,
        note="",
    )


def _new_line(timeline: Timeline, symbol: str, effective: date, identity: Identity) -> Membership:
    company = " ".join((identity.name or symbol).split())
    return Membership(
        ticker=choose_ticker(timeline, symbol, effective),
        company=company,
        issuer=choose_issuer(timeline, company, identity.cik),
        sector=UNKNOWN_SECTOR,
        main_line=True,
        share_classes=ShareClasses.UNKNOWN,
        member_from=effective,
        member_to=None,
        note="",
    )


def choose_ticker(timeline: Timeline, symbol: str, effective: date) -> str:
    """Return the key of a new line: its symbol, with the year (and a number) where another line has that key."""
    names = [symbol, f"{symbol}-{effective.year}", *(f"{symbol}-{effective.year}-{number}" for number in range(2, 100))]
    return next(name for name in names if timeline.line(name) is None)


def choose_issuer(timeline: Timeline, company: str, cik: str | None) -> str:
    """Return the key of a new company: its CIK where that is known and free, else one made of its name."""
    taken = timeline.issuers()
    if cik is not None and cik not in taken and cik not in timeline.ciks.owners:
        return cik
    slug = "-".join(re.findall(r"[a-z0-9]+", company.casefold())) or "company"
    names = [f"X-{slug}", *(f"X-{slug}-{number}" for number in range(2, 100))]
    return next(name for name in names if name not in taken)
