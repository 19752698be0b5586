"""A short part of the fault harness (`make faults` is the whole): the golden day through faults and kills."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Step
from tests.e2e.house import House
from tools.faults.flows import DAILY
from tools.faults.forked import ForkedAirflow
from tools.faults.harness import Report, run_sequences
from tools.faults.house import FaultyHouse, disturb_environment
from tools.faults.plan import draw_sequences

pytestmark = pytest.mark.slow

SEED, SEQUENCES = 3, 2


@pytest.fixture
def faulty(house: House, neighbour: Step) -> Iterator[FaultyHouse]:
    airflow = ForkedAirflow(disturb_environment(house.stack), house.home / "forked")
    opened = FaultyHouse(house, airflow)
    opened.adopt(DAILY)
    try:
        yield opened
    finally:
        airflow.stop()
        opened.restore(DAILY)


def test_nothing_is_lost_doubled_or_hidden(faulty: FaultyHouse) -> None:
    report = Report(SEED)

    run_sequences(faulty, draw_sequences(SEED, SEQUENCES, [DAILY.name]), report, print)

    assert (report.differences, report.green_with_missing_data) == ([], [])
    assert report.survived == SEQUENCES
    assert report.faults >= 3 * SEQUENCES
    assert report.kills >= SEQUENCES
    assert faulty.list_leaks() == []
