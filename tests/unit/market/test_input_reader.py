"""What is read of a line from the kept answers: the session's own, yesterday's close, or an earlier session's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from mag7.index.constituents import Line, list_lines
from mag7.index.count_jumps import read_count_jumps
from mag7.index.membership import ShareClasses, load_membership
from mag7.index.pinned import pinned, pinned_facts
from mag7.index.splits import Split, SplitTable, load_splits
from mag7.index.tables import FactTable
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.input_reader import open_inputs
from mag7.market.inputs import LineInputs, LookBack
from mag7.market.jump_reader import LASTING_SESSIONS
from mag7.market.observation import Observation, agree
from mag7.market.response_reader import LOOK_BACK_SESSIONS
from mag7.market.shares import Origin
from mag7.market.split_basis import SplitBasisInputs
from mag7.polygon.answers import Answer
from mag7.polygon.bodies import GroupedDaily, SplitPage, parse_grouped_daily, parse_splits
from mag7.sessions import list_sessions, month_ends, previous_session
from tests.unit.market.conftest import Make

DAY, YESTERDAY = date(2024, 12, 13), date(2024, 12, 12)
LOOK_BACK_DAYS = (YESTERDAY, date(2024, 12, 6), date(2024, 11, 13), date(2024, 9, 16))
APPLE, MICROSOFT, OTHER = "0000320193", "0000789019", "0000000007"


class Book:
    """Kept answers in two dictionaries, and a note of what was looked up."""

    version = 0

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

    def keep_details(self, symbol: str, day: date = DAY, source: str = "polygon", **fields: Any) -> None:
        body = json.dumps({"status": "OK", "results": {"ticker": symbol, **fields}})
        self.keep(symbol, day, body=body, source=source)

    def keep(self, symbol: str, day: date, **changes: Any) -> None:
        self.said[symbol, day] = make_answer(f"details-{symbol}-{day}", **changes)

    def keep_bars(self, day: date = DAY, source: str = "polygon", **closes: float) -> None:
        stamp = int(datetime(day.year, day.month, day.day, 21, tzinfo=UTC).timestamp() * 1000)
        bars = [{"T": name, "o": c, "h": c, "l": c, "c": c, "v": 1, "t": stamp} for name, c in closes.items()]
        body = json.dumps({"status": "OK", "adjusted": False, "resultsCount": len(bars), "results": bars})
        self.bars[day] = make_answer(f"bars-{day}", body=body, source=source)


TOLD_AT = datetime(2024, 12, 14, tzinfo=UTC)


def make_answer(
    key: str,
    *,
    status: int | None = 200,
    body: str = "",
    error: str | None = None,
    source: str = "polygon",
    time: datetime = TOLD_AT,
) -> Answer:
    return Answer(key, time, status, source, body, error, key)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def line(make: Make) -> Line:
    return make.line("AAA")


def read(book: Book, line: Line, day: date = DAY) -> LineInputs:
    return open_inputs(book).read_line(day, line)


def keys_of(found: LineInputs | LookBack) -> list[str | None]:
    return [answer.key for answer in found.answers]


def count_of(inputs: LineInputs) -> int:
    priced = price_line(inputs)
    assert isinstance(priced, PricedLine), priced
    return priced.accepted.count


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

        assert read(book, line).bar_failure == "the closes of 2024-12-13 are missing: never asked for"

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


CINTAS_SPLIT = {"ticker": "CTAS", "execution_date": "2024-09-12", "split_from": 1, "split_to": 4}
EVE, AFTER, BEFORE = date(2024, 9, 11), date(2024, 12, 20), date(2024, 6, 4)
"""The session before Cintas split 4 for 1, and those nearest to 100 days after and before: 2024-12-21 is a Saturday."""


def member(ticker: str, session: date = EVE) -> Line:
    return next(line for line in list_lines(session) if line.ticker == ticker)


def keep_cintas(book: Book, count: int, session: date = EVE, close: int = 820) -> None:
    """Cintas at 820 dollars with a count of its own, and the list of splits as asked for with the session."""
    book.keep_bars(session, CTAS=close)
    book.keep_details("CTAS", session, cik="0000723254", weighted_shares_outstanding=count, market_cap=count * close)
    book.keep_splits(session, CINTAS_SPLIT)


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
        """The list is kept whole or not at all (mag7.polygon.collect.join_pages)."""
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


GE_SPIN_OFF = {"ticker": "GE", "execution_date": "2023-01-04", "split_from": 1000, "split_to": 1281}


class TestClaims:
    """What the provider lists is held against the company's counts and the closes of the day."""

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
        """CSX split 3 for 1 in June 2021: every count before November stands on it."""
        session, split = date(2021, 3, 1), {"ticker": "CSX", "execution_date": "2021-06-29"}
        book.keep_splits(session, {**split, "split_from": 1, "split_to": 3})
        for day in (session, date(2021, 3, 19), date(2021, 10, 7)):
            book.keep_details("CSX", day, weighted_shares_outstanding=2_220_000_000)
        for day, close in ((session, 90.6), (date(2021, 6, 28), 96.0), (date(2021, 6, 29), 32.4)):
            book.keep_bars(day, CSX=close)

        assert count_of(read(book, member("CSX", session), session)) == 740_000_000
        assert open_inputs(book).splits.table(session).refused == {}


