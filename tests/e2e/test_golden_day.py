"""The golden day by ``make demo``'s own command: task states, summary, lake, catalog and warehouse."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from mag7.lake.checks import list_checks
from mag7.lake.keys import run_manifest_key, run_segment
from mag7.lake.tables import list_published_tables
from mag7.polygon.calls import SPLITS
from sandbox import demo
from sandbox.airflow_home import list_asset_events
from sandbox.polygon import facts
from tests.e2e.conftest import GOLDEN_DAY
from tests.e2e.house import Command, House
from tests.sandbox.aws.running import is_alive
from tools.stack_reader import TABLES, Rows

CAPS = {
    "AAPL": "3750689160990.00",
    "MSFT": "3325399124681.52",
    "NVDA": "3287782500000.00",
    "AMZN": "2391744403879.68",
    "GOOGL": "2323586620000.00",
    "META": "1566066461446.55",
    "TSLA": "1400324325045.57",
}
LINE_SUM = 56_560_392_349_612.24
TOTAL_OF_THE_SEVEN = Decimal("18045592596043.32")
LEAST_CALLS = 2 * (1 + 503) + 1
"""Every close and 503 lines, of the session and of the one before, and the list of splits."""

MOST_CALLS = LEAST_CALLS + 4 * len(facts.splits())
"""Beside each split that is listed since, counts and closes on both sides: the list grows with the market's clock."""

MIDNIGHT_NEW_YORK = 1_734_066_000_000


@pytest.fixture(scope="module")
def document(house: House) -> dict[str, Any]:
    return house.document(GOLDEN_DAY)


def golden_rows(house: House, table: str) -> Rows:
    return [row for row in house.dump_table(table) if row[0] == GOLDEN_DAY]


def cents(value: float) -> Decimal:
    return Decimal(value).quantize(Decimal("0.01"))


class TestSummary:
    def test_holds_every_field(self, golden: Command) -> None:
        assert set(golden.summary) >= {
            "trading_date", "source", "mag7_pct_of_sp500", "line_sum_mag7_pct", "total_mag7_market_cap",
            "sp500_total_market_cap", "line_sum_market_cap", "companies", "coverage_pct", "ranking",
            "failed_collections", "checks", "rows_loaded", "calls", "seconds",
        }  # fmt: skip
        assert "refused" not in golden.summary
        assert golden.summary["trading_date"] == GOLDEN_DAY
        assert golden.summary["source"] == "simulated"

    def test_ranks_the_seven_by_caps_exact_to_the_cent(self, golden: Command) -> None:
        ranking = [(item["ticker"], str(cents(item["market_cap"]))) for item in golden.summary["ranking"]]

        assert ranking == list(CAPS.items())
        assert cents(golden.summary["total_mag7_market_cap"]) == TOTAL_OF_THE_SEVEN

    def test_gives_both_figures_of_concentration(self, golden: Command) -> None:
        summary = golden.summary

        assert summary["line_sum_market_cap"] == pytest.approx(LINE_SUM, rel=1e-6)
        assert f"{summary['line_sum_mag7_pct']:.4f}" == "31.9050"
        assert 33.2 < summary["mag7_pct_of_sp500"] < 33.4
        assert summary["mag7_pct_of_sp500"] == pytest.approx(
            100 * summary["total_mag7_market_cap"] / summary["sp500_total_market_cap"], rel=1e-12
        )

    def test_counts_companies_checks_rows_and_calls(self, golden: Command, document: dict[str, Any]) -> None:
        summary = golden.summary

        assert summary["companies"] == 500
        assert summary["coverage_pct"] == 100
        assert summary["failed_collections"] == []
        assert summary["checks"] == [{"name": name, "passed": True} for name in list_checks()]
        assert summary["rows_loaded"] == {
            "concentration_metrics": 1, "company_details": 7, "daily_trading": 7, "magnificent7_metrics": 7,
            "failed_collections": 0, "constituent_market_caps": 503,
        }  # fmt: skip
        assert summary["splits_loaded"] == len(document["splits"]) > 20
        assert LEAST_CALLS < summary["calls"] <= MOST_CALLS
        assert summary["seconds"] > 0

    def test_is_printed_for_people(self, golden: Command) -> None:
        for text in ("3,750,689,160,990.00", "31.9050 %", "33.3", "14 of 14", "SIMULATED", "seconds by stage", "503"):
            assert text in golden.printed


