"""The rule by which a line's share count is accepted, and the count's origin.

The provider's two count fields and its market cap contradict each other, or are missing, for months at a time. The
order of the rule follows from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction
from math import prod

from mag7.errors import Mag7Error
from mag7.index.constituents import Line
from mag7.index.membership import ShareClasses
from mag7.index.splits import Split
from mag7.polygon.response_bodies import TickerDetails

AGREEMENT = Decimal("0.0001")
"""Largest relative difference, 0.01 %, at which count x close agrees with the provider's market_cap."""


class Origin(StrEnum):
    """Which step of the rule gave a count; stored as text with every figure worked out from it."""

    WEIGHTED = "weighted"
    BEHIND_MARKET_CAP = "behind_market_cap"
    WEIGHTED_ALONE = "weighted_without_market_cap"
    SHARE_CLASS = "share_class"
    LOOK_BACK = "look_back"


@dataclass(frozen=True)
class AcceptedCount:
    """A share count in whole shares, its origin, and its flags.

    ``splits`` are later splits that the provider's count already included, so it was divided by them. ``lagging`` are
    earlier splits that it did not include yet, so it was multiplied by them.
    """

    count: int
    origin: Origin
    flags: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ()
    lagging: tuple[Split, ...] = ()

    @property
    def divisor(self) -> Fraction:
        """The factor that the provider's count was divided by; 1 where it was on the session's split basis."""
        divided = prod((split.factor for split in self.splits), start=Fraction(1))
        return divided / prod((split.factor for split in self.lagging), start=Fraction(1))


class CountUnavailableError(Mag7Error):
    """The provider's response has no count that can be accepted; the message is the line's reason for failing."""


class CountWrongError(Mag7Error):
    """The provider's count cannot be true; no earlier count replaces it."""


def accept_count(line: Line, details: TickerDetails, close: Decimal, previous_close: Decimal | None) -> AcceptedCount:
    """Accept a line's share count from one response.

    ``close`` is the unadjusted close of the session in USD, ``previous_close`` that of the session before where it is
    known: in the evening market_cap can still rest on it. Where it is needed and not known, the count is flagged.
    Raises CountUnavailableError with the reason.
    """
    weighted, market_cap = details.weighted_shares_outstanding, details.market_cap
    # A market_cap of less than one share's price cannot be the company's.
    if market_cap is not None and market_cap >= close / 2:
        return _accept_with_market_cap(weighted, market_cap, close, previous_close)
    if weighted is not None:
        present = market_cap is not None or "market_cap" in details.unusable
        return AcceptedCount(
            weighted, Origin.WEIGHTED_ALONE, ("market_cap_unusable" if present else "market_cap_missing",)
        )
    return _accept_share_class(line, details, close)


def needs_previous_close(details: TickerDetails, close: Decimal) -> bool:
    """Whether the provider's market_cap disagrees with its weighted count at the session's own close."""
    weighted, market_cap = details.weighted_shares_outstanding, details.market_cap
    return weighted is not None and market_cap is not None and not _agrees(weighted, close, market_cap)


def rough_count(line: Line, details: TickerDetails) -> int | None:
    """Return the company's count, not checked against a close: accurate to a few per cent, enough to detect a split."""
    if details.weighted_shares_outstanding is not None:
        return details.weighted_shares_outstanding
    return details.share_class_shares_outstanding if line.share_classes == ShareClasses.ONE else None


def _agrees(count: int, close: Decimal, market_cap: Decimal) -> bool:
    return abs(count * close - market_cap) <= AGREEMENT * market_cap


def _accept_with_market_cap(
    weighted: int | None, market_cap: Decimal, close: Decimal, previous_close: Decimal | None
) -> AcceptedCount:
    closes = [close] if previous_close is None else [close, previous_close]
    if weighted is not None and any(_agrees(weighted, price, market_cap) for price in closes):
        return AcceptedCount(weighted, Origin.WEIGHTED)
    behind = int((market_cap / close).to_integral_value(ROUND_HALF_UP))
    skipped = ("previous_close_missing",) if weighted is not None and previous_close is None else ()
    return AcceptedCount(behind, Origin.BEHIND_MARKET_CAP, ("count_behind_market_cap", *skipped))


def _accept_share_class(line: Line, details: TickerDetails, close: Decimal) -> AcceptedCount:
    count = details.share_class_shares_outstanding
    if count is not None and line.share_classes == ShareClasses.ONE:
        return AcceptedCount(count, Origin.SHARE_CLASS, ("share_class_count",))
    reasons = [_why_unusable(details, name) for name in ("market_cap", "weighted_shares_outstanding")]
    if details.market_cap is not None:
        reasons[0] = f"market_cap is {details.market_cap}, less than one share at {close}"
    if count is None:
        reasons.append(_why_unusable(details, "share_class_shares_outstanding"))
    else:
        known = "has several" if line.share_classes == ShareClasses.SEVERAL else "is not known to have no other"
        reasons.append(f"share_class_shares_outstanding ({count}) counts one class, and the company {known}")
    raise CountUnavailableError(f"the provider's response for {line.symbol} has no usable count: {'; '.join(reasons)}")


def _why_unusable(details: TickerDetails, name: str) -> str:
    return details.unusable.get(name, f"{name} is missing")