class TestProbes:
    @pytest.mark.parametrize(("told", "divided"), [(100_000_000, False), (400_000_000, True)])
    def test_the_count_after_the_split_tells(self, book: Book, told: int, divided: bool) -> None:
        keep_cintas(book, told)
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
        """One that was not asked for, has no count, or is another issuer's is no answer."""
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
    """In daily use the session before is kept as it was told that evening: market_cap may rest on the close before."""

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
            f"the provider's META on 2022-01-28 is another issuer (a security of type {kind}, Meta Platforms is none)"
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
        assert "3 times as many, and no split is known that explains it" in failed.reason

    def test_of_another_source_is_not_compared_with(self, book: Book, line: Line) -> None:
        self.keep_both(book, 300, 100)
        book.bars[YESTERDAY] = replace(book.bars[YESTERDAY], source="simulated")
        book.said["AAA", YESTERDAY] = replace(book.said["AAA", YESTERDAY], source="simulated")
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


class TestJumps:
    """A close that jumps while the count stands, and a count that jumps while the close stands."""

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
        """CSX on 2021-06-29, where the list lacks its split and every count stands on it already."""
        line = self.keep(book, "CSX", {self.BEFORE_THAT: before, YESTERDAY: before, DAY: after, self.NEXT: after})
        failed = self.price(book, line)

        assert isinstance(failed, FailedLine)
        assert f"that is a split of {ratio} which no list has, or a wrong close" in failed.reason
        assert (
            "Add the split on 2024-12-13 to include/data/splits.csv and rebuild the sessions before it" in failed.reason
        )

    def test_earlier_sessions_of_the_month_fail_too_where_counts_are_frozen(self, book: Book) -> None:
        """Every count before November 2021 stands on the split: 219.8 bn, and 73.3 bn on the next session."""
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

    def test_a_fall_that_the_next_close_takes_back_was_a_wrong_close(self, book: Book) -> None:
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
            assert "a merger is believed once later sessions say the same" in found.reason

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


FIRST_END, LAST_END = month_ends(DAY)
"""The sessions between which counts of December 2024 are told: the last ones of November and December."""


def keep_told(book: Book, day: date, count: int | None, symbol: str = "AAA", **fields: Any) -> None:
    """A close of 10 and details that agree with it; None: details that hold no count."""
    book.keep_bars(day, fields.get("source", "polygon"), **{symbol: 10})
    counted = {} if count is None else {"weighted_shares_outstanding": count, "market_cap": count * 10}
    book.keep_details(symbol, day, **{**counted, **fields})


class TestTelling:
    @pytest.mark.parametrize("answer", [None, {"status": 500, "error": "HTTP 500"}], ids=["never asked", "failed"])
    def test_nothing_is_told_where_the_provider_did_not_say(
        self, book: Book, line: Line, answer: dict[str, Any] | None
    ) -> None:
        book.keep_bars(AAA=10)
        if answer:
            book.keep("AAA", DAY, **answer)

        assert open_inputs(book).observations.observe(line, DAY) is None

    def test_an_accepted_count_comes_with_the_answers_that_it_rests_on(self, book: Book, line: Line) -> None:
        keep_told(book, DAY, 100)
        told = open_inputs(book).observations.observe(line, DAY)

        assert told is not None
        assert told.accepted is not None
        assert (told.session, told.time, told.accepted.count) == (DAY, TOLD_AT, 100)
        assert [answer.key for answer in told.answers] == ["details-AAA-2024-12-13", "bars-2024-12-13"]

    def test_a_market_cap_of_the_evening_is_held_against_yesterdays_close(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep_bars(YESTERDAY, AAA=9)
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=900)
        told = open_inputs(book).observations.observe(line, DAY)

        assert told is not None
        assert told.accepted is not None
        assert (told.accepted.count, told.accepted.origin) == (100, Origin.WEIGHTED)
        assert "bars-2024-12-12" in [answer.key for answer in told.answers]

    @pytest.mark.parametrize("how", ["404", "no count", "no close", "another issuer's"])
    def test_an_answer_without_a_usable_count_tells_so(self, book: Book, make: Make, how: str) -> None:
        if how == "404":
            book.keep("AAA", DAY, status=404)
        elif how == "no close":
            book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=1000)
        else:
            keep_told(book, DAY, None if how == "no count" else 100, cik=OTHER)
        ciks = frozenset({OTHER} if how == "no count" else {APPLE})
        told = open_inputs(book).observations.observe(make.line("AAA", ciks=ciks), DAY)

        assert told is not None
        assert told.accepted is None
        assert (told.details is None) == (how in {"404", "another issuer's"})


