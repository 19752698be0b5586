"""Reading the inputs that show a count's split basis: the company's counts and closes beside its splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final

from mag7.index.constituents import Line, main_ticker
from mag7.index.seven import seven_issuers
from mag7.index.share_counts import find_reference
from mag7.index.splits import Split, SplitTable, find_main_line
from mag7.index.symbols import symbol_on
from mag7.market.jumps import USUAL_TOLERANCE, find_usual, is_continuous
from mag7.market.listed_split_reader import ListedSplitReader
from mag7.market.response_reader import ResponseReader
from mag7.market.split_basis import (
    CLOSE_TOLERANCE,
    LATE_DAYS,
    PROBE_DAYS,
    SplitBasisInputs,
    SplitCounts,
    fits,
    gap,
    list_relevant_splits,
    probe_sessions,
    session_from,
)
from mag7.polygon.answers import Answer
from mag7.sessions import list_sessions, month_ends, next_session, previous_session

DAYS_CACHED: Final = 64
LEAST_MOVE: Final = 1.4
"""Closes that moved by a smaller factor are ignored: the smallest usual split is 3 for 2."""


class SplitBasisReader:
    """Reads the inputs that show the split basis of counts, and lists the responses that are still missing.

    A probe is a company's count on a date beside one of its splits.
    """

    def __init__(self, responses: ResponseReader, splits: ListedSplitReader) -> None:
        self._responses = responses
        self._splits = splits
        self._list_moves = lru_cache(maxsize=DAYS_CACHED)(self._find_moves)

    def read(
        self, session: date, day: date, line: Line, observed_at: datetime | None
    ) -> tuple[SplitBasisInputs, list[Answer]]:
        """Read the inputs that show the split basis of a line's count of a day, by the splits known on a session.

        A count cannot include a split long after ``observed_at`` (UTC): such a split is left out.
        """
        judged = self._splits.judge(session)
        table, issuer = judged.table, line.issuer
        first = day - timedelta(days=PROBE_DAYS)
        splits: list[SplitCounts] = []
        answers: list[Answer] = []
        for split in list_relevant_splits(table, issuer, day, LATE_DAYS):
            if observed_at is not None and observed_at.date() < split.execution_date - timedelta(days=PROBE_DAYS):
                continue
            counts, found = self._read_counts(line, split, day, table)
            if split.execution_date > first or counts.has_count:
                splits.append(counts)
                answers += found
        refused = tuple(item for item in table.refused.get(issuer, ()) if item.split.execution_date > first)
        if splits or refused:
            answers += [*judged.answers.get(issuer, ()), *(self._responses.stored.splits(session) or ())]
        unlisted = self._find_unlisted_split(day, line, table) if self._responses.is_frozen(day) else None
        inputs = SplitBasisInputs(
            day,
            tuple(splits),
            find_reference(issuer, day, table),
            one_of_seven=issuer in seven_issuers(),
            contested=table.contested.get(issuer) or unlisted,
            refused=refused,
        )
        return inputs, answers

    def _read_counts(
        self, line: Line, split: Split, day: date, table: SplitTable
    ) -> tuple[SplitCounts, Iterable[Answer]]:
        """Read the company's counts beside a split; the one before it only where the one after cannot be used."""
        after_day, before_day = probe_sessions(table, split)
        step, closes_answers = self._read_close_step(line, split, day)
        after, answer = self._probe(line, after_day)
        before, before_answer = None, None
        # A frozen count of a date before the split is as of a date after it.
        frozen = self._responses.is_frozen(before_day) and split.execution_date <= self._responses.frozen_before
        late = split in table.late
        if not frozen and (after is None or late or step is not None):
            before, before_answer = self._probe(line, before_day)
        if late or self._is_stale(split, step, before_day, before, after):
            after, answer = None, None
        if after is not None:
            before, before_answer = None, None
        found = [item for item in (answer, before_answer, *closes_answers) if item]
        return SplitCounts(split, after, before, step, frozen=self._responses.is_frozen(after_day)), found

    def _is_stale(
        self, split: Split, step: Fraction | None, before_day: date, before: int | None, after: int | None
    ) -> bool:
        """Whether the count after a split is still the old one although the close moved: the provider is late."""
        if step is None or before is None or after is None or self._responses.is_frozen(before_day):
            return False
        moved = fits(step, split.factor, CLOSE_TOLERANCE)
        return moved and gap(Fraction(after), before) < gap(Fraction(after), before * split.factor)

    def _read_close_step(self, line: Line, split: Split, day: date) -> tuple[Fraction | None, list[Answer | None]]:
        """Read how many shares one share became on a split's day, judged by the closes; None if it is after ``day``."""
        if split.execution_date > day:
            return None, []
        main = find_main_line(line.issuer, day)
        (before, earlier), (after, later) = (self._responses.read_close(main, side) for side in _sides(split))
        if before is None or after is None:
            return None, []
        return Fraction(before) / Fraction(after), [earlier, later]

    def _find_unlisted_split(self, session: date, line: Line, table: SplitTable) -> str | None:
        """Return why a frozen count may include a split that no list has; None where nothing suggests one.

        A close that moves by a usual split ratio later in the month, and does not return, suggests one.
        """
        known = {split.execution_date for split in table.of(line.issuer)}
        _, last = month_ends(session)
        for day in list_sessions(next_session(session), last):
            usual = self._list_moves(day).get(symbol_on(line.ticker, day))
            if usual is None or day in known:
                continue
            own, now, later = (self._responses.read_close(line, at)[0] for at in (session, day, next_session(day)))
            after = later or now
            if own is not None and after is not None and is_continuous(Fraction(own) / Fraction(after) / usual):
                return (
                    f"on {day} the close moves as in a split of {usual.numerator} for {usual.denominator} that no list"
                    " has, and the count is a frozen one, which may already include it: add the split to"
                    " include/data/splits.csv (with the ratio 1 for 1 where nothing was split), then rebuild"
                )
        return None

    def _find_moves(self, day: date) -> Mapping[str, Fraction]:
        """Find the symbols whose close moved by a usual split ratio on a session, with that ratio."""
        before, after = self._responses.closes(previous_session(day))[0], self._responses.closes(day)[0]
        found: dict[str, Fraction] = {}
        for symbol, close in after.items():
            # Most closes hardly move: floats are exact enough to skip them.
            if symbol not in before or 1 / LEAST_MOVE < float(close) / float(before[symbol]) < LEAST_MOVE:
                continue
            ratio = Fraction(close) / Fraction(before[symbol])
            usual = find_usual(ratio, USUAL_TOLERANCE)
            if usual is not None:
                found[symbol] = usual if ratio < 1 else 1 / usual
        return found

    def _probe(self, line: Line, day: date) -> tuple[int | None, Answer | None]:
        """Read a company's count on a date, accurate enough to detect a split, and the response that it is from."""
        count, answer = self._responses.read_count(line, day, symbol_on(main_ticker(line.issuer), day))
        return (None, None) if count is None else (count, answer)

    def probe_answered(self, line: Line, day: date) -> bool:
        """Whether a stored response has a company's count on a date."""
        return self._probe(line, day)[0] is not None

    def list_probes(self, session: date, lines: Iterable[Line], earliest: date) -> list[tuple[Line, date, date]]:
        """List the probes that show the split basis of counts of a session and of those back to ``earliest``.

        A probe is a line, a date after a split of its company, and a date before it, which is needed where the first
        date's response has no usable count (``probe_answered``). Each company's probes are listed once.
        """
        table = self._splits.table(session)
        companies = {line.issuer: line for line in lines}
        return [
            (line, *probe_sessions(table, split))
            for issuer, line in companies.items()
            for split in list_relevant_splits(table, issuer, earliest)
        ]

    def list_wanted_closes(self, session: date, lines: Iterable[Line]) -> set[date]:
        """List the sessions whose closes were never requested and would show whether some lines' counts lag a split."""
        table = self._splits.table(session)
        passed = {
            split
            for line in lines
            for split in list_relevant_splits(table, line.issuer, session)
            if split.execution_date <= session
        }
        return {side for split in passed for side in _sides(split) if self._responses.stored.grouped(side) is None}


def _sides(split: Split) -> tuple[date, date]:
    """The sessions on both sides of a split."""
    return previous_session(split.execution_date), session_from(split.execution_date)
