"""Closes that were edited after they were published: fetched again, found, and added to the window."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest

from mag7.lake.keys import document_key, pending_key
from mag7.lake.objects import ObjectStore
from mag7.market.caps import PricedLine, price_line
from mag7.market.document import encode_document
from mag7.market.figures import compute_figures, write_document
from mag7.market.input_reader import open_inputs
from mag7.market.shares import Origin
from mag7.polygon import checks
from mag7.polygon.answers import AnswerStore
from mag7.polygon.calls import grouped_daily, ticker_details
from mag7.polygon.errors import ServerFailedError
from mag7.polygon.response_bodies import GroupedDaily, parse_grouped_daily
from mag7.runs.record import Corrections, read_section
from mag7.tasks import corrections
from mag7.tasks.collector import AnswerBook
from mag7.tasks.corrections import NOT_LOADED, add_corrected, collect_corrections
from mag7.tasks.window import Window
from tests.unit.market.conftest import Make
from tests.unit.tasks.conftest import RUN, FakeProvider, details_body, grouped_body, keep_bars, keep_details

DAY, BEFORE, EARLIER = date(2024, 12, 12), date(2024, 12, 11), date(2024, 12, 10)
LATER = datetime(2024, 12, 14, 6, tzinfo=UTC)


def _count_parse(parsed: list[date], body: str, session: date) -> GroupedDaily:
    parsed.append(session)
    return parse_grouped_daily(body, session)


@pytest.fixture
def published(store: ObjectStore, answers: AnswerStore) -> None:
    """Two published sessions of two lines; the closes from which they were built are stored."""
    make = Make()
    for day in (DAY, EARLIER):
        inputs = [make.inputs(make.line("AAPL"), 100, "247.5"), make.inputs(make.line("XOM"), 50, "107.5")]
        document = json.loads(encode_document(write_document(compute_figures(day, inputs, []), "polygon", LATER)))
        bar = document["companies"]["AAPL"]["trading_data"]
        bar |= {f"{name}_price": bar["close_price"] for name in ("open", "high", "low")} | {"vwap": None}
        store.put(document_key(day), json.dumps(document).encode())
        keep_bars(answers, day, AAPL=247.5, XOM=107.5)


@pytest.mark.usefixtures("published")
class TestCollect:
    def test_asks_again_for_published_sessions_only(self, provider: FakeProvider, window: Window) -> None:
        for day in (DAY, EARLIER):
            provider.say(grouped_daily(day), grouped_body(day, AAPL=247.5, XOM=107.5))

        assert collect_corrections(window, wanted=True)["requests"] == 2
        assert provider.take_asked() == [("bars", "2024-12-12"), ("bars", "2024-12-10")]

    def test_asks_again_for_the_details_of_a_line_whose_close_changed(
        self, provider: FakeProvider, answers: AnswerStore, window: Window
    ) -> None:
        """Its market_cap rests on the close: with the stored one the count would take up the edit, not the cap."""
        keep_details(answers, "XOM", DAY, weighted_shares_outstanding=50, market_cap=50 * 107.5)
        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=247.5, XOM=106))
        body = details_body("XOM", weighted_shares_outstanding=50, market_cap=50 * 106)
        provider.say(ticker_details("XOM", DAY), body)
        collect_corrections(window, wanted=True)

        assert provider.take_asked() == [("bars", "2024-12-12"), ("XOM", "2024-12-12"), ("bars", "2024-12-10")]
        priced = price_line(open_inputs(AnswerBook(answers)).read_own(DAY, Make().line("XOM")))
        assert isinstance(priced, PricedLine)
        assert (priced.market_cap, priced.accepted.origin) == (50 * 106, Origin.WEIGHTED)

    def test_asks_nothing_unless_wanted(self, provider: FakeProvider, window: Window) -> None:
        assert collect_corrections(window, wanted=False)["requests"] == 0
        assert provider.take_asked() == []

    def test_can_do_without_a_response(self, provider: FakeProvider, window: Window) -> None:
        path = grouped_daily(DAY).path
        provider.errors[path] = ServerFailedError(path, "HTTP 500", status=500)
        provider.say(grouped_daily(EARLIER), grouped_body(EARLIER, AAPL=247.5, XOM=107.5))

        assert collect_corrections(window, wanted=True)["failed"] == 1
        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-13"]

    def test_looks_no_further_back_than_the_setting_says(
        self, provider: FakeProvider, window: Window, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAG7_CORRECTION_SESSIONS", "1")
        collect_corrections(window, wanted=True)

        assert provider.take_asked() == [("bars", "2024-12-12")]


@pytest.mark.usefixtures("published")
class TestAdd:
    @pytest.mark.parametrize(
        ("closes", "said"),
        [
            ({"AAPL": 247.5, "XOM": 107.49}, ["XOM close 107.5 -> 107.49"]),
            ({"AAPL": 248.13, "XOM": 107.5}, ["AAPL close 247.5 -> 248.13", "AAPL open_price 247.5 -> 248.13"]),
            ({"AAPL": 247.5}, ["XOM close 107.5 -> None"]),
        ],
    )
    def test_a_session_whose_closes_changed(
        self, provider: FakeProvider, store: ObjectStore, window: Window, closes: dict[str, Any], said: list[str]
    ) -> None:
        provider.say(grouped_daily(DAY), grouped_body(DAY, **closes))
        provider.say(grouped_daily(EARLIER), grouped_body(EARLIER, AAPL=247.5, XOM=107.5))
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-12", "2024-12-13"]
        report = read_section(store, RUN, Corrections).edits
        assert list(report) == ["2024-12-12"]
        assert report["2024-12-12"][: len(said)] == said

    def test_a_bar_that_cannot_be_true_any_more_or_is_fixed(
        self, provider: FakeProvider, store: ObjectStore, window: Window
    ) -> None:
        document = json.loads(store.get(document_key(DAY)))
        document["companies"]["AAPL"]["trading_data"] |= {"high_price": None, "volume": None}
        store.put(document_key(DAY), json.dumps(document).encode())
        body = json.loads(grouped_body(DAY, AAPL=247.5, XOM=107.5))
        body["results"][0] |= {"l": 0.92}
        provider.say(grouped_daily(DAY), json.dumps(body))
        collect_corrections(window, wanted=True)
        add_corrected(window, wanted=True)
        volume = body["results"][0]["v"]

        assert read_section(store, RUN, Corrections).edits["2024-12-12"] == [
            "AAPL high_price None -> 247.5",
            "AAPL low_price 247.5 -> None",
            f"AAPL volume None -> {volume}",
        ]

    def test_a_bar_that_came_late(self, provider: FakeProvider, store: ObjectStore, window: Window) -> None:
        document = json.loads(store.get(document_key(DAY)))
        document["constituents"][1] |= {"close": None, "market_cap": None, "has_bar": False}
        store.put(document_key(DAY), json.dumps(document).encode())
        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=247.5, XOM=107.5))
        collect_corrections(window, wanted=True)
        add_corrected(window, wanted=True)

        assert read_section(store, RUN, Corrections).edits == {"2024-12-12": ["XOM close None -> 107.5"]}

    def test_a_line_that_failed_for_its_count_is_no_edit(
        self, provider: FakeProvider, store: ObjectStore, window: Window
    ) -> None:
        document = json.loads(store.get(document_key(DAY)))
        document["constituents"][1] |= {"close": None}
        store.put(document_key(DAY), json.dumps(document).encode())
        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=247.5, XOM=107.5))
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-13"]

    def test_a_session_whose_load_did_not_end_well(
        self, provider: FakeProvider, store: ObjectStore, window: Window
    ) -> None:
        store.put(pending_key(DAY), b"another run")
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-12", "2024-12-13"]
        assert read_section(store, RUN, Corrections).edits == {"2024-12-12": [NOT_LOADED]}

    def test_a_damaged_document_is_left_to_a_run_of_its_own(
        self, provider: FakeProvider, store: ObjectStore, window: Window
    ) -> None:
        store.put(document_key(DAY), b'{"half": ')
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-13"]

    def test_a_run_that_stopped_halfway_finds_the_change_again(self, provider: FakeProvider, window: Window) -> None:
        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=250, XOM=107.5))
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True) == add_corrected(window, wanted=True)
        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-12", "2024-12-13"]

    def test_an_edit_that_a_stopped_run_had_stored_is_found_though_the_provider_fails(
        self, provider: FakeProvider, answers: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        (kept,) = answers.load("grouped_daily", DAY).values()
        body = grouped_body(DAY, AAPL=247.5, XOM=106)
        answers.save("grouped_daily", DAY, [replace(kept, time=LATER, body=body, key=None)])
        collect_corrections(window, wanted=True)
        add_corrected(window, wanted=True)

        assert read_section(store, RUN, Corrections).edits == {"2024-12-12": ["XOM close 107.5 -> 106.0"]}

    def test_every_response_is_parsed_once(
        self, provider: FakeProvider, window: Window, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for day in (DAY, EARLIER):
            provider.say(grouped_daily(day), grouped_body(day, AAPL=247.5, XOM=106))
        parsed: list[date] = []
        for module in (checks, corrections):
            monkeypatch.setattr(module, "parse_grouped_daily", partial(_count_parse, parsed))
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-10", "2024-12-12", "2024-12-13"]
        assert sorted(parsed) == [EARLIER, DAY]

    def test_nothing_where_nothing_changed_or_nothing_is_wanted(self, provider: FakeProvider, window: Window) -> None:
        for day in (DAY, EARLIER):
            provider.say(grouped_daily(day), grouped_body(day, AAPL=247.5, XOM=107.5))
        collect_corrections(window, wanted=True)
        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-13"]

        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=250, XOM=107.5))
        collect_corrections(window, wanted=True)
        assert add_corrected(window, wanted=False)["sessions"] == ["2024-12-13"]

    def test_another_sources_closes_are_no_correction(
        self, provider: FakeProvider, answers: AnswerStore, window: Window
    ) -> None:
        answer = answers.load("grouped_daily", DAY)[grouped_daily(DAY).path]
        body = json.loads(answer.body)
        body["results"][0]["c"] = 1
        answers.save(
            "grouped_daily",
            DAY,
            [type(answer)(answer.path, LATER, 200, "simulated", json.dumps(body))],
        )
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-13"]
