"""A ticker's daily bar, and which of its values can be true beside the others.

A market cap rests on the close, whose jumps are judged elsewhere: here it is taken as true, and values that contradict
it are not. Only the value that cannot be true is left out, so a bar with a close and a time is never lost.

* A low above the close and a high below it are left out. A close that is no price of the range was reported to mean
  that the range is wrong, an open outside the range that the open is (iexg/IEX-API issue 1197), so a low and a high
  that hold the close go before the open.
* One trade at a mistaken price makes a low or an open that is below everything, and no order is broken: a low of
  0.9242 beside an open of 16.12 and a close of 15.95 was such a trade (polygon-io/issues issue 267). So prices may be
  at most FAR times off. A session in which a price really halves or doubles is taken for such a mistake, too.
* The volume-weighted price counts trades that move neither high nor low, and may lie a little outside them
  (polygon-io/issues issue 205).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

FAR: Final = 2
"""Open, low and high are left out where they are more than this many times off the close, low and high also the open:
a line of the index that moves so far within one session is rarer than a mistaken trade."""

OUTSIDE: Final = Decimal("1.1")
"""How far beyond low and high a volume-weighted price may lie, as a ratio."""

INCONSISTENT: Final = "bar_inconsistent"


@dataclass(frozen=True, slots=True)
class DailyBar:
    """A ticker's prices as traded on one session (USD a share); volume in shares can be fractional.

    All but the close can be missing. ``inconsistent`` says that a value was left out as it cannot be true, or that a
    price or the volume was not given.
    """

    ticker: str
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal
    volume: Decimal | None
    vwap: Decimal | None
    timestamp_ms: int
    inconsistent: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags for readers of a figure that rests on this bar."""
        return (INCONSISTENT,) if self.inconsistent else ()

    @property
    def whole_volume(self) -> int | None:
        """The volume in whole shares; None where it is not known, or less than half a share."""
        return None if self.volume is None else int(self.volume.to_integral_value()) or None


def leave_out_impossible(bar: DailyBar) -> DailyBar:
    """Leave out of a bar what cannot be true: the rest satisfies low <= open, close <= high."""
    opening, low, high = _settle_prices(bar.open, bar.low, bar.high, bar.close)
    vwap = bar.vwap
    if vwap is not None:
        least = bar.close / FAR if low is None else low / OUTSIDE
        most = bar.close * FAR if high is None else high * OUTSIDE
        vwap = vwap if least <= vwap <= most else None
    left_out = (opening, low, high, vwap) != (bar.open, bar.low, bar.high, bar.vwap)
    if not left_out and None not in {opening, low, high, bar.volume}:
        return bar
    return replace(bar, open=opening, low=low, high=high, vwap=vwap, inconsistent=True)


def _settle_prices(
    opening: Decimal | None, low: Decimal | None, high: Decimal | None, close: Decimal
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """Return those of open, low and high that can be true beside the close."""
    if opening is not None and not close / FAR <= opening <= close * FAR:
        opening = None
    traded = close if opening is None else opening
    if low is not None and not min(close, traded) / FAR <= low <= close:
        low = None
    if high is not None and not close <= high <= max(close, traded) * FAR:
        high = None
    below = opening is not None and low is not None and opening < low
    above = opening is not None and high is not None and opening > high
    return None if below or above else opening, low, high
