"""Which earlier session a line's count is taken from, and why none has one."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from mag7.index.constituents import Line
from mag7.index.membership import ShareClasses
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.input_reader import open_inputs
from mag7.market.inputs import LookBack
from mag7.market.response_reader import LOOK_BACK_SESSIONS
from mag7.sessions import previous_session
from tests.unit.market.book import (
    APPLE,
    DAY,
    LOOK_BACK_DAYS,
    OTHER,
    YESTERDAY,
    Book,
    count_of,
    keys_of,
    make_answer,
    read,
)
from tests.unit.market.conftest import Make


class TestLookBack:
    def test_goes_1_5_21_and_63_sessions_back_and_stays_under_100_days(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        read(book, line)

        # Further back than the session before, a close is looked at for a count alone.
        closes = [day for what, day in book.looked_up if what == "bars"]
        assert tuple(dict.fromkeys(closes)) == (DAY, *LOOK_BACK_DAYS)
        assert LOOK_BACK_SESSIONS == (1, 5, 21, 63)
        assert (DAY - LOOK_BACK_DAYS[-1]).days <= 100

    def test_takes_the_newest_session_that_has_both_count_and_close(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep_bars(YESTERDAY, BBB=9)
        book.keep_details("AAA", YESTERDAY, weighted_shares_outstanding=1)
        book.keep_bars(LOOK_BACK_DAYS[1], AAA=8)
        book.keep_details("AAA", LOOK_BACK_DAYS[1])
        for day, count in ((LOOK_BACK_DAYS[2], 3), (LOOK_BACK_DAYS[3], 4)):
            book.keep_bars(day, AAA=7)
            book.keep_details("AAA", day, weighted_shares_outstanding=count)
        look_back = read(book, line).look_back

        assert look_back is not None
        assert (look_back.session, look_back.count, look_back.close) == (LOOK_BACK_DAYS[2], 3, Decimal(7))
        assert keys_of(look_back) == ["bars-2024-11-13", "details-AAA-2024-11-13"]

    def test_prices_a_line_whose_details_failed_today(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep("AAA", DAY, status=500, error="HTTP 500 after 5 tries")
        book.keep_bars(YESTERDAY, AAA=9)
        book.keep_details("AAA", YESTERDAY, weighted_shares_outstanding=100, market_cap=900)
        inputs = read(book, line)
        priced = price_line(inputs)

        assert isinstance(priced, PricedLine)
        assert priced.market_cap == 1000
        assert priced.accepted.flags == ("look_back", "count_of_2024-12-12")
        assert keys_of(inputs)[-2:] == ["bars-2024-12-12", "details-AAA-2024-12-12"]

    def test_asks_an_earlier_session_by_its_own_symbol(self, book: Book, make: Make) -> None:
        day = date(2022, 6, 9)
        book.keep_bars(day, META=184)
        book.keep_details("META", day)
        book.keep_bars(previous_session(day), FB=196.64)
        book.keep_details("FB", previous_session(day), weighted_shares_outstanding=2_700_000_000)
        look_back = read(book, make.line("META"), day).look_back

        assert look_back is not None
        assert (look_back.session, look_back.count) == (date(2022, 6, 8), 2_700_000_000)

    def test_carries_a_line_over_its_first_days_under_a_new_symbol(self, book: Book, make: Make) -> None:
        """The provider may answer under the old symbol alone for a day or two after a rename."""
        day = date(2022, 6, 9)
        book.keep_bars(day, META=184.00)
        book.keep("META", day, status=404)
        book.keep_bars(previous_session(day), FB=196.64)
        book.keep_details("FB", previous_session(day), weighted_shares_outstanding=2_700_000_000)
        priced = price_line(read(book, make.line("META"), day))

        assert isinstance(priced, PricedLine)
        assert priced.accepted.count == 2_700_000_000
        assert priced.accepted.flags == ("look_back", "count_of_2022-06-08")

    def test_takes_the_first_step_that_helps_although_later_ones_are_kept(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        for day, count in zip(LOOK_BACK_DAYS, (None, 2, 3, 4), strict=True):
            book.keep_bars(day, AAA=10)
            book.keep_details("AAA", day, weighted_shares_outstanding=count)

        assert count_of(read(book, line)) == 2
        assert isinstance(open_inputs(book).look_backs.read(DAY, line, 1), str)
        later = open_inputs(book).look_backs.read(DAY, line, 21)
        assert isinstance(later, LookBack)
        assert later.count == 3

    def test_that_is_in_vain_says_why_of_every_session(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep("AAA", DAY, status=404)
        days = LOOK_BACK_DAYS
        book.bars[days[0]] = make_answer("bars", status=403, error='HTTP 403 "not in the plan"')
        book.keep_bars(days[1], BBB=10)
        book.keep_bars(days[2], AAA=10)
        book.keep_bars(days[3], AAA=10)
        book.keep_details("AAA", days[3], share_class_shares_outstanding=0)
        failed = price_line(read(book, line))

        assert isinstance(failed, FailedLine)
        assert failed.reason == (
            "the provider does not know AAA on 2024-12-13 (HTTP 404); no earlier session has one: the closes of"
            ' 2024-12-12 are missing: HTTP 403 "not in the plan"; no bar for AAA on 2024-12-06; ticker details of AAA'
            " on 2024-11-13 were never requested; 2024-09-16: the provider's response for AAA has no usable"
            " count: market_cap is missing; weighted_shares_outstanding is missing; share_class_shares_outstanding is"
            " 0, not a number of shares"
        )

    def test_takes_no_count_of_another_issuer(self, book: Book, make: Make) -> None:
        line = make.line("AAPL", cik=APPLE)
        book.keep_bars(AAPL=10)
        for day in LOOK_BACK_DAYS:
            book.keep_bars(day, AAPL=10)
            book.keep_details("AAPL", day, cik=OTHER, weighted_shares_outstanding=5)

        assert read(book, line).look_back is None

    @pytest.mark.parametrize("classes", ShareClasses)
    def test_counts_one_class_only_for_a_company_with_a_single_one(
        self, book: Book, make: Make, classes: ShareClasses
    ) -> None:
        book.keep_bars(AAA=10)
        book.keep_bars(YESTERDAY, AAA=10)
        book.keep_details("AAA", YESTERDAY, share_class_shares_outstanding=5)
        look_back = read(book, make.line("AAA", share_classes=classes)).look_back

        assert (None if look_back is None else look_back.count) == (5 if classes == ShareClasses.ONE else None)
