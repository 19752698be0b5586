"""Running anything again, running neighbours, and a session refused after it was loaded: nothing else changes."""

from __future__ import annotations

import re

import pytest

from tests.declared import name_values
from tests.e2e.conftest import FAILING, GOLDEN_DAY, NEIGHBOUR, Step
from tests.e2e.house import TABLES, Command, House

CHANGING = {"calls", "seconds", "stages"}


def test_a_second_run_asks_nothing_and_changes_nothing(house: House, golden: Command) -> None:
    before = house.published()

    run = house.demo("--date", GOLDEN_DAY)

    assert run.code == 0, run.printed
    assert set().union(*run.states().values()) == {"success"}
    assert run.summary["calls"] == 0
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


class TestRefusedAfterItWasLoaded:
    def test_one_of_the_seven_unknown_keeps_what_was_there(self, house: House, neighbour: Step) -> None:
        before = house.published()

        with house.faults({"kind": "status", "status": 404, "path": "/v3/reference/tickers/NVDA"}):
            run = house.demo("--date", NEIGHBOUR, "--again")

        assert run.code == 1
        assert run.summary["trading_date"] == NEIGHBOUR
        reason = run.summary["refused"]
        assert f"{NEIGHBOUR} refused: NVDA (Nvidia)" in reason
        assert f"one of the seven, could not be priced: the provider knows no NVDA on {NEIGHBOUR} (HTTP 404)" in reason
        assert reason.endswith("mend the cause, then run it again")
        assert reason in run.printed
        assert set(run.summary) == {"trading_date", "refused", "seconds"}
        states = run.states()
        assert states["check_coverage"] == {"failed"}
        assert states["transform.processing_pipeline"] == states["report_refusals"] == {"upstream_failed"}
        assert reason in run.last_word("check_coverage")
        assert house.published() == before
        assert len(before.of(NEIGHBOUR).rows["magnificent7_metrics"]) == 7


class TestSplitShareCount:
    """On 2024-06-07 the provider's share count of Nvidia already stood on the basis of the next session's split."""

    def test_is_refused_by_name_part_and_rule(self, house: House) -> None:
        before = house.published()

        run = house.demo("--date", "2024-06-07")

        assert run.code == 1
        assert run.summary["trading_date"] == "2024-06-07"
        reason = run.summary["refused"]
        assert reason.startswith("2024-06-07 refused: ")
        assert re.search(
            r"NVDA is (3[5-9]|4[0-5])\.\d\d % of the index, more than the 20 % bound \(check company_in_bounds\)",
            reason,
        )
        assert run.states()["check.judge_checks"] == {"failed"}
        assert run.states()["publish_sessions"] == {"upstream_failed"}
        assert "company_in_bounds" in "\n".join(run.task_log("check.judge_checks"))
        assert reason in run.last_word("check.judge_checks")
        assert house.published() == before
        assert not [key for key in before.objects if "2024-06-07" in key]
        assert all(not house.query(f"SELECT 1 FROM market_data.{table} WHERE trading_date = '2024-06-07'")  # noqa: S608
                   for table in TABLES)  # fmt: skip
