"""The whole harness, and proof that it can fail: with a guard switched off it reports what readers then see."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tools.faults.__main__ import main
from tools.faults.flows import DAILY, FLOWS, Flow
from tools.faults.harness import Report, run_sequences
from tools.faults.house import FaultyHouse, open_house
from tools.faults.plan import BEARABLE, DETAILS, KILL, MARKET, STARTS, Clear, Disturbance, Fault, Kill, Place, stage_of

pytestmark = pytest.mark.slow

CALM = Disturbance(0, DAILY.name, older=True, forgotten=0.2, faults=(), kills=())


def test_nothing_is_lost_doubled_or_hidden(tmp_path: Path) -> None:
    report = tmp_path / "faults.json"

    code = main(["--report", str(report)])

    found = json.loads(report.read_text())
    assert found["found"] == []
    assert (found["differences"], found["green_with_missing_data"], found["leaks"]) == (0, 0, 0)
    assert found["survived"] == found["sequences"]
    assert found["never_struck"] == []
    assert 2 * found["cleared"] >= found["sequences"] - 1
    assert code == 0, found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyHouse]:
    with open_house(tmp_path_factory.mktemp("planted")) as opened:
        opened.learn(list(FLOWS.values()))
        yield opened


def disturb(house: FaultyHouse, disturbance: Disturbance) -> Report:
    report = Report(seed=100 + disturbance.number)
    run_sequences(house, [disturbance], report, print)
    return report


def test_what_is_right_is_found_right(house: FaultyHouse) -> None:
    kills = (Kill(Place("load", 1), 0.5), Kill(Place("collect", 2), 0.5))
    report = disturb(house, replace(CALM, kills=kills, clear=Clear(KILL, 2, 0.3)))

    assert (report.differences, report.green_with_missing_data, report.leaks) == ([], [], [])
    assert (report.survived, report.kills, report.cleared_after) == (1, 2, {KILL: 1})
    assert report.kills_by_stage == {"collect": 1, "load": 1}


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_a_run_starts_what_kills_are_drawn_from(house: FaultyHouse, flow: Flow) -> None:
    house.restore(flow)

    ended = house.airflow.run(flow.dag, f"counted-{flow.name}", {**flow.conf, **flow.repeat})

    assert ended.state == "success"
    assert Counter(map(stage_of, ended.started)) == STARTS[flow.name]


def test_tries_outlast_passing_faults(house: FaultyHouse) -> None:
    report = disturb(house, replace(CALM, number=7, forgotten=0.6, faults=BEARABLE, bearable=True))

    assert report.faults == sum(fault.rule["count"] for fault in BEARABLE)
    assert (report.differences, report.helped) == ([], 0)


class TestPlanted:
    """A defect planted in the process of the run, never in the product."""

    def test_an_answer_that_counts_whatever_it_says_is_never_asked_again(self, house: FaultyHouse) -> None:
        # As many as one line's tries: each line of several would succeed on one of its own tries.
        rule = {"kind": "status", "status": 502, "path": rf"{DETAILS}JPM\?", "count": 3}
        disturbance = replace(CALM, number=1, older=False, forgotten=1.0, faults=(Fault("no response", MARKET, rule),))
        with house.planted("accept_any_answer"):
            report = disturb(house, disturbance)

        assert report.by_kind["no response"] == 3
        assert report.differences

    def test_a_load_without_its_delete_doubles_rows(self, house: FaultyHouse) -> None:
        with house.planted("load_without_delete"):
            report = disturb(house, replace(CALM, number=2))

        assert any(
            "constituent_market_caps: 1006 rows, 503 are right" in text for text in report.green_with_missing_data
        )
        assert report.differences

    def test_the_reconciliation_alone_keeps_doubled_rows_from_being_green(self, house: FaultyHouse) -> None:
        with house.planted("load_without_delete_reconciled"):
            report = disturb(house, replace(CALM, number=3))

        assert "sequence 3 (daily): it never ended in success" in report.differences
        assert report.green_with_missing_data == []

    def test_files_of_another_writer_stay_where_readers_look(self, house: FaultyHouse) -> None:
        with house.planted("leave_strays"):
            report = disturb(house, replace(CALM, number=4))

        assert any("part-0.parquet too much" in text for text in report.differences)

    def test_a_lost_line_is_refused_by_the_checks(self, house: FaultyHouse) -> None:
        with house.planted("lose_a_line"):
            report = disturb(house, replace(CALM, number=5, older=False))

        assert "sequence 5 (daily): it never ended in success" in report.differences
        assert report.green_with_missing_data == []

    def test_a_lost_line_is_green_where_no_check_objects(self, house: FaultyHouse) -> None:
        with house.planted("lose_a_line_unchecked"):
            report = disturb(house, replace(CALM, number=6, older=False))

        assert any("502 rows, 503 are right" in text for text in report.green_with_missing_data)

    def test_without_tries_somebody_must_help(self, house: FaultyHouse) -> None:
        with house.planted("give_up_at_once"):
            report = disturb(house, replace(CALM, number=8, forgotten=0.6, faults=BEARABLE, bearable=True))

        assert any("though tries outlast its faults" in text for text in report.differences)

    def test_a_key_that_a_run_writes_down_is_found(self, house: FaultyHouse) -> None:
        with house.planted("tell_the_key"):
            report = disturb(house, replace(CALM, number=9))

        # moto.state is the sandbox's own copy of the lake, saved every minute.
        assert {name.rpartition("/")[2] for name in report.leaks} - {"moto.state"} == {"loaded.json"}
