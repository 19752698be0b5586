"""Judging the provider's list of splits by stored responses, and listing the responses that are still missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from mag7.index.constituents import Line
from mag7.index.splits import SplitTable, collapse, find_main_line, tabulate
from mag7.market.listed_splits import Judgement, Market, judge_listed
from mag7.market.response_reader import ResponseReader
from mag7.market.split_basis import PROBE_DAYS
from mag7.polygon.answers import Answer

ANNOUNCED_DAYS: Final = 200
"""Entries further ahead of the list's date than this are not judged: nothing can be known of them."""

SESSIONS_CACHED: Final = 32


@dataclass(frozen=True)
class JudgedSplits:
    """The splits known on a session, and the responses that show it, by company.

    ``wanted_counts`` (by main line and date) and ``wanted_closes`` (by company and session) were never requested and
    would help to judge.
    """

    table: SplitTable
    answers: Mapping[str, tuple[Answer, ...]]
    wanted_counts: frozenset[tuple[Line, date]]
    wanted_closes: frozenset[tuple[str, date]]


class ListedSplitReader:
    """Judges the splits of sessions; a session's result is cached until responses are added."""

    def __init__(self, responses: ResponseReader) -> None:
        self._responses = responses
        self._judge_cached = lru_cache(maxsize=SESSIONS_CACHED)(self._judge)

    def table(self, session: date) -> SplitTable:
        """Join the project's splits with the provider's list as it was stored with a session, if there is one.

        An entry of the list that closes or counts contradict is left out.
        """
        return self.judge(session).table

    def judge(self, session: date) -> JudgedSplits:
        """Judge the splits that matter to a session and to the sessions that it looks back to."""
        earliest = session - timedelta(days=PROBE_DAYS)
        return self._judge_cached(session, earliest, self._responses.stored.version)

    def list_wanted(
        self, session: date, lines: Iterable[Line], earliest: date
    ) -> tuple[set[tuple[Line, date]], set[date]]:
        """List the counts and closes that were never requested and would confirm listed splits of some lines.

        Counts are by main line and date, closes by session. ``earliest`` is the first session whose counts are judged
        by the splits. A response can make another one necessary, which is listed once the first one is stored.
        """
        judged = self._judge(session, earliest, self._responses.stored.version)
        issuers = {line.issuer for line in lines}
        return (
            {(line, day) for line, day in judged.wanted_counts if line.issuer in issuers},
            {day for issuer, day in judged.wanted_closes if issuer in issuers},
        )

    def _judge(self, session: date, earliest: date, _version: int) -> JudgedSplits:
        """Judge the entries from PROBE_DAYS before ``earliest`` on; older ones are applied as listed."""
        table, given = self._responses.list_splits(session)
        first = earliest - timedelta(days=PROBE_DAYS)
        last = max(session, given) + timedelta(days=ANNOUNCED_DAYS)
        splits, contested, refused = dict(table.splits), dict(table.contested), dict(table.refused)
        companies: dict[str, _CompanyReader] = {}
        found: dict[str, Judgement] = {}
        for issuer, listed in table.listed.items():
            entries = [split for split in listed if first < split.execution_date <= last]
            if not entries:
                continue
            company = companies[issuer] = _CompanyReader(self._responses, find_main_line(issuer, session))
            facts = [split for split in splits.get(issuer, ()) if split not in listed]
            found[issuer] = judge_listed(entries, facts, Market(session, company.close, company.count))
            others = (split for split in splits.get(issuer, ()) if split not in entries)
            splits[issuer] = (*others, *found[issuer].held)
            refused[issuer] = found[issuer].refused
            if contested.get(issuer) == collapse(listed)[1]:
                contested.pop(issuer, None)
            if clash := found[issuer].clash:
                contested.setdefault(issuer, clash)
        judged = replace(
            tabulate((split for mine in splits.values() for split in mine), contested),
            listed=table.listed,
            refused={issuer: mine for issuer, mine in sorted(refused.items()) if mine},
            late=frozenset(split for judgement in found.values() for split in judgement.late),
        )
        return JudgedSplits(
            judged,
            {issuer: tuple(company.answers) for issuer, company in companies.items()},
            frozenset((company.line, day) for company in companies.values() for day in company.wanted_counts),
            frozenset((issuer, day) for issuer, company in companies.items() for day in company.wanted_closes),
        )


class _CompanyReader:
    """Reads a company's closes and counts by its main line, and records responses used and responses missing."""

    def __init__(self, responses: ResponseReader, line: Line) -> None:
        self._responses = responses
        self.line = line
        self.answers: dict[Answer, None] = {}
        self.wanted_counts: set[date] = set()
        self.wanted_closes: set[date] = set()

    def close(self, day: date) -> Decimal | None:
        close, answer = self._responses.read_close(self.line, day)
        self._note(close, answer, day, self.wanted_closes)
        return close

    def count(self, day: date) -> int | None:
        if self._responses.is_frozen(day):
            return None
        count, answer = self._responses.read_count(self.line, day)
        self._note(count, answer, day, self.wanted_counts)
        return count

    def _note(self, found: object, answer: Answer | None, day: date, wanted: set[date]) -> None:
        if found is not None and answer is not None:
            self.answers[answer] = None
        elif found is None and answer is None:
            wanted.add(day)
