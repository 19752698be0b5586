"""Deciding whether ticker details are about a line's company, or about another company that uses its symbol.

A symbol can pass to another company, and a company can continue under a new CIK. So an unknown CIK proves nothing by
itself. The details are another company's where the tables say so, or where nothing else in the response agrees with
what is known of the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from mag7.index.constituents import Line
from mag7.index.identifiers import load_ciks, load_figis
from mag7.index.names import normalize_name
from mag7.polygon.response_bodies import TickerDetails

ISSUER_UNCONFIRMED: Final = "issuer_unconfirmed"
"""The flag of a line whose details have a CIK that is in none of its company's periods."""

FUND_KINDS: Final = frozenset({"ETF", "ETN", "ETV", "ETS", "FUND"})
"""The provider's security types that no line of the index has: such a response is about another owner of the symbol."""

COUNT_TOLERANCE: Final = Fraction(1, 10)
"""Largest relative difference from the count of a confirmed response: more than issuance of three months."""

CLOSE_RATIO: Final = Fraction(14, 10)
"""Largest factor from the close of a confirmed session: more than a stock moves in most three months."""


@dataclass(frozen=True)
class KnownDetails:
    """A line's response of an earlier session with its company's CIK, and the close of that session (USD).

    ``factor`` is how many shares one share has become since that session.
    """

    session: date
    details: TickerDetails
    close: Decimal
    factor: Fraction = Fraction(1)


def has_own_identifier(line: Line, details: TickerDetails) -> bool:
    """Return whether the CIK is one of the company's, or, without a CIK, nothing contradicts the line.

    If the company has a CIK, a different name contradicts the line, unless the FIGI is the line's.
    """
    if details.kind in FUND_KINDS:
        return False
    if details.cik is not None:
        return details.cik in line.ciks
    if _find_owner_of_figi(line, details) is not None:
        return False
    same_name = not line.ciks or details.name is None or normalize_name(details.name) == normalize_name(line.company)
    return same_name or details.share_class_figi in line.figis


def find_other_company(line: Line, details: TickerDetails) -> str | None:
    """Return what in the response shows that it is about another security; None where nothing does."""
    if details.kind in FUND_KINDS:
        return f"a security of type {details.kind}, which {line.company} is not"
    owner = None if details.cik is None else load_ciks().owners.get(details.cik)
    if owner is not None and owner != line.issuer:
        return f"CIK {details.cik} is that of another company of the table"
    other = _find_owner_of_figi(line, details)
    return None if other is None else f"share-class FIGI {details.share_class_figi} is that of {other}"


def find_doubt(line: Line, details: TickerDetails, close: Decimal | None, known: KnownDetails | None) -> str | None:
    """Return why a response with an unknown CIK is refused; None where something else confirms the company.

    The company's name, the share-class FIGI, or a count and a close near those of a ``known`` response confirm it. A
    response without a CIK is also used where there is no known response to compare it with. ``close`` is that of the
    session in USD.
    """
    names = {normalize_name(line.company)} | ({normalize_name(known.details.name)} if known else set())
    if details.name is not None and normalize_name(details.name) in names - {""}:
        return None
    figis = line.figis | ({known.details.share_class_figi} if known else set())
    if details.share_class_figi is not None and details.share_class_figi in figis:
        return None
    if known is not None and close is not None and _is_in_line(details, close, known):
        return None
    if known is None and details.cik is None:
        return None
    compared = f"its response of {known.session}" if known else "no confirmed response of an earlier session is stored"
    number = "no CIK is given" if details.cik is None else f"CIK {details.cik} is not one of {line.company}'s"
    return (
        f"{number}, and nothing else confirms the company: name "
        f"{details.name!r}, {compared}; if it is the same company, add the CIK to include/data/issuer_ciks.csv"
    )


def _is_in_line(details: TickerDetails, close: Decimal, known: KnownDetails) -> bool:
    now, before = _count(details), _count(known.details)
    if now is None or before is None:
        return False
    count_ratio = now / (before * known.factor)
    close_ratio = Fraction(close) * known.factor / Fraction(known.close)
    return abs(count_ratio - 1) <= COUNT_TOLERANCE and 1 / CLOSE_RATIO < close_ratio < CLOSE_RATIO


def _count(details: TickerDetails) -> int | None:
    return details.weighted_shares_outstanding or details.share_class_shares_outstanding


def _find_owner_of_figi(line: Line, details: TickerDetails) -> str | None:
    """Return the ticker of another line that has the response's FIGI."""
    figi = details.share_class_figi
    owner = None if figi is None else load_figis().owners.get(figi)
    return owner if owner is not None and owner != line.ticker else None
