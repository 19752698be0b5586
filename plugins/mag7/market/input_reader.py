"""Reading each line's inputs of a session from stored responses: its own, and those of other sessions where needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from mag7.index.constituents import Line
from mag7.index.splits import SplitTable
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.identity import has_own_identifier
from mag7.market.inputs import LineInputs, LookBack
from mag7.market.jump_reader import JumpReader
from mag7.market.listed_split_reader import ListedSplitReader
from mag7.market.look_back import LookBackReader
from mag7.market.observation import ObservationReader
from mag7.market.response_reader import (
    COUNTS_FROZEN_BEFORE,
    ResponseReader,
    StoredResponses,
    join_answers,
    list_sources,
)
from mag7.market.split_basis_reader import SplitBasisReader
from mag7.sessions import previous_session

LEAVING_SESSIONS: Final = 10
"""Largest number of sessions before it leaves the index on which a line that was acquired may have no bar."""


def open_inputs(
    stored: StoredResponses,
    frozen_before: date = COUNTS_FROZEN_BEFORE,
    closes: Mapping[date, Mapping[str, Decimal]] | None = None,
) -> InputReader:
    """Open a reader of stored responses.

    The provider's counts of sessions before ``frozen_before`` are as of about that date. ``closes`` (USD, by session
    and symbol) are used instead of reading them from the responses again.
    """

    def list_known_splits(day: date) -> SplitTable:
        return splits.table(day)

    responses = ResponseReader(stored, frozen_before, closes or {}, list_known_splits)
    splits = ListedSplitReader(responses)
    split_basis = SplitBasisReader(responses, splits)
    observations = ObservationReader(responses, splits)
    look_backs = LookBackReader(responses, splits, split_basis, observations)
    jumps = JumpReader(responses, splits, look_backs)
    return InputReader(responses, splits, split_basis, observations, look_backs, jumps)


@dataclass(frozen=True)
class InputReader:
    """Reads lines' inputs; its parts read one subject each."""

    responses: ResponseReader
    splits: ListedSplitReader
    split_basis: SplitBasisReader
    observations: ObservationReader
    look_backs: LookBackReader
    jumps: JumpReader

    def read_lines(self, session: date, lines: Iterable[Line]) -> list[LineInputs]:
        """Read the inputs of every line."""
        return [self.read_line(session, line) for line in lines]

    def read_line(self, session: date, line: Line) -> LineInputs:
        """Read one line's inputs for a session, with an earlier session's count where its own responses have none."""
        own = self.read_own(session, line)
        yesterday = self.look_backs.read(session, line, 1)
        if isinstance(yesterday, LookBack) and list_sources(own.answers) >= list_sources(yesterday.answers):
            own = replace(own, yesterday=yesterday)
        priced = price_line(own)
        if own.yesterday is not None and (isinstance(priced, FailedLine) or own.price_jumps):
            own = self.jumps.add_jump(session, line, own)
            priced = price_line(own)
        if isinstance(priced, PricedLine):
            return self.jumps.add_lasting(session, priced)
        found = self.look_backs.find(session, line)
        if isinstance(found, LookBack):
            return replace(own, look_back=found, answers=join_answers(own.answers, found.answers))
        return replace(own, look_back_failure=found)

    def read_own(self, session: date, line: Line) -> LineInputs:
        """Read a line's inputs from a session's own responses, and the previous close that market_cap may rest on.

        Where the line's details of the session were never requested, those of the sessions around it are used if they
        agree.
        """
        grouped, grouped_failure, bars_answer = self.responses.bars(session)
        details, details_failure, details_answer = self.responses.details(line, session, line.symbol)
        bar = grouped.bars.get(line.symbol)
        bar_failure = grouped_failure or grouped.unusable.get(line.symbol)
        answers = [bars_answer, details_answer]
        previous_close, observed_at = None, None if details_answer is None else details_answer.time
        between = self.observations.find_between(line, session) if details_answer is None else None
        if between is not None:
            details, details_failure, observed_at = between.details, None, between.time
            answers += between.answers
        elif details is not None and bar is not None:
            previous_close, earlier = self.observations.read_previous_close(line, session, details, bar.close)
            answers.append(earlier)
        split_basis, basis_answers = self.split_basis.read(session, session, line, observed_at)
        return LineInputs(
            line,
            details,
            details_failure,
            bar,
            bar_failure,
            previous_close=previous_close,
            answers=join_answers(answers, basis_answers),
            split_basis=split_basis,
            between=None if between is None else between.accepted,
            frozen=self.responses.is_frozen(session),
            issuer_unconfirmed=details is not None and not has_own_identifier(line, details),
            stopped_trading=bar is None and bar_failure is None and _is_leaving(line, session),
        )


def _is_leaving(line: Line, session: date) -> bool:
    """Whether a session is among the last LEAVING_SESSIONS of a line in the index."""
    return line.member_to is not None and previous_session(line.member_to, LEAVING_SESSIONS) < session