class TestRun:
    def test_every_task_succeeded(self, golden: Command) -> None:
        states = Counter((task.task_id, task.state) for task in golden.tasks)

        assert {state for _, state in states} == {"success"}
        assert states["check.run_check", "success"] == len(list_checks())
        assert 10 <= states["collect.collect_details", "success"] <= 20
        assert states["report_refusals", "success"] == 1

    def test_no_server_outlives_the_command(self, golden: Command) -> None:
        assert sorted(golden.servers) == ["sandbox.aws.ready.json", "sandbox.polygon.ready.json"]
        assert not [name for name, pid in golden.servers.items() if is_alive(pid)]


class TestTables:
    def test_concentration(self, house: House, document: dict[str, Any]) -> None:
        metrics = document["concentration_metrics"]
        names = (
            "total_mag7_market_cap", "sp500_total_market_cap", "mag7_pct_of_sp500", "mag7_companies_count",
            "mag7_in_index_market_cap", "mag7_in_index_count", "line_sum_market_cap", "line_sum_mag7_pct",
            "companies_expected", "companies_priced", "coverage_pct", "hhi", "effective_companies", "top10_pct",
            "quality",
        )  # fmt: skip

        assert golden_rows(house, "concentration_metrics") == [
            (
                GOLDEN_DAY,
                *(metrics[name] for name in names),
                "simulated",
                metrics["mag7_pct_of_sp500_before"],
                False,
                document["facts"]["version"],
            )
        ]
        assert metrics["mag7_in_index_count"] == 7
        assert metrics["quality"] == "complete"

    def test_company_details(self, house: House, document: dict[str, Any]) -> None:
        names = ("name", "market_cap", "shares_outstanding", "currency", "description", "cik", "share_count_origin")
        expected = [
            (GOLDEN_DAY, ticker, *(company[name] for name in names))
            for ticker, company in document["companies"].items()
        ]

        rows = golden_rows(house, "company_details")
        assert rows == sorted(expected)
        assert {row[1]: str(cents(row[3])) for row in rows} == CAPS

    def test_daily_trading(self, house: House, document: dict[str, Any]) -> None:
        names = ("open_price", "high_price", "low_price", "close_price", "volume", "vwap", "timestamp")
        expected = [
            (GOLDEN_DAY, ticker, *(company["trading_data"][name] for name in names))
            for ticker, company in document["companies"].items()
        ]

        rows = golden_rows(house, "daily_trading")
        assert rows == sorted(expected)
        apple = (GOLDEN_DAY, "AAPL", 247.815, 249.2902, 246.24, 248.13, 31_526_663, 247.7389, MIDNIGHT_NEW_YORK)
        assert rows[0] == apple

    def test_magnificent7_metrics(self, house: House, document: dict[str, Any]) -> None:
        names = ("market_cap", "pct_of_mag7", "pct_of_sp500", "ranking", "in_index")
        expected = [
            (GOLDEN_DAY, item["ticker"], *(item[name] for name in names))
            for item in document["rankings"]["by_market_cap"]
        ]

        rows = golden_rows(house, "magnificent7_metrics")
        assert rows == sorted(expected)
        assert {row[1]: row[5] for row in rows} == {ticker: place for place, ticker in enumerate(CAPS, start=1)}

    def test_failed_collections_is_empty(self, house: House) -> None:
        assert golden_rows(house, "failed_collections") == []

    def test_constituents(self, house: House, document: dict[str, Any]) -> None:
        names = (
            "ticker", "symbol", "company", "issuer", "cik", "sector", "main_line", "close", "share_count",
            "share_count_origin", "market_cap", "counted", "provider_market_cap",
        )  # fmt: skip
        expected = [
            (
                *(GOLDEN_DAY, *(line[name] for name in names), ",".join(line["flags"]) or None, "simulated"),
                line["split_factor"],
            )
            for line in document["constituents"]
        ]

        rows = golden_rows(house, "constituent_market_caps")
        assert rows == sorted(expected)
        assert len({row[4] for row in rows}) == 500
        assert sum(row[11] for row in rows) == pytest.approx(LINE_SUM, rel=1e-6)


