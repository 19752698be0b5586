"""Reading the inputs that show a count's split basis: the company's counts beside its splits."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mag7.index.constituents import Line
from mag7.market.caps import PricedLine, price_line
from mag7.market.input_reader import open_inputs
from tests.unit.market.book import (
    AFTER,
    BEFORE,
    CINTAS_SPLIT,
    DAY,
    EVE,
    OTHER,
    YESTERDAY,
    Book,
    count_of,
    keep_cintas,
    keys_of,
    member,
    read,
)


class TestProbes:
    @pytest.mark.parametrize(("count", "divided"), [(100_000_000, False), (400_000_000, True)])
    def test_the_count_after_the_split_tells(self, book: Book, count: int, divided: bool) -> None:
        keep_cintas(book, count)
        book.keep_details("CTAS", AFTER, weighted_shares_outstanding=403_000_000)
        book.keep_details("CTAS", BEFORE, weighted_shares_outstanding=101_000_000)
        inputs = read(book, member("CTAS"), EVE)

        assert count_of(inputs) == 100_000_000
        assert keys_of(inputs) == [
            *("bars-2024-09-11", "details-CTAS-2024-09-11", "details-CTAS-2024-12-20"),
            *("details-CTAS-2024-06-04", "splits-2024-09-11"),
        ]
        priced = price_line(inputs)
        assert isinstance(priced, PricedLine)
        assert ("divided_by_split" in priced.accepted.flags) is divided

    @pytest.mark.parametrize(
        "after", [None, {}, {"cik": OTHER, "weighted_shares_outstanding": 99_000_000}, {"market_cap": 5}]
    )
    def test_the_count_before_it_tells_where_there_is_none_after(
        self, book: Book, after: dict[str, Any] | None
    ) -> None:
        """A response that is missing, has no count, or is another issuer's cannot be used."""
        keep_cintas(book, 400_000_000)
        book.keep_details("CTAS", BEFORE, weighted_shares_outstanding=101_000_000)
        if after is not None:
            book.keep_details("CTAS", AFTER, **after)
        inputs = read(book, member("CTAS"), EVE)

        assert count_of(inputs) == 100_000_000
        assert keys_of(inputs)[2:] == ["details-CTAS-2024-06-04", "splits-2024-09-11"]

    def test_without_either_the_count_is_used_and_flagged(self, book: Book) -> None:
        keep_cintas(book, 400_000_000)
        priced = price_line(read(book, member("CTAS"), EVE))

        assert isinstance(priced, PricedLine)
        assert priced.accepted.count == 400_000_000
        assert "split_basis_unconfirmed" in priced.accepted.flags

    def test_are_the_main_lines_for_every_class(self, book: Book) -> None:
        day = date(2022, 7, 15)
        book.keep_bars(day, GOOG=2255.34)
        book.keep_details("GOOG", day, weighted_shares_outstanding=13_000_000_000)
        book.keep_details("GOOGL", date(2022, 10, 26), weighted_shares_outstanding=12_950_000_000)

        assert count_of(read(book, member("GOOG", day), day)) == 650_000_000

    def test_are_listed_once_a_company_also_for_sessions_looked_back_to(self, book: Book) -> None:
        session = date(2024, 12, 2)
        book.keep_splits(session, CINTAS_SPLIT)
        lines = [member(ticker, session) for ticker in ("CTAS", "GOOG", "GOOGL", "KO", "NVDA")]
        cintas, nvidia = ("CTAS", AFTER, BEFORE), ("NVDA", date(2024, 9, 18), date(2024, 3, 1))
        found = {
            earliest: [
                (line.ticker, after, before)
                for line, after, before in open_inputs(book).split_basis.list_probes(session, lines, earliest)
            ]
            for earliest in (session, date(2024, 9, 3))
        }

        # Cintas' split was 81 days before; Nvidia's of June matters to counts of 63 sessions back, 2024-09-03.
        assert found == {session: [cintas], date(2024, 9, 3): [cintas, nvidia]}

    @pytest.mark.parametrize(
        ("fields", "answered"),
        [
            ({"weighted_shares_outstanding": 403_000_000}, True),
            ({"share_class_shares_outstanding": 403_000_000}, True),
            ({"weighted_shares_outstanding": 403_000_000, "cik": OTHER}, False),
            ({"weighted_shares_outstanding": 403_000_000, "type": "ETF"}, False),
            ({"market_cap": 83_000_000_000}, False),
            (None, False),
        ],
    )
    def test_are_answered_by_the_companys_own_count(
        self, book: Book, fields: dict[str, Any] | None, answered: bool
    ) -> None:
        if fields is not None:
            book.keep_details("CTAS", AFTER, **fields)

        assert open_inputs(book).split_basis.probe_answered(member("CTAS"), AFTER) is answered


class TestYesterdayOfItsOwnEvening:
    """In daily use the session before is stored as of that evening: its market_cap may rest on the close before it."""

    def test_its_count_is_the_weighted_one(self, book: Book, line: Line) -> None:
        for day, close in ((DAY, 13), (YESTERDAY, 12), (date(2024, 12, 11), 8)):
            book.keep_bars(day, AAA=close)
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=1300)
        book.keep_details("AAA", YESTERDAY, weighted_shares_outstanding=100, market_cap=800)
        inputs = read(book, line)

        assert inputs.yesterday is not None
        assert inputs.yesterday.count == 100  # 800 / 12 would be 67, which today's count cannot follow
        priced = price_line(inputs)
        assert isinstance(priced, PricedLine)
        assert priced.accepted.flags == ()

    def test_told_long_before_a_split_it_cannot_stand_on_it(self, book: Book, line: Line) -> None:
        """A split announced a year ahead needs no count beside it."""
        ahead = {"ticker": "CTAS", "execution_date": "2025-12-15", "split_from": 1, "split_to": 4}
        cintas = member("CTAS")
        book.keep_splits(DAY, ahead)
        book.keep_bars(CTAS=200)
        book.keep_details("CTAS", weighted_shares_outstanding=400, market_cap=80_000)
        inputs = read(book, cintas)

        assert inputs.split_basis is not None
        assert inputs.split_basis.splits == ()