class TestBetweenTwoSessions:
    def test_a_count_that_both_ends_of_a_month_hold_is_the_sessions(self, book: Book, line: Line) -> None:
        book.keep_bars(YESTERDAY, AAA=12)
        book.keep_bars(AAA=12)
        keep_told(book, FIRST_END, 100, name="The Name Before")
        keep_told(book, LAST_END, 100, name="The Name After")
        inputs = read(book, line)
        priced = price_line(inputs)

        assert isinstance(priced, PricedLine)
        assert (priced.accepted.count, priced.accepted.origin, priced.market_cap) == (100, Origin.WEIGHTED, 1200)
        assert priced.accepted.flags == ()
        assert inputs.details is not None
        assert (inputs.details.name, inputs.details_failure) == ("The Name Before", None)
        # The provider's figure is another session's.
        assert inputs.details.market_cap is not None
        assert inputs.provider_market_cap is None
        assert {key for key in keys_of(inputs) if "splits" not in str(key)} == {
            "bars-2024-12-13",
            "details-AAA-2024-11-29",
            "bars-2024-11-29",
            "details-AAA-2024-12-31",
            "bars-2024-12-31",
        }

    def test_the_market_cap_of_a_session_that_was_asked_about_is_its_own(self, book: Book, line: Line) -> None:
        keep_told(book, DAY, 100)

        assert read(book, line).provider_market_cap == 1000

    def test_ends_that_differ_tell_nothing_between_them(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 101)
        inputs = read(book, line)

        assert (inputs.between, inputs.details) == (None, None)
        assert inputs.details_failure == "ticker details of AAA on 2024-12-13 were never asked for"

    def test_the_nearest_sessions_on_both_sides_say_it(self, book: Book, line: Line) -> None:
        keep_told(book, FIRST_END, 100)
        keep_told(book, date(2024, 12, 5), 101)
        keep_told(book, date(2024, 12, 20), 101)
        keep_told(book, LAST_END, 102)
        counts = {}
        for day in list_sessions(FIRST_END, LAST_END):
            told = open_inputs(book).observations.find_between(line, day)
            counts[day] = told and told.accepted and told.accepted.count

        assert [day for day, count in counts.items() if count is not None] == [
            day for day in counts if date(2024, 12, 5) < day < date(2024, 12, 20)
        ]
        assert set(counts.values()) == {None, 101}

    def test_a_session_without_a_count_on_the_way_parts_those_that_agree(self, book: Book, line: Line) -> None:
        keep_told(book, FIRST_END, 100)
        keep_told(book, date(2024, 12, 5), None)
        keep_told(book, LAST_END, 100)

        assert open_inputs(book).observations.find_between(line, DAY) is None

    def test_two_sources_never_agree(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100, source="simulated")

        assert read(book, line).between is None

    def test_details_of_one_source_against_closes_of_another_agree_with_neither(self, book: Book, line: Line) -> None:
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100)
        book.keep_bars(LAST_END, "simulated", AAA=10)

        assert open_inputs(book).observations.find_between(line, DAY) is None

    def test_the_same_number_from_another_field_is_no_agreement(self, book: Book, line: Line) -> None:
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100, market_cap=None)
        found = [open_inputs(book).observations.observe(line, day) for day in (FIRST_END, LAST_END)]

        assert [told and told.accepted and told.accepted.origin for told in found] == [
            Origin.WEIGHTED,
            Origin.WEIGHTED_ALONE,
        ]
        assert open_inputs(book).observations.find_between(line, DAY) is None

    @pytest.mark.parametrize("day", list_sessions(date(2022, 6, 1), date(2022, 6, 29)))
    def test_a_line_is_asked_about_by_the_symbol_of_each_end(self, book: Book, day: date) -> None:
        """Facebook's symbol was FB until 2022-06-08; from the 9th it is META, which was a fund's before."""
        (meta,) = [line for line in list_lines(day) if line.ticker == "META"]
        book.keep_bars(day, **{meta.symbol: 190})
        keep_told(book, date(2022, 5, 31), 2_706_000_000, "FB")
        keep_told(book, date(2022, 6, 30), 2_706_000_000, "META")
        between = open_inputs(book).read_own(day, meta).between

        assert between is not None
        assert between.count == 2_706_000_000

    @pytest.mark.parametrize(
        ("earlier", "later"),
        [(date(2024, 11, 27), LAST_END), (FIRST_END, date(2025, 1, 2)), (date(2024, 11, 27), date(2025, 1, 2))],
    )
    def test_nothing_is_told_over_a_months_last_session(
        self, book: Book, line: Line, earlier: date, later: date
    ) -> None:
        keep_told(book, earlier, 100)
        keep_told(book, later, 100)

        assert [
            open_inputs(book).observations.find_between(line, day) for day in list_sessions(FIRST_END, LAST_END)
        ] == [None] * 22

    def test_a_months_last_session_lies_in_its_own_month(self, book: Book, line: Line) -> None:
        """Whoever builds December needs it as yesterday; it is told by its own answer, or by November's."""
        keep_told(book, date(2024, 11, 27), 100)
        keep_told(book, date(2024, 12, 2), 100)

        assert open_inputs(book).observations.find_between(line, FIRST_END) is None

    def test_a_sessions_own_completed_answer_wins(self, book: Book, line: Line) -> None:
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100)
        keep_told(book, DAY, 90)

        assert count_of(read(book, line)) == 90

    @pytest.mark.parametrize("how", ["404", "no count"])
    def test_also_where_it_holds_no_count(self, book: Book, line: Line, how: str) -> None:
        """Then an earlier session stands in for it, and the figure says so."""
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100)
        keep_told(book, YESTERDAY, 100)
        keep_told(book, DAY, None)
        if how == "404":
            book.keep("AAA", DAY, status=404)
        inputs = read(book, line)

        assert inputs.between is None
        assert inputs.look_back is not None
        assert inputs.look_back.session == YESTERDAY

    def test_a_session_that_was_asked_in_vain_looks_back_instead(self, book: Book, line: Line) -> None:
        """What others are asked later must not change its figures."""
        book.keep_bars(AAA=10)
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100)
        book.keep("AAA", DAY, status=500, error="HTTP 500 after 5 tries")
        keep_told(book, YESTERDAY, 100)
        inputs = read(book, line)

        assert inputs.between is None
        assert inputs.look_back is not None
        assert inputs.look_back.session == YESTERDAY

    def test_a_failed_answer_is_none_of_the_sessions_around_it(self, book: Book, line: Line) -> None:
        book.keep("AAA", YESTERDAY, status=None, error="timed out")
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100)
        told = open_inputs(book).observations.find_between(line, DAY)

        assert told is not None
        assert told.session == FIRST_END

    def test_it_was_said_when_the_later_answer_was(self, book: Book, line: Line) -> None:
        """Splits are judged by when a count was told."""
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100)
        late = TOLD_AT.replace(year=2025)
        book.said["AAA", FIRST_END] = replace(book.said["AAA", FIRST_END], time=late)
        told = open_inputs(book).observations.find_between(line, DAY)

        assert told is not None
        assert told.time == late

    def test_yesterday_may_be_between_too(self, book: Book, line: Line) -> None:
        for day in (YESTERDAY, DAY):
            book.keep_bars(day, AAA=10)
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100)
        yesterday = read(book, line).yesterday

        assert yesterday is not None
        assert (yesterday.session, yesterday.count) == (YESTERDAY, 100)

    def test_only_accepted_counts_agree(self) -> None:
        answers = (make_answer("a"),)
        unknown = Observation(FIRST_END, TOLD_AT, None, None, answers)

        assert not agree(unknown, replace(unknown, session=LAST_END))


