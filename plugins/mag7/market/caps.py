"""Market capitalization of every line on a session: close x accepted count, or the reason why there is none.

Prices and capitalizations are Decimal: the golden record's caps must come out to the cent, and a float product
of a close and a count of ten digits is already off by more than that in sums. Share counts are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from mag7.index.constituents import Line
from mag7.index.count_jumps import find_count_jump
from mag7.index.seven import seven_issuers
from mag7.market.identity import ISSUER_UNCONFIRMED
from mag7.market.jumps import (
    CAP_JUMP,
    COUNT_JUMP,
    NOT_YET,
    Later,
    PriceJump,
    confirms_count,
    is_continuous,
    judge_price_jump,
)
from mag7.market.shares import AcceptedCount, CountUnavailableError, CountWrongError, Origin, accept_count
from mag7.market.split_basis import SplitBasisInputs, settle_split_basis
from mag7.polygon.answers import Answer
from mag7.polygon.bodies import DailyBar, TickerDetails
from mag7.sessions import next_session

FROZEN = "frozen_count"
CONTINUITY_SKIPPED = "continuity_skipped"
ODD_CLOSE = "previous_close_odd"


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
    basis: SplitBasisInputs | None = None
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


@dataclass(frozen=True)
class PricedLine:
    """A line with its cap in USD; counted is True for a company's main line, whose cap is the company's."""

    evidence: LineInputs
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

    evidence: LineInputs
    reason: str

    @property
    def line(self) -> Line:
        """The constituent that failed."""
        return self.evidence.line


def price_line(evidence: LineInputs) -> PricedLine | FailedLine:
    """Price one line, or say why it cannot be priced; nothing missing ever counts as zero."""
    bar = evidence.bar
    if bar is None:
        return FailedLine(evidence, evidence.bar_failure or _say_no_bar(evidence))
    try:
        accepted = _accept(evidence, bar)
        if accepted.origin != Origin.LOOK_BACK:
            accepted = _compare(accepted, evidence)
    except (CountUnavailableError, CountWrongError) as unusable:
        return FailedLine(evidence, str(unusable))
    accepted = replace(accepted, flags=(*accepted.flags, *bar.flags))
    return PricedLine(evidence, bar, accepted, bar.close * accepted.count)


def _say_no_bar(evidence: LineInputs) -> str:
    reason = f"no bar for {evidence.line.symbol} in the grouped call"
    if not evidence.stopped_trading:
        return reason
    return f"{reason}: the line leaves the index after {evidence.line.member_to} and has stopped trading"


def _accept(evidence: LineInputs, bar: DailyBar) -> AcceptedCount:
    """Take the session's own count on the session's split basis, else the look-back's.

    Raises CountUnavailableError where there is none, CountWrongError where there is one that cannot be true.
    """
    try:
        own = _accept_own(evidence, bar)
    except CountUnavailableError as unavailable:
        return _accept_look_back(evidence, bar, str(unavailable))
    return own if evidence.basis is None else settle_split_basis(own, evidence.basis)


def _accept_own(evidence: LineInputs, bar: DailyBar) -> AcceptedCount:
    if evidence.between is not None:
        return evidence.between
    if evidence.details is None:
        raise CountUnavailableError(evidence.details_failure or f"no ticker details for {evidence.line.symbol}")
    return accept_count(evidence.line, evidence.details, bar.close, evidence.previous_close)


def _accept_look_back(evidence: LineInputs, bar: DailyBar, reason: str) -> AcceptedCount:
    """Take an earlier session's count, put on this session's basis, unless a split unknown to us may lie between."""
    back = evidence.look_back
    if back is None:
        failure = evidence.look_back_failure
        raise CountUnavailableError(f"{reason}; {failure}" if failure else reason)
    price_ratio = Fraction(bar.close) * back.factor / Fraction(back.close)
    if not is_continuous(price_ratio):
        raise CountUnavailableError(
            f"{reason}; the count of {back.session} is not used: the price went from {back.close} to {bar.close}"
        )
    flags = ("look_back", f"count_of_{back.session.isoformat()}", *((FROZEN,) if back.frozen else ()))
    accepted = AcceptedCount(round(back.expected_count), Origin.LOOK_BACK, flags)
    if evidence.basis is None:
        return accepted
    # It was put on its basis as of its own day; splits since are in it.
    return settle_split_basis(accepted, replace(evidence.basis, splits=()))


def _compare(own: AcceptedCount, evidence: LineInputs) -> AcceptedCount:
    """Compare a session's own count with that of the session before, and flag what a reader should know of it.

    Raises CountWrongError where the count, or the close, moved as it does in a split, and nothing explains that.
    """
    if evidence.lasting is not None:
        raise CountWrongError(evidence.lasting)
    yesterday = evidence.yesterday
    found = {
        FROZEN: evidence.frozen,
        ISSUER_UNCONFIRMED: evidence.issuer_unconfirmed,
        ODD_CLOSE: evidence.odd_close_before,
    }
    flags = tuple(flag for flag, holds in found.items() if holds)
    if yesterday is None:
        return replace(own, flags=(*own.flags, *flags, CONTINUITY_SKIPPED))
    ratio = own.count / yesterday.expected_count
    if not is_continuous(ratio):
        _explain_count(own, ratio, yesterday, evidence)
        flags = (*flags, COUNT_JUMP)
    elif evidence.price_jumps:
        _explain_price(yesterday, evidence)
        flags = (*flags, CAP_JUMP)
    return replace(own, flags=(*own.flags, *flags))


def _explain_count(own: AcceptedCount, ratio: Fraction, yesterday: LookBack, evidence: LineInputs) -> None:
    """Let a count that jumps pass where something explains it; raises CountWrongError where nothing does."""
    known = find_count_jump(evidence.line.issuer, next_session(yesterday.session), ratio)
    agreed = own.origin == Origin.WEIGHTED
    if confirms_count(ratio, own.count, evidence.later, known, agreed=agreed):
        return
    raise CountWrongError(
        f"the count went from {round(yesterday.expected_count):,} ({yesterday.session}, on this session's split "
        f"basis) to {own.count:,}, {float(ratio):.3g} times as many, and no split is known that explains it: add "
        f"it to include/data/splits.csv, or run {yesterday.session} with collect_again where its count is wrong; "
        "a merger is believed once later sessions say the same, or from include/data/count_jumps.csv"
    )


def _explain_price(yesterday: LookBack, evidence: LineInputs) -> None:
    ratio = evidence.price_ratio
    if evidence.bar is None or ratio is None:
        return
    jump = PriceJump(
        next_session(yesterday.session),
        yesterday.close,
        yesterday.session,
        evidence.bar.close,
        ratio,
        split_today=yesterday.factor != 1,
        nothing_split=evidence.nothing_split,
    )
    judge_price_jump(jump, evidence.later, one_of_seven=evidence.line.issuer in seven_issuers())
