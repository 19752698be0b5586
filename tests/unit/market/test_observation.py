"""Observations of a count on a session, and on those around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from mag7.index.constituents import Line, list_lines
from mag7.market.caps import PricedLine, price_line
from mag7.market.input_reader import open_inputs
from mag7.market.observation import Observation, agree
from mag7.market.shares import Origin
from mag7.sessions import list_sessions, month_ends
from tests.unit.market.book import (
    APPLE,
    DAY,
    FIRST_END,
    LAST_END,
    OTHER,
    TOLD_AT,
    YESTERDAY,
    Book,
    count_of,
    keep_told,
    keys_of,
    make_answer,
    read,
)
from tests.unit.market.conftest import Make


class TestObserving:
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
        observed = open_inputs(book).observations.observe(line, DAY)

        assert observed is not None
        assert observed.accepted is not None
        assert (observed.session, observed.time, observed.accepted.count) == (DAY, TOLD_AT, 100)
        assert [answer.key for answer in observed.answers] == ["details-AAA-2024-12-13", "bars-2024-12-13"]

    def test_a_market_cap_of_the_evening_is_held_against_yesterdays_close(self, book: Book, line: Line) -> None:
        book.keep_bars(AAA=10)
        book.keep_bars(YESTERDAY, AAA=9)
        book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=900)
        observed = open_inputs(book).observations.observe(line, DAY)

        assert observed is not None
        assert observed.accepted is not None
        assert (observed.accepted.count, observed.accepted.origin) == (100, Origin.WEIGHTED)
        assert "bars-2024-12-12" in [answer.key for answer in observed.answers]

    @pytest.mark.parametrize("how", ["404", "no count", "no close", "another issuer's"])
    def test_an_answer_without_a_usable_count_tells_so(self, book: Book, make: Make, how: str) -> None:
        if how == "404":
            book.keep("AAA", DAY, status=404)
        elif how == "no close":
            book.keep_details("AAA", weighted_shares_outstanding=100, market_cap=1000)
        else:
            keep_told(book, DAY, None if how == "no count" else 100, cik=OTHER)
        ciks = frozenset({OTHER} if how == "no count" else {APPLE})
        observed = open_inputs(book).observations.observe(make.line("AAA", ciks=ciks), DAY)

        assert observed is not None
        assert observed.accepted is None
        assert (observed.details is None) == (how in {"404", "another issuer's"})


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
        assert inputs.details_failure == "ticker details of AAA on 2024-12-13 were never requested"

    def test_the_nearest_sessions_on_both_sides_say_it(self, book: Book, line: Line) -> None:
        keep_told(book, FIRST_END, 100)
        keep_told(book, date(2024, 12, 5), 101)
        keep_told(book, date(2024, 12, 20), 101)
        keep_told(book, LAST_END, 102)
        counts = {}
        for day in list_sessions(FIRST_END, LAST_END):
            observed = open_inputs(book).observations.find_between(line, day)
            counts[day] = observed and observed.accepted and observed.accepted.count

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

        assert [observed and observed.accepted and observed.accepted.origin for observed in found] == [
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
        """A build of December needs it as yesterday's count: from its own response, or from November's."""
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
        """Then an earlier session's count is used, and flagged."""
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
        """Later responses of other sessions must not change its figures."""
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
        observed = open_inputs(book).observations.find_between(line, DAY)

        assert observed is not None
        assert observed.session == FIRST_END

    def test_it_was_said_when_the_later_answer_was(self, book: Book, line: Line) -> None:
        """Splits are judged by the time of the observation."""
        keep_told(book, FIRST_END, 100)
        keep_told(book, LAST_END, 100)
        late = TOLD_AT.replace(year=2025)
        book.answers["AAA", FIRST_END] = replace(book.answers["AAA", FIRST_END], time=late)
        observed = open_inputs(book).observations.find_between(line, DAY)

        assert observed is not None
        assert observed.time == late

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
