"""Daily bars that contradict themselves, as they were reported, and what is left of each."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mag7.polygon.bars import DailyBar, leave_out_impossible

NO = None


def settle(opening: str, high: str, low: str, close: str, vwap: str | None = None) -> DailyBar:
    prices = [Decimal(price) for price in (opening, high, low, close)]
    return leave_out_impossible(
        DailyBar("X", *prices, Decimal(1000), None if vwap is None else Decimal(vwap), 1734123600000)
    )


@pytest.mark.parametrize(
    ("prices", "left"),
    [
        pytest.param(("16.12", "16.14", "0.9242", "15.95"), ("16.12", "16.14", NO), id="one trade far below"),
        pytest.param(("137.1", "138.9", "0.92", "137.2"), ("137.1", "138.9", NO), id="far below, in order"),
        pytest.param(("0.92", "138.9", "0.92", "137.2"), (NO, "138.9", NO), id="the first trade was that one"),
        pytest.param(("137.1", "13890", "136.2", "137.2"), ("137.1", NO, "136.2"), id="far above"),
        pytest.param(("13710", "13890", "136.2", "137.2"), (NO, NO, "136.2"), id="the first trade far above"),
        pytest.param(("137.1", "135", "136.2", "137.2"), ("137.1", NO, "136.2"), id="high under low"),
        pytest.param(("137.1", "138.9", "138", "137.2"), ("137.1", "138.9", NO), id="low above the close"),
        pytest.param(("137.1", "137.15", "136.2", "137.2"), ("137.1", NO, "136.2"), id="close above the high"),
        pytest.param(("137.1", "136", "139", "137.2"), ("137.1", NO, NO), id="high and low the wrong way round"),
        pytest.param(("26.567", "27.62", "27.19", "27.46"), (NO, "27.62", "27.19"), id="open below the low"),
        pytest.param(("28.1", "27.62", "27.19", "27.46"), (NO, "27.62", "27.19"), id="open above the high"),
        pytest.param(("137.1", "138.9", "136.2", "13720"), (NO, NO, NO), id="the close alone is elsewhere"),
    ],
)
def test_what_contradicts_the_rest_is_left_out_and_the_bar_flagged(
    prices: tuple[str, str, str, str], left: tuple[str | None, str | None, str | None]
) -> None:
    bar = settle(*prices)
    assert bar.close == Decimal(prices[3])
    assert (bar.open, bar.high, bar.low) == tuple(None if price is None else Decimal(price) for price in left)
    assert bar.flags == ("bar_inconsistent",)


@pytest.mark.parametrize(
    "prices",
    [
        pytest.param(("247.815", "249.2902", "246.24", "248.13", "247.7389"), id="AAPL on 2024-12-13"),
        pytest.param(("21.36", "21.36", "21.36", "21.36", "21.3059"), id="average below the only price"),
        pytest.param(("445.02", "445.1", "444.92", "444.92", "448.4448"), id="average above the high"),
        pytest.param(("100", "101", "55", "60", None), id="a crash"),
        pytest.param(("265", "483", "250", "300", None), id="a rise"),
    ],
)
def test_a_bar_of_a_real_kind_stays_as_it_is(prices: tuple[str, str, str, str, str | None]) -> None:
    bar = settle(*prices)
    assert [bar.open, bar.high, bar.low, bar.close] == [Decimal(str(price)) for price in prices[:4]]
    assert bar.vwap == (None if prices[4] is None else Decimal(prices[4]))
    assert bar.flags == ()


@pytest.mark.parametrize("vwap", ["0.01", "13.7", "120", "153", "13720"])
def test_an_average_far_outside_the_range_is_left_out(vwap: str) -> None:
    bar = settle("137.1", "138.9", "136.2", "137.2", vwap)
    assert (bar.open, bar.high, bar.low, bar.vwap) == (Decimal("137.1"), Decimal("138.9"), Decimal("136.2"), None)
    assert bar.flags == ("bar_inconsistent",)


@pytest.mark.parametrize(
    ("volume", "whole"), [(None, None), ("0.4", None), ("0.6", 1), ("1000.4", 1000), ("33155300.5", 33155300)]
)
def test_a_volume_is_whole_shares_and_never_zero(volume: str | None, whole: int | None) -> None:
    shares = None if volume is None else Decimal(volume)
    price = Decimal(10)
    assert DailyBar("X", price, price, price, price, shares, price, 0).whole_volume == whole
