"""The end of a run: its summary for people and programs, and the failure of refused sessions."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from mag7.lake.catalog import create_catalog
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.runs.record import (
    Asked,
    Built,
    Check,
    Checks,
    Failure,
    Loaded,
    Summary,
    find_section,
    read_section,
    section_key,
    write_section,
)
from mag7.runs.refusal import SessionRefusedError
from mag7.tasks.summary import SESSIONS_TABULATED, report_refusals, summarise
from tests.fuzz.documents import STORED
from tests.unit.tasks.conftest import RUN

KEY = "raw/magnificent7/trading_date=2024-12-13/market_data.json"
PASSED = [Check(name="keys_unique", passed=True)]
CALLS = {"asked": 1, "kept": 0, "failed": 0, "requests": 2, "bytes": 300}


def company(ranking: int, ticker: str, cap: float, of_index: float | None) -> dict[str, Any]:
    return {
        "ranking": ranking,
        "ticker": ticker,
        "name": ticker,
        "market_cap": cap,
        "pct_of_mag7": 50.0,
        "pct_of_sp500": of_index,
        "in_index": of_index is not None,
    }


def make_document(**changes: Any) -> dict[str, Any]:
    """A published document, whose summary is made of numbers that are easy to tell apart."""
    metrics = {
        "mag7_pct_of_sp500": 33.286,
        "line_sum_mag7_pct": 31.905,
        "total_mag7_market_cap": 18045592174.5,
        "sp500_total_market_cap": 54209000000.0,
        "line_sum_market_cap": 56560392349.61,
        "companies_priced": 499,
        "coverage_pct": 99.9,
        "quality": "partial",
    }
    return {
        **STORED,
        "source": "simulated",
        "concentration_metrics": {**STORED["concentration_metrics"], **metrics, **changes},
        "rankings": {"by_market_cap": [company(1, "AAPL", 3750689160990.0, 6.9), company(2, "TSLA", 1.0, None)]},
        "sp500_details": {
            **STORED["sp500_details"],
            "failed_tickers": [{"ticker": "XYZ", "reason": "HTTP 500 after 5 tries"}],
        },
    }


ROWS = {"2024-12-13": {"daily_trading": 7}}


@pytest.fixture
def published(store: ObjectStore) -> ObjectStore:
    """A run that went through: its document, its reports, and what it staged."""
    create_catalog(boto3.client("glue", region_name="us-east-1"), store.bucket)
    store.put(KEY, json.dumps(make_document()).encode())
    write_section(store, RUN, Loaded(rows=ROWS, splits=24))
    write_section(store, RUN, Checks(checks=PASSED, refused={}))
    write_section(store, RUN, Built(refused={}, changes={"2024-12-13": ["AAPL close: 248.1 -> 248.13"]}))
    for folder in ("market_data", "processed/daily_trading", "analytics/daily_trading", "manifests"):
        store.put(f"staging/{RUN}/{folder}/file", b"staged")
    return store


class TestSummarise:
    def test_records_the_sessions_profiles_and_the_calls(self, published: ObjectStore, window: Any) -> None:
        told = summarise(window, [CALLS, [CALLS, CALLS]], {"collect": 61.5})
        summary = read_section(published, RUN, Summary)

        assert told == {"published": 1, "complete": 0, "refused": 0}
        assert (summary.calls, summary.bytes, summary.explained) == (6, 900, [])
        assert summary.seconds_by_stage == {"collect": 61.5}
        assert set(summary.sessions) == {"2024-12-13"}
        profile = summary.sessions["2024-12-13"]
        assert {
            name: profile[name] for name in ("source", "quality", "companies_priced", "coverage_pct", "failed")
        } == {
            "source": "simulated",
            "quality": "partial",
            "companies_priced": 499,
            "coverage_pct": 99.9,
            "failed": {"XYZ": "HTTP 500 after 5 tries"},
        }

    def test_keeps_what_was_staged_so_that_any_task_can_be_cleared(self, published: ObjectStore, window: Any) -> None:
        before = {stored.key for stored in published.list("staging/")}
        summarise(window, [], {})

        assert {stored.key for stored in published.list("staging/")} == before | {f"staging/{RUN}/record/summary.json"}

    def test_a_second_time_says_the_same(self, published: ObjectStore, window: Any) -> None:
        first = (summarise(window, [CALLS], {}), read_section(published, RUN, Summary))

        assert (summarise(window, [CALLS], {}), read_section(published, RUN, Summary)) == first

    def test_a_failure_that_was_repaired_is_dropped(self, published: ObjectStore, window: Any) -> None:
        write_section(published, RUN, Failure(task="check_coverage", error="E", message="old", ours=True))
        summarise(window, [], {})

        assert find_section(published, RUN, Failure) is None

    def test_a_load_that_left_nothing_is_missed(self, published: ObjectStore, window: Any) -> None:
        published.delete([section_key(RUN, Loaded)])

        with pytest.raises(ObjectMissingError, match="loaded"):
            summarise(window, [], {})

    @pytest.mark.parametrize("sessions", [1, SESSIONS_TABULATED, SESSIONS_TABULATED + 1])
    def test_every_session_has_a_line_and_the_few_of_a_daily_run_a_table(
        self, published: ObjectStore, caplog: pytest.LogCaptureFixture, sessions: int
    ) -> None:
        days = [f"2024-12-{day:02}" for day in (*range(2, 7), 9, 10)][:sessions]
        for day in days:
            published.put(KEY.replace("2024-12-13", day), json.dumps(make_document() | {"trading_date": day}).encode())
        caplog.set_level("INFO")
        summarise({"run": RUN, "sessions": days, "facts": ""}, [], {})
        tables = [text for text in caplog.messages if text.startswith("session 2024-12-")]
        (lines,) = [text for text in caplog.messages if "sessions published and loaded" in text]

        assert len(tables) == (sessions if sessions <= SESSIONS_TABULATED else 0)
        assert [line[:10] for line in lines.splitlines()[1:-1]] == days


class TestBackfill:
    @pytest.fixture
    def backfilled(self, published: ObjectStore) -> ObjectStore:
        """A range of four sessions: one was complete, one each was refused by coverage and by a check."""
        days = ["2024-12-10", "2024-12-11", "2024-12-12", "2024-12-13"]
        write_section(published, RUN, Asked(asked=days, complete=["2024-12-10"]))
        write_section(published, RUN, Built(refused={"2024-12-11": ["no NVDA"], "2024-12-12": [], "2024-12-13": []}))
        write_section(published, RUN, Checks(checks=PASSED, refused={"2024-12-12": ["the share moved"]}))
        return published

    def test_says_what_was_complete_published_and_refused(
        self, backfilled: ObjectStore, window: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        counted = summarise(window, [CALLS, [CALLS, CALLS]], {"collect": 61.5, "transform": 9.0})

        assert counted == {"published": 1, "complete": 1, "refused": 2}
        assert read_section(backfilled, RUN, Summary).seconds_by_stage == {"collect": 61.5, "transform": 9.0}
        (told,) = [text for text in caplog.messages if "published and loaded" in text]
        assert told.splitlines()[0] == ("1 sessions published and loaded, 1 were complete, 2 refused; 6 calls, 0.0 MB")


class TestRefusals:
    def test_a_run_that_refused_nothing_ends_well(self, published: ObjectStore, window: Any) -> None:
        write_section(published, RUN, Built(refused={"2024-12-13": []}))
        report_refusals(window)

    @pytest.mark.parametrize(
        ("coverage", "checks"),
        [
            ({"2024-12-12": ["no NVDA"], "2024-12-13": []}, {}),
            ({"2024-12-12": [], "2024-12-13": []}, {"2024-12-12": ["no NVDA"]}),
        ],
        ids=["by coverage", "by a check"],
    )
    def test_one_refused_session_fails_the_run_whose_others_were_published(
        self, store: ObjectStore, window: Any, coverage: dict[str, Any], checks: dict[str, Any]
    ) -> None:
        write_section(store, RUN, Built(refused=coverage))
        write_section(store, RUN, Checks(checks=PASSED, refused=checks))

        with pytest.raises(SessionRefusedError, match="2024-12-12 refused: no NVDA") as refused:
            report_refusals(window)
        assert "2024-12-13 refused" not in str(refused.value)

    @pytest.mark.parametrize("gate", [Built, Checks], ids=["coverage", "checks"])
    def test_a_gate_that_left_nothing_is_not_taken_for_one_that_refused_nothing(
        self, published: ObjectStore, window: Any, gate: Any
    ) -> None:
        published.delete([section_key(RUN, gate)])

        for task in (lambda: report_refusals(window), lambda: summarise(window, [], {})):
            with pytest.raises(ObjectMissingError, match=gate.__name__.lower()):
                task()
