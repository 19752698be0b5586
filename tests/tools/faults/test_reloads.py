"""A session that is loaded again and again while a reader reads it without a pause, or while another load runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mag7.lake.tables import list_tables
from tools.faults.flows import DAILY
from tools.faults.house import FaultyHouse, open_house

pytestmark = pytest.mark.slow

LOADS = 4
COUNTS = " UNION ALL ".join(
    f"SELECT '{table.name}', COUNT(*) FROM market_data.{table.name} WHERE trading_date = '{DAILY.sessions[0]}'"  # noqa: S608
    for table in list_tables()
)
WHOLE = {
    "concentration_metrics": 1,
    "company_details": 7,
    "daily_trading": 7,
    "magnificent7_metrics": 7,
    "failed_collections": 0,
    "constituent_market_caps": 503,
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyHouse]:
    with open_house(tmp_path_factory.mktemp("readers")) as opened:
        opened.learn([DAILY])
        yield opened


def read_while_loading(house: FaultyHouse) -> list[dict[str, int]]:
    """Load the session again a few times; returns what each query of the reader saw meanwhile."""
    seen: list[dict[str, int]] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(count_rows(house))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(LOADS):
            ended = house.airflow.run(DAILY.dag, f"undisturbed-{DAILY.name}", DAILY.conf, clear="load.load_tables")
            assert ended.state == "success"
    finally:
        over.set()
        reader.join(60)
    return seen


def read_load(house: FaultyHouse) -> list[str]:
    """Return the statements of the undisturbed run's load, as sent."""
    data = house.client("redshift-data")
    oldest_first = reversed(data.list_statements()["Statements"])
    described = (data.describe_statement(Id=call["Id"]) for call in oldest_first)
    load = next(call for call in described if "COPY" in call["QueryString"])
    return [part["QueryString"] for part in load["SubStatements"]]


def count_rows(house: FaultyHouse) -> dict[str, int]:
    return {str(table): int(rows) for table, rows in house.query(COUNTS)}


def test_never_sees_a_session_missing_half_or_double(house: FaultyHouse) -> None:
    seen = read_while_loading(house)

    assert len(seen) > 10 * LOADS
    assert [counts for counts in seen if counts != WHOLE] == []


def test_would_see_it_if_every_statement_were_a_transaction_of_its_own(house: FaultyHouse) -> None:
    with house.planted("load_in_pieces"):
        seen = read_while_loading(house)

    assert [counts for counts in seen if counts != WHOLE]


def test_waits_for_another_load_of_the_same_session(house: FaultyHouse) -> None:
    load = read_load(house)

    batches = [house.submit(load) for _ in range(2)]

    assert [house.wait(batch) for batch in batches] == [("FINISHED", ""), ("FINISHED", "")]
    assert count_rows(house) == WHOLE


def test_would_fail_beside_another_load_without_its_lock(house: FaultyHouse) -> None:
    lock, *rest = read_load(house)

    batches = [house.submit(rest) for _ in range(2)]

    (failed, error), finished = sorted(house.wait(batch) for batch in batches)
    assert "LOCK TABLE" in lock
    assert (failed, finished) == ("FAILED", ("FINISHED", ""))
    assert error.endswith("ERROR: 1023")
    assert count_rows(house) == WHOLE
