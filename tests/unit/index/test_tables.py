"""Single values of fact tables, and that every table and column is described."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path

import pytest

from mag7.index.tables import FactTable, FactTableInvalidError, Row, read_rows
from mag7.paths import DATA


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


@pytest.mark.parametrize("path", sorted(DATA.glob("*.csv")), ids=lambda path: path.name)
def test_every_table_and_column_is_described(path: Path) -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")
    with path.open(encoding="utf-8", newline="") as lines:
        columns = next(csv.reader(lines))
    described = re.search(rf"^\*\*{re.escape(path.name)}\*\*(.*?)(?=^\*\*|^## )", text, re.MULTILINE | re.DOTALL)

    assert f"\n| {path.name} | " in text
    assert described
    assert [column for column in columns if f"`{column}`" not in described[1]] == []


@pytest.mark.parametrize("text", ["1e24", "1e999999999", "1e-24"])
def test_a_number_that_would_fill_the_memory_as_a_fraction_is_refused(text: str) -> None:
    with pytest.raises(FactTableInvalidError, match="too large or too small to be true"):
        row(text).positive("shares")


@pytest.mark.parametrize("body", [b"ticker,shares\n\xff,1\n", b"ticker,shares\n" + b"9" * 200_000 + b",1\n"])
def test_what_is_no_text_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(FactTableInvalidError, match=r"counts.csv is not comma-separated text in UTF-8"):
        read_rows(FactTable("counts.csv", body), ("ticker", "shares"))
