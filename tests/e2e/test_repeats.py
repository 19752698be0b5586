"""Running anything again, running neighbours, and a session refused after it was loaded: nothing else changes."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.conftest import FAILING, GOLDEN_DAY, NEIGHBOUR, Step
from tests.e2e.house import Command, House, Run
from tools.declared import name_values
from tools.stack_reader import BUCKET, TABLES

SPLIT_DAY = "2024-06-07"
CHANGING = {"calls", "changes", "seconds", "stages"}


def test_a_second_run_asks_nothing_and_changes_nothing(house: House, golden: Command) -> None:
    before = house.published()

    run = house.demo("--date", GOLDEN_DAY)

    assert run.code == 0, run.printed
    assert set().union(*run.states().values()) == {"success"}
    assert run.summary["calls"] == 0
    assert (golden.summary["changes"], run.summary["changes"]) == ({}, {GOLDEN_DAY: []})
    assert house.count_calls()["total"] == 0
    assert {name: value for name, value in run.summary.items() if name not in CHANGING} == {
        name: value for name, value in golden.summary.items() if name not in CHANGING
    }
    after = house.published()
    assert [key for key in after.objects if after.objects[key] != before.objects.get(key)] == []
    assert after == before


class TestNeighbour:
    def test_another_session_leaves_the_first_untouched(self, neighbour_with_failure: Step) -> None:
        step = neighbour_with_failure

        assert step.run.code == 0, step.run.printed
        assert step.after.of(GOLDEN_DAY) == step.before.of(GOLDEN_DAY)
        assert len(step.after.of(GOLDEN_DAY).rows["constituent_market_caps"]) == 503
        assert len(step.after.of(NEIGHBOUR).rows["constituent_market_caps"]) == 503
        assert all(NEIGHBOUR in found for found in step.after.partitions.values())

    def test_a_line_that_failed_is_shown_with_its_reason(self, neighbour_with_failure: Step) -> None:
        run, after = neighbour_with_failure.run, neighbour_with_failure.after.of(NEIGHBOUR)

        (failed,) = run.summary["failed_collections"]
        assert failed["ticker"] == FAILING
        assert f"the provider knows no {FAILING} on {NEIGHBOUR} (HTTP 404)" in failed["reason"]
        assert after.rows["failed_collections"] == [(NEIGHBOUR, FAILING, failed["reason"])]
        assert run.summary["line_sum_market_cap"] is None
        assert run.summary["companies"] == 499
        assert 99.5 < run.summary["coverage_pct"] < 100
        metrics = name_values("concentration_metrics", after.rows["concentration_metrics"][0])
        assert (metrics["quality"], metrics["source"]) == ("partial", "simulated")

    def test_collected_again_clean_it_keeps_no_trace_of_the_failure(self, house: House, neighbour: Step) -> None:
        after = neighbour.after.of(NEIGHBOUR)

        assert neighbour.run.code == 0, neighbour.run.printed
        assert neighbour.run.summary["calls"] >= 503
        assert neighbour.run.summary["failed_collections"] == []
        assert neighbour.run.summary["companies"] == 500
        assert after.rows["failed_collections"] == []
        metrics = name_values("concentration_metrics", after.rows["concentration_metrics"][0])
        assert (metrics["quality"], metrics["source"]) == ("complete", "simulated")
        (line,) = (row for row in after.rows["constituent_market_caps"] if row[1] == FAILING)
        assert line[11] == pytest.approx(line[8] * line[9], rel=1e-12)
        assert neighbour.after.of(GOLDEN_DAY) == neighbour.before.of(GOLDEN_DAY)

    def test_sums_of_two_sessions_stand_side_by_side(self, house: House, neighbour: Step) -> None:
        rows = house.query("SELECT trading_date, COUNT(*) FROM market_data.magnificent7_metrics GROUP BY 1")

        assert {(NEIGHBOUR, 7), (GOLDEN_DAY, 7)} <= set(rows)


class TestRefusedByACheck:
    def test_by_name_part_and_rule_and_nothing_is_published(self, house: House) -> None:
        before = house.published()

        run = house.demo("--date", SPLIT_DAY, change={"MAG7_MAXIMUM_COMPANY_PCT": "6.5"})

        assert run.code == 1
        assert run.summary["trading_date"] == SPLIT_DAY
        reason = run.summary["refused"]
        assert reason.startswith(f"{SPLIT_DAY} refused: ")
        assert re.search(
            r"MSFT is 6\.\d\d % of the index, more than the 6\.5 % bound \(check company_in_bounds\)", reason
        )
        assert run.states()["check.judge_checks"] == {"failed"}
        assert run.states()["publish_sessions"] == {"upstream_failed"}
        assert "company_in_bounds" in "\n".join(run.task_log("check.judge_checks"))
        assert reason in run.last_word("check.judge_checks")
        assert house.published() == before
        assert not [key for key in before.objects if SPLIT_DAY in key]
        assert all(not house.query(f"SELECT 1 FROM market_data.{table} WHERE trading_date = '{SPLIT_DAY}'")  # noqa: S608
                   for table in TABLES)  # fmt: skip


class TestSplitShareCount:
    """On 2024-06-07 the provider's share count of Nvidia already stood on the basis of the next session's split."""

    @pytest.fixture(scope="class")
    def split_day(self, house: House) -> Run:
        return house.demo("--date", SPLIT_DAY, "--explain", "NVDA")

    def test_is_divided_by_the_split(self, house: House, split_day: Run) -> None:
        assert split_day.code == 0, split_day.printed
        assert 29.8 < split_day.summary["line_sum_mag7_pct"] < 30.3
        caps = {item["ticker"]: item["market_cap"] for item in split_day.summary["ranking"]}
        assert caps["NVDA"] == pytest.approx(2_973_844_800_000)
        (line,) = house.query(
            "SELECT share_count, split_factor, flags, provider_market_cap FROM market_data.constituent_market_caps"  # noqa: S608
            f" WHERE trading_date = '{SPLIT_DAY}' AND ticker = 'NVDA'"
        )
        assert line == (2_460_000_000, 10.0, "divided_by_split", pytest.approx(29_738_448_000_000))

    def test_is_explained(self, house: House, split_day: Run) -> None:
        assert "  split applied: the provider's count already stood on 10 for 1 of 2024-06-10" in split_day.printed
        keys = re.findall(r"^ {4}(raw/\S+)$", split_day.printed, re.MULTILINE)
        assert {key.split("/")[2] for key in keys} == {"grouped_daily", "ticker_details", "splits"}
        assert set(keys) <= set(house.list_keys("raw/polygon/"))


class TestCorrections:
    def test_a_close_that_was_edited_is_published_anew_with_its_session(self, house: House, neighbour: Step) -> None:
        """What is published of the neighbour differs from what the provider says now, as after an edit."""
        before = house.published()
        key = f"raw/magnificent7/trading_date={NEIGHBOUR}/market_data.json"
        document = house.document(NEIGHBOUR)
        (line,) = (line for line in document["constituents"] if line["ticker"] == FAILING)
        right, line["close"] = line["close"], 1.5
        house.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(document).encode())

        run = house.demo("--date", GOLDEN_DAY, "--corrections")

        assert run.code == 0, run.printed
        assert run.summary["changes"][NEIGHBOUR] == [f"{FAILING} close: 1.5 -> {right}"]
        assert run.summary["changes"][GOLDEN_DAY] == []
        assert f"{FAILING} close 1.5 -> {right}" in "\n".join(run.task_log("add_corrected"))
        assert house.count_calls()["by_endpoint"] == {"grouped_daily": 1, "ticker_details": 1}
        after = house.published()
        assert after.rows == before.rows
        assert house.document(NEIGHBOUR)["constituents"] == [
            {**item, "answers": found["answers"]} | ({"close": right} if item["ticker"] == FAILING else {})
            for item, found in zip(document["constituents"], house.document(NEIGHBOUR)["constituents"], strict=True)
        ]


class TestRebuild:
    def test_applies_a_changed_rule_to_published_sessions_without_a_call(self, house: House, neighbour: Step) -> None:
        rules = {"POLYGON_COUNTS_FROZEN_BEFORE": GOLDEN_DAY}
        run = house.demo("--date", NEIGHBOUR, "--rebuild", "--through", GOLDEN_DAY, change=rules)

        assert run.code == 0, run.printed
        assert house.count_calls()["total"] == run.summary["calls"] == 0
        changes = run.summary["changes"]
        assert changes[GOLDEN_DAY] == []
        assert f"{FAILING} flags: none -> frozen_count" in changes[NEIGHBOUR]
        assert "session quality: complete -> flagged" in changes[NEIGHBOUR]
        flags = house.query(
            "SELECT trading_date, flags, COUNT(*) FROM market_data.constituent_market_caps"  # noqa: S608
            f" WHERE trading_date IN ('{NEIGHBOUR}', '{GOLDEN_DAY}') GROUP BY 1, 2 ORDER BY 1"
        )
        assert flags == [(NEIGHBOUR, "frozen_count", 503), (GOLDEN_DAY, None, 503)]

    def test_of_what_is_not_published_is_refused(self, house: House) -> None:
        run = house.demo("--date", "2024-12-02", "--rebuild")

        assert run.code == 1
        assert "nothing is published from 2024-12-02 to 2024-12-02" in run.summary["refused"]


class TestRefusedAfterItWasLoaded:
    """The last of the house's runs of that session: the corrupt answer is kept as its newest."""

    def test_one_of_the_seven_counted_twenty_times_too_small_keeps_what_was_there(
        self, house: House, neighbour: Step
    ) -> None:
        before = house.published()

        with house.faults({"kind": "scale", "factor": 0.05, "path": f"/v3/reference/tickers/NVDA.*{NEIGHBOUR}"}):
            run = house.demo("--date", NEIGHBOUR, "--again")

        assert run.code == 1
        assert run.summary["trading_date"] == NEIGHBOUR
        reason = run.summary["refused"]
        assert f"{NEIGHBOUR} refused: NVDA (Nvidia)" in reason
        assert "one of the seven, could not be priced: the count 1,224,500,000 " in reason
        assert reason.endswith("mend the cause, then run it again")
        assert reason in run.printed
        assert set(run.summary) == {"trading_date", "refused", "seconds"}
        states = run.states()
        assert states["check_coverage"] == {"failed"}
        assert states["transform.processing_pipeline"] == states["report_refusals"] == {"upstream_failed"}
        assert reason in run.last_word("check_coverage")
        assert house.published() == before
        assert len(before.of(NEIGHBOUR).rows["magnificent7_metrics"]) == 7
