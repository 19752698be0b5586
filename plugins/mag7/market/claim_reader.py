"""Reading what the kept answers say of the provider's list of splits, and what else to ask to judge its entries by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Final

from mag7.index.constituents import Line
from mag7.index.splits import SplitTable, collapse, find_main_line, tabulate
from mag7.market.claims import Market, judge_claims
from mag7.polygon.answers import Answer

ANNOUNCED_DAYS: Final = 200
"""Entries so far ahead of the day on which the list was given are not judged: nothing can be known of them."""

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
    for issuer, listed in table.claims.items():
        claims = [split for split in listed if span.after < split.execution_date <= span.through]
        if not claims:
            continue
        desk = _Desk(find_main_line(issuer, span.session), span, wanted, read_close, read_count)
        known = judged.get(issuer, ())
        facts = [split for split in known if split not in listed]
        found = judge_claims(claims, facts, Market(span.session, desk.close, desk.count))
        judged[issuer] = (*(split for split in known if split not in claims), *found.held)
        refused[issuer] = found.refused
        if contested.get(issuer) == collapse(listed)[1]:
            contested.pop(issuer, None)
        if found.clash:
            contested.setdefault(issuer, found.clash)
        answers[issuer] = tuple(desk.answers)
    settled = tabulate((split for splits in judged.values() for split in splits), contested)
    refused = {issuer: splits for issuer, splits in sorted(refused.items()) if splits}
    return JudgedSplits(replace(settled, claims=table.claims, refused=refused), answers, wanted)


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
