"""A CIK that no table has, published with a flag, becomes a period of its company's on the next evening."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from mag7.lake.fact_log import FactLog
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.polygon.calls import ticker_details
from mag7.settings import read_settings
from mag7.tasks.constituents import publish_proposal
from mag7.tasks.proposal import list_unconfirmed
from tests.fuzz.documents import STORED
from tests.unit.tasks.conftest import FakeProvider, details_body

pytestmark = pytest.mark.usefixtures("aws")

DAY, BEFORE, EVENING = date(2026, 10, 7), date(2026, 10, 6), date(2026, 10, 8)
NEW_CIK = "0009999999"


@pytest.fixture
def published(store: ObjectStore) -> None:
    """Caterpillar was published under an unknown CIK, flagged; another line was not."""
    lines: list[dict[str, Any]] = [
        {
            **STORED["constituents"][0],
            "ticker": "CAT",
            "symbol": "CAT",
            "cik": NEW_CIK,
            "flags": ["issuer_unconfirmed"],
        },
        {**STORED["constituents"][0], "ticker": "KO", "symbol": "KO", "flags": []},
    ]
    document = {**STORED, "trading_date": DAY.isoformat(), "constituents": lines, "seven_outside": []}
    store.put(document_key(DAY), json.dumps(document).encode())


@pytest.mark.usefixtures("published")
def test_the_flagged_line_is_looked_at_on_its_session_and_the_one_before(store: ObjectStore) -> None:
    found = [(one.symbol, one.day) for one in list_unconfirmed(store, EVENING)]

    assert found == [("CAT", BEFORE), ("CAT", DAY)]


@pytest.mark.usefixtures("published")
def test_the_new_cik_is_published_as_a_period_of_its_company(store: ObjectStore, provider: FakeProvider) -> None:
    provider.say(ticker_details("CAT", BEFORE), details_body("CAT", cik="0000018230", name="Caterpillar Inc."))
    provider.say(ticker_details("CAT", DAY), details_body("CAT", cik=NEW_CIK, name="Caterpillar Inc."))
    outcome = publish_proposal(store, read_settings(), EVENING)
    entry = FactLog(store).newest()

    assert entry is not None
    assert outcome["after"] == entry.name != outcome["before"]
    assert any(change.startswith(f"+ issuer_ciks.csv: 0000018230,{NEW_CIK},2026-10-07,,") for change in entry.changes)
    assert any(change.startswith("+ issuer_ciks.csv: 0000018230,0000018230,,2026-10-06,") for change in entry.changes)


@pytest.mark.usefixtures("published")
def test_a_stranger_is_not_taken_for_the_company(store: ObjectStore, provider: FakeProvider) -> None:
    provider.say(ticker_details("CAT", DAY), details_body("CAT", cik=NEW_CIK, name="Cat Litter Inc."))
    outcome = publish_proposal(store, read_settings(), EVENING)

    assert outcome["after"] == outcome["before"]