class TestLikelyDays:
    DAYS = list_sessions(*month_ends(date(2024, 6, 14)))

    def test_they_stand_on_both_sides_of_a_split(self) -> None:
        (nvidia,) = [line for line in list_lines(date(2024, 6, 10)) if line.ticker == "NVDA"]
        likely = open_inputs(Book()).observations.list_likely(date(2024, 6, 3), nvidia, self.DAYS)

        assert sorted(likely) == [date(2024, 6, 7), date(2024, 6, 10)]

    def test_a_company_without_a_split_has_none(self, line: Line) -> None:
        assert open_inputs(Book()).observations.list_likely(date(2024, 6, 3), line, self.DAYS) == frozenset()

    def test_they_stand_on_both_sides_of_the_day_on_which_counts_thaw(self, line: Line) -> None:
        days = list_sessions(*month_ends(date(2021, 11, 15)))

        assert sorted(open_inputs(Book()).observations.list_likely(days[0], line, days)) == [days[0], days[1]]

    def test_a_change_before_or_after_the_days_makes_none_of_them_likely(self, book: Book, line: Line) -> None:
        for day in (self.DAYS[0], date(2024, 7, 1)):
            book.keep_splits(
                date(2024, 6, 3),
                {"ticker": "AAA", "execution_date": day.isoformat(), "split_from": 1, "split_to": 2},
            )
            assert open_inputs(book).observations.list_likely(date(2024, 6, 3), line, self.DAYS) == frozenset()
