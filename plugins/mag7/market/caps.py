"""Market capitalization of every line on a session: close x accepted count, or the reason why there is none.

Prices and capitalizations are Decimal: the golden record's caps must come out to the cent, and a float product
of a close and a count of ten digits is already off by more than that in sums. Share counts are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mag7.index.constituents import Line
from mag7.market.shares import AcceptedCount, CountUnavailableError, Origin, accept_count
from mag7.polygon.answers import Answer
from mag7.polygon.bodies import DailyBar, TickerDetails

SPLIT_PRICE_RATIO = Decimal("1.4")
"""A price that moved by more than this since a look-back may have been split in between (the smallest usual split is
3 for 2): that day's count then stands on another basis and is not used."""


@dataclass(frozen=True)
class LookBack:
    """What an earlier session said of a line: its accepted count, its close on that day (USD), and in which answers."""

    session: date
    count: int
    close: Decimal
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that was learned about a line for one session, and the answers that say so."""

    line: Line
    details: TickerDetails | None
    details_failure: str | None
    bar: DailyBar | None
    bar_failure: str | None
    previous_close: Decimal | None = None
    look_back: LookBack | None = None
    look_back_failure: str | None = None
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True)
class PricedLine:
    """A line with its cap in USD; counted is True for a company's main line, whose cap is the company's."""

    evidence: Evidence
    bar: DailyBar
    accepted: AcceptedCount
    market_cap: Decimal

    @property
    def line(self) -> Line:
        """The constituent that was priced."""
        return self.evidence.line


@dataclass(frozen=True)
class FailedLine:
    """A line without a cap, and the true reason."""

    evidence: Evidence
    reason: str

    @property
    def line(self) -> Line:
        """The constituent that failed."""
        return self.evidence.line


def price_line(evidence: Evidence) -> PricedLine | FailedLine:
    """Price one line, or say why it cannot be priced; nothing missing ever counts as zero."""
    bar = evidence.bar
    if bar is None:
        return FailedLine(evidence, evidence.bar_failure or f"no bar for {evidence.line.symbol} in the grouped call")
    accepted = _accept(evidence, bar)
    if isinstance(accepted, str):
        return FailedLine(evidence, accepted)
    return PricedLine(evidence, bar, accepted, bar.close * accepted.count)


def _accept(evidence: Evidence, bar: DailyBar) -> AcceptedCount | str:
    """Take the session's own count, else the look-back's, else return the reason."""
    details = evidence.details
    if details is None:
        reason = evidence.details_failure or f"no ticker details for {evidence.line.symbol}"
    else:
        try:
            return accept_count(evidence.line, details, bar.close, evidence.previous_close)
        except CountUnavailableError as unavailable:
            reason = str(unavailable)
    back = evidence.look_back
    if back is None:
        return f"{reason}; {evidence.look_back_failure}" if evidence.look_back_failure else reason
    if not SPLIT_PRICE_RATIO**-1 < bar.close / back.close < SPLIT_PRICE_RATIO:
        return f"{reason}; the count of {back.session} is not used: the price went from {back.close} to {bar.close}"
    return AcceptedCount(back.count, Origin.LOOK_BACK, ("look_back", f"count_of_{back.session.isoformat()}"))
