"""Compares a session's caps and share with the truth of the offline market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mag7.index.seven import SEVEN
from mag7.market.caps import FailedLine
from mag7.market.figures import SessionFigures
from mag7.settings import Settings
from mag7.tasks.document import judge_coverage
from sandbox.polygon.market import load_market
from sandbox.polygon.truth import UnknownLineError, true_market_cap

PARTS_PER_POINT = 100


@dataclass(frozen=True)
class Verdict:
    """A session compared with the truth.

    ``share_off`` is in percentage points, ``unflagged_off`` and ``flagged_off`` are the largest distance of a line's
    cap from the truth, as a part of it. ``reasons`` are those of failed lines, by ticker. ``strangers`` are lines that
    are in the index only here or only in the market, or that are priced and did not trade.
    """

    session: date
    lines: int
    share_off: float
    unflagged_off: float
    unflagged_worst: str
    flagged_off: float
    flagged_worst: str
    quality: str
    reasons: dict[str, str]
    refusals: tuple[str, ...]
    strangers: tuple[str, ...]


def true_share(session: date) -> float:
    """Return the seven's share of the index by company, in percent, over the companies with a close."""
    caps = {}
    for line in load_market(session).lines:
        if line.main == line.key and line.is_member(session) and line.listed.holds(session):
            caps[line.key] = float(true_market_cap(line.key, session))
    return PARTS_PER_POINT * sum(cap for key, cap in caps.items() if key in SEVEN) / sum(caps.values())


def judge(figures: SessionFigures) -> Verdict:
    """Compare a session's figures with the truth."""
    session = figures.session
    offs: dict[bool, list[tuple[float, str]]] = {True: [(0.0, "")], False: [(0.0, "")]}
    strangers = list_strangers(figures)
    for line in (*figures.lines, *figures.seven_outside):
        if isinstance(line, FailedLine):
            continue
        ticker = line.line.ticker
        try:
            truth = true_market_cap(ticker, session)
        except UnknownLineError:
            strangers.append(f"{ticker} is priced and did not trade")
            continue
        offs[bool(line.accepted.flags)].append((abs(float(line.market_cap / truth) - 1), ticker))
    (unflagged_off, unflagged_worst), (flagged_off, flagged_worst) = max(offs[False]), max(offs[True])
    return Verdict(
        session,
        len(figures.lines),
        abs(float(figures.concentration.mag7_pct_of_sp500) - true_share(session)),
        unflagged_off,
        unflagged_worst,
        flagged_off,
        flagged_worst,
        figures.concentration.quality,
        {line.line.ticker: line.reason for line in figures.failed},
        tuple(judge_coverage(figures, Settings())),
        tuple(strangers),
    )


def list_strangers(figures: SessionFigures) -> list[str]:
    """List the symbols that are in the index only in our table or only in the market, as of the session."""
    session = figures.session
    ours = {line.line.symbol for line in figures.lines}
    theirs = {line.symbol_on(session) for line in load_market(session).lines if line.is_member(session)}
    return sorted(
        [f"{symbol} only here" for symbol in ours - theirs] + [f"{symbol} missing" for symbol in theirs - ours]
    )
