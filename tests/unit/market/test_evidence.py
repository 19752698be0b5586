"""What is read of a line from the kept answers: the session's own, yesterday's close, or an earlier session's."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from mag7.index.constituents import Line
from mag7.index.membership import ShareClasses
from mag7.market.caps import Evidence, FailedLine, LookBack, PricedLine, price_line
from mag7.market.evidence import LOOK_BACK_SESSIONS, EvidenceReader
from mag7.polygon.answers import Answer
from mag7.sessions import previous_session
from tests.unit.market.conftest import Make

DAY, YESTERDAY = date(2024, 12, 13), date(2024, 12, 12)
LOOK_BACK_DAYS = (YESTERDAY, date(2024, 12, 6), date(2024, 11, 13), date(2024, 9, 16))
APPLE, OTHER = "0000320193", "0000000007"


class Book:
    """Kept answers in two dictionaries, and a note of what was looked up."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, date], Answer] = {}
        self.bars: dict[date, Answer] = {}
        self.pages: dict[date, list[Answer]] = {}
        self.looked_up: list[tuple[str, date]] = []

    def details(self, symbol: str, day: date) -> Answer | None:
        self.looked_up.append((symbol, day))
        return self.said.get((symbol, day))

    def grouped(self, day: date) -> Answer | None:
        self.looked_up.append(("bars", day))
        return self.bars.get(day)

    def splits(self, session: date) -> list[Answer] | None:
        self.looked_up.append(("splits", session))
        return self.pages.get(session)

    def keep_splits(self, session: date = DAY, *rows: dict[str, Any]) -> None:
        body = json.dumps({"status": "OK", "results": rows})
        self.pages[session] = [make_answer(f"splits-{session}", body=body)]

    def keep_details(self, symbol: str, day: date = DAY, **fields: Any) -> None:
        body = json.dumps({"status": "OK", "results": {"ticker": symbol, **fields}})
        self.keep(symbol, day, body=body)

    def keep(self, symbol: str, day: date, **changes: Any) -> None:
        self.said[symbol, day] = make_answer(f"details-{symbol}-{day}", **changes)

    def keep_bars(self, day: date = DAY, **closes: float) -> None:
        stamp = int(datetime(day.year, day.month, day.day, 21, tzinfo=UTC).timestamp() * 1000)
        bars = [{"T": name, "o": c, "h": c, "l": c, "c": c, "v": 1, "t": stamp} for name, c in closes.items()]
        body = json.dumps({"status": "OK", "adjusted": False, "resultsCount": len(bars), "results": bars})
        self.bars[day] = make_answer(f"bars-{day}", body=body)


def make_answer(key: str, *, status: int | None = 200, body: str = "", error: str | None = None) -> Answer:
    return Answer(key, datetime(2024, 12, 14, tzinfo=UTC), status, "polygon", body, error, key)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def line(make: Make) -> Line:
    return make.line("AAA")


def read(book: Book, line: Line, day: date = DAY) -> Evidence:
    return EvidenceReader(book).read_line(day, line)


def keys_of(found: Evidence | LookBack) -> list[str | None]:
    return [answer.key for answer in found.answers]


def count_of(evidence: Evidence) -> int:
    priced = price_line(evidence)
    assert isinstance(priced, PricedLine), priced
    return priced.accepted.count