class TestLake:
    def test_athena_reads_what_the_warehouse_holds(self, house: House) -> None:
        asked = " UNION ALL ".join(
            f"SELECT '{table}' AS name, COUNT(*) AS n FROM {table} WHERE trading_date = DATE '{GOLDEN_DAY}'"  # noqa: S608
            for table in TABLES
        )

        in_the_lake = {row["name"]: int(row["n"] or 0) for row in house.ask_athena(asked)}
        assert in_the_lake == {table: len(golden_rows(house, table)) for table in TABLES}

    def test_athena_gives_the_share(self, house: House, golden: Command) -> None:
        (row,) = house.ask_athena(
            "SELECT mag7_pct_of_sp500, line_sum_mag7_pct, source FROM concentration_metrics"  # noqa: S608
            f" WHERE trading_date = DATE '{GOLDEN_DAY}'"
        )

        assert float(row["mag7_pct_of_sp500"] or 0) == golden.summary["mag7_pct_of_sp500"]
        assert row["source"] == "simulated"

    def test_every_file_is_where_readers_expect_it(self, house: House) -> None:
        published = house.published().of(GOLDEN_DAY)

        assert set(published.objects) == {
            f"raw/magnificent7/trading_date={GOLDEN_DAY}/market_data.json",
            *(f"processed/{table}/trading_date={GOLDEN_DAY}/data.parquet" for table in TABLES),
            *(f"analytics/{table}/{GOLDEN_DAY}.parquet" for table in TABLES),
        }
        assert {table: place[GOLDEN_DAY].rstrip("/").endswith(f"processed/{table}/trading_date={GOLDEN_DAY}")
                for table, place in published.partitions.items()} == dict.fromkeys(TABLES, True)  # fmt: skip

    def test_a_published_run_keeps_its_staging_for_clears_and_records_no_failure(
        self, golden: Command, house: House
    ) -> None:
        prefix = f"staging/{run_segment(demo.DAG, golden.run_id or '')}/"
        staged = [key.removeprefix(prefix) for key in house.list_keys(prefix)]

        assert {key.split("/")[0] for key in staged} == {
            "analytics",
            "manifests",
            "market_data",
            "processed",
            "record",
        }
        sections = (f"built-{GOLDEN_DAY}", "built", "checks", "corrections", "loaded", "summary")
        assert {key for key in staged if key.startswith("record/")} == {f"record/{name}.json" for name in sections}


class TestManifest:
    @pytest.fixture
    def manifest(self, golden: Command, house: House) -> dict[str, Any]:
        run = run_segment(demo.DAG, golden.run_id or "")
        return dict(json.loads(house.get(run_manifest_key(run))))

    def test_says_what_the_session_was_made_of_and_what_came_out(
        self, manifest: dict[str, Any], golden: Command, house: House, document: dict[str, Any]
    ) -> None:
        (session,) = manifest["sessions"].values()

        assert (session["state"], session["rows"]) == ("loaded", golden.summary["rows_loaded"])
        assert sum(session["profile"]["origins"].values()) == len(document["constituents"])
        assert manifest["checks"] == golden.summary["checks"]
        assert LEAST_CALLS < manifest["run"]["calls"]["requests"] <= MOST_CALLS
        assert {"collect", "transform", "check", "load"} <= set(manifest["run"]["seconds_by_stage"])
        inputs, lines = manifest["inputs"], document["constituents"]
        cited = {key for line in lines for key in line["answers"]}
        assert inputs == {key: hashlib.sha256(house.get(key)).hexdigest() for key in inputs}
        assert cited <= set(inputs)
        assert {key.split("/")[2] for key in set(inputs) - cited} <= {SPLITS}
        assert any(f"/{SPLITS}/" in key for key in inputs)

    def test_asset_events_name_every_table_and_its_sessions(self, golden: Command, house: House) -> None:
        events = list_asset_events(house.stack, golden.run_id or "")
        tables = [table.name for table in list_published_tables()]

        told = dict(events)
        assert set(told.pop("mag7://lake/splits")) == {"days"}
        assert told == {
            f"mag7://{place}/{table}": {"sessions": [GOLDEN_DAY]}
            for place in ("lake", "warehouse")
            for table in tables
            if (place, table) != ("lake", "splits")
        }
