"""What a line's inputs for one session are: its details and bar, what they are compared with, and their answers."""

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
    """What an earlier session said of a line: its count and its close (USD) of that day, and in which answers.

    ``factor`` is how many shares of the session that looks back one share of that day has become since. ``frozen``
    says that the provider's counts of that day are not its own.
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
    """What a company without a usable count was worth when that was last known, in USD, and what that rests on."""

    market_cap: Decimal
    basis: str


@dataclass(frozen=True)
class LineInputs:
    """All that was learned about a line for one session, and the answers that say so.

    ``between`` is the count that sessions on both sides have, where the session itself was not asked about: then
    ``details`` are the earlier one's. ``look_back`` stands in for a count that is missing; ``yesterday`` is the session
    before, which count and close are compared with; ``later`` is what sessions after it say, where one of them jumps.
    ``nothing_split`` says that our own table knows that nothing was split on the session. ``odd_close_before`` says
    that the close before lies apart from those on both sides of it: then ``yesterday`` is the session before that.
    ``lasting`` says which jump of some weeks before nothing has explained since.
    ``frozen`` says that the provider's counts of the session are not its own, ``issuer_unconfirmed`` that the CIK of
    the details is in none of the company's periods. ``last_known`` is for coverage, where nothing else is known of the
    company; ``stopped_trading`` says that the line has no bar as it leaves the index.
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
        """By what the close moved since the session before on one split basis; None where one of them is not known."""
        if self.bar is None or self.yesterday is None:
            return None
        return Fraction(self.bar.close) * self.yesterday.factor / Fraction(self.yesterday.close)

    @cached_property
    def price_jumps(self) -> bool:
        """Whether the close moved by more than it does without a split."""
        ratio = self.price_ratio
        return ratio is not None and not is_continuous(ratio)

    @property
    def provider_market_cap(self) -> Decimal | None:
        """The provider's market capitalization of the session in USD; None where it was not asked about it."""
        return None if self.details is None or self.between is not None else self.details.market_cap
