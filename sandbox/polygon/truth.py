"""The truth of the simulated market, without the provider's quirks: tests compare with it.

A ticker is today's symbol of a line (META also for the years of FB); any other symbol is read as of the session.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sandbox.polygon.market import Market, load_market
from sandbox.polygon.provider import find_line


class UnknownLineError(LookupError):
    """The market does not list this line on this session."""


def _locate(ticker: str, session: date) -> tuple[Market, int, int]:
    market = load_market(session)
    row = market.session_row(session)
    number = market.column.get(ticker)
    if number is None and (line := find_line(market, ticker, session)) is not None:
        number = market.column[line.key]
    if row is None or number is None or not market.lines[number].listed.holds(session):
        raise UnknownLineError(f"{ticker} on {session}: the simulated market has no such line or session")
    return market, row, number


def true_share_count(ticker: str, session: date) -> int:
    """The whole company's share count on the split basis of the session."""
    market, row, number = _locate(ticker, session)
    return int(market.counts[row, number])


def true_close(ticker: str, session: date) -> Decimal:
    """The unadjusted close in dollars, exact to the cent."""
    market, row, number = _locate(ticker, session)
    return Decimal(int(market.cents[row, number])).scaleb(-2)


def true_market_cap(ticker: str, session: date) -> Decimal:
    """The whole company's market capitalization at the line's close, exact to the cent."""
    return true_close(ticker, session) * true_share_count(ticker, session)


def true_split_factor(ticker: str, earlier: date, later: date) -> float:
    """Return how many shares on a later session one share of an earlier session is: 1 without a split."""
    bases = [market.factors[row, number] for market, row, number in (_locate(ticker, day) for day in (earlier, later))]
    return float(bases[1] / bases[0])
