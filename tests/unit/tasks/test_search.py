"""Collect the counts of a month with few calls: which ones, in which order, beside other runs, and what is left."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.index.seven import SEVEN
from mag7.lake.keys import closes_key, lock_key
from mag7.lake.objects import ObjectStore
from mag7.market.caps import PricedLine
from mag7.market.input_reader import InputReader, open_inputs
from mag7.polygon.answers import AnswerStore
from mag7.polygon.calls import ticker_details
from mag7.polygon.errors import KeyRejectedError, PlanRefusedError, ServerFailedError, UnreachableError
from mag7.sessions import list_sessions, month_ends
from mag7.settings import read_settings
from mag7.tasks import search
from mag7.tasks.collector import AnswerBook
from mag7.tasks.document import compute_session
from mag7.tasks.search import SearchBatch, SearchStalledError, list_needed
from mag7.tasks.window import Window, make_window
from tests.backfilled import Backfill, by_month
from tests.unit.market.test_schedules import JOINS, LEAVES, OTHERS, SESSIONS, companies
from tests.unit.market.world import COLLECTED, Company, World, standing_on
from tests.unit.tasks.conftest import FakeProvider, details_body, keep_bars, keep_details, make_line

Index = Callable[..., None]
RUN = "mag7_backfill-scheduled__2024-12-01T000000"
EVE, LAST = month_ends(date(2024, 12, 13))
DECEMBER = list_sessions(date(2024, 12, 1), LAST)
MONTH = (EVE, *DECEMBER)
ALL: SearchBatch = {"label": "all", "part": 1, "parts": 1}
DAYS_WITH_CLOSES = frozenset(list_sessions(date(2022, 5, 1), date(2025, 1, 31)))


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run has a note here."""


@pytest.fixture
def one_line(index: Index, answers: AnswerStore, store: ObjectStore) -> None:
    """An index of one line whose closes are stored, and passed to the parts of a search."""
    index(make_line("AAA"))
    for day in MONTH:
        keep_bars(answers, day, AAA=10)
    closes = {day.isoformat(): {"AAA": "10"} for day in sorted(DAYS_WITH_CLOSES)}
    store.put(closes_key(RUN), json.dumps(closes).encode())


def say(provider: FakeProvider, counts: dict[date, int], symbol: str = "AAA") -> None:
    """Make the provider hold a line's counts, which agree with a close of 10."""
    for day, count in counts.items():
        body = details_body(symbol, weighted_shares_outstanding=count, market_cap=count * 10)
        provider.say(ticker_details(symbol, day), body)


def december() -> Window:
    return make_window(RUN, DECEMBER)


def days_asked(provider: FakeProvider) -> list[date]:
    """The days of which details were fetched, in the order of the calls."""
    asked, provider.asked = provider.asked, []
    return [date.fromisoformat(path.rpartition("date=")[2]) for path in asked]


