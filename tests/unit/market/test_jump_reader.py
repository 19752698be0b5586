"""What other sessions confirm or contradict of a close or a count that jumps."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from mag7.index.constituents import Line
from mag7.index.count_jumps import read_count_jumps
from mag7.index.membership import load_membership
from mag7.index.pinned import pinned, pinned_facts
from mag7.index.splits import Split, SplitTable
from mag7.index.tables import FactTable
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.sessions import list_sessions
from tests.unit.market.book import DAY, YESTERDAY, Book, member, read


class TestJumps:
    """A close that jumps while the count does not, and a count that jumps while the close does not."""

    BEFORE_THAT, NEXT, LATER = date(2024, 12, 11), date(2024, 12, 16), date(2024, 12, 20)

    def keep(self, book: Book, ticker: str, closes: dict[date, float], counts: dict[date, int] | None = None) -> Line:
        for day, close in closes.items():
            count = (counts or {}).get(day, 1000)
            book.keep_bars(day, **{ticker: close})
            book.keep_details(ticker, day, weighted_shares_outstanding=count, market_cap=round(count * close, 2))
        return member(ticker, DAY)

    def price(self, book: Book, line: Line, day: date = DAY) -> PricedLine | FailedLine:
        return price_line(read(book, line, day))

    @pytest.mark.parametrize(
        ("before", "after", "ratio"),
        [(97.1, 32.4, "3 for 1"), (150, 99.6, "3 for 2"), (410, 20.4, "20 for 1"), (12.5, 100.9, "1 for 8")],
    )
    def test_a_move_by_a_usual_split_ratio_fails_the_line(
        self, book: Book, before: float, after: float, ratio: str
    ) -> None:
        """CSX on 2021-06-29, where the list lacks its split and every count already includes it."""
        line = self.keep(book, "CSX", {self.BEFORE_THAT: before, YESTERDAY: before, DAY: after, self.NEXT: after})
        failed = self.price(book, line)

        assert isinstance(failed, FailedLine)
        assert f"that is a split of {ratio} that no list has, or a wrong close" in failed.reason
        assert (
            "Add the split on 2024-12-13 to include/data/splits.csv and rebuild the sessions before it" in failed.reason
        )

    def test_earlier_sessions_of_the_month_fail_too_where_counts_are_frozen(self, book: Book) -> None:
        """Every count before November 2021 includes the split: 219.8 bn, and 73.3 bn on the next session."""
        days = list_sessions(date(2021, 6, 24), date(2021, 6, 30))
        closes = {day: 96.9 if day < date(2021, 6, 29) else 32.3 for day in days}
        self.keep(book, "CSX", closes, dict.fromkeys(days, 2_270_000_000))
        line = member("CSX", days[0])
        found = {day: self.price(book, line, day) for day in days[1:]}

        reasons = {day: priced.reason for day, priced in found.items() if isinstance(priced, FailedLine)}
        assert list(reasons) == [date(2021, 6, 25), date(2021, 6, 28)]
        assert all("on 2021-06-29 the close moves as in a split of 3 for 1" in reason for reason in reasons.values())
        for day in (date(2021, 6, 29), date(2021, 6, 30)):
            priced = found[day]
            assert isinstance(priced, PricedLine)
            assert priced.market_cap == 2_270_000_000 * Decimal("32.3")

    def test_a_wrong_close_later_in_the_month_says_nothing_of_earlier_sessions(self, book: Book) -> None:
        days = list_sessions(date(2021, 6, 24), date(2021, 6, 30))
        closes = {day: 2690.0 if day == date(2021, 6, 29) else 26.9 for day in days}
        self.keep(book, "MOS", closes, dict.fromkeys(days, 380_000_000))
        found = {day: self.price(book, member("MOS", day), day) for day in days[1:]}

        assert [day for day, line in found.items() if isinstance(line, FailedLine)] == [date(2021, 6, 29)]

    def test_a_close_a_hundred_times_too_large_fails_its_session_and_not_the_next(self, book: Book) -> None:
        """MOS, whose market_cap rests on it: count and cap agree."""
        closes = {self.BEFORE_THAT: 26.1, YESTERDAY: 26.2, DAY: 2617.0, self.NEXT: 26.3}
        line = self.keep(book, "MOS", closes)
        failed, following = self.price(book, line), self.price(book, line, self.NEXT)

        assert isinstance(failed, FailedLine)
        assert "or a wrong close" in failed.reason
        assert isinstance(following, PricedLine)
        assert following.market_cap == 1000 * Decimal("26.3")
        assert following.accepted.flags == ("previous_close_odd",)
        assert following.inputs.yesterday is not None
        assert following.inputs.yesterday.session == YESTERDAY

    @pytest.mark.parametrize("close", [12.57, 30.2, 41.5])
    def test_a_fall_by_a_ratio_of_its_own_is_priced_and_flagged(self, book: Book, close: float) -> None:
        """Corteva on 2026-10-01: 77.65 to 12.57 with a spin-off, its count unchanged."""
        line = self.keep(book, "CTVA", {self.BEFORE_THAT: 77.4, YESTERDAY: 77.65, DAY: close})
        priced = self.price(book, line)

        assert isinstance(priced, PricedLine)
        assert priced.accepted.flags == ("cap_jump",)
        assert priced.market_cap == 1000 * Decimal(str(close))

    def test_a_fall_that_the_next_close_reverses_was_a_wrong_close(self, book: Book) -> None:
        line = self.keep(book, "CTVA", {self.BEFORE_THAT: 77.4, YESTERDAY: 77.65, DAY: 12.57, self.NEXT: 78.0})
        failed = self.price(book, line)

        assert isinstance(failed, FailedLine)
        assert "on the next session it is back at 78.0" in failed.reason

    @pytest.mark.parametrize(("following", "priced"), [(None, False), (58.0, True), (36.0, False)])
    def test_a_rise_waits_for_the_next_close(self, book: Book, following: float | None, priced: bool) -> None:
        closes = {self.BEFORE_THAT: 36.0, YESTERDAY: 36.5, DAY: 59.3}
        line = self.keep(book, "MOS", closes | ({self.NEXT: following} if following else {}))
        found = self.price(book, line)

        assert isinstance(found, PricedLine) is priced
        if isinstance(found, PricedLine):
            assert found.accepted.flags == ("cap_jump",)

    @pytest.mark.parametrize("following", [None, 140.0])
    def test_one_of_the_seven_waits_for_it_also_where_it_falls(self, book: Book, following: float | None) -> None:
        closes = {self.BEFORE_THAT: 243.0, YESTERDAY: 244.0, DAY: 143.0}
        count = dict.fromkeys(closes, 15115823000)
        line = self.keep(book, "AAPL", closes | ({self.NEXT: following} if following else {}), count)

        assert isinstance(self.price(book, line), PricedLine) is (following is not None)

    def test_a_row_of_ours_says_that_nothing_was_split(self, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
        line = self.keep(book, "CSX", {self.BEFORE_THAT: 97.1, YESTERDAY: 97.1, DAY: 48.5})
        assert isinstance(self.price(book, line), FailedLine)

        nothing = Split(line.issuer, "CSX", DAY, Decimal(1), Decimal(1), "a filing")
        monkeypatch.setattr("mag7.market.response_reader.load_splits", lambda: SplitTable({line.issuer: (nothing,)}))
        priced = self.price(book, line)
        assert isinstance(priced, PricedLine)
        assert priced.accepted.flags == ("cap_jump",)

    @pytest.mark.parametrize(
        ("after", "later", "cap", "priced"),
        [
            (1650, 1648, None, True),
            (1650, None, None, False),
            (1650, 1000, None, False),
            (1650, 1648, 123_456, False),
            (2000, 2000, None, False),
            (10_000, 10_000, None, False),
        ],
        ids=["confirmed", "not yet", "taken back", "market cap disagrees", "twice exactly", "ten times exactly"],
    )
    def test_a_count_that_jumps_is_believed_once_later_sessions_say_the_same(
        self, book: Book, after: int, later: int | None, cap: int | None, priced: bool
    ) -> None:
        """Omnicom paid for Interpublic in shares: 1.65 times as many."""
        closes = {self.BEFORE_THAT: 71.0, YESTERDAY: 71.0, DAY: 71.5}
        line = self.keep(book, "OMC", closes, {DAY: after})
        if cap is not None:
            book.keep_details("OMC", weighted_shares_outstanding=after, market_cap=cap)
        if later is not None:
            book.keep_details("OMC", self.LATER, weighted_shares_outstanding=later)
        found = self.price(book, line)

        assert isinstance(found, PricedLine) is priced
        if isinstance(found, PricedLine):
            assert (found.accepted.count, found.accepted.flags) == (after, ("count_jump_confirmed",))
        elif cap is None:
            assert "a merger is accepted once later sessions confirm the count" in found.reason

    def test_a_count_that_our_table_knows_to_jump_is_believed_at_once(self, book: Book) -> None:
        row = b"ticker,first_session,factor,reason,source\nOMC,2024-12-02,1.65,bought another,a filing\n"
        jumps = read_count_jumps(FactTable("count_jumps.csv", row), load_membership())
        line = self.keep(book, "OMC", {self.BEFORE_THAT: 71.0, YESTERDAY: 71.0, DAY: 71.5}, {DAY: 1650})
        with pinned(replace(pinned_facts(), count_jumps=jumps)):
            priced = self.price(book, line)

        assert isinstance(priced, PricedLine)
        assert priced.accepted.flags == ("count_jump_confirmed",)

    def test_a_spin_off_on_the_day_of_a_split_is_no_second_split(self, book: Book) -> None:
        """Honeywell on 2026-06-29: 1 for 2, and about half of the company spun off: the close hardly moved."""
        day = date(2024, 12, 12)
        book.keep_splits(day, {"ticker": "HON", "execution_date": str(day), "split_from": 2, "split_to": 1})
        book.keep_details("HON", date(2024, 9, 3), weighted_shares_outstanding=1002)
        line = self.keep(book, "HON", {self.BEFORE_THAT: 220.0, day: 230.7}, {self.BEFORE_THAT: 1000, day: 500})
        priced = self.price(book, line, day)

        assert isinstance(priced, PricedLine)
        assert (priced.accepted.count, priced.accepted.flags) == (500, ("cap_jump",))
