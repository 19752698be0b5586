"""Which splits are known on a session: the project's own, and the listed ones that are applied."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from mag7.index.constituents import Line
from mag7.index.splits import load_splits
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.input_reader import open_inputs
from mag7.market.split_basis import SplitBasisInputs
from mag7.polygon.response_bodies import SplitPage, parse_splits
from tests.unit.market.book import (
    CINTAS_SPLIT,
    DAY,
    EVE,
    GE_SPIN_OFF,
    Book,
    count_of,
    keep_cintas,
    keys_of,
    make_answer,
    member,
    read,
)
from tests.unit.market.conftest import Make


class TestSplits:
    def test_the_providers_list_is_joined_with_ours(self, book: Book) -> None:
        book.keep_splits(EVE, CINTAS_SPLIT, {**CINTAS_SPLIT, "ticker": "NVDA"}, {**CINTAS_SPLIT, "ticker": "NOBODY"})
        table = open_inputs(book).splits.table(EVE)

        assert [(str(split), split.source) for split in table.of(member("CTAS").issuer)] == [
            ("4 for 1 on 2024-09-12", "provider")
        ]
        assert load_splits().splits.items() - table.splits.items() == {
            (issuer, splits) for issuer, splits in load_splits().splits.items() if issuer == member("NVDA").issuer
        }
        assert len(table.of(member("NVDA").issuer)) == 3

    def test_every_page_of_the_list_is_read(self, book: Book) -> None:
        book.keep_splits(EVE, CINTAS_SPLIT)
        book.pages[EVE] += [make_answer("2", body=json.dumps({"results": [{**CINTAS_SPLIT, "ticker": "DECK"}]}))]
        table = open_inputs(book).splits.table(EVE)

        assert table.of(member("CTAS").issuer)
        assert table.of(member("DECK").issuer)

    def test_without_a_list_ours_serves_alone(self, book: Book) -> None:
        """The list is stored complete or not at all (mag7.polygon.pages.join_pages)."""
        assert open_inputs(book).splits.table(EVE) == load_splits()

    def test_the_list_is_parsed_once_for_all_lines(
        self, book: Book, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parsed: list[str] = []

        def parse(body: str) -> SplitPage:
            parsed.append(body)
            return parse_splits(body)

        monkeypatch.setattr("mag7.market.response_reader.parse_splits", parse)
        book.keep_bars(AAA=10, BBB=10)
        book.keep_splits(DAY)
        open_inputs(book).read_lines(DAY, [make.line("AAA"), make.line("BBB")])

        assert len(parsed) == 1

    def test_an_entry_that_cannot_be_used_fails_its_company_alone(self, book: Book, line: Line) -> None:
        keep_cintas(book, 100_000_000)
        book.keep_splits(EVE, {**CINTAS_SPLIT, "split_to": 0})
        failed = price_line(read(book, member("CTAS"), EVE))

        assert isinstance(failed, FailedLine)
        assert "an entry of the provider's list of splits cannot be used" in failed.reason
        assert "split_to is 0" in failed.reason
        assert read(book, line, EVE).split_basis == SplitBasisInputs(EVE)

    def test_two_that_contradict_each_other_fail_their_company(self, book: Book) -> None:
        keep_cintas(book, 100_000_000)
        book.keep_splits(EVE, CINTAS_SPLIT, {**CINTAS_SPLIT, "split_to": 3})
        failed = price_line(read(book, member("CTAS"), EVE))

        assert isinstance(failed, FailedLine)
        assert "two splits of CTAS that contradict each other" in failed.reason


class TestListed:
    """Listed splits are compared with the company's counts and the closes of the day."""

    SESSION = date(2022, 6, 8)
    BESIDE = date(2022, 9, 26), date(2023, 4, 14)

    def keep_ge(self, book: Book, session: date, count: int, close: float) -> None:
        book.keep_bars(session, GE=close)
        book.keep_details("GE", session, weighted_shares_outstanding=count, market_cap=count * close)
        book.keep_splits(session, GE_SPIN_OFF)

    def test_a_spin_off_listed_as_a_split_leaves_every_cap_alone(self, book: Book) -> None:
        for day, count in zip(self.BESIDE, (1_094_000_000, 1_089_000_000), strict=True):
            book.keep_details("GE", day, weighted_shares_outstanding=count)
        self.keep_ge(book, self.SESSION, 1_099_000_000, 85.37)
        inputs = read(book, member("GE", self.SESSION), self.SESSION)
        priced = price_line(inputs)

        assert isinstance(priced, PricedLine)
        assert priced.market_cap == 1_099_000_000 * Decimal("85.37")
        assert not {*priced.accepted.flags} - {"continuity_skipped"}
        (refused,) = open_inputs(book).splits.table(self.SESSION).list_refused()
        assert str(refused) == (
            "GE 1281 for 1000 on 2023-01-04 is not applied: the count was 1,094,000,000 on 2022-09-26 and 1,089,000,000"
            " on 2023-04-14"
        )
        assert {"details-GE-2022-09-26", "details-GE-2023-04-14", "splits-2022-06-08"} <= {*keys_of(inputs)}

    @pytest.mark.parametrize("session", [date(2023, 1, 4), date(2023, 3, 1)])
    def test_soon_after_it_the_line_is_priced_and_flagged(self, book: Book, session: date) -> None:
        book.keep_details("GE", self.BESIDE[0], weighted_shares_outstanding=1_094_000_000)
        for day, close in ((date(2023, 1, 3), 85.9), (date(2023, 1, 4), 67.06)):
            book.keep_bars(day, GE=close)
        self.keep_ge(book, session, 1_091_000_000, 67.06)
        priced = price_line(read(book, member("GE", session), session))

        assert isinstance(priced, PricedLine)
        assert priced.accepted.count == 1_091_000_000
        assert "split_contested" in priced.accepted.flags

    def test_what_would_tell_is_listed_until_it_does(self, book: Book) -> None:
        line = member("GE", self.SESSION)
        self.keep_ge(book, self.SESSION, 1_099_000_000, 85.37)

        def wanted() -> tuple[set[date], set[date]]:
            counts, closes = open_inputs(book).splits.list_wanted(self.SESSION, [line], self.SESSION)
            assert {other.ticker for other, _ in counts} <= {"GE"}
            return {day for _, day in counts}, closes

        before, after = self.BESIDE
        assert wanted() == ({before, after}, {date(2023, 1, 3), date(2023, 1, 4)})
        book.keep_details("GE", before, weighted_shares_outstanding=1_094_000_000)
        assert wanted() == ({after}, {date(2023, 1, 3), date(2023, 1, 4)})
        book.keep_details("GE", after, weighted_shares_outstanding=1_089_000_000)
        assert wanted() == (set(), set())
        assert open_inputs(book).splits.list_wanted(self.SESSION, [], self.SESSION) == (set(), set())

    def test_counts_that_are_frozen_tell_nothing_of_it(self, book: Book) -> None:
        """CSX split 3 for 1 in June 2021: every count before November includes it."""
        session, split = date(2021, 3, 1), {"ticker": "CSX", "execution_date": "2021-06-29"}
        book.keep_splits(session, {**split, "split_from": 1, "split_to": 3})
        for day in (session, date(2021, 3, 19), date(2021, 10, 7)):
            book.keep_details("CSX", day, weighted_shares_outstanding=2_220_000_000)
        for day, close in ((session, 90.6), (date(2021, 6, 28), 96.0), (date(2021, 6, 29), 32.4)):
            book.keep_bars(day, CSX=close)

        assert count_of(read(book, member("CSX", session), session)) == 740_000_000
        assert open_inputs(book).splits.table(session).refused == {}
