"""Which calls a session's tasks make: all of them once, earlier sessions' only for what cannot be priced otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.index.constituents import list_lines
from mag7.lake.objects import ObjectStore
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.figures import write_document
from mag7.market.input_reader import open_inputs
from mag7.polygon.answers import AnswerStore
from mag7.polygon.calls import Call, grouped_daily, ticker_details
from mag7.polygon.errors import (
    BodyInvalidError,
    KeyRejectedError,
    NotYetReleasedError,
    PlanRefusedError,
    PolygonError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
    UnreachableError,
)
from mag7.settings import read_settings
from mag7.tasks import collect, collector, look_back
from mag7.tasks.collector import AnswerBook
from mag7.tasks.document import compute_session
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, make_window
from tests.unit.polygon.local_provider import MemoryObjects
from tests.unit.tasks.conftest import (
    DAY,
    RUN,
    FakeProvider,
    details_body,
    grouped_body,
    keep,
    keep_bars,
    keep_details,
    make_line,
)

Index = Callable[..., None]
LOOK_BACK_DAYS = ["2024-12-12", "2024-12-06", "2024-11-13", "2024-09-16"]
"""1, 5, 21 and 63 sessions before 2024-12-13."""


def shorten(counts: Any) -> tuple[int, int, int, int]:
    """Calls asked, stored before and failed, and requests sent."""
    return (counts["asked"], counts["kept"], counts["failed"], counts["requests"])


@pytest.mark.usefixtures("provider")
class TestPlanBatches:
    def test_every_symbol_of_the_golden_day_is_in_one_batch(self, window: Window) -> None:
        batches = collect.plan_batches(window, Asking.MISSING)
        symbols = [symbol for batch in batches for symbol in batch["symbols"]]

        assert sorted(symbols) == sorted(line.symbol for line in list_lines(DAY))
        assert len(symbols) == len(set(symbols)) == 503
        assert {"BRK.B", "BF.B"} <= set(symbols)

    @pytest.mark.parametrize("count", [10, 12, 20])
    def test_a_session_is_divided_into_as_many_equal_batches_as_set(
        self, window: Window, monkeypatch: pytest.MonkeyPatch, count: int
    ) -> None:
        monkeypatch.setenv("MAG7_BATCHES", str(count))
        sizes = [len(batch["symbols"]) for batch in collect.plan_batches(window, Asking.MISSING)]

        assert len(sizes) == count
        assert max(sizes[:-1]) - min(sizes[:-1]) == 0
        assert 0 < sizes[-1] <= sizes[0]

    def test_without_a_setting_there_are_ten_to_twenty(self, window: Window) -> None:
        assert 10 <= len(collect.plan_batches(window, Asking.MISSING)) <= 20

    def test_tesla_is_asked_for_before_it_joined_the_index(self) -> None:
        day = date(2020, 12, 18)
        batches = collect.plan_batches(make_window(RUN, [day]), Asking.MISSING)
        symbols = {symbol for batch in batches for symbol in batch["symbols"]}

        assert "TSLA" not in {line.symbol for line in list_lines(day)}
        assert symbols - {line.symbol for line in list_lines(day)} == {"TSLA"}

    def test_the_symbol_is_the_dates(self) -> None:
        window = make_window(RUN, [date(2022, 6, 8), date(2022, 6, 9)])
        symbols = {
            (batch["session"], symbol)
            for batch in collect.plan_batches(window, Asking.MISSING)
            for symbol in batch["symbols"]
        }

        assert {pair for pair in symbols if pair[1] in {"FB", "META"}} == {("2022-06-08", "FB"), ("2022-06-09", "META")}

    def test_each_batch_says_what_it_asks_for(self, window: Window) -> None:
        first = collect.plan_batches(window, Asking.MISSING)[0]

        assert first["label"] == f"2024-12-13 {first['symbols'][0]} to {first['symbols'][-1]}"
        assert (first["session"], first["look_back"]) == ("2024-12-13", False)

    def test_the_session_before_is_asked_for_what_is_missing_of_it(
        self, index: Index, answers: AnswerStore, window: Window
    ) -> None:
        yesterday = date(2024, 12, 12)
        index(*(make_line(ticker) for ticker in ("AAA", "BBB", "CCC")))
        keep_bars(answers, yesterday, AAA=10)
        keep_details(answers, "BBB", yesterday)

        assert [batch for batch in collect.plan_batches(window, Asking.MISSING) if batch["look_back"]] == [
            {"label": "2024-12-12 AAA to CCC", "session": "2024-12-12", "symbols": ["AAA", "CCC"], "look_back": True}
        ]

    def test_asked_again_what_the_session_before_did_not_know_is_asked_too(
        self, index: Index, answers: AnswerStore, window: Window
    ) -> None:
        yesterday = date(2024, 12, 12)
        index(make_line("AAA"), make_line("BBB"))
        keep_bars(answers, yesterday, AAA=10)
        keep_details(answers, "AAA", yesterday)
        keep(answers, ticker_details("BBB", yesterday), None)

        assert not any(batch["look_back"] for batch in collect.plan_batches(window, Asking.MISSING))
        (batch,) = (batch for batch in collect.plan_batches(window, Asking.AGAIN) if batch["look_back"])
        assert batch["symbols"] == ["BBB"]

    def test_the_session_before_is_left_alone_where_it_has_no_closes_or_is_in_the_window(
        self, index: Index, answers: AnswerStore, window: Window
    ) -> None:
        index(make_line("AAA"))
        assert not any(batch["look_back"] for batch in collect.plan_batches(window, Asking.MISSING))

        keep_bars(answers, date(2024, 12, 12), AAA=10)
        both = make_window(RUN, [date(2024, 12, 12), DAY])
        assert not any(batch["look_back"] for batch in collect.plan_batches(both, Asking.MISSING))


class TestCloses:
    def test_are_one_call_a_session(self, provider: FakeProvider) -> None:
        days = [date(2024, 12, 12), DAY]
        for day in days:
            provider.say(grouped_daily(day), grouped_body(day, AAPL=248.13))
        result = collect.collect_closes(make_window(RUN, days), Asking.MISSING)

        assert result.is_done
        assert shorten(result.xcom_value) == (3, 0, 1, 3)
        assert provider.take_asked() == [("bars", "2024-12-13"), ("bars", "2024-12-12"), ("bars", "2024-12-11")]

    @pytest.mark.parametrize("kind", [PlanRefusedError, ServerFailedError])
    def test_of_the_session_before_can_be_done_without(
        self, provider: FakeProvider, window: Window, kind: type[PolygonError]
    ) -> None:
        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=248.13))
        path = grouped_daily(date(2024, 12, 12)).path
        provider.errors[path] = kind(path, "no", status=403)

        assert collect.collect_closes(window, Asking.MISSING).xcom_value["failed"] == 1

    def test_are_waited_for_while_the_day_is_not_released(self, provider: FakeProvider, window: Window) -> None:
        path = grouped_daily(DAY).path
        provider.errors[path] = NotYetReleasedError(path, "before end of day", status=403)

        assert not collect.collect_closes(window, Asking.MISSING).is_done

        del provider.errors[path]
        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=248.13))
        assert collect.collect_closes(window, Asking.MISSING).is_done

    @pytest.mark.parametrize("kind", [PlanRefusedError, KeyRejectedError, ServerFailedError])
    def test_fail_on_any_other_refusal(self, provider: FakeProvider, window: Window, kind: type) -> None:
        path = grouped_daily(DAY).path
        provider.errors[path] = kind(path, "no", status=403)

        with pytest.raises(kind):
            collect.collect_closes(window, Asking.MISSING)

    def test_are_asked_again_only_on_request(self, provider: FakeProvider, window: Window) -> None:
        for day in (DAY, date(2024, 12, 12)):
            provider.say(grouped_daily(day), grouped_body(day, AAPL=248.13))
        counts = [
            collect.collect_closes(window, asking).xcom_value
            for asking in (Asking.MISSING, Asking.MISSING, Asking.AGAIN)
        ]

        assert [(count["asked"], count["kept"], count["requests"]) for count in counts] == [
            (2, 0, 2),
            (0, 2, 0),
            (1, 1, 1),
        ]


class TestRangeCloses:
    DAYS = (date(2024, 12, 12), DAY)

    def test_one_session_without_any_does_not_stop_the_others(
        self, answers: AnswerStore, provider: FakeProvider
    ) -> None:
        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=248.13))
        result = collect.collect_range_closes(make_window(RUN, self.DAYS))

        assert result.is_done
        assert result.xcom_value["failed"] >= 1
        (kept,) = answers.load("grouped_daily", self.DAYS[0]).values()
        assert kept.error == "HTTP 404 for a session's bars"

    def test_it_tells_how_many_calls_are_made_and_left(
        self, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[tuple[int, int]] = []
        monkeypatch.setattr(collect.Progress, "tell", lambda _, *, calls, left=0: told.append((calls, left)))
        for day in self.DAYS:
            provider.say(grouped_daily(day), grouped_body(day, AAPL=248.13))
        result = collect.collect_range_closes(make_window(RUN, self.DAYS))

        assert set(told[:-1]) <= {(0, 2), (1, 1), (2, 0)}
        assert len(told) > 1
        assert told[-1] == (result.xcom_value["requests"], 0)

    def test_the_search_after_them_is_counted_as_left(
        self, provider: FakeProvider, index: Index, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", logger="mag7.runs.progress")
        index(*(make_line(f"T{number}") for number in range(100)))
        for day in self.DAYS:
            provider.say(grouped_daily(day), grouped_body(day, AAPL=248.13))
        collect.collect_range_closes(make_window(RUN, self.DAYS))

        said = next(text for text in caplog.messages if "sessions built" in text)
        assert "about 25" in said
        assert "0 of 2 sessions built, 2 left" in said

    @pytest.mark.parametrize("kind", [PlanRefusedError, ServerFailedError])
    def test_none_at_all_fail(self, provider: FakeProvider, kind: type[PolygonError]) -> None:
        for day in self.DAYS:
            path = grouped_daily(day).path
            provider.errors[path] = kind(path, "no", status=403)

        with pytest.raises(kind):
            collect.collect_range_closes(make_window(RUN, self.DAYS))

    def test_are_waited_for_while_the_last_day_is_not_released(self, provider: FakeProvider) -> None:
        provider.say(grouped_daily(self.DAYS[0]), grouped_body(self.DAYS[0], AAPL=248.13))
        path = grouped_daily(DAY).path
        provider.errors[path] = NotYetReleasedError(path, "before end of day", status=403)

        assert not collect.collect_range_closes(make_window(RUN, self.DAYS)).is_done


def test_a_batch_loads_its_own_symbols_of_what_is_stored_and_asks_none_twice(
    provider: FakeProvider, index: Index, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAG7_BATCHES", "3")
    index(*(make_line(f"T{number}") for number in range(100, 160)))
    batches = collect.plan_batches(window, Asking.MISSING)
    for batch in batches:
        collect.collect_details(batch, Asking.MISSING)
    provider.take_asked()
    loaded: list[str] = []
    real = ObjectStore.get
    monkeypatch.setattr(ObjectStore, "get", lambda store, key: loaded.append(key) or real(store, key))
    counts = [collect.collect_details(batch, Asking.MISSING) for batch in batches]
    assert [shorten(count) for count in counts] == [(0, 20, 0, 0)] * 3
    assert len(loaded) == len(set(loaded)) == 3

    # Another day's list of members divides them otherwise, and what is stored is found all the same.
    index(*(make_line(f"T{number}") for number in range(90, 160)))
    for batch in collect.plan_batches(window, Asking.MISSING):
        collect.collect_details(batch, Asking.MISSING)
    assert {symbol for symbol, _ in provider.take_asked()} == {f"T{number}" for number in range(90, 100)}


BATCH: collect.Batch = {
    "label": "x",
    "session": "2024-12-13",
    "symbols": ["BF.B", "BRK.B", "GONE"],
    "look_back": False,
}


class TestDetails:
    def test_one_failing_line_does_not_stop_the_others(self, provider: FakeProvider, answers: AnswerStore) -> None:
        for symbol in ("BF.B", "BRK.B"):
            provider.say(ticker_details(symbol, DAY), details_body(symbol))
        failing = ticker_details("BF.B", DAY).path
        provider.errors[failing] = ServerFailedError(failing, "HTTP 500", status=500, tries=5)

        assert shorten(collect.collect_details(BATCH, Asking.MISSING)) == (3, 0, 1, 3)
        kept = {path: answer.status for path, answer in answers.load("ticker_details", DAY).items()}
        assert kept == {
            "/v3/reference/tickers/BF.B?date=2024-12-13": 500,
            "/v3/reference/tickers/BRK.B?date=2024-12-13": 200,
            "/v3/reference/tickers/GONE?date=2024-12-13": 404,
        }

    def test_only_what_failed_is_asked_again(self, provider: FakeProvider) -> None:
        for symbol in ("BF.B", "BRK.B"):
            provider.say(ticker_details(symbol, DAY), details_body(symbol))
        failing = ticker_details("BF.B", DAY).path
        provider.errors[failing] = ServerFailedError(failing, "HTTP 500", status=500)
        collect.collect_details(BATCH, Asking.MISSING)
        provider.errors.clear()
        provider.take_asked()

        assert shorten(collect.collect_details(BATCH, Asking.MISSING)) == (1, 2, 0, 1)
        assert provider.take_asked() == [("BF.B", "2024-12-13")]


class TestSplits:
    """The newer endpoint's list of splits, or the older one's where that is not there."""

    LIST = json.dumps({"status": "OK", "results": []})

    def test_the_newer_endpoint_is_asked_once_a_month(self, provider: FakeProvider, window: Window) -> None:
        provider.say(collector.list_session_splits(DAY), self.LIST)
        counts = [collect.collect_splits(window, asking) for asking in (Asking.MISSING, Asking.MISSING, Asking.AGAIN)]

        assert [count["requests"] for count in counts] == [1, 0, 1]
        assert {path.partition("?")[0] for path in provider.asked} == {"/stocks/v1/splits"}

    @pytest.mark.parametrize("refusal", [None, PlanRefusedError])
    def test_the_older_one_serves_where_it_is_not_there(
        self, provider: FakeProvider, answers: AnswerStore, window: Window, refusal: type[PolygonError] | None
    ) -> None:
        newer = collector.list_session_splits(DAY)
        if refusal is not None:
            provider.errors[newer.path] = refusal(newer.path, "not in the plan", status=403)
        entry = {"ticker": "CTAS", "execution_date": "2024-09-12", "split_from": 1, "split_to": 4}
        provider.say(collector.list_older_splits(DAY), json.dumps({"status": "OK", "results": [entry]}))
        collect.collect_splits(window, Asking.MISSING)
        asked = [path.partition("?")[0] for path in provider.asked]
        collect.collect_splits(window, Asking.MISSING)

        assert asked == ["/stocks/v1/splits", "/v3/reference/splits"]
        assert len(provider.asked) == 2
        (page,) = AnswerBook(answers).splits(DAY) or []
        assert "CTAS" in page.body

    def test_where_neither_is_there_the_task_fails(self, provider: FakeProvider, window: Window) -> None:
        with pytest.raises(RequestRefusedError, match="/v3/reference/splits"):
            collect.collect_splits(window, Asking.MISSING)
        assert len(provider.asked) == 2

    def test_a_key_that_is_rejected_fails_it_at_once(self, provider: FakeProvider, window: Window) -> None:
        newer = collector.list_session_splits(DAY)
        provider.errors[newer.path] = KeyRejectedError(newer.path, "HTTP 401", status=401)

        with pytest.raises(KeyRejectedError):
            collect.collect_splits(window, Asking.MISSING)
        assert len(provider.asked) == 1


class TestLookBack:
    def test_asks_nothing_where_every_line_is_priced(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        index(make_line("AAA"), make_line("BBB"))
        keep_bars(answers, AAA=10, BBB=20)
        keep_details(answers, "AAA", weighted_shares_outstanding=100, market_cap=1000)
        keep_details(answers, "BBB", weighted_shares_outstanding=100)

        assert shorten(look_back.collect_look_back(window, Asking.MISSING)) == (0, 0, 0, 0)
        assert provider.take_asked() == []

    def test_asks_1_5_21_and_63_sessions_back_for_the_unpriced_line_only(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        index(make_line("AAA"), make_line("NEW"))
        keep_bars(answers, AAA=10, NEW=20)
        keep_details(answers, "AAA", weighted_shares_outstanding=100, market_cap=1000)
        keep_details(answers, "NEW")
        for day in LOOK_BACK_DAYS:
            provider.say(grouped_daily(date.fromisoformat(day)), grouped_body(date.fromisoformat(day), AAA=9, NEW=19))
        look_back.collect_look_back(window, Asking.MISSING)

        assert provider.take_asked() == [(name, day) for day in LOOK_BACK_DAYS for name in ("bars", "NEW")]

    def test_stops_at_the_first_session_that_knows_a_count(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        index(make_line("NEW"))
        keep_bars(answers, NEW=20)
        keep(answers, ticker_details("NEW", DAY), None)
        for day in map(date.fromisoformat, LOOK_BACK_DAYS):
            provider.say(grouped_daily(day), grouped_body(day, NEW=19))
        provider.say(
            ticker_details("NEW", date(2024, 12, 6)),
            details_body("NEW", weighted_shares_outstanding=7, market_cap=133),
        )
        look_back.collect_look_back(window, Asking.MISSING)

        assert {day for _, day in provider.take_asked()} == {"2024-12-12", "2024-12-06"}

    def test_a_line_without_a_bar_is_looked_back_for_its_cap(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        """It stays unpriced, but coverage then counts it with its last published cap."""
        index(make_line("AAA"), make_line("HALT"))
        keep_bars(answers, AAA=10)
        for symbol in ("AAA", "HALT"):
            keep_details(answers, symbol, weighted_shares_outstanding=100, market_cap=1000)
        yesterday = date(2024, 12, 12)
        provider.say(grouped_daily(yesterday), grouped_body(yesterday, AAA=10, HALT=10))
        provider.say(
            ticker_details("HALT", yesterday), details_body("HALT", weighted_shares_outstanding=9, market_cap=90)
        )
        look_back.collect_look_back(window, Asking.MISSING)

        assert provider.take_asked() == [("bars", "2024-12-12"), ("HALT", "2024-12-12")]

    def test_an_earlier_session_is_asked_by_its_own_symbol(
        self, index: Index, answers: AnswerStore, provider: FakeProvider
    ) -> None:
        day, yesterday = date(2022, 6, 9), date(2022, 6, 8)
        index(make_line("META"))
        keep_bars(answers, day, META=184)
        keep_details(answers, "META", day)
        provider.say(grouped_daily(yesterday), grouped_body(yesterday, FB=196.64))
        provider.say(ticker_details("FB", yesterday), details_body("FB", weighted_shares_outstanding=2_700_000_000))
        look_back.collect_look_back(make_window(RUN, [day]), Asking.MISSING)

        assert provider.take_asked() == [("bars", "2022-06-08"), ("FB", "2022-06-08")]

    def test_what_an_earlier_session_said_is_not_asked_twice(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        index(make_line("NEW"))
        keep_bars(answers, NEW=20)
        keep_details(answers, "NEW")
        for day in map(date.fromisoformat, LOOK_BACK_DAYS):
            provider.say(grouped_daily(day), grouped_body(day, NEW=19))
        first = look_back.collect_look_back(window, Asking.MISSING)
        again = look_back.collect_look_back(window, Asking.MISSING)

        assert (first["requests"], first["kept"]) == (8, 0)
        assert (again["requests"], again["kept"]) == (0, 8)

    def test_a_later_step_that_is_stored_takes_no_earlier_ones_place(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        index(make_line("NEW"))
        keep_bars(answers, NEW=20)
        keep_details(answers, "NEW")
        keep_bars(answers, date(2024, 12, 6), NEW=19)
        keep_details(answers, "NEW", date(2024, 12, 6), weighted_shares_outstanding=5)
        yesterday = date(2024, 12, 12)
        provider.say(grouped_daily(yesterday), grouped_body(yesterday, NEW=19))
        provider.say(ticker_details("NEW", yesterday), details_body("NEW", weighted_shares_outstanding=6))
        look_back.collect_look_back(window, Asking.MISSING)

        assert provider.take_asked() == [("bars", "2024-12-12"), ("NEW", "2024-12-12")]
        assert look_back_of(answers) == (yesterday, 6)


class TestSessionsAroundThatDisagree:
    def test_a_line_that_they_do_not_price_any_more_is_asked_about_itself(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        """They agreed, so the session was not fetched; since then one between them was, and has another count."""
        index(make_line("AAA"))
        for day, count in ((date(2024, 11, 29), 100), (date(2024, 12, 12), 120), (date(2024, 12, 31), 100)):
            keep_bars(answers, day, AAA=10)
            keep_details(answers, "AAA", day, weighted_shares_outstanding=count, market_cap=count * 10)
        keep_bars(answers, AAA=10)
        provider.say(ticker_details("AAA", DAY), details_body("AAA", weighted_shares_outstanding=121, market_cap=1210))
        look_back.collect_look_back(window, Asking.MISSING)
        (inputs,) = open_inputs(AnswerBook(answers)).read_lines(DAY, [make_line("AAA")])

        assert provider.take_asked() == [("AAA", "2024-12-13")]
        assert price_line(inputs).accepted.count == 121  # type: ignore[union-attr]


class TestLookBackThatCannotBeHad:
    """It is skipped and its reason stored; the session goes on with what there is."""

    FIRST, SECOND = date(2024, 12, 12), date(2024, 12, 6)

    @pytest.fixture
    def unpriced(self, index: Index, answers: AnswerStore, provider: FakeProvider) -> None:
        """One line whose count was last known 5 sessions before."""
        index(make_line("NEW"))
        keep_bars(answers, NEW=20)
        keep_details(answers, "NEW")
        for day in map(date.fromisoformat, LOOK_BACK_DAYS):
            provider.say(grouped_daily(day), grouped_body(day, NEW=19))
        provider.say(ticker_details("NEW", self.SECOND), details_body("NEW", weighted_shares_outstanding=5))

    @pytest.mark.parametrize(
        "kind", [PlanRefusedError, NotYetReleasedError, ServerFailedError, RateLimitedError, BodyInvalidError]
    )
    @pytest.mark.parametrize("endpoint", ["bars", "details"])
    @pytest.mark.usefixtures("unpriced")
    def test_leads_on_to_the_next_step(
        self, answers: AnswerStore, provider: FakeProvider, window: Window, kind: type[PolygonError], endpoint: str
    ) -> None:
        call = grouped_daily(self.FIRST) if endpoint == "bars" else ticker_details("NEW", self.FIRST)
        provider.errors[call.path] = kind(call.path, "HTTP 4xx", status=403)
        counts = look_back.collect_look_back(window, Asking.MISSING)

        assert counts["failed"] == 1
        assert look_back_of(answers) == (self.SECOND, 5)
        assert answers.load(call.endpoint, self.FIRST)[call.path].error == "HTTP 4xx"

    def test_a_count_beside_a_split_is_asked_for_once_though_every_session_wants_it(
        self, index: Index, answers: AnswerStore, provider: FakeProvider
    ) -> None:
        (nvidia,) = [line for line in list_lines(DAY) if line.ticker == "NVDA"]
        days = [date(2024, 6, 11), date(2024, 6, 12), date(2024, 6, 13)]
        index(nvidia)
        for day in days:
            keep_bars(answers, day, NVDA=120)
            keep_details(answers, "NVDA", day, weighted_shares_outstanding=24_600_000_000)
        beside = [ticker_details("NVDA", date(2024, 9, 18)), ticker_details("NVDA", date(2024, 3, 1))]
        for call in beside:
            provider.errors[call.path] = ServerFailedError(call.path, "HTTP 500", status=500, tries=5)
        look_back.collect_look_back(make_window(RUN, days[1:]), Asking.MISSING)

        assert provider.take_asked() == [("NVDA", "2024-09-18"), ("NVDA", "2024-03-01")]

    @pytest.mark.parametrize(
        ("entry", "asked"),
        [
            (("GE", "2023-01-04", 1000, 1281), ["GE 2023-04-14", "GE 2022-09-26"]),
            (
                ("CPRT", "2022-11-04", 1, 2),
                ["CPRT 2023-02-10", "bars 2022-11-04", "bars 2022-11-03", "CPRT 2022-07-27"],
            ),
        ],
    )
    def test_counts_beside_a_listed_split_are_asked_for_and_closes_where_they_leave_it_open(
        self,
        index: Index,
        answers: AnswerStore,
        provider: FakeProvider,
        entry: tuple[str, str, int, int],
        asked: list[str],
    ) -> None:
        """The counts on both sides are equal: for a usual ratio the close may still show that they come late."""
        session, ticker = date(2022, 6, 8), entry[0]
        index(next(line for line in list_lines(session) if line.ticker == ticker))
        keep_bars(answers, session, **{ticker: 85})
        keep_details(answers, ticker, session, weighted_shares_outstanding=10**9)
        listed = dict(zip(("ticker", "execution_date", "split_from", "split_to"), entry, strict=True))
        keep(answers, collector.list_session_splits(session), json.dumps({"status": "OK", "results": [listed]}))
        for what, day in (name.split() for name in asked):
            beside = date.fromisoformat(day)
            if what == "bars":
                provider.say(grouped_daily(beside), grouped_body(beside, **{ticker: 85}))
            else:
                provider.say(ticker_details(ticker, beside), details_body(ticker, weighted_shares_outstanding=10**9))
        look_back.collect_look_back(make_window(RUN, [session]), Asking.MISSING)

        assert [" ".join(pair) for pair in provider.take_asked()] == asked

    def test_sessions_around_a_close_or_a_count_that_jumps_are_asked_about_it(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        index(make_line("AAA"), make_line("BBB"), make_line("CCC"))
        keep_bars(answers, date(2024, 12, 12), AAA=10, BBB=10, CCC=10)
        keep_bars(answers, AAA=16, BBB=10, CCC=11)
        for day, count in ((date(2024, 12, 12), 1000), (DAY, 1650)):
            keep_details(answers, "AAA", day, weighted_shares_outstanding=1000)
            keep_details(answers, "BBB", day, weighted_shares_outstanding=count, market_cap=count * 10)
            keep_details(answers, "CCC", day, weighted_shares_outstanding=1000)
        for day, close in ((date(2024, 12, 11), 10), (date(2024, 12, 16), 16)):
            provider.say(grouped_daily(day), grouped_body(day, AAA=close, BBB=10, CCC=10))
        later = date(2024, 12, 20)
        for symbol, count in (("AAA", 1000), ("BBB", 1648)):
            provider.say(ticker_details(symbol, later), details_body(symbol, weighted_shares_outstanding=count))
        look_back.collect_look_back(window, Asking.MISSING)
        reader = open_inputs(AnswerBook(answers))
        lines = [price_line(reader.read_line(DAY, make_line(ticker))) for ticker in ("AAA", "BBB")]

        assert provider.take_asked() == [
            ("BBB", "2024-12-20"),
            ("AAA", "2024-12-20"),
            ("bars", "2024-12-16"),
            ("bars", "2024-12-11"),
        ]
        assert [isinstance(line, PricedLine) and line.accepted.flags for line in lines] == [
            ("market_cap_missing", "cap_jump"),
            ("count_jump_confirmed",),
        ]

    @pytest.mark.usefixtures("unpriced")
    def test_leaves_the_line_its_reason_where_no_step_can_be_had(
        self, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        for day in map(date.fromisoformat, LOOK_BACK_DAYS):
            path = grouped_daily(day).path
            provider.errors[path] = PlanRefusedError(path, 'HTTP 403 "not in your plan"', status=403)
        look_back.collect_look_back(window, Asking.MISSING)
        (inputs,) = open_inputs(AnswerBook(answers)).read_lines(DAY, [make_line("NEW")])
        failed = price_line(inputs)

        assert provider.take_asked() == [("bars", day) for day in LOOK_BACK_DAYS]
        assert isinstance(failed, FailedLine)
        for day in LOOK_BACK_DAYS:
            assert f'the closes of {day} are missing: HTTP 403 "not in your plan"' in failed.reason

    def test_leaves_market_cap_unchecked_where_it_is_yesterdays_close(
        self, index: Index, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        index(make_line("AAA"))
        keep_bars(answers, AAA=10)
        keep_details(answers, "AAA", weighted_shares_outstanding=100, market_cap=900)
        look_back.collect_look_back(window, Asking.MISSING)
        (inputs,) = open_inputs(AnswerBook(answers)).read_lines(DAY, [make_line("AAA")])
        priced = price_line(inputs)

        assert provider.take_asked() == []
        assert isinstance(priced, PricedLine)
        assert priced.accepted.flags == ("count_behind_market_cap", "previous_close_missing", "continuity_skipped")

    @pytest.mark.parametrize("endpoint", ["bars", "details"])
    @pytest.mark.usefixtures("unpriced")
    def test_is_fatal_where_the_key_is_rejected(self, provider: FakeProvider, window: Window, endpoint: str) -> None:
        call = grouped_daily(self.FIRST) if endpoint == "bars" else ticker_details("NEW", self.FIRST)
        provider.errors[call.path] = KeyRejectedError(call.path, "HTTP 401", status=401)

        with pytest.raises(KeyRejectedError):
            look_back.collect_look_back(window, Asking.MISSING)

    @pytest.mark.usefixtures("unpriced")
    def test_is_fatal_where_the_provider_cannot_be_reached_at_all(self, provider: FakeProvider, window: Window) -> None:
        path = grouped_daily(self.FIRST).path
        provider.errors[path] = UnreachableError(path, "cannot be connected to")

        with pytest.raises(UnreachableError):
            look_back.collect_look_back(window, Asking.MISSING)

    @pytest.mark.usefixtures("unpriced")
    def test_is_skipped_where_the_provider_falls_silent_later(
        self, answers: AnswerStore, provider: FakeProvider, window: Window
    ) -> None:
        for call in (ticker_details("NEW", self.FIRST), grouped_daily(self.SECOND)):
            provider.errors[call.path] = UnreachableError(call.path, "did not answer in time")
        provider.say(ticker_details("NEW", date(2024, 11, 13)), details_body("NEW", weighted_shares_outstanding=4))
        look_back.collect_look_back(window, Asking.MISSING)

        assert look_back_of(answers) == (date(2024, 11, 13), 4)


def look_back_of(answers: AnswerStore) -> tuple[date, int] | None:
    (inputs,) = open_inputs(AnswerBook(answers)).read_lines(DAY, [make_line("NEW")])
    return None if inputs.look_back is None else (inputs.look_back.session, inputs.look_back.count)


class World:
    """A session in which every step of the look-back matters to some line, and every response about it."""

    LINES = ("CLEAR", "EVENING", "FIVE", "HALTED", "NEVER", "ONE")

    def __init__(self) -> None:
        self.bodies: dict[Call, str] = {}
        self.say_bars(DAY, CLEAR=10, EVENING=10, FIVE=10, NEVER=10, ONE=10)
        self.say("CLEAR", DAY, weighted_shares_outstanding=1000, market_cap=10_000)
        self.say("EVENING", DAY, weighted_shares_outstanding=1000, market_cap=9000)
        self.say("HALTED", DAY, weighted_shares_outstanding=1000, market_cap=10_000)
        for step, day in enumerate(map(date.fromisoformat, LOOK_BACK_DAYS)):
            self.say_bars(day, **dict.fromkeys(self.LINES, 9))
            for line in self.LINES:
                helps = {"NEVER": False, "FIVE": step > 0}.get(line, True)
                self.say(line, day, weighted_shares_outstanding=900 + step if helps else None)
        self.bodies[collector.list_session_splits(DAY)] = json.dumps({"status": "OK", "results": []})

    def say_bars(self, day: date, **closes: float) -> None:
        self.bodies[grouped_daily(day)] = grouped_body(day, **closes)

    def say(self, symbol: str, day: date, **fields: object) -> None:
        self.bodies[ticker_details(symbol, day)] = details_body(symbol, **fields)

    def build(self, kept: Collection[Call], failed: Collection[Call]) -> tuple[str, list[str]]:
        """Collect with some responses in the lake already; returns the document without keys, and the paths called."""
        objects, provider = MemoryObjects(), FakeProvider()
        store, now = AnswerStore(objects), provider.limiter.clock.now()
        for call in failed:
            keep(store, call, "", status=500, error="HTTP 500", time=now)
        for call in kept:
            keep(store, call, self.bodies[call], time=now)
        provider.bodies = {call.path: body for call, body in self.bodies.items()}
        lines = tuple(make_line(ticker) for ticker in self.LINES)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(collector, "open_store", lambda settings: objects)
            patch.setattr("mag7.tasks.polygon_hook.PolygonHook.get_conn", lambda hook, settings: provider)
            for module in ("collect", "document"):
                patch.setattr(f"mag7.tasks.{module}.list_lines", lambda session: lines)
            patch.setattr("mag7.tasks.collect.seven_lines", lambda session: ())
            window = make_window(RUN, [DAY])
            collect.collect_closes(window, Asking.MISSING)
            collect.collect_splits(window, Asking.MISSING)
            for batch in collect.plan_batches(window, Asking.MISSING):
                collect.collect_details(batch, Asking.MISSING)
            look_back.collect_look_back(window, Asking.MISSING)
            figures = compute_session(open_inputs(AnswerBook(store), read_settings().counts_frozen_before), DAY)
        written = write_document(figures, "polygon", max(answer.time for answer in figures.answers))
        document = written.model_dump(mode="json")
        for line in document["constituents"]:
            assert line.pop("answers")
        return json.dumps(document), provider.asked


WORLD = World()
CALLS = sorted(WORLD.bodies, key=lambda call: call.path)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(CALLS)), st.sets(st.sampled_from(CALLS)))
def test_no_figure_depends_on_what_else_is_stored(kept: set[Call], failed: set[Call]) -> None:
    document, asked = WORLD.build(kept, failed)
    expected, all_asked = WORLD.build((), ())

    assert document == expected
    assert set(asked) == set(all_asked) - {call.path for call in kept}
    assert len(asked) == len(set(asked))


def test_each_step_of_the_look_back_matters_to_the_figures() -> None:
    """Else the property above would hold of anything."""
    lines = {line["ticker"]: line for line in json.loads(WORLD.build((), ())[0])["constituents"]}

    assert {ticker: line["share_count"] for ticker, line in lines.items()} == {
        **{"CLEAR": 1000, "EVENING": 1000, "FIVE": 901, "HALTED": None, "NEVER": None, "ONE": 900}
    }


def test_counts_of_plain_and_mapped_tasks_add_up() -> None:
    one: collector.CallCounts = {"asked": 1, "kept": 2, "failed": 0, "requests": 4, "bytes": 100}
    other: collector.CallCounts = {"asked": 10, "kept": 0, "failed": 3, "requests": 15, "bytes": 20}

    assert collector.add_call_counts([one, [one, other], []]) == {
        "asked": 12,
        "kept": 4,
        "failed": 3,
        "requests": 23,
        "bytes": 220,
    }
    assert collector.add_call_counts([]) == collector.NO_CALLS