@pytest.mark.usefixtures("one_line")
class TestOneMonth:
    def test_a_month_in_which_nothing_changes_takes_two_calls_the_later_end_first(self, provider: FakeProvider) -> None:
        """The earlier one may be another run's later end, which that run is fetching now."""
        say(provider, dict.fromkeys(MONTH, 100))
        counts = search.collect_counts(december(), ALL)

        assert days_asked(provider) == [LAST, EVE]
        assert (counts["asked"], counts["requests"], counts["failed"]) == (2, 2, 0)
        assert counts["bytes"] > 0

    def test_a_change_is_found_by_halving(self, provider: FakeProvider) -> None:
        change = date(2024, 12, 20)
        say(provider, {day: 100 if day < change else 101 for day in MONTH})
        search.collect_counts(december(), ALL)
        asked = days_asked(provider)

        assert {date(2024, 12, 19), change} <= set(asked)
        assert len(asked) == len(set(asked)) <= 7

    def test_it_tells_on_the_way_how_many_calls_are_made_and_left(
        self, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[tuple[int, int]] = []
        monkeypatch.setattr(search.Progress, "tell", lambda _, *, calls, left: told.append((calls, left)))
        change = date(2024, 12, 20)
        say(provider, {day: 100 if day < change else 101 for day in MONTH})
        counts = search.collect_counts(december(), ALL)

        assert told[0][0] == 0 and told[0][1] > 0
        assert [calls for calls, _ in told] == sorted(calls for calls, _ in told)
        assert len({calls for calls, _ in told}) > 2
        assert told[-1] == (counts["requests"], 0)

    def test_what_is_stored_is_not_asked_for(self, provider: FakeProvider, answers: AnswerStore) -> None:
        say(provider, dict.fromkeys(MONTH, 100))
        keep_details(answers, "AAA", EVE, weighted_shares_outstanding=100, market_cap=1000)
        search.collect_counts(december(), ALL)
        assert days_asked(provider) == [LAST]

        search.collect_counts(december(), ALL)
        assert days_asked(provider) == []

    def test_one_session_is_asked_for_with_the_one_before(self, provider: FakeProvider) -> None:
        say(provider, dict.fromkeys(MONTH, 100))
        search.collect_counts(make_window(RUN, [date(2024, 12, 13)]), ALL)

        assert sorted(days_asked(provider)) == [date(2024, 12, 12), date(2024, 12, 13)]

    def test_gaps_of_a_month_are_known_by_what_is_stored_around_them(
        self, provider: FakeProvider, answers: AnswerStore
    ) -> None:
        for day in (date(2024, 12, 10), date(2024, 12, 18)):
            keep_details(answers, "AAA", day, weighted_shares_outstanding=100, market_cap=1000)
        search.collect_counts(make_window(RUN, [date(2024, 12, 12), date(2024, 12, 13)]), ALL)

        assert days_asked(provider) == []

    def test_two_months_share_the_end_between_them(self, provider: FakeProvider, answers: AnswerStore) -> None:
        january = list_sessions(date(2025, 1, 1), date(2025, 1, 31))
        for day in january:
            keep_bars(answers, day, AAA=10)
        say(provider, dict.fromkeys((*MONTH, *january), 100))
        search.collect_counts(make_window(RUN, [*DECEMBER, *january]), ALL)

        assert sorted(days_asked(provider)) == [EVE, LAST, january[-1]]

    def test_a_symbol_that_the_provider_does_not_know_is_known_by_its_404(self, provider: FakeProvider) -> None:
        search.collect_counts(december(), ALL)

        assert sorted(days_asked(provider)) == list(MONTH)

    def test_a_call_that_fails_is_left_to_its_neighbours(self, provider: FakeProvider, answers: AnswerStore) -> None:
        say(provider, dict.fromkeys(MONTH, 100))
        failing = ticker_details("AAA", LAST).path
        provider.errors[failing] = ServerFailedError(failing, "HTTP 500", status=500, tries=5)
        counts = search.collect_counts(december(), ALL)

        assert counts["failed"] == 1
        assert sorted(days_asked(provider)) == [EVE, date(2024, 12, 30), LAST]
        assert answers.load("ticker_details", LAST)[failing].status == 500

    def test_the_month_is_searched_up_to_the_sessions_of_the_window(self, provider: FakeProvider) -> None:
        """In a month that has not closed, the last session cannot be fetched."""
        say(provider, dict.fromkeys(MONTH, 100))
        search.collect_counts(make_window(RUN, DECEMBER[:10]), ALL)

        assert sorted(days_asked(provider)) == [EVE, DECEMBER[9]]

    def test_claims_are_released(self, provider: FakeProvider, store: ObjectStore) -> None:
        say(provider, dict.fromkeys(MONTH, 100))
        search.collect_counts(december(), ALL)

        assert list(store.list("claims/")) == []

    def test_what_another_run_fetched_meanwhile_is_not_asked_for(
        self, provider: FakeProvider, answers: AnswerStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It held the lock of the end of November; when it released it, its responses were there."""
        say(provider, dict.fromkeys(MONTH, 100))
        take = search.Locks._take

        def wait_for_the_other(locks: search.Locks, key: str, watch: Callable[[], object]) -> None:
            if str(EVE) in key:
                keep_details(answers, "AAA", EVE, weighted_shares_outstanding=100, market_cap=1000)
            take(locks, key, watch)

        monkeypatch.setattr(search.Locks, "_take", wait_for_the_other)
        search.collect_counts(december(), ALL)

        assert days_asked(provider) == [LAST]

    def test_two_months_runs_that_need_the_same_end_ask_for_it_once(
        self, provider: FakeProvider, answers: AnswerStore, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        january = list_sessions(date(2025, 1, 1), date(2025, 1, 31))
        for day in january:
            keep_bars(answers, day, AAA=10)
        say(provider, dict.fromkeys((*MONTH, *january), 100))
        monkeypatch.setattr("mag7.lake.locks.POLL_SECONDS", 0.01)
        runs = [make_window(RUN, DECEMBER), make_window(f"{RUN}-january", january)]
        store.put(closes_key(runs[1]["run"]), store.get(closes_key(RUN)))
        threads = [threading.Thread(target=search.collect_counts, args=(window, ALL)) for window in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert sorted(days_asked(provider)) == [EVE, LAST, january[-1]]
        assert list(store.list("claims/")) == []


@pytest.mark.usefixtures("one_line")
class TestTrouble:
    def fail_all(self, provider: FakeProvider, kind: type[Any], **values: Any) -> None:
        for day in MONTH:
            path = ticker_details("AAA", day).path
            provider.errors[path] = kind(path, "trouble", **values)

    def test_nobody_responds(self, provider: FakeProvider) -> None:
        self.fail_all(provider, UnreachableError)

        with pytest.raises(UnreachableError):
            search.collect_counts(december(), ALL)

    def test_a_rejected_key_is_raised_at_once(self, provider: FakeProvider, store: ObjectStore) -> None:
        self.fail_all(provider, KeyRejectedError, status=401)

        with pytest.raises(KeyRejectedError):
            search.collect_counts(december(), ALL)
        assert len(provider.asked) == 1
        assert list(store.list("claims/")) == []

    def test_one_line_that_always_fails_does_not_stop_the_search(self, provider: FakeProvider) -> None:
        self.fail_all(provider, ServerFailedError, status=500, tries=5)
        counts = search.collect_counts(december(), ALL)

        assert counts["failed"] == len(MONTH)

    def test_one_session_that_times_out_alone_does_not_stop_it_either(self, provider: FakeProvider) -> None:
        """Its question is the last one left, so every call of that round stays without a response."""
        say(provider, {day: 100 if day < DECEMBER[10] else 120 for day in MONTH})
        path = ticker_details("AAA", DECEMBER[10]).path
        provider.errors[path] = UnreachableError(path, "did not answer in time")
        counts = search.collect_counts(december(), ALL)

        assert counts["failed"] == 1

    def test_a_session_without_closes_is_not_asked_about(self, provider: FakeProvider, store: ObjectStore) -> None:
        closes = {day.isoformat(): {"AAA": "10"} for day in MONTH if day not in {EVE, LAST}}
        store.put(closes_key(RUN), json.dumps(closes).encode())
        say(provider, dict.fromkeys(MONTH, 100))
        search.collect_counts(december(), ALL)

        assert sorted(days_asked(provider)) == [DECEMBER[0], DECEMBER[-2]]

    def test_what_the_plan_does_not_reach_is_done_without(
        self, index: Index, provider: FakeProvider, store: ObjectStore
    ) -> None:
        tickers = [f"L{number}" for number in range(search.STALLED_CALLS)]
        index(*map(make_line, tickers))
        closes = {day.isoformat(): dict.fromkeys(tickers, "10") for day in MONTH}
        store.put(closes_key(RUN), json.dumps(closes).encode())
        for ticker in tickers:
            say(provider, dict.fromkeys(DECEMBER, 100), ticker)
            path = ticker_details(ticker, EVE).path
            provider.errors[path] = PlanRefusedError(path, "not in your plan", status=403)
        counts = search.collect_counts(december(), ALL)

        assert counts["failed"] == len(tickers)

    def test_a_provider_that_fails_every_line_does(
        self, index: Index, provider: FakeProvider, answers: AnswerStore
    ) -> None:
        tickers = [f"L{number}" for number in range(search.STALLED_CALLS)]
        index(*map(make_line, tickers))
        for ticker in tickers:
            for day in MONTH:
                path = ticker_details(ticker, day).path
                provider.errors[path] = ServerFailedError(path, "HTTP 500", status=500, tries=5)

        with pytest.raises(SearchStalledError, match="responded to none of 10 calls"):
            search.collect_counts(december(), ALL)
        assert len(provider.asked) == 10


class TestBatches:
    @pytest.mark.usefixtures("provider")
    def test_every_line_is_in_one_part_whatever_the_month(self, store: ObjectStore) -> None:
        windows = [make_window(RUN, list_sessions(date(2022, 6, 1), date(2022, 6, 3))), december()]
        for window in windows:
            batches = search.plan_searches(window)
            sessions = [date.fromisoformat(day) for day in window["sessions"]]
            parts = [{line.ticker for line in list_needed(sessions, batch, DAYS_WITH_CLOSES)} for batch in batches]

            assert len(batches) == 2
            assert sum(map(len, parts)) == len(set.union(*parts)) > 500
            assert [batch["label"] for batch in batches] == [
                f"part {place} of 2: {len(part)} lines" for place, part in enumerate(parts, 1)
            ]
        first, second = (
            {
                line.ticker
                for line in list_needed([date.fromisoformat(window["sessions"][0])], batches[1], DAYS_WITH_CLOSES)
            }
            for window in windows
        )
        assert len(first & second) > 150

    @pytest.mark.usefixtures("provider")
    def test_what_is_expected_is_logged_before_anything_is_asked(self, store: ObjectStore) -> None:
        from mag7.runs.progress import read_steps

        search.plan_searches(december())
        steps = read_steps(store, RUN)

        assert len(steps) == 2
        assert 1000 < sum(step.left for step in steps) < 1500
        assert all(step.began is None for step in steps)

    @pytest.mark.parametrize(
        ("slots", "calls_per_minute", "calls", "parts"),
        [
            (4, 5400, 1250, 2),
            (1, 5400, 1250, 1),
            (16, 5400, 1250, 8),
            (4, 0, 60_000, 2),
            (4, 5400, 162_000, 4),
            (4, 5, 1250, 64),
        ],
    )
    def test_leave_slots_to_other_months_unless_one_would_take_long(
        self, slots: int, calls_per_minute: int, calls: int, parts: int
    ) -> None:
        pool = replace(read_settings(), slots=slots, calls_per_minute=calls_per_minute)

        assert search.choose_parts(pool, calls) == parts

    @pytest.mark.usefixtures("provider")
    def test_closes_of_years_are_read_a_month_at_a_time(
        self, store: ObjectStore, answers: AnswerStore, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index(make_line("AAA"))
        sessions = list_sessions(date(2024, 10, 1), LAST)
        for day in sessions:
            keep_bars(answers, day, AAA=10)
        read: list[str] = []
        held: list[int] = []
        clear, get = AnswerBook.clear, ObjectStore.get

        def count_and_clear(book: AnswerBook) -> None:
            held.append(len(read))
            read.clear()
            clear(book)

        def get_and_note(objects: ObjectStore, key: str) -> bytes:
            read.append(key)
            return get(objects, key)

        monkeypatch.setattr(AnswerBook, "clear", count_and_clear)
        monkeypatch.setattr(ObjectStore, "get", get_and_note)
        search.plan_searches(make_window(RUN, sessions))

        assert held == [0, 23, 20, 21]
        monkeypatch.undo()
        assert len(search.read_closes(store, RUN)) == len(sessions) + 2

    def test_a_part_without_a_line_makes_no_batch(self, index: Index, provider: FakeProvider) -> None:
        index(make_line("AAA"))

        assert [batch["label"].partition(": ")[2] for batch in search.plan_searches(december())] == ["1 lines"]

    def test_a_line_is_needed_while_it_is_a_member_and_the_session_before(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        joins = date(2024, 12, 20)
        old, new = make_line("OLD"), make_line("NEW")
        monkeypatch.setattr(
            "mag7.tasks.search.list_session_lines", lambda session: (old,) if session < joins else (old, new)
        )
        needed = list_needed(DECEMBER, ALL, DAYS_WITH_CLOSES)

        assert needed[old] == list(MONTH)
        assert needed[new] == [day for day in MONTH if day >= date(2024, 12, 19)]

    def test_the_months_ends_are_claimed_by_part(self) -> None:
        # pragma: allowlist nextline secret - a key of the lake
        assert lock_key("ticker_details", LAST, 3, 12) == "claims/ticker_details/trading_date=2024-12-31/part-3-of-12"


MONTHS = list(by_month(SESSIONS))


@st.composite
def markets(draw: st.DrawFn) -> World:
    """A market in which counts stand still between issues of shares, besides all that may happen otherwise.

    Counts only grow, but for splits: none comes back, which a search overlooks inside a month.
    """

    def settle(company: Company) -> Company:
        issues = draw(st.dictionaries(st.sampled_from(SESSIONS), st.integers(1, 20_000), max_size=6))
        drift = draw(st.sampled_from([0, 0, 0, 40]))
        return replace(company, drift=drift, issues=issues)

    tickers = (*SEVEN, *OTHERS, JOINS, LEAVES)
    frozen = draw(st.just(date.min) | st.sampled_from(SESSIONS))
    return World(tuple(settle(draw(companies(ticker))) for ticker in tickers), frozen)


def figures_of(reader: InputReader, sessions: Sequence[date]) -> Iterator[tuple[Any, ...]]:
    """By session, what must not depend on how few calls were made."""
    for session in sessions:
        figures = compute_session(reader, session)
        lines = (*figures.lines, *figures.seven_outside)
        counts = {
            line.line.ticker: line.accepted.count if isinstance(line, PricedLine) else line.reason for line in lines
        }
        yield session, counts, figures.concentration.sp500_total_market_cap, figures.concentration.mag7_pct_of_sp500


class Answered:
    """A world's responses, each made once."""

    version = 0

    def __init__(self, world: World) -> None:
        self.details = cache(world.details)
        self.grouped = cache(world.grouped)
        self.splits = cache(world.splits)


@settings(max_examples=6)
@given(markets(), st.integers(0, len(MONTHS) - 1), st.integers(1, 2), st.booleans())
def test_figures_are_those_of_a_run_that_asks_for_everything(
    world: World, first: int, count: int, together: bool
) -> None:
    """Whatever splits, is renamed, joins or leaves, and whether months are one run's or several's, the newest first."""
    months = MONTHS[first : first + count]
    sessions = [day for month in months for day in month]
    with standing_on(world):
        market = Answered(world)
        backfill = Backfill(market, COLLECTED, world.frozen_before)
        for window in [sessions] if together else reversed(months):
            backfill.collect(window)
        few = list(figures_of(backfill.reader(), sessions))
        all_of_it = list(figures_of(open_inputs(market, world.frozen_before), sessions))
        once_more = backfill.collect(sessions)

    assert few == all_of_it
    assert max(backfill.provider.asked.values()) == 1
    assert once_more.total() == 0


def test_a_year_in_which_nothing_happens_takes_a_call_a_line_and_month() -> None:
    plain = World(tuple(Company(name, 10**9 * (place + 2), 50_000) for place, name in enumerate((*SEVEN, *OTHERS))))
    with standing_on(plain):
        backfill = Backfill(plain, datetime(2025, 6, 30, tzinfo=UTC))
        asked = backfill.collect(SESSIONS)

    assert set(asked.values()) == {len(plain.companies)}
    assert len(asked) == len(MONTHS) + 1
