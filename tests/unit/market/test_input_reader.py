"""A line's inputs for a session: its own responses, the previous close, and what they are compared with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mag7.index.constituents import Line
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.input_reader import open_inputs
from mag7.market.jump_reader import LASTING_SESSIONS
from mag7.polygon.response_bodies import GroupedDaily, parse_grouped_daily
from mag7.sessions import previous_session
from tests.unit.market.book import (
    AFTER,
    APPLE,
    DAY,
    EVE,
    MICROSOFT,
    YESTERDAY,
    Book,
    count_of,
    keep_cintas,
    keys_of,
    make_answer,
    member,
    read,
)
from tests.unit.market.conftest import Make


class TestOwnSession:
    def test_an_agreeing_answer_is_all_that_is_read(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=1000)
        inputs = read(book, line)

        assert inputs.bar is not None
        assert inputs.bar.close == Decimal(10)
        assert (inputs.previous_close, inputs.look_back) == (None, None)
        assert keys_of(inputs) == ["bars-2024-12-13", "details-AAA-2024-12-13"]
        assert {day for _, day in book.looked_up} == {DAY, YESTERDAY, previous_session(DAY, LASTING_SESSIONS)}

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (None, "ticker details of AAA on 2024-12-13 were never requested"),
            ({"status": 404}, "the provider does not know AAA on 2024-12-13 (HTTP 404)"),
            ({"status": 500, "error": "HTTP 500 after 5 tries"}, "HTTP 500 after 5 tries"),
            ({"status": None, "error": "read timed out after 5 tries"}, "read timed out after 5 tries"),
        ],
        ids=["never", "404", "500", "timeout"],
    )
    def test_details_that_are_missing_have_their_true_reason(
        self, book: Book, line: Line, answer: dict[str, Any] | None, reason: str
    ) -> None:
        book.keep_bars(AAA=10)
        if answer:
            book.keep("AAA", DAY, **answer)
        inputs = read(book, line)

        assert (inputs.details, inputs.details_failure) == (None, reason)

    def test_details_of_another_ticker_are_refused(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep("AAA", DAY, body=json.dumps({"status": "OK", "results": {"ticker": "BBB"}}))

        assert "BBB" in (read(book, line).details_failure or "")

    def test_a_symbol_in_another_issuers_hands_is_refused_by_its_cik(self, book: Book, make: Make) -> None:
        line = make.line("AAPL", cik=APPLE, ciks=frozenset({APPLE}), company="Apple")
        book.keep_bars(AAPL=10)
        book.keep_details("AAPL", cik=MICROSOFT, weighted_shares_outstanding=100, market_cap=1000)
        inputs = read(book, line)

        assert inputs.details is None
        assert inputs.details_failure == (
            f"the provider's AAPL on 2024-12-13 is another issuer (CIK {MICROSOFT} is that of another company of the"
            " table)"
        )

    @pytest.mark.parametrize("theirs", [None, APPLE])
    def test_details_without_a_cik_or_with_the_companys_are_its_own(
        self, book: Book, make: Make, theirs: str | None
    ) -> None:
        book.keep_bars(AAPL=10)
        book.keep_details("AAPL", cik=theirs, weighted_shares_outstanding=100, market_cap=1000)
        inputs = read(book, make.line("AAPL", ciks=frozenset({APPLE})))

        assert count_of(inputs) == 100
        assert not inputs.issuer_unconfirmed

    def test_closes_that_are_missing_are_a_failure_of_every_line(self, book: Book, line: Line) -> None:
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=1000)

        assert read(book, line).bar_failure == "the closes of 2024-12-13 are missing: never requested"

    def test_closes_that_were_not_answered_say_why(self, book: Book, line: Line) -> None:
        book.bars[DAY] = make_answer("bars", status=502, error="HTTP 502 after 5 tries")

        assert read(book, line).bar_failure == "the closes of 2024-12-13 are missing: HTTP 502 after 5 tries"

    def test_adjusted_closes_are_never_used(self, book: Book, line: Line) -> None:
        book.bars[DAY] = make_answer("bars", body='{"status":"OK","adjusted":true,"resultsCount":0,"results":[]}')

        assert "adjusted is True, not false" in (read(book, line).bar_failure or "")

    def test_bars_of_a_session_are_parsed_once_for_all_lines(
        self, book: Book, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parsed: list[date] = []

        def parse(body: str, day: date) -> GroupedDaily:
            parsed.append(day)
            return parse_grouped_daily(body, day)

        monkeypatch.setattr("mag7.market.response_reader.parse_grouped_daily", parse)
        book.keep_bars(AAA=10, BBB=20)
        for symbol, cap in (("AAA", 1000), ("BBB", 2000)):
            book.keep_details(symbol, weighted_shares_outstanding=100, market_cap=cap)
        open_inputs(book).read_lines(DAY, [make.line("AAA"), make.line("BBB")])

        assert parsed.count(DAY) == 1


class TestPreviousClose:
    def test_is_read_where_market_cap_rests_on_yesterday(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep_bars(YESTERDAY, AAA=9)
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=900)
        inputs = read(book, line)

        assert inputs.previous_close == Decimal(9)
        assert count_of(inputs) == 100
        assert keys_of(inputs)[-1] == "bars-2024-12-12"

    def test_is_fridays_on_a_monday_and_skips_holidays(self, book: Book, line: Line) -> None:
        monday = date(2025, 1, 6)
        book.keep_bars(monday, AAA=10)
        book.keep_bars(date(2025, 1, 3), AAA=9)
        book.keep_details("AAA", monday, weighted_shares_outstanding=100, market_cap=900)

        assert read(book, line, monday).previous_close == Decimal(9)

    def test_is_looked_up_by_the_symbol_of_its_own_session(self, book: Book, make: Make) -> None:
        """The evening of Meta's first session under its new symbol; until January META was another issuer's fund."""
        day, before = date(2022, 6, 9), date(2022, 6, 8)
        book.keep_bars(day, META=184.00)
        book.keep_bars(before, FB=196.64, META=12.01)
        book.keep_details("META", day, weighted_shares_outstanding=2_700_000_000, market_cap=2_700_000_000 * 196.64)
        inputs = read(book, make.line("META"), day)

        assert inputs.previous_close == Decimal("196.64")
        assert keys_of(inputs)[-1] == "bars-2022-06-08"
        assert count_of(inputs) == 2_700_000_000

    def test_that_cannot_be_had_is_flagged(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.bars[YESTERDAY] = make_answer("bars", status=403, error="HTTP 403, not in the plan")
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=900)
        priced = price_line(read(book, line))

        assert isinstance(priced, PricedLine)
        assert priced.accepted.flags == ("count_behind_market_cap", "previous_close_missing", "continuity_skipped")

    def test_a_line_that_did_not_trade_yesterday_has_none(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep_bars(YESTERDAY, BBB=9)
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=900)
        inputs = read(book, line)

        assert inputs.previous_close is None
        assert "bars-2024-12-12" not in keys_of(inputs)
        assert count_of(inputs) == 90  # what is behind market_cap at the session's own close


class TestReusedSymbol:
    @pytest.mark.parametrize("kind", ["ETF", "ETN", "FUND"])
    def test_a_funds_details_are_not_the_companys(self, book: Book, make: Make, kind: str) -> None:
        """Until January 2022 META was another issuer's fund, at about 12 dollars and without a CIK."""
        day = date(2022, 1, 28)
        book.keep_bars(day, META=12.01)
        book.keep_details("META", day, type=kind, weighted_shares_outstanding=28_400_000)
        failed = price_line(read(book, make.line("META", company="Meta Platforms"), day))

        assert isinstance(failed, FailedLine)
        assert failed.reason.startswith(
            "the provider's META on 2022-01-28 is another issuer"
            f" (a security of type {kind}, which Meta Platforms is not)"
        )

    def test_facebook_is_asked_for_by_its_own_symbol_then(self, book: Book) -> None:
        day = date(2022, 1, 28)
        book.keep_bars(day, META=12.01, FB=301.71)
        book.keep_details("META", day, type="ETF", weighted_shares_outstanding=28_400_000)
        book.keep_details("FB", day, type="CS", weighted_shares_outstanding=2_720_000_000)

        inputs = read(book, member("META", day), day)
        assert inputs.bar is not None
        assert (inputs.bar.close, count_of(inputs)) == (Decimal("301.71"), 2_720_000_000)

    @pytest.mark.parametrize("kind", ["CS", "ADRC", None])
    def test_shares_are_the_companys(self, book: Book, line: Line, kind: str | None) -> None:
        book.keep_bars(AAA=10)
        book.keep_details("AAA", type=kind, weighted_shares_outstanding=100, market_cap=1000)

        assert count_of(read(book, line)) == 100


