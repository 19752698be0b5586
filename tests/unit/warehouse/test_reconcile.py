from __future__ import annotations

from datetime import date

import pytest

from mag7.warehouse.reconcile import ReconciliationError, Tally, list_differences, require_equal

DAY = date(2024, 12, 13)
LAKE = {("company_details", DAY): Tally(7, 18e12), ("failed_collections", DAY): Tally(0, 0.0)}


def test_equal_sides_agree_whatever_the_order_of_addition():
    require_equal(LAKE, {("company_details", DAY): Tally(7, 18e12 * (1 + 1e-12))})


@pytest.mark.parametrize(
    ("warehouse", "said"),
    [
        ({}, "company_details of 2024-12-13: 7 rows in the lake, 0 in the warehouse"),
        ({("company_details", DAY): Tally(14, 36e12)}, "7 rows in the lake, 14 in the warehouse"),
        ({("company_details", DAY): Tally(7, 18e12 + 1e6)}, "total 18000000000000.0 in the lake, 18000001000000.0"),
        ({**LAKE, ("failed_collections", DAY): Tally(1, 0.0)}, "failed_collections of 2024-12-13: 0 rows in the lake"),
    ],
)
def test_every_difference_is_named(warehouse: dict, said: str):
    assert any(said in difference for difference in list_differences(LAKE, warehouse))
    with pytest.raises(ReconciliationError, match=r"clear the load task"):
        require_equal(LAKE, warehouse)
