"""The Magnificent 7: companies, each by its main line, in the order of system A."""

from __future__ import annotations

from datetime import date
from typing import Final

from mag7.index.constituents import Line, line_of
from mag7.index.membership import load_membership
from mag7.index.pinned import cached_by_facts

SEVEN: Final[tuple[str, ...]] = ("AAPL", "MSFT", "GOOGL", "AMZN", "NVDA", "META", "TSLA")


def seven_lines(session: date) -> tuple[Line, ...]:
    """Return the main lines of the seven on a session, whether in the index or not (Tesla before 2020-12-21)."""
    stays = {stay.ticker: stay for stay in load_membership().stays}
    return tuple(line_of(stays[ticker], session) for ticker in SEVEN)


@cached_by_facts(1)
def seven_issuers() -> frozenset[str]:
    """Return the keys of the seven companies."""
    return frozenset(stay.issuer for stay in load_membership().stays if stay.ticker in SEVEN)