class TestYesterday:
    def keep_both(self, book: Book, today: int, yesterday: int) -> None:
        for day, count in ((DAY, today), (YESTERDAY, yesterday)):
            book.keep_bars(day, AAA=10)
            book.keep_details("AAA", day, weighted_shares_outstanding=count, market_cap=count * 10)

    def test_is_compared_with(self, book: Book, line: Line) -> None:
        self.keep_both(book, 300, 100)
        inputs = read(book, line)
        failed = price_line(inputs)

        assert inputs.yesterday is not None
        assert (inputs.yesterday.session, inputs.yesterday.count) == (YESTERDAY, 100)
        assert isinstance(failed, FailedLine)
        assert "3 times as many, and no known split explains it" in failed.reason

    def test_of_another_source_is_not_compared_with(self, book: Book, line: Line) -> None:
        self.keep_both(book, 300, 100)
        book.bars[YESTERDAY] = replace(book.bars[YESTERDAY], source="simulated")
        book.answers["AAA", YESTERDAY] = replace(book.answers["AAA", YESTERDAY], source="simulated")
        inputs = read(book, line)
        priced = price_line(inputs)

        assert inputs.yesterday is None
        assert isinstance(priced, PricedLine)
        assert (priced.accepted.count, priced.accepted.flags) == (300, ("continuity_skipped",))

    def test_is_put_on_todays_basis(self, book: Book) -> None:
        """On the day of the split the count before it is a quarter of the day's own."""
        day = date(2024, 9, 12)
        keep_cintas(book, 400_000_000, day, close=205)
        keep_cintas(book, 100_000_000, EVE)
        book.keep_details("CTAS", AFTER, weighted_shares_outstanding=403_000_000)
        inputs = read(book, member("CTAS", day), day)

        assert inputs.yesterday is not None
        assert (inputs.yesterday.count, inputs.yesterday.factor) == (100_000_000, 4)
        assert count_of(inputs) == 400_000_000

    @pytest.mark.parametrize(("day", "frozen"), [(date(2021, 10, 29), True), (date(2021, 11, 1), False)])
    def test_counts_are_frozen_before_a_date(self, book: Book, line: Line, day: date, frozen: bool) -> None:
        assert open_inputs(book).read_own(day, line).frozen is frozen
        rules = date(2021, 10, 1)
        assert open_inputs(book, rules).read_own(day, line).frozen is False
