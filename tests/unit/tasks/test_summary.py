"""The end of a run: what people and programs are told, and the last word on refused sessions."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from mag7.lake.catalog import create_catalog
from mag7.lake.objects import ObjectStore
from mag7.tasks.backfill import RANGE
from mag7.tasks.check import CHECKS
from mag7.tasks.document import CHANGES, COVERAGE
from mag7.tasks.publish import WAREHOUSE
from mag7.tasks.refusals import SessionRefusedError
from mag7.tasks.reports import FAILURE, read_report, write_report
from mag7.tasks.summary import (
    SUMMARY,
    add_stages,
    report_refusals,
    say_range,
    summarise,
    summarise_range,
    summarise_session,
    tabulate_range,
    tabulate_session,
)
from tests.unit.tasks.conftest import RUN

KEY = "raw/magnificent7/trading_date=2024-12-13/market_data.json"
PASSED = [{"name": "keys_unique", "passed": True}]
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
    """The parts of a published document that a summary is made of, in numbers that are easy to tell apart."""
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
        "trading_date": "2024-12-13",
        "source": "simulated",
        "concentration_metrics": {**metrics, **changes},
        "rankings": {"by_market_cap": [company(1, "AAPL", 3750689160990.0, 6.9), company(2, "TSLA", 1.0, None)]},
        "sp500_details": {"failed_tickers": [{"ticker": "XYZ", "reason": "HTTP 500 after 5 tries"}]},
    }


ROWS = {"2024-12-13": {"daily_trading": 7}}


@pytest.fixture
def published(store: ObjectStore) -> ObjectStore:
    """A run that went through: its document, its reports, and what it staged."""
    create_catalog(boto3.client("glue", region_name="us-east-1"), store.bucket)
    store.put(KEY, json.dumps(make_document()).encode())
    write_report(store, RUN, WAREHOUSE, {"rows": ROWS, "splits": 24})
    write_report(store, RUN, CHECKS, {"checks": PASSED, "refused": {}})
    write_report(store, RUN, CHANGES, {"2024-12-13": ["AAPL close: 248.1 -> 248.13"]})
    for folder in ("market_data", "processed/daily_trading", "analytics/daily_trading", "manifests"):
        store.put(f"staging/{RUN}/{folder}/file", b"staged")
    return store


class TestSummarise:
    def test_reports_figures_checks_rows_and_requests(self, published: ObjectStore, window: Any) -> None:
        assert summarise(window, [CALLS, [CALLS, CALLS]]) == ROWS
        report = read_report(published, RUN, SUMMARY)

        assert (report["checks"], report["rows_loaded"], report["calls"]) == (PASSED, ROWS, 6)
        assert report["splits_loaded"] == 24
        assert report["changes"] == {"2024-12-13": ["AAPL close: 248.1 -> 248.13"]}
        assert report["explained"] == []
        (session,) = report["sessions"]
        assert session == {
            "trading_date": "2024-12-13",
            "source": "simulated",
            "mag7_pct_of_sp500": 33.286,
            "line_sum_mag7_pct": 31.905,
            "total_mag7_market_cap": 18045592174.5,
            "sp500_total_market_cap": 54209000000.0,
            "line_sum_market_cap": 56560392349.61,
            "companies": 499,
            "coverage_pct": 99.9,
            "quality": "partial",
            "membership_provisional": False,
            "facts": None,
            "ranking": make_document()["rankings"]["by_market_cap"],
            "failed_collections": [{"ticker": "XYZ", "reason": "HTTP 500 after 5 tries"}],
        }

    def test_keeps_what_was_staged_so_that_any_task_can_be_cleared(self, published: ObjectStore, window: Any) -> None:
        before = {stored.key for stored in published.list("staging/")}
        summarise(window, [])

        assert {stored.key for stored in published.list("staging/")} == before | {f"staging/{RUN}/reports/summary.json"}

    def test_a_second_time_says_the_same(self, published: ObjectStore, window: Any) -> None:
        first = (summarise(window, [CALLS]), read_report(published, RUN, SUMMARY))

        assert (summarise(window, [CALLS]), read_report(published, RUN, SUMMARY)) == first


class TestTable:
    def test_shows_caps_parts_and_both_figures(self, published: ObjectStore) -> None:
        lines = tabulate_session(summarise_session(json.loads(published.get(KEY)))).splitlines()

        assert lines[0] == "session 2024-12-13, source simulated, quality partial"
        assert lines[2].split() == ["1", "AAPL", "3,750,689,160,990.00", "50.00", "%", "6.90", "%"]
        assert lines[3].endswith("not in it")
        assert lines[4].endswith("by company: 33.2860 %")
        assert lines[5].endswith("(two-line companies counted twice): 31.9050 %")
        assert len({len(line) for line in lines[1:4]}) == 1  # columns stand under each other

    def test_a_line_sum_that_is_missing_is_not_shown_as_zero(self, store: ObjectStore) -> None:
        store.put(KEY, json.dumps(make_document(line_sum_mag7_pct=None, line_sum_market_cap=None)).encode())

        assert "not available, a line is missing" in tabulate_session(summarise_session(json.loads(store.get(KEY))))


class TestRefusals:
    def test_a_run_that_refused_nothing_ends_well(self, published: ObjectStore, window: Any) -> None:
        write_report(published, RUN, COVERAGE, {"2024-12-13": []})
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
        write_report(store, RUN, COVERAGE, coverage)
        write_report(store, RUN, CHECKS, {"checks": PASSED, "refused": checks})

        with pytest.raises(SessionRefusedError, match="2024-12-12 refused: no NVDA") as refused:
            report_refusals(window)
        assert "2024-12-13 refused" not in str(refused.value)


class TestRange:
    ASKED = ("2024-12-10", "2024-12-11", "2024-12-12", "2024-12-13")

    @pytest.fixture(autouse=True)
    def notes(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        written: list[str] = []
        monkeypatch.setattr("mag7.tasks.summary.write_note", written.append)
        return written

    @pytest.fixture
    def backfilled(self, published: ObjectStore) -> ObjectStore:
        """A range of four sessions: one was complete, one each was refused by coverage and by a check."""
        write_report(published, RUN, RANGE, {"asked": list(self.ASKED), "complete": ["2024-12-10"]})
        write_report(published, RUN, COVERAGE, {"2024-12-11": ["no NVDA"], "2024-12-12": [], "2024-12-13": []})
        write_report(published, RUN, CHECKS, {"checks": PASSED, "refused": {"2024-12-12": ["the share moved"]}})
        return published

    def test_reports_what_was_complete_published_and_refused(
        self, backfilled: ObjectStore, window: Any, notes: list[str]
    ) -> None:
        counted = summarise_range(window, [CALLS, [CALLS, CALLS]], {"collect": 61.5, "transform": 9.0})
        report = read_report(backfilled, RUN, SUMMARY)

        assert counted == {"published": 1, "complete": 1, "refused": 2}
        assert [session["trading_date"] for session in report["sessions"]] == ["2024-12-13"]
        assert (report["asked"], report["complete"]) == (list(self.ASKED), ["2024-12-10"])
        assert report["refused"] == {"2024-12-11": ["no NVDA"], "2024-12-12": ["the share moved"]}
        assert (report["calls"], report["bytes"]) == (6, 900)
        assert report["seconds_by_stage"] == {"collect": 61.5, "transform": 9.0}
        assert (report["checks"], report["rows_loaded"], report["splits_loaded"]) == (PASSED, ROWS, 24)
        assert notes == ["1 sessions published and loaded, 1 were complete, 2 refused; 6 calls, 0.0 MB"]

    def test_a_failure_that_was_mended_is_dropped(self, backfilled: ObjectStore, window: Any) -> None:
        write_report(backfilled, RUN, FAILURE, {"message": "old"})
        summarise_range(window, [], {})

        assert f"staging/{RUN}/reports/{FAILURE}.json" not in {stored.key for stored in backfilled.list("staging/")}

    def test_a_second_time_says_the_same(self, backfilled: ObjectStore, window: Any) -> None:
        first = (summarise_range(window, [CALLS], {}), read_report(backfilled, RUN, SUMMARY))

        assert (summarise_range(window, [CALLS], {}), read_report(backfilled, RUN, SUMMARY)) == first

    def test_the_table_has_a_line_a_session_and_the_reasons_of_refusals(
        self, backfilled: ObjectStore, window: Any
    ) -> None:
        summarise_range(window, [{**CALLS, "bytes": 12_340_000}], {"collect": 61.5, "transform": 9.0})
        report = read_report(backfilled, RUN, SUMMARY)

        assert tabulate_range(report).splitlines() == [
            "1 sessions published and loaded, 1 were complete, 2 refused; 2 calls, 12.3 MB",
            "2024-12-13   33.2860 % by company,  31.9050 % by line sum, 499 companies, quality partial,"
            " source simulated",
            "2024-12-11  refused: no NVDA",
            "2024-12-12  refused: the share moved",
            "seconds of tasks by stage: collect 62 s, transform 9 s",
        ]

    def test_a_line_sum_that_is_missing_is_not_shown_as_zero(self) -> None:
        session = summarise_session(make_document(line_sum_mag7_pct=None, line_sum_market_cap=None))
        report = {"sessions": [session], "complete": [], "refused": {}, "calls": 0, "bytes": 0, "seconds_by_stage": {}}

        assert " 33.2860 % by company, no line sum, 499 companies" in tabulate_range(report)
        assert say_range(report) == "1 sessions published and loaded, 0 were complete, 0 refused; 0 calls, 0.0 MB"


def test_seconds_of_tasks_add_up_by_group_or_task() -> None:
    finished = [
        {"task_id": "resolve_window", "duration": 1.26},
        {"task_id": "collect.collect_counts", "map_index": 0, "duration": 10.0},
        {"task_id": "collect.collect_counts", "map_index": 1, "duration": 20.04},
        {"task_id": "collect.collect_closes", "duration": None},
        {"task_id": "load.load_tables", "duration": 3},
    ]

    assert add_stages(finished) == {"resolve_window": 1.3, "collect": 30.0, "load": 3.0}
    assert add_stages([]) == {}
