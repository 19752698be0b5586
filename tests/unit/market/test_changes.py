"""The differences between two documents of one session, line by line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from mag7.market.changes import list_changes
from mag7.market.document import Document, DocumentSplit, decode_document, encode_document
from mag7.market.figures import compute_figures, write_document
from mag7.market.inputs import LineInputs
from tests.unit.market.conftest import Make

SESSION = date(2024, 6, 7)
COLLECTED = datetime(2024, 6, 8, 1, tzinfo=UTC)
MAKE = Make()
NVDA = MAKE.inputs(MAKE.line("NVDA"), 2_460_000_000, "1208.88")
XOM = MAKE.inputs(MAKE.line("XOM"), 4_500_000_000, "112.75")


def write(*inputs: LineInputs, at: datetime = COLLECTED) -> Document:
    return write_document(compute_figures(SESSION, inputs, []), "simulated", at)


def store(document: Document) -> Document:
    """The document as it is read back from the lake."""
    return decode_document(encode_document(document), "a test")


def test_the_same_session_again_has_not_changed() -> None:
    assert list_changes(store(write(NVDA, XOM)), write(XOM, NVDA, at=datetime(2024, 6, 9, tzinfo=UTC))) == []


def test_a_corrected_close_shows_in_its_line_its_bar_and_the_totals() -> None:
    corrected = replace(NVDA, bar=replace(NVDA.bar, close=Decimal("1208.80")))

    changes = list_changes(store(write(NVDA, XOM)), write(corrected, XOM))

    assert [change for change in changes if not change.startswith("session ")] == [
        "NVDA close: 1,208.88 -> 1,208.8",
        "NVDA market_cap: 2,973,844,800,000.0 -> 2,973,648,000,000.0",
        "NVDA bar close_price: 1,208.88 -> 1,208.8",
    ]
    assert f"session mag7_pct_of_sp500: {100 * 2_973_844.8 / 3_481_219.8} -> {100 * 2_973_648 / 3_481_023}" in changes
    assert "session line_sum_market_cap: 3,481,219,800,000.0 -> 3,481,023,000,000.0" in changes
    assert any(change.startswith("session hhi: ") for change in changes)


def test_lines_that_join_or_leave_are_named() -> None:
    ko = MAKE.inputs(MAKE.line("KO"), 4_300_000_000, "63.10")
    changes = list_changes(store(write(NVDA, XOM)), write(NVDA, ko))

    assert changes[:2] == ["XOM is no longer a line", "KO is now a line"]
    assert all(change.startswith("session ") for change in changes[2:])


def test_one_of_the_seven_outside_the_index_is_compared_too() -> None:
    before = write_document(compute_figures(SESSION, [XOM], [NVDA]), "simulated", COLLECTED)
    after = write_document(compute_figures(SESSION, [XOM], []), "simulated", COLLECTED)

    assert "NVDA is no longer a line" in list_changes(store(before), after)


def test_a_line_that_cannot_be_priced_any_more_has_no_figure() -> None:
    unpriced = MAKE.inputs(MAKE.line("XOM"), None, "112.75")
    changes = list_changes(store(write(NVDA, XOM)), write(NVDA, unpriced))

    assert "XOM market_cap: 507,375,000,000.0 -> None" in changes
    assert "XOM is now a failure" in changes
    assert "session quality: complete -> partial" in changes


def test_a_split_that_is_new_or_known_otherwise_is_named() -> None:
    ten, twelve = (
        DocumentSplit(
            issuer="X-nvda", ticker="NVDA", execution_date=date(2024, 6, 10), split_from=1, split_to=to, source="test"
        )
        for to in (10, 12)
    )
    documents = [write(NVDA, XOM).model_copy(update={"splits": splits}) for splits in ([], [ten], [twelve])]

    assert list_changes(store(documents[0]), documents[1]) == ["NVDA 2024-06-10 is now a split"]
    assert list_changes(store(documents[1]), documents[2]) == ["NVDA 2024-06-10 split_to: 10.0 -> 12.0"]


def test_names_sectors_and_reasons_are_compared() -> None:
    before, after = store(write(NVDA, XOM)), write(NVDA, XOM)
    line = after.constituents[1].model_copy(update={"sector": "Energy", "company": "Exxon"})
    after = after.model_copy(update={"constituents": [after.constituents[0], line]})

    assert list_changes(before, after) == [
        "XOM company: XOM Corp -> Exxon",
        "XOM sector: Industrials -> Energy",
    ]
