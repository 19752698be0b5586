"""The lines of the index on a session, each with its key and its symbol of that session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from mag7.index.identifiers import load_ciks, load_figis
from mag7.index.membership import Membership, ShareClasses, load_membership
from mag7.index.pinned import cached_by_facts
from mag7.index.symbols import symbol_on


@dataclass(frozen=True)
class Line:
    """A listed share class on a session.

    - ``ticker``: our key of the line, its newest symbol that the table knows (META).
    - ``symbol``: its symbol on the session (FB until 2022-06-08).
    - ``issuer``: our key of the company.
    - ``cik``: the company's CIK on the session, where known.
    - ``main_line``: whether the line represents its company; each company has one main line.
    - ``share_classes``: whether a count of this class alone is the whole company's.
    - ``member_to``: the last session of a stay that ended.
    - ``ciks``, ``figis``: every CIK that the company ever had, every FIGI that the line ever had.
    """

    ticker: str
    symbol: str
    company: str
    issuer: str
    cik: str | None
    sector: str
    main_line: bool
    share_classes: ShareClasses = ShareClasses.UNKNOWN
    member_to: date | None = None
    ciks: frozenset[str] = frozenset()
    figis: frozenset[str] = frozenset()


@cached_by_facts(64)
def list_lines(session: date) -> tuple[Line, ...]:
    """List the lines that were in the index on a session, by ticker.

    Each company has exactly one main line. Raises MembershipUnknownError for a session outside the table.
    """
    return tuple(line_of(stay, session) for stay in load_membership().on(session))


def line_of(stay: Membership, session: date) -> Line:
    """Return a line as it was on a session, in the index or not."""
    return Line(
        ticker=stay.ticker,
        symbol=symbol_on(stay.ticker, session),
        company=stay.company,
        issuer=stay.issuer,
        cik=load_ciks().on(stay.issuer, session),
        sector=stay.sector,
        main_line=stay.main_line,
        share_classes=stay.share_classes,
        member_to=stay.member_to,
        ciks=load_ciks().all_of(stay.issuer),
        figis=load_figis().all_of(stay.ticker),
    )


def main_ticker(issuer: str) -> str:
    """Return the ticker of a company's main line; raises KeyError for a company that never was in the index."""
    return _main_tickers()[issuer]


@cached_by_facts(1)
def _main_tickers() -> Mapping[str, str]:
    return MappingProxyType({stay.issuer: stay.ticker for stay in load_membership().stays if stay.main_line})
