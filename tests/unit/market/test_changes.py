"""What two documents of one session say differently, line by line."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from mag7.index.splits import Split
from mag7.market.caps import Evidence
from mag7.market.changes import list_changes
from mag7.market.document import Document, compute_figures, encode_document, write_document
from tests.unit.market.conftest import Make

SESSION = date(2024, 6, 7)
COLLECTED = datetime(2024, 6, 8, 1, tzinfo=UTC)
MAKE = Make()
NVDA = MAKE.evidence(MAKE.line("NVDA"), 2_460_000_000, "1208.88")
XOM = MAKE.evidence(MAKE.line("XOM"), 4_500_000_000, "112.75")


def write(*evidence: Evidence, at: datetime = COLLECTED) -> Document:
    return write_document(compute_figures(SESSION, evidence, []), "simulated", at)


def store(document: Document) -> Document:
    """The document as it comes back from the lake: numbers are floats."""
    return json.loads(encode_document(document))


def test_the_same_session_again_has_not_changed() -> None:
    assert list_changes(store(write(NVDA, XOM)), write(XOM, NVDA, at=datetime(2024, 6, 9, tzinfo=UTC))) == []


def test_a_corrected_close_shows_in_its_line_its_bar_and_the_totals() -> None:
    corrected = replace(NVDA, bar=replace(NVDA.bar, close=Decimal("1208.80")))

    assert list_changes(store(write(NVDA, XOM)), write(corrected, XOM)) == [
        "NVDA close: 1,208.88 -> 1,208.8",
        "NVDA market_cap: 2,973,844,800,000.0 -> 2,973,648,000,000.0",
        "NVDA bar close_price: 1,208.88 -> 1,208.8",
        "session total_mag7_market_cap: 2,973,844,800,000.0 -> 2,973,648,000,000.0",
        "session sp500_total_market_cap: 3,481,219,800,000.0 -> 3,481,023,000,000.0",
        f"session mag7_pct_of_sp500: {100 * 2_973_844.8 / 3_481_219.8} -> {100 * 2_973_648 / 3_481_023}",
        "session line_sum_market_cap: 3,481,219,800,000.0 -> 3,481,023,000,000.0",
    ]


def test_lines_that_join_or_leave_are_named() -> None:
    ko = MAKE.evidence(MAKE.line("KO"), 4_300_000_000, "63.10")
    changes = list_changes(store(write(NVDA, XOM)), write(NVDA, ko))

    assert changes[:2] == ["XOM is no line any more", "KO is a line now"]
    assert all(change.startswith("session ") for change in changes[2:])


def test_one_of_the_seven_outside_the_index_is_compared_too() -> None:
    before = write_document(compute_figures(SESSION, [XOM], [NVDA]), "simulated", COLLECTED)
    after = write_document(compute_figures(SESSION, [XOM], []), "simulated", COLLECTED)

    assert "NVDA is no line any more" in list_changes(store(before), after)


def test_a_line_that_cannot_be_priced_any_more_has_no_figure() -> None:
    unpriced = MAKE.evidence(MAKE.line("XOM"), None, "112.75")
    changes = list_changes(store(write(NVDA, XOM)), write(NVDA, unpriced))

    assert "XOM market_cap: 507,375,000,000.0 -> None" in changes
    assert "session quality: complete -> partial" in changes


@pytest.mark.parametrize("divided", [False, True])
def test_a_document_from_before_splits_were_kept_counts_as_undivided(divided: bool) -> None:
    before = store(write(NVDA, XOM))
    for line in before["constituents"]:
        del line["split_factor"], line["splits_applied"]
    del before["seven_outside"], before["splits"]
    after = deepcopy(write(NVDA, XOM))
    if divided:
        after["constituents"][0]["split_factor"] = 10.0

    assert list_changes(before, after) == (["NVDA split_factor: 1.0 -> 10.0"] if divided else [])


def test_a_list_of_splits_alone_is_no_change_of_figures() -> None:
    split = Split("X-nvda", "NVDA", date(2024, 6, 10), Decimal(1), Decimal(10), "test")
    after = write(NVDA, XOM)
    after["splits"] = [{"ticker": split.ticker}]

    assert list_changes(store(write(NVDA, XOM)), after) == []
