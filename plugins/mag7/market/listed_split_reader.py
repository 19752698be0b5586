"""Judging the provider's list of splits by the kept answers, and listing what else to ask for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final, Protocol

from mag7.index.constituents import Line
from mag7.index.splits import Split, SplitTable, collapse, find_main_line, tabulate
from mag7.market.listed_splits import Market, judge_listed, session_from
from mag7.market.split_basis import PROBE_DAYS, list_relevant_splits
from mag7.polygon.answers import Answer
from mag7.sessions import previous_session

ANNOUNCED_DAYS: Final = 200
"""Entries so far ahead of the day on which the list was given are not judged: nothing can be known of them."""

SESSIONS_KEPT: Final = 32

ReadClose = Callable[[Line, date], tuple[Decimal | None, Answer | None]]
ReadCount = Callable[[Line, date], tuple[int | None, Answer | None]]


@dataclass
class Wanted:
    """What was never asked for and would tell: companies' counts, by main line and day, and closes."""

    counts: set[tuple[Line, date]] = field(default_factory=set)
    closes: set[tuple[str, date]] = field(default_factory=set)


@dataclass(frozen=True)
class Span:
    """The session that asks, and the days between which splits matter to it, the first one excluded.

    Counts of days before ``counts_from`` are another day's, and tell nothing.
    """

    session: date
    after: date
    through: date
    counts_from: date = date.min


@dataclass(frozen=True)
class JudgedSplits:
    """The splits that a session is judged by, the answers that tell so by company, and what else could be asked."""

    table: SplitTable
    answers: Mapping[str, tuple[Answer, ...]]
    wanted: Wanted


def judge_splits(table: SplitTable, span: Span, read_close: ReadClose, read_count: ReadCount) -> JudgedSplits:
    """Judge the entries of the provider's list in a span by closes and counts; those outside it stay as listed."""
    wanted = Wanted()
    answers: dict[str, tuple[Answer, ...]] = {}
    judged = dict(table.splits)
    contested, refused = dict(table.contested), dict(table.refused)
    late: set[Split] = set()
    for issuer, listed in table.listed.items():
        entries = [split for split in listed if span.after < split.execution_date <= span.through]
        if not entries:
            continue
        desk = _Desk(find_main_line(issuer, span.session), span, wanted, read_close, read_count)
        known = judged.get(issuer, ())
        facts = [split for split in known if split not in listed]
        found = judge_listed(entries, facts, Market(span.session, desk.close, desk.count))
        judged[issuer] = (*(split for split in known if split not in entries), *found.held)
        refused[issuer] = found.refused
        late |= {*found.late}
        if contested.get(issuer) == collapse(listed)[1]:
            contested.pop(issuer, None)
        if found.clash:
            contested.setdefault(issuer, found.clash)
        answers[issuer] = tuple(desk.answers)
    settled = tabulate((split for splits in judged.values() for split in splits), contested)
    refused = {issuer: splits for issuer, splits in sorted(refused.items()) if splits}
    settled = replace(settled, listed=table.listed, refused=refused, late=frozenset(late))
    return JudgedSplits(settled, answers, wanted)


class Answers(Protocol):
    """The kept answers that a reader of entries needs."""

    @property
    def version(self) -> int:
        """A number that is another one whenever answers have come in."""

    def grouped(self, day: date) -> Answer | None:
        """Every bar of a session."""


class ListedSplitReader:
    """Judges the splits of sessions by kept answers, each session's once until answers come in.

    ``list_splits`` gives the unjudged splits of a session, and the day on which the provider gave its list.
    """

    def __init__(
        self,
        answers: Answers,
        list_splits: Callable[[date], tuple[SplitTable, date]],
        read_close: ReadClose,
        read_count: ReadCount,
        counts_from: date,
    ) -> None:
        self._answers = answers
        self._list_splits = list_splits
        self._read_close = read_close
        self._read_count = read_count
        self._counts_from = counts_from
        self._kept = lru_cache(maxsize=SESSIONS_KEPT)(self._judge)

    def judge(self, session: date) -> JudgedSplits:
        """Judge the splits that matter to a session, and to sessions that its counts are looked back to."""
        return self._kept(session, session - timedelta(days=PROBE_DAYS), self._answers.version)

    def list_wanted(
        self, session: date, lines: Iterable[Line], earliest: date
    ) -> tuple[set[tuple[Line, date]], set[date]]:
        """List what was never asked for and tells which listed splits of some lines' companies hold.

        Those are counts of companies by main line and day, and sessions' closes. ``earliest`` is the first session
        whose counts are judged by them. What an answer leaves open is listed once that is kept.
        """
        wanted = self._judge(session, earliest, self._answers.version).wanted
        issuers = {line.issuer for line in lines}
        return (
            {(line, day) for line, day in wanted.counts if line.issuer in issuers},
            {day for issuer, day in wanted.closes if issuer in issuers},
        )

    def list_split_closes(self, session: date, lines: Iterable[Line]) -> set[date]:
        """List the sessions whose closes were never asked for and tell whether some lines' counts lag a split."""
        table = self.judge(session).table
        passed = {
            split.execution_date
            for line in lines
            for split in list_relevant_splits(table, line.issuer, session)
            if split.execution_date <= session
        }
        sides = {side for day in passed for side in (previous_session(day), session_from(day))}
        return {side for side in sides if self._answers.grouped(side) is None}

    def read_close_step(self, line: Line, split: Split, day: date) -> tuple[Fraction | None, list[Answer]]:
        """Read how many shares one became on a split's day by the closes; None where it lies ahead of ``day``."""
        if split.execution_date > day:
            return None, []
        main = find_main_line(line.issuer, day)
        sides = previous_session(split.execution_date), session_from(split.execution_date)
        (before, earlier), (after, later) = (self._read_close(main, side) for side in sides)
        if before is None or after is None:
            return None, []
        return Fraction(before) / Fraction(after), [answer for answer in (earlier, later) if answer]

    def _judge(self, session: date, earliest: date, _version: int) -> JudgedSplits:
        table, told = self._list_splits(session)
        last = max(session, told) + timedelta(days=ANNOUNCED_DAYS)
        span = Span(session, earliest - timedelta(days=PROBE_DAYS), last, self._counts_from)
        return judge_splits(table, span, self._read_close, self._read_count)


class _Desk:
    """One company's closes and counts, by its main line; what was found and what was not are noted."""

    def __init__(self, line: Line, span: Span, wanted: Wanted, read_close: ReadClose, read_count: ReadCount) -> None:
        self._line = line
        self._counts_from = span.counts_from
        self._wanted = wanted
        self._read_close = read_close
        self._read_count = read_count
        self.answers: dict[Answer, None] = {}

    def close(self, day: date) -> Decimal | None:
        close, answer = self._read_close(self._line, day)
        self._note(close, answer, lambda: self._wanted.closes.add((self._line.issuer, day)))
        return close

    def count(self, day: date) -> int | None:
        if day < self._counts_from:
            return None
        count, answer = self._read_count(self._line, day)
        self._note(count, answer, lambda: self._wanted.counts.add((self._line, day)))
        return count

    def _note(self, found: object, answer: Answer | None, want: Callable[[], None]) -> None:
        if found is not None and answer is not None:
            self.answers[answer] = None
        elif found is None and answer is None:
            want()
