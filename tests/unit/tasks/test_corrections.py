"""Closes that were edited after they were published: asked for again, found, and added to the window."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.market.document import compute_figures, encode_document, write_document
from mag7.polygon.answers import AnswerStore
from mag7.polygon.collect import grouped_daily
from mag7.polygon.errors import ServerFailedError
from mag7.tasks.corrections import CORRECTIONS, add_corrected, collect_corrections
from mag7.tasks.reports import read_report
from mag7.tasks.window import Window
from tests.unit.market.conftest import Make
from tests.unit.tasks.conftest import RUN, FakeProvider, grouped_body, keep_bars

DAY, BEFORE, EARLIER = date(2024, 12, 12), date(2024, 12, 11), date(2024, 12, 10)
LATER = datetime(2024, 12, 14, 6, tzinfo=UTC)


@pytest.fixture
def published(store: ObjectStore, answers: AnswerStore) -> None:
    """Two published sessions of two lines; the closes that they were built from are kept."""
    make = Make()
    for day in (DAY, EARLIER):
        evidence = [make.evidence(make.line("AAPL"), 100, "247.5"), make.evidence(make.line("XOM"), 50, "107.5")]
        document = write_document(compute_figures(day, evidence, []), "polygon", LATER)
        bar = document["companies"]["AAPL"]["trading_data"]
        bar |= {f"{name}_price": bar["close_price"] for name in ("open", "high", "low")} | {"vwap": None}
        store.put(document_key(day), encode_document(document))
        keep_bars(answers, day, AAPL=247.5, XOM=107.5)


@pytest.mark.usefixtures("published")
class TestCollect:
    def test_asks_again_for_published_sessions_only(self, provider: FakeProvider, window: Window) -> None:
        for day in (DAY, EARLIER):
            provider.say(grouped_daily(day), grouped_body(day, AAPL=247.5, XOM=107.5))

        assert collect_corrections(window, wanted=True)["requests"] == 2
        assert provider.take_asked() == [("bars", "2024-12-12"), ("bars", "2024-12-10")]

    def test_asks_nothing_unless_wanted(self, provider: FakeProvider, window: Window) -> None:
        assert collect_corrections(window, wanted=False)["requests"] == 0
        assert provider.take_asked() == []

    def test_can_do_without_an_answer(self, provider: FakeProvider, window: Window) -> None:
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
            ({"AAPL": 248.13, "XOM": 107.5}, ["AAPL close 247.5 -> 248.13", "AAPL open 247.5 -> 248.13"]),
        ],
    )
    def test_a_session_whose_closes_changed(
        self, provider: FakeProvider, store: ObjectStore, window: Window, closes: dict[str, Any], said: list[str]
    ) -> None:
        provider.say(grouped_daily(DAY), grouped_body(DAY, **closes))
        provider.say(grouped_daily(EARLIER), grouped_body(EARLIER, AAPL=247.5, XOM=107.5))
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-12", "2024-12-13"]
        report = read_report(store, RUN, CORRECTIONS)
        assert list(report) == ["2024-12-12"]
        assert report["2024-12-12"][: len(said)] == said

    def test_a_run_that_stopped_halfway_finds_the_change_again(self, provider: FakeProvider, window: Window) -> None:
        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=250, XOM=107.5))
        collect_corrections(window, wanted=True)

        assert add_corrected(window, wanted=True) == add_corrected(window, wanted=True)
        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-12", "2024-12-13"]

    def test_nothing_where_nothing_changed_or_nothing_is_wanted(self, provider: FakeProvider, window: Window) -> None:
        for day in (DAY, EARLIER):
            provider.say(grouped_daily(day), grouped_body(day, AAPL=247.5, XOM=107.5))
        collect_corrections(window, wanted=True)
        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-13"]

        provider.say(grouped_daily(DAY), grouped_body(DAY, AAPL=250, XOM=107.5))
        collect_corrections(window, wanted=True)
        assert add_corrected(window, wanted=False)["sessions"] == ["2024-12-13"]

    def test_another_sources_closes_are_no_correction(self, answers: AnswerStore, window: Window) -> None:
        answer = answers.load("grouped_daily", DAY)[grouped_daily(DAY).path]
        body = json.loads(answer.body)
        body["results"][0]["c"] = 1
        answers.save(
            "grouped_daily",
            DAY,
            [type(answer)(answer.path, LATER, 200, "simulated", json.dumps(body))],
        )

        assert add_corrected(window, wanted=True)["sessions"] == ["2024-12-13"]
