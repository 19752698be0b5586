"""A line's inputs for one session: its details and bar, what they are compared with, and their responses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from mag7.index.constituents import Line
from mag7.market.jumps import NOT_YET, Later, is_continuous
from mag7.market.shares import AcceptedCount
from mag7.market.split_basis import SplitBasisInputs
from mag7.polygon.answers import Answer
from mag7.polygon.bars import DailyBar
from mag7.polygon.response_bodies import TickerDetails


@dataclass(frozen=True)
class LookBack:
    """A line's count and close (USD) of an earlier session, and the responses that they are from.

    ``factor`` is how many shares one share has become since, up to the session that looks back. ``frozen``: the count
    of that day is a frozen count.
    """

    session: date
    count: int
    close: Decimal
    answers: tuple[Answer, ...] = ()
    factor: Fraction = Fraction(1)
    frozen: bool = False

    @property
    def market_cap(self) -> Decimal:
        """The cap of that day in USD."""
        return self.count * self.close

    @property
    def expected_count(self) -> Fraction:
        """The count on the split basis of the session that looks back."""
        return self.count * self.factor


@dataclass(frozen=True)
class LastKnownCap:
    """The last known cap in USD of a company without a usable count, and where it is from (``basis``)."""

    market_cap: Decimal
    basis: str


@dataclass(frozen=True)
class LineInputs:
    """A line's inputs for one session, and the responses that they are from.

    - ``between``: the count that sessions on both sides share, where the provider was not asked about this session;
      ``details`` are then those of the earlier one.
    - ``look_back``: an earlier session's values, used where the session has no count of its own.
    - ``yesterday``: the session before, with which count and close are compared.
    - ``later``: values of later sessions, where count or close jumps.
    - ``nothing_split``: the project's own table says that nothing was split on the session.
    - ``odd_close_before``: the previous close differs from those on both sides of it, so ``yesterday`` is the session
      before that one.
    - ``lasting``: a jump of the weeks before that nothing has explained since.
    - ``frozen``: the session's count is a frozen count.
    - ``issuer_unconfirmed``: the CIK of the details is in none of the company's periods.
    - ``last_known``: the company's last known cap, for coverage, where nothing else is known.
    - ``stopped_trading``: the line has no bar because it is leaving the index.
    """

    line: Line
    details: TickerDetails | None
    details_failure: str | None
    bar: DailyBar | None
    bar_failure: str | None
    previous_close: Decimal | None = None
    look_back: LookBack | None = None
    look_back_failure: str | None = None
    answers: tuple[Answer, ...] = ()
    split_basis: SplitBasisInputs | None = None
    yesterday: LookBack | None = None
    frozen: bool = False
    between: AcceptedCount | None = None
    issuer_unconfirmed: bool = False
    last_known: LastKnownCap | None = None
    stopped_trading: bool = False
    later: Later = NOT_YET
    nothing_split: bool = False
    odd_close_before: bool = False
    lasting: str | None = None

    @cached_property
    def price_ratio(self) -> Fraction | None:
        """The factor by which the close moved since the session before, on one split basis; None where not known."""
        if self.bar is None or self.yesterday is None:
            return None
        return Fraction(self.bar.close) * self.yesterday.factor / Fraction(self.yesterday.close)

    @cached_property
    def price_jumps(self) -> bool:
        """Whether the close moved by more than it can without a split."""
        ratio = self.price_ratio
        return ratio is not None and not is_continuous(ratio)

    @property
    def provider_market_cap(self) -> Decimal | None:
        """The provider's market cap of the session in USD; None where the provider was not asked about the session."""
        return None if self.details is None or self.between is not None else self.details.market_cap