class TestOwnSession:
    def test_an_agreeing_answer_is_all_that_is_read(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=1000)
        evidence = read(book, line)

        assert evidence.bar is not None
        assert evidence.bar.close == Decimal(10)
        assert (evidence.previous_close, evidence.look_back) == (None, None)
        assert keys_of(evidence) == ["bars-2024-12-13", "details-AAA-2024-12-13"]
        assert {day for _, day in book.looked_up} == {DAY, YESTERDAY}

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (None, "ticker details of AAA on 2024-12-13 were never asked for"),
            ({"status": 404}, "the provider knows no AAA on 2024-12-13 (HTTP 404)"),
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
        evidence = read(book, line)

        assert (evidence.details, evidence.details_failure) == (None, reason)

    def test_details_of_another_ticker_are_refused(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep("AAA", DAY, body=json.dumps({"status": "OK", "results": {"ticker": "BBB"}}))

        assert "BBB" in (read(book, line).details_failure or "")

    def test_a_symbol_in_another_issuers_hands_is_refused_by_its_cik(self, book: Book, make: Make) -> None:
        line = make.line("AAPL", cik=APPLE, company="Apple")
        book.keep_bars(AAPL=10)
        book.keep_details("AAPL", cik=OTHER, weighted_shares_outstanding=100, market_cap=1000)
        evidence = read(book, line)

        assert evidence.details is None
        assert evidence.details_failure == (
            f"the provider's AAPL on 2024-12-13 is another issuer (CIK {OTHER}, Apple is {APPLE})"
        )

    @pytest.mark.parametrize(("ours", "theirs"), [(None, OTHER), (APPLE, None), (APPLE, APPLE)])
    def test_a_cik_that_either_side_does_not_know_refuses_nothing(
        self, book: Book, make: Make, ours: str | None, theirs: str | None
    ) -> None:
        book.keep_bars(AAPL=10)
        book.keep_details("AAPL", cik=theirs, weighted_shares_outstanding=100, market_cap=1000)

        assert count_of(read(book, make.line("AAPL", cik=ours))) == 100

    def test_closes_that_are_missing_are_a_failure_of_every_line(self, book: Book, line: Line) -> None:
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=1000)

        assert read(book, line).bar_failure == "the closes of 2024-12-13 are missing: never asked for"

    def test_closes_that_were_not_answered_say_why(self, book: Book, line: Line) -> None:
        book.bars[DAY] = make_answer("bars", status=502, error="HTTP 502 after 5 tries")

        assert read(book, line).bar_failure == "the closes of 2024-12-13 are missing: HTTP 502 after 5 tries"

    def test_adjusted_closes_are_never_used(self, book: Book, line: Line) -> None:
        book.bars[DAY] = make_answer("bars", body='{"status":"OK","adjusted":true,"resultsCount":0,"results":[]}')

        assert "adjusted is True, not false" in (read(book, line).bar_failure or "")

    def test_bars_of_a_session_are_parsed_once_for_all_lines(self, book: Book, make: Make) -> None:
        book.keep_bars(AAA=10, BBB=20)
        for symbol, cap in (("AAA", 1000), ("BBB", 2000)):
            book.keep_details(symbol, weighted_shares_outstanding=100, market_cap=cap)
        EvidenceReader(book).read_lines(DAY, [make.line("AAA"), make.line("BBB")])

        assert book.looked_up.count(("bars", DAY)) == 1


class TestPreviousClose:
    def test_is_read_where_market_cap_rests_on_yesterday(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep_bars(YESTERDAY, AAA=9)
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=900)
        evidence = read(book, line)

        assert evidence.previous_close == Decimal(9)
        assert count_of(evidence) == 100
        assert keys_of(evidence)[-1] == "bars-2024-12-12"

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
        evidence = read(book, make.line("META"), day)

        assert evidence.previous_close == Decimal("196.64")
        assert keys_of(evidence)[-1] == "bars-2022-06-08"
        assert count_of(evidence) == 2_700_000_000

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
        evidence = read(book, line)

        assert evidence.previous_close is None
        assert "bars-2024-12-12" not in keys_of(evidence)
        assert count_of(evidence) == 90  # what is behind market_cap at the session's own close


class TestLookBack:
    def test_goes_1_5_21_and_63_sessions_back_and_stays_under_100_days(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        read(book, line)

        assert tuple(dict.fromkeys(day for _, day in book.looked_up)) == (DAY, *LOOK_BACK_DAYS)
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
        evidence = read(book, line)
        priced = price_line(evidence)

        assert isinstance(priced, PricedLine)
        assert priced.market_cap == 1000
        assert priced.accepted.flags == ("look_back", "count_of_2024-12-12")
        assert keys_of(evidence)[-2:] == ["bars-2024-12-12", "details-AAA-2024-12-12"]

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
        assert isinstance(EvidenceReader(book).look_back(DAY, line, 1), str)
        later = EvidenceReader(book).look_back(DAY, line, 21)
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
            "the provider knows no AAA on 2024-12-13 (HTTP 404); no earlier session helps: the closes of 2024-12-12 are"
            ' missing: HTTP 403 "not in the plan"; no bar for AAA on 2024-12-06; ticker details of AAA on 2024-11-13'
            " were never asked for; 2024-09-16: the provider's answer for AAA holds no usable count: market_cap is"
            " missing; weighted_shares_outstanding is missing; share_class_shares_outstanding is 0, not a number of"
            " shares"
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
