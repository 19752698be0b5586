"""A small invented market on real sessions: companies that split, are renamed, join and leave, and their responses.

``standing_on`` replaces the library's fact tables with the world's own inside a block.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from math import prod
from zlib import crc32

from mag7.index import seven
from mag7.index.facts import IndexFacts
from mag7.index.identifiers import Identifiers
from mag7.index.membership import Membership, MembershipTable, ShareClasses
from mag7.index.pinned import pinned
from mag7.index.share_counts import ReferenceCount
from mag7.index.splits import Split, SplitTable
from mag7.index.symbols import SymbolPeriod
from mag7.polygon.answers import Answer
from mag7.polygon.source import SIMULATED
from mag7.sessions import previous_session

FIRST, LAST = date(2020, 11, 30), date(2025, 6, 30)
START = date(2022, 1, 3)
"""From here on counts and prices move away from their drawn values."""

COLLECTED = datetime(2025, 6, 30, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Company:
    """A company: its splits (execution date to factor), its first sessions under new symbols.

    ``count`` and ``cents`` are those of 2022-01-03. ``drift`` is the daily growth of the count in millionths,
    ``issues`` has single increases by date. Where ``early`` is True, the count of the session before each split already
    includes it.
    """

    ticker: str
    count: int
    cents: int
    drift: int = 0
    splits: Mapping[date, Fraction] = field(default_factory=dict)
    renames: tuple[date, ...] = ()
    joined: date = FIRST
    left: date | None = None
    early: bool = False
    listed_by_us: bool = False
    second_line: str | None = None
    issues: Mapping[date, int] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"X-{self.ticker.lower()}"

    def factor_on(self, day: date) -> Fraction:
        """How many shares one share has become since the first session."""
        return prod((factor for split, factor in self.splits.items() if split <= day), start=Fraction(1))

    def true_count(self, day: date) -> Fraction:
        grown = self.drift * (day - START).days + sum(more for issued, more in self.issues.items() if issued <= day)
        return self.count * (1 + Fraction(grown, 10**6)) * self.factor_on(day)

    def close_cents(self, session: date) -> int:
        """The close as traded, with noise of up to 1 per cent."""
        wiggle = 1 + Fraction(crc32(f"{self.ticker}{session}".encode()) % 21 - 10, 1000)
        return round(self.cents * wiggle / self.factor_on(session))

    def symbol_on(self, day: date) -> str:
        changes = sum(day >= renamed for renamed in self.renames)
        # The newest symbol is the ticker; each earlier one has one more letter.
        return self.ticker + "ZYX"[: len(self.renames) - changes]

    def periods(self) -> tuple[SymbolPeriod, ...]:
        starts = (None, *self.renames)
        ends = (*(renamed - timedelta(days=1) for renamed in self.renames), None)
        return tuple(
            SymbolPeriod(self.ticker, self.symbol_on(first or date.min), first, last)
            for first, last in zip(starts, ends, strict=True)
        )

    def stays(self) -> Iterator[Membership]:
        classes = ShareClasses.SEVERAL if self.second_line else ShareClasses.ONE
        for ticker in filter(None, (self.ticker, self.second_line)):
            main = ticker == self.ticker
            name = f"{self.ticker} Corp"
            yield Membership(
                ticker, name, self.issuer, "Industrials", main, classes, self.joined, self.left, "invented"
            )


@dataclass(frozen=True)
class World:
    """Companies, the date before which counts are frozen, and odd answers of the provider.

    ``reported`` says what part of the count the provider tells of a ticker on a day; ``silent`` holds symbols and days
    of which it knows nothing, neither details nor a bar.
    """

    companies: tuple[Company, ...]
    frozen_before: date = date.min
    reported: Mapping[tuple[str, date], Fraction] = field(default_factory=dict)
    silent: frozenset[tuple[str, date]] = frozenset()

    @property
    def version(self) -> int:
        return 0

    @cached_property
    def lines(self) -> dict[str, Company]:
        """Every line's company."""
        found = {company.ticker: company for company in self.companies}
        return found | {company.second_line: company for company in self.companies if company.second_line}

    def company(self, ticker: str) -> Company:
        return self.lines[ticker]

    def members(self, session: date) -> set[str]:
        return {stay.ticker for company in self.companies for stay in company.stays() if stay.covers(session)}

    def expected_count(self, ticker: str, session: date) -> Fraction:
        """The expected count: the true one, or the frozen one on the session's split basis."""
        company = self.company(ticker)
        if session >= self.frozen_before:
            return company.true_count(session)
        later = company.factor_on(self.frozen_before) / company.factor_on(session)
        return company.true_count(self.frozen_before) / later

    def told_count(self, company: Company, day: date) -> int:
        count = company.true_count(max(day, self.frozen_before))
        eves = {previous_session(split) for split in company.splits} if company.early else set()
        if day in eves and day >= self.frozen_before:
            count = count * company.factor_on(day + timedelta(days=7)) / company.factor_on(day)
        return round(count * self.reported.get((company.ticker, day), Fraction(1)))

    def symbol_on(self, ticker: str, day: date) -> str:
        company = self.company(ticker)
        return company.symbol_on(day) if ticker == company.ticker else ticker

    def details(self, symbol: str, day: date) -> Answer:
        """Ticker details of a symbol on a date."""
        path = f"details/{symbol}/{day}"
        for ticker, company in self.lines.items():
            if self.symbol_on(ticker, day) == symbol and (symbol, day) not in self.silent:
                count = self.told_count(company, day)
                cents = company.close_cents(previous_session(day + timedelta(days=1)))
                fields = {"weighted_shares_outstanding": count, "market_cap": count * cents / 100}
                return _answer(path, {"ticker": symbol, "type": "CS", **fields})
        return Answer(path, COLLECTED, 404, SIMULATED, "", None, path)

    def grouped(self, day: date) -> Answer:
        """Every bar of a session."""
        stamp = int(datetime(day.year, day.month, day.day, 21, tzinfo=UTC).timestamp() * 1000)
        bars = []
        for ticker, company in self.lines.items():
            symbol, close = self.symbol_on(ticker, day), company.close_cents(day) / 100
            if (symbol, day) not in self.silent:
                bars.append({"T": symbol, "o": close, "h": close, "l": close, "c": close, "v": 1, "t": stamp})
        return _answer(f"bars/{day}", bars, adjusted=False, resultsCount=len(bars))

    def splits(self, session: date) -> list[Answer]:
        """The list of splits, unordered; splits of our own table are listed a week early, as ours are right."""
        rows = [
            {
                "ticker": ticker,
                "execution_date": (day - timedelta(days=7) if company.listed_by_us else day).isoformat(),
                "split_from": factor.denominator,
                "split_to": factor.numerator,
            }
            for ticker, company in reversed(self.lines.items())
            for day, factor in company.splits.items()
        ]
        return [_answer(f"splits/{session}", rows)]


def _answer(path: str, results: object, **more: object) -> Answer:
    body = json.dumps({"status": "OK", "results": results, **more})
    return Answer(path, COLLECTED, 200, SIMULATED, body, None, path)


@contextmanager
def standing_on(world: World) -> Iterator[World]:
    """Replace the library's tables with the world's."""
    stays = sorted((stay for company in world.companies for stay in company.stays()), key=lambda stay: stay.ticker)
    membership = MembershipTable(tuple(stays), FIRST, LAST)
    ours = {
        company.issuer: tuple(
            Split(company.issuer, company.ticker, day, Decimal(factor.denominator), Decimal(factor.numerator), "ours")
            for day, factor in sorted(company.splits.items())
        )
        for company in world.companies
        if company.listed_by_us
    }
    symbols = {company.ticker: company.periods() for company in world.companies if company.renames}
    references = {
        company.issuer: (
            ReferenceCount(company.issuer, START, round(company.true_count(START)), "a filing", "0000000000-22-000001"),
        )
        for company in world.companies
        if company.ticker in seven.SEVEN
    }
    nothing = Identifiers({}, {})
    facts = IndexFacts(membership, symbols, nothing, nothing, SplitTable(ours), references)
    with pinned(facts):
        yield world
