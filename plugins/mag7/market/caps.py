"""The market cap of every line on a session: close x accepted count, or the reason why there is none.

Prices and caps are Decimal, because the golden record's caps must be exact to the cent and sums of float products are
not. Share counts are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from mag7.index.constituents import Line
from mag7.index.count_jumps import find_count_jump
from mag7.index.seven import seven_issuers
from mag7.market.identity import ISSUER_UNCONFIRMED
from mag7.market.inputs import LineInputs, LookBack
from mag7.market.jumps import (
    CAP_JUMP,
    COUNT_JUMP,
    PriceJump,
    confirms_count,
    is_continuous,
    judge_price_jump,
)
from mag7.market.shares import AcceptedCount, CountUnavailableError, CountWrongError, Origin, accept_count
from mag7.market.split_basis import settle_split_basis
from mag7.polygon.bars import DailyBar
from mag7.sessions import next_session

FROZEN = "frozen_count"
CONTINUITY_SKIPPED = "continuity_skipped"
ODD_CLOSE = "previous_close_odd"


@dataclass(frozen=True)
class PricedLine:
    """A line with its cap in USD."""

    inputs: LineInputs
    bar: DailyBar
    accepted: AcceptedCount
    market_cap: Decimal

    @property
    def line(self) -> Line:
        """The constituent that was priced."""
        return self.inputs.line


@dataclass(frozen=True)
class FailedLine:
    """A line without a cap, and the reason."""

    inputs: LineInputs
    reason: str

    @property
    def line(self) -> Line:
        """The constituent that failed."""
        return self.inputs.line


def price_line(inputs: LineInputs) -> PricedLine | FailedLine:
    """Price one line, or return why it cannot be priced; a missing value never counts as zero."""
    bar = inputs.bar
    if bar is None:
        return FailedLine(inputs, inputs.bar_failure or _explain_missing_bar(inputs))
    try:
        accepted = _accept(inputs, bar)
        if accepted.origin != Origin.LOOK_BACK:
            accepted = _compare(accepted, inputs)
    except (CountUnavailableError, CountWrongError) as unusable:
        return FailedLine(inputs, str(unusable))
    accepted = replace(accepted, flags=(*accepted.flags, *bar.flags))
    return PricedLine(inputs, bar, accepted, bar.close * accepted.count)


def _explain_missing_bar(inputs: LineInputs) -> str:
    reason = f"no bar for {inputs.line.symbol} in the grouped call"
    if not inputs.stopped_trading:
        return reason
    return f"{reason}: the line leaves the index after {inputs.line.member_to} and has stopped trading"


def _accept(inputs: LineInputs, bar: DailyBar) -> AcceptedCount:
    """Accept the session's own count, on the session's split basis, or else the look-back's.

    Raises CountUnavailableError where there is no count, CountWrongError where a count cannot be true.
    """
    try:
        own = _accept_own(inputs, bar)
    except CountUnavailableError as unavailable:
        return _accept_look_back(inputs, bar, str(unavailable))
    return own if inputs.split_basis is None else settle_split_basis(own, inputs.split_basis)


def _accept_own(inputs: LineInputs, bar: DailyBar) -> AcceptedCount:
    if inputs.between is not None:
        return inputs.between
    if inputs.details is None:
        raise CountUnavailableError(inputs.details_failure or f"no ticker details for {inputs.line.symbol}")
    return accept_count(inputs.line, inputs.details, bar.close, inputs.previous_close)


def _accept_look_back(inputs: LineInputs, bar: DailyBar, reason: str) -> AcceptedCount:
    """Accept an earlier session's count, put on this session's basis, unless the price suggests an unknown split."""
    back = inputs.look_back
    if back is None:
        failure = inputs.look_back_failure
        raise CountUnavailableError(f"{reason}; {failure}" if failure else reason)
    price_ratio = Fraction(bar.close) * back.factor / Fraction(back.close)
    if not is_continuous(price_ratio):
        raise CountUnavailableError(
            f"{reason}; the count of {back.session} is not used: the price went from {back.close} to {bar.close}"
        )
    flags = ("look_back", f"count_of_{back.session.isoformat()}", *((FROZEN,) if back.frozen else ()))
    accepted = AcceptedCount(round(back.expected_count), Origin.LOOK_BACK, flags)
    if inputs.split_basis is None:
        return accepted
    # It was put on the basis of its own day, and expected_count has applied the splits since.
    return settle_split_basis(accepted, replace(inputs.split_basis, splits=()))


def _compare(own: AcceptedCount, inputs: LineInputs) -> AcceptedCount:
    """Compare a session's count and close with those of the session before, and add flags.

    Raises CountWrongError where one of them jumps and nothing explains it.
    """
    if inputs.lasting is not None:
        raise CountWrongError(inputs.lasting)
    yesterday = inputs.yesterday
    found = {
        FROZEN: inputs.frozen,
        ISSUER_UNCONFIRMED: inputs.issuer_unconfirmed,
        ODD_CLOSE: inputs.odd_close_before,
    }
    flags = tuple(flag for flag, holds in found.items() if holds)
    if yesterday is None:
        return replace(own, flags=(*own.flags, *flags, CONTINUITY_SKIPPED))
    ratio = own.count / yesterday.expected_count
    if not is_continuous(ratio):
        _explain_count(own, ratio, yesterday, inputs)
        flags = (*flags, COUNT_JUMP)
    elif inputs.price_jumps:
        _explain_price(yesterday, inputs)
        flags = (*flags, CAP_JUMP)
    return replace(own, flags=(*own.flags, *flags))


def _explain_count(own: AcceptedCount, ratio: Fraction, yesterday: LookBack, inputs: LineInputs) -> None:
    """Accept a count that jumps where something explains it; raises CountWrongError where nothing does."""
    known = find_count_jump(inputs.line.issuer, next_session(yesterday.session), ratio)
    agreed = own.origin == Origin.WEIGHTED
    if confirms_count(ratio, own.count, inputs.later, known, agreed=agreed):
        return
    raise CountWrongError(
        f"the count went from {round(yesterday.expected_count):,} ({yesterday.session}, on this session's split "
        f"basis) to {own.count:,}, {float(ratio):.3g} times as many, and no known split explains it: add it to "
        f"include/data/splits.csv, or run {yesterday.session} with collect_again where its count is wrong; a merger "
        "is accepted once later sessions confirm the count, or with a row of include/data/count_jumps.csv"
    )


def _explain_price(yesterday: LookBack, inputs: LineInputs) -> None:
    ratio = inputs.price_ratio
    if inputs.bar is None or ratio is None:
        return
    jump = PriceJump(
        next_session(yesterday.session),
        yesterday.close,
        yesterday.session,
        inputs.bar.close,
        ratio,
        split_today=yesterday.factor != 1,
        nothing_split=inputs.nothing_split,
    )
    judge_price_jump(jump, inputs.later, one_of_seven=inputs.line.issuer in seven_issuers())
