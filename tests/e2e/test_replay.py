"""Another provider by POLYGON_BASE_URL: recorded answers replayed, and answers that cannot be true."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.processes import run_server
from sandbox.stack import ROOT, SIMULATED, run_stack
from tests.e2e.conftest import GOLDEN_DAY, NEIGHBOUR, Step, clean_environment
from tests.e2e.house import AirflowProcess, Command, House, run_command
from tests.e2e.test_golden_day import CAPS, LEAST_CALLS, LINE_SUM, MOST_CALLS, TOTAL_OF_THE_SEVEN, cents
from tools.declared import name_values

pytestmark = pytest.mark.slow

#: Close, and the weighted share count, of the golden record (dougdesigner/mags, MIT): facts.
RECORDED = {
    "AAPL": ("248.13", 15_115_823_000),
    "MSFT": ("447.27", 7_434_880_776),
    "NVDA": ("134.25", 24_490_000_000),
    "AMZN": ("227.46", 10_515_011_008),
    "GOOGL": ("189.82", 12_241_000_000),
    "META": ("620.35", 2_524_488_533),
    "TSLA": ("436.23", 3_210_059_659),
}


def record_details(folder: Path, ticker: str, day: str, count: int, market_cap: Decimal) -> None:
    """Write a ticker details body as it was recorded, where the market finds it."""
    results: dict[str, Any] = {
        "ticker": ticker,
        "name": f"{ticker} as recorded",
        "market": "stocks",
        "active": True,
        "currency_name": "usd",
        "market_cap": float(market_cap),
        "description": f"What was said of {ticker}.",
        "weighted_shares_outstanding": count,
    }
    place = folder / "v3" / "reference" / "tickers" / f"{ticker}&date={day}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"request_id": "recorded", "results": results, "status": "OK"}))


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The golden day from recorded answers for the seven, all served under one source."""
    folder = tmp_path_factory.mktemp("recorded")
    for ticker, (close, count) in RECORDED.items():
        record_details(folder, ticker, GOLDEN_DAY, count, Decimal(close) * count)
    flags = ["--port", "0", "--no-source-header", "--replay", str(folder)]
    home = tmp_path_factory.mktemp("replaying")
    with run_server("sandbox.polygon", flags, folder / "server", ROOT) as market:
        environment = clean_environment() | {
            "POLYGON_BASE_URL": market.url,
            "POLYGON_API_KEY": "replay-key-31d2",
            "POLYGON_SOURCE": "replay",
        }
        return run_command(home, "replay", environment=environment)


class TestReplay:
    def test_gives_the_recorded_figures(self, replayed: Command) -> None:
        assert replayed.code == 0, replayed.printed
        assert {task.state for task in replayed.tasks} == {"success"}
        ranking = {item["ticker"]: str(cents(item["market_cap"])) for item in replayed.summary["ranking"]}
        assert ranking == CAPS
        assert cents(replayed.summary["total_mag7_market_cap"]) == TOTAL_OF_THE_SEVEN
        assert replayed.summary["line_sum_market_cap"] == pytest.approx(LINE_SUM, rel=1e-6)
        assert f"{replayed.summary['line_sum_mag7_pct']:.4f}" == "31.9050"

    def test_names_its_source_everywhere(self, replayed: Command) -> None:
        assert replayed.summary["source"] == "replay"
        assert "SIMULATED" not in replayed.printed
        # This client's own count: where another source is used, nobody else counts.
        assert LEAST_CALLS < replayed.summary["calls"] <= MOST_CALLS
        with run_stack(replayed.home, {"POLYGON_BASE_URL": "http://127.0.0.1:1", "POLYGON_SOURCE": "replay"}) as stack:
            airflow = AirflowProcess(stack.environment(), replayed.home / "airflow-process.log")
            airflow.stop()
            house = House(replayed.home, stack, airflow)
            document = house.document(GOLDEN_DAY)
            assert document["source"] == "replay"
            assert document["companies"]["AAPL"]["name"] == "AAPL as recorded"
            for table in ("concentration_metrics", "constituent_market_caps"):
                sources = {name_values(table, row)["source"] for row in house.dump_table(table)}
                assert sources == {"replay"}
            names = {row[1]: row[2] for row in house.dump_table("company_details")}
            assert names == {ticker: f"{ticker} as recorded" for ticker in RECORDED}

    def test_keeps_to_a_folder_of_its_own(self, replayed: Command, house: House) -> None:
        assert sorted(path.name for path in replayed.home.iterdir() if path.is_dir()) == ["replay"]
        assert sorted(path.name for path in house.home.iterdir() if path.is_dir() and (path / "aws").exists()) == [
            SIMULATED
        ]
        table = "concentration_metrics"
        sources = {name_values(table, row)["source"] for row in house.dump_table(table)}
        assert sources == {SIMULATED}

    def test_its_key_is_seen_nowhere(self, replayed: Command) -> None:
        files = [path for path in replayed.home.rglob("*") if path.is_file()]

        assert [path for path in files if b"replay-key-31d2" in path.read_bytes()] == []


def test_a_count_twenty_times_too_large_is_refused_and_what_was_loaded_stays(
    house: House, neighbour: Step, tmp_path: Path
) -> None:
    before = house.published()
    apple = next(row for row in neighbour.after.of(NEIGHBOUR).rows["constituent_market_caps"] if row[1] == "AAPL")
    close, count = Decimal(str(apple[8])), 20 * int(apple[9])
    record_details(tmp_path, "AAPL", NEIGHBOUR, count, close * count)

    with run_server("sandbox.polygon", ["--port", "0", "--replay", str(tmp_path)], tmp_path / "server", ROOT) as market:
        run = house.demo("--date", NEIGHBOUR, "--again", change={"POLYGON_BASE_URL": market.url})

    assert run.code == 1
    assert run.summary["trading_date"] == NEIGHBOUR
    assert f"{NEIGHBOUR} refused: AAPL is " in run.summary["refused"]
    assert "more than the 20 % bound (check company_in_bounds)" in run.summary["refused"]
    assert run.states()["check.judge_checks"] == {"failed"}
    assert run.states()["publish_sessions"] == {"upstream_failed"}
    assert house.published() == before
