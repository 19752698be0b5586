"""Build the document from stored responses, and check its coverage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from mag7.index.constituents import Line
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.polygon.answers import AnswerStore
from mag7.polygon.calls import grouped_daily, ticker_details
from mag7.runs.progress import Progress
from mag7.runs.record import Built, read_section, write_section
from mag7.runs.refusal import SessionRefusedError, refusal_sentence
from mag7.tasks.document import build_market_data, check_coverage
from mag7.tasks.window import Window, make_window
from tests.fuzz.documents import STORED
from tests.unit.tasks.conftest import (
    DAY,
    RUN,
    details_body,
    grouped_body,
    keep,
    keep_bars,
    keep_details,
    make_line,
)

pytestmark = pytest.mark.usefixtures("aws")

Index = Callable[..., None]
KEY = f"staging/{RUN}/market_data/trading_date=2024-12-13/market_data.json"


@pytest.fixture
def priced(index: Index, answers: AnswerStore) -> AnswerStore:
    """Two lines of the index, both priced."""
    index(make_line("AAPL"), make_line("XYZ"))
    keep_bars(answers, AAPL=248.13, XYZ=10)
    keep_details(answers, "AAPL", weighted_shares_outstanding=100, market_cap=24813, name="Apple Inc.")
    keep_details(answers, "XYZ", weighted_shares_outstanding=50, market_cap=500)
    return answers


def read_document(store: ObjectStore) -> dict[str, Any]:
    return json.loads(store.get(KEY))


def publish_earlier(store: ObjectStore, line: Line, day: date = date(2024, 12, 6), **figures: Any) -> None:
    """Publish a document of the week before, or of another day, that holds one line."""
    entry = {**STORED["constituents"][0], "ticker": line.ticker, "issuer": line.issuer, "close": 1.0, **figures}
    document = {**STORED, "trading_date": day.isoformat(), "source": "polygon", "constituents": [entry]}
    store.put(document_key(day), json.dumps(document).encode())


def read_refusals(store: ObjectStore, part: str = "2024-12-13") -> dict[str, list[str]]:
    """What the building of a window recorded, under its first session."""
    return read_section(store, RUN, Built, part).refused


class TestBuild:
    def test_writes_the_document_into_staging(self, priced: AnswerStore, store: ObjectStore, window: Window) -> None:
        assert build_market_data(window) == {"2024-12-13": KEY}
        document = read_document(store)

        assert (document["trading_date"], document["source"]) == ("2024-12-13", "polygon")
        assert document["concentration_metrics"]["sp500_total_market_cap"] == 25313
        assert document["companies"]["AAPL"]["market_cap"] == 24813

    def test_a_part_of_a_run_says_after_each_session_how_far_it_is(
        self, priced: AnswerStore, window: Window, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[tuple[int, int]] = []
        monkeypatch.setattr(Progress, "tell", lambda _, *, sessions, unbuilt=0: told.append((sessions, unbuilt)))
        part: Window = {
            "run": window["run"],
            "sessions": ["2024-12-12", "2024-12-13"],
            "facts": "",
        }  # of one nothing is priced

        build_market_data(window)
        assert told == []
        build_market_data(part, 21)
        assert told == [(0, 2), (1, 1), (2, 0)]

    def test_its_time_is_that_of_the_newest_response_used(
        self, priced: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        late = datetime(2024, 12, 14, 6, 30, tzinfo=UTC)
        body = details_body("XYZ", weighted_shares_outstanding=50, market_cap=500)
        keep(priced, ticker_details("XYZ", DAY), body, time=late)
        keep(priced, ticker_details("OTHER", DAY), details_body("OTHER"), time=late.replace(hour=23))
        build_market_data(window)

        assert datetime.fromisoformat(read_document(store)["data_collection_time"]) == late

    def test_a_response_that_was_read_and_is_of_no_use_gives_it_no_time(
        self, index: Index, priced: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        index(make_line("AAPL"), make_line("NEW"))
        keep_bars(priced, AAPL=248.13, NEW=10)
        keep_details(priced, "NEW")
        useless, useful = date(2024, 12, 12), date(2024, 12, 6)
        late = datetime(2024, 12, 14, 6, 30, tzinfo=UTC)
        keep(priced, grouped_daily(useless), grouped_body(useless, NEW=10), time=late.replace(hour=9))
        keep(priced, ticker_details("NEW", useless), details_body("NEW"), time=late.replace(hour=10))
        keep(priced, grouped_daily(useful), grouped_body(useful, NEW=10), time=late)
        keep_details(priced, "NEW", useful, weighted_shares_outstanding=5)
        build_market_data(window)
        document = read_document(store)

        assert datetime.fromisoformat(document["data_collection_time"]) == late
        assert sum("2024-12-06" in key for key in document["constituents"][1]["answers"]) == 2
        assert not any("2024-12-12" in key for key in document["constituents"][1]["answers"])

    def test_responses_about_one_of_the_seven_outside_the_index_count(
        self, index: Index, priced: AnswerStore, store: ObjectStore, window: Window, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index(make_line("XYZ"))
        monkeypatch.setattr("mag7.tasks.collect.seven_lines", lambda session: (make_line("AAPL"),))
        late = datetime(2024, 12, 14, 6, 30, tzinfo=UTC)
        body = details_body("AAPL", weighted_shares_outstanding=100, market_cap=24813)
        keep(priced, ticker_details("AAPL", DAY), body, time=late)
        build_market_data(window)

        assert datetime.fromisoformat(read_document(store)["data_collection_time"]) == late

    def test_says_what_coverage_forbids(
        self, index: Index, priced: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        index(make_line("AAPL"), make_line("XYZ"), make_line("NVDA"))
        build_market_data(window)
        (reasons,) = read_refusals(store).values()

        assert reasons[0] == (
            "NVDA (NVDA Corp), one of the seven, could not be priced: no bar for NVDA in the grouped call"
        )
        assert reasons[1].startswith("only 2 of 3 companies are priced (66.67 %)")
        assert {failed["ticker"] for failed in read_document(store)["sp500_details"]["failed_tickers"]} == {"NVDA"}

    def test_bounds_come_from_the_settings(
        self, index: Index, priced: AnswerStore, store: ObjectStore, window: Window, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index(make_line("AAPL"), make_line("XYZ"), make_line("ABC"))
        monkeypatch.setenv("MAG7_MINIMUM_COMPANIES_PCT", "66")
        monkeypatch.setenv("MAG7_MINIMUM_CAP_PCT", "60")
        publish_earlier(store, make_line("ABC"), share_count=10, market_cap=500.0)
        build_market_data(window)

        assert read_refusals(store) == {"2024-12-13": []}

    def test_a_company_without_a_count_weighs_what_was_last_published_of_it(
        self, index: Index, priced: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        index(make_line("AAPL"), make_line("XYZ"), make_line("ABC"))
        publish_earlier(store, make_line("ABC"), share_count=10, market_cap=25313.0)
        build_market_data(window)
        (unpriced,) = read_document(store)["coverage"]["unpriced"]

        assert unpriced["assumed_market_cap"] == 25313
        assert unpriced["basis"] == "published cap of 2024-12-06"
        # Of the three caps the third one is as large as the two that are known.
        assert read_document(store)["coverage"]["cap_pct"] == 50
        (reasons,) = read_refusals(store).values()
        assert reasons[1].startswith("only 50.00 % of the index's market capitalization is priced")

    def test_where_nothing_is_published_before_it_weighs_what_is_published_after_it(
        self, index: Index, priced: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        index(make_line("AAPL"), make_line("XYZ"), make_line("ABC"))
        publish_earlier(store, make_line("ABC"), date(2024, 12, 20), share_count=10, market_cap=300.0)
        build_market_data(window)
        (unpriced,) = read_document(store)["coverage"]["unpriced"]

        assert (unpriced["assumed_market_cap"], unpriced["basis"]) == (300, "published cap of 2024-12-20")

    def test_a_company_of_which_nothing_was_ever_published_refuses_the_session(
        self, index: Index, priced: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        index(make_line("AAPL"), make_line("XYZ"), make_line("ABC"))
        build_market_data(window)
        (reasons,) = read_refusals(store).values()

        assert reasons[-1].startswith("ABC (ABC Corp) could not be priced, and neither a cap of an earlier session")

    def test_refuses_to_mix_two_sources(self, priced: AnswerStore, window: Window, store: ObjectStore) -> None:
        body = details_body("XYZ", weighted_shares_outstanding=50, market_cap=500)
        later = datetime(2024, 12, 14, 7, tzinfo=UTC)
        keep(priced, ticker_details("XYZ", DAY), body, time=later, source="simulated")

        assert build_market_data(window) == {}
        ((reason,),) = read_refusals(store).values()
        assert reason.startswith("responses of two sources would be mixed: ")
        assert {"polygon", "simulated"} <= set(re.split(r"[\s,;]", reason))
        with pytest.raises(ObjectMissingError):
            store.get(KEY)
        with pytest.raises(SessionRefusedError, match="2024-12-13 refused: responses of two sources would be mixed"):
            check_coverage(window)

    def test_a_response_of_another_source_that_is_not_used_does_no_harm(
        self, priced: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        keep(priced, ticker_details("ZZZ", DAY), details_body("ZZZ"), source="simulated")
        build_market_data(window)

        assert read_document(store)["source"] == "polygon"

    def test_says_so_where_nothing_was_collected(self, index: Index, window: Window) -> None:
        index(make_line("AAPL"))

        assert build_market_data(window) == {}
        with pytest.raises(
            SessionRefusedError, match=r"could be priced, such as AAPL: the closes of 2024-12-13 .*: never requested"
        ):
            check_coverage(window)

    @pytest.mark.parametrize("trouble", ["nothing kept", "two sources"])
    def test_one_sessions_trouble_leaves_the_others(
        self, priced: AnswerStore, store: ObjectStore, trouble: str
    ) -> None:
        before = date(2024, 12, 12)
        if trouble == "two sources":
            keep(priced, grouped_daily(before), grouped_body(before, AAPL=247, XYZ=10), source="simulated")
            for symbol, count in (("AAPL", 100), ("XYZ", 50)):
                keep_details(priced, symbol, before, weighted_shares_outstanding=count)
        window = make_window(RUN, [before, DAY])

        assert build_market_data(window) == {"2024-12-13": KEY}
        refusals = read_refusals(store, "2024-12-12")
        assert [len(refusals[day]) for day in window["sessions"]] == [1, 0]
        assert check_coverage(window)["sessions"] == ["2024-12-13"]

    def test_a_window_gets_a_document_a_session(self, priced: AnswerStore, store: ObjectStore) -> None:
        before = date(2024, 12, 12)
        keep(priced, grouped_daily(before), grouped_body(before, AAPL=247, XYZ=10))
        for symbol, count, cap in (("AAPL", 100, 24700), ("XYZ", 50, 500)):
            keep_details(priced, symbol, before, weighted_shares_outstanding=count, market_cap=cap)
        keys = build_market_data(make_window(RUN, [before, DAY]))

        assert list(keys) == ["2024-12-12", "2024-12-13"]
        assert json.loads(store.get(keys["2024-12-12"]))["concentration_metrics"]["sp500_total_market_cap"] == 25200

    def test_a_second_build_writes_the_same_bytes(
        self, priced: AnswerStore, store: ObjectStore, window: Window
    ) -> None:
        build_market_data(window)
        first = store.get(KEY)
        build_market_data(window)

        assert store.get(KEY) == first


class TestCoverageGate:
    DAYS = (date(2024, 12, 12), DAY)

    @staticmethod
    def report(store: ObjectStore, part: str, refusals: dict[str, list[str]]) -> None:
        changes = {day: ["AAPL close: 1 -> 2"] for day in refusals}
        write_section(store, RUN, Built(refused=refusals, changes=changes), part)

    def test_passes_on_the_sessions_that_nothing_forbids(self, store: ObjectStore) -> None:
        self.report(store, "2024-12-12", {"2024-12-12": ["too little is priced"], "2024-12-13": []})

        assert check_coverage(make_window(RUN, self.DAYS)) == {"run": RUN, "sessions": ["2024-12-13"], "facts": ""}

    def test_joins_what_the_parts_of_a_window_reported(self, store: ObjectStore) -> None:
        self.report(store, "2024-12-12", {"2024-12-12": ["too little is priced"]})
        self.report(store, "2024-12-13", {"2024-12-13": []})
        parts = [make_window(RUN, [day]) for day in self.DAYS]

        assert check_coverage(make_window(RUN, self.DAYS), parts)["sessions"] == ["2024-12-13"]
        built = read_section(store, RUN, Built)
        assert built.refused == {"2024-12-12": ["too little is priced"], "2024-12-13": []}
        assert set(built.changes) == {"2024-12-12", "2024-12-13"}

    def test_a_part_that_was_not_built_is_missed(self, store: ObjectStore) -> None:
        self.report(store, "2024-12-12", {"2024-12-12": []})

        with pytest.raises(ObjectMissingError, match="built-2024-12-13"):
            check_coverage(make_window(RUN, self.DAYS), [make_window(RUN, [day]) for day in self.DAYS])

    def test_fails_with_every_reason_where_none_is_left(self, store: ObjectStore) -> None:
        self.report(store, "2024-12-12", {"2024-12-12": ["no NVDA", "too little"], "2024-12-13": ["no TSLA"]})

        with pytest.raises(SessionRefusedError) as refused:
            check_coverage(make_window(RUN, self.DAYS))
        assert str(refused.value) == (
            "2024-12-12 refused: no NVDA; too little. 2024-12-13 refused: no TSLA. Nothing was published; what was"
            " fetched is stored: if a response is wrong, trigger mag7_daily with trading_date and collect_again; else"
            " fix the cause, then run it again"
        )
        assert not refused.value.transient
        # report_refusals reads it, also when nothing was accepted.
        assert set(read_section(store, RUN, Built).refused) == {"2024-12-12", "2024-12-13"}

    def test_a_session_without_a_refusal_is_not_in_the_sentence(self) -> None:
        assert "2024-12-13" not in refusal_sentence({"2024-12-12": ["no NVDA"], "2024-12-13": []})
