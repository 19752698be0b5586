"""Somebody who reads the warehouse without a pause while a session is loaded again, and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mag7.lake.tables import list_tables
from tests.faults.house import DAILY, FaultyHouse, open_house

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
    """Load the session again some times; returns what the reader saw of it meanwhile, look by look."""
    seen: list[dict[str, int]] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append({str(table): int(rows) for table, rows in house.query(COUNTS)})

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


def test_never_sees_a_session_missing_half_or_double(house: FaultyHouse) -> None:
    seen = read_while_loading(house)

    assert len(seen) > 10 * LOADS
    assert [counts for counts in seen if counts != WHOLE] == []


def test_would_see_it_if_every_statement_were_a_transaction_of_its_own(house: FaultyHouse) -> None:
    with house.planted("load_in_pieces"):
        seen = read_while_loading(house)

    assert [counts for counts in seen if counts != WHOLE]
