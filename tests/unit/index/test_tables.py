"""Reading single values of fact tables."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mag7.index.tables import FactTableInvalidError, Row


def row(value: str) -> Row:
    return Row("counts.csv line 2", {"ticker": "AAPL", "shares": value})


@pytest.mark.parametrize(("text", "number"), [("4", "4"), ("0.5", "0.5"), ("15115823000", "15115823000")])
def test_a_positive_number_is_read_exactly(text: str, number: str) -> None:
    assert row(text).positive("shares") == Decimal(number)


@pytest.mark.parametrize("text", ["0", "0.0", "-4", "", "four", "NaN", "sNaN", "Infinity", "-Infinity", "1,000", "1/2"])
def test_what_is_no_number_above_zero_is_refused_by_row(text: str) -> None:
    with pytest.raises(
        FactTableInvalidError, match=r"counts.csv line 2 \[AAPL,.*\]: shares is .*must be a number above"
    ):
        row(text).positive("shares")
