"""Small builders of lines, responses and inputs; every value that a test is about is in the test."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mag7.index.constituents import Line
from mag7.index.membership import ShareClasses
from mag7.market.inputs import LineInputs, LookBack
from mag7.polygon.bars import DailyBar
from mag7.polygon.response_bodies import TickerDetails
from tests.unit.market.book import Book


class Make:
    """Builds inputs of the market room, with defaults for everything that is not named."""

    def line(self, ticker: str, **changes: Any) -> Line:
        values = {
            "ticker": ticker,
            "symbol": ticker,
            "company": f"{ticker} Corp",
            "issuer": f"X-{ticker.lower()}",
            "cik": None,
            "sector": "Industrials",
            "main_line": True,
            "share_classes": ShareClasses.ONE,
        }
        return Line(**{**values, **changes})

    def details(self, ticker: str, **changes: Any) -> TickerDetails:
        empty = dict.fromkeys(TickerDetails.__dataclass_fields__)
        return TickerDetails(**{**empty, "ticker": ticker, "name": f"{ticker} Corp", "unusable": {}, **changes})

    def bar(self, ticker: str, close: str) -> DailyBar:
        price = Decimal(close)
        return DailyBar(ticker, price, price, price, price, Decimal("1000.4"), price, 1734123600000)

    def inputs(self, line: Line, count: int | None, close: str | None, **changes: Any) -> LineInputs:
        """A line whose weighted count and market_cap agree, today and yesterday; None leaves out a count or close."""
        bar = None if close is None else self.bar(line.symbol, close)
        details = None
        if count is not None:
            cap = None if bar is None else count * bar.close
            details = self.details(line.symbol, weighted_shares_outstanding=count, market_cap=cap)
        values = {
            "line": line,
            "details": details,
            "details_failure": None if details else f"no details of {line.symbol}",
            "bar": bar,
            "bar_failure": None,
            "yesterday": None if count is None or bar is None else LookBack(date(2024, 12, 12), count, bar.close),
        }
        return LineInputs(**{**values, **changes})


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def line(make: Make) -> Line:
    return make.line("AAA")
