"""The table of counts that moved without a split: valid rows are read, invalid ones refused."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from mag7.index.constituents import list_lines
from mag7.index.count_jumps import COUNT_JUMP_COLUMNS, find_count_jump, read_count_jumps
from mag7.index.membership import load_membership
from mag7.index.tables import FactTable, FactTableInvalidError

OMNICOM = next(line.issuer for line in list_lines(date(2025, 6, 2)) if line.ticker == "OMC")


@pytest.mark.parametrize(
    ("day", "ratio", "known"),
    [
        ("2025-12-01", "1.65", True),
        ("2025-11-24", "1.55", True),
        ("2026-02-20", "1.8", True),
        ("2025-11-03", "1.65", False),
        ("2026-06-01", "1.65", False),
        ("2025-12-01", "2.5", False),
        ("2025-12-01", "0.6", False),
    ],
)
def test_a_jump_is_known_about_its_day_and_near_its_factor(day: str, ratio: str, known: bool) -> None:
    found = find_count_jump(OMNICOM, date.fromisoformat(day), Fraction(ratio))

    assert (found is not None) is known


def test_another_companys_jump_explains_nothing() -> None:
    assert find_count_jump("0000320193", date(2025, 12, 1), Fraction(165, 100)) is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("NOBODY,2025-12-01,1.65,why,x", "no line of the index has this ticker"),
        ("OMC,2025-12-01,0,why,x", "factor is '0', but must be a number above zero"),
        ("OMC,soon,1.65,why,x", "first_session is 'soon', but must be a date"),
        ("OMC,2025-12-01,1.65,,x", "reason is empty"),
        ("OMC,2025-12-01,1.65,why,", "source is empty"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_by_name(row: str, message: str) -> None:
    table = FactTable("count_jumps.csv", f"{','.join(COUNT_JUMP_COLUMNS)}\n{row}\n".encode())

    with pytest.raises(FactTableInvalidError, match=f"count_jumps.csv line 2.*{message}"):
        read_count_jumps(table, load_membership())
