"""Collecting the share counts of many sessions with few calls: the search of mag7.market.search, in mapped batches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import TypedDict
from zlib import crc32

from mag7.errors import Mag7Error
from mag7.index.constituents import Line
from mag7.index.symbols import symbol_on
from mag7.lake.claims import Claims
from mag7.lake.keys import answers_prefix, claim_key
from mag7.lake.objects import ObjectStore
from mag7.market.evidence import Told
from mag7.market.search import choose_sessions, count_steps, list_gaps
from mag7.polygon.collect import TICKER_DETAILS, Call, ticker_details
from mag7.sessions import list_sessions, month_ends, previous_session
from mag7.settings import read_settings
from mag7.tasks.collect import list_session_lines
from mag7.tasks.collector import Collector, Counts, add_counts, count_calls
from mag7.tasks.connections import open_store
from mag7.tasks.progress import Progress
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

CALLS_A_LINE = 2.5
"""What a line takes a month about, before anything is known: its ends, and halvings for every third one."""

STALLED_CALLS = 10
"""So many calls of which none is answered mean that it is the provider that fails, and not a line."""

Question = tuple[Line, date]


class SearchStalledError(Mag7Error):
    """The provider answers none of a search's calls."""


class SearchBatch(TypedDict):
    """One mapped batch of a search: what the UI calls it, and which part of how many it is."""

    label: str
    part: int
    parts: int


def plan_searches(window: Window) -> list[SearchBatch]:
    """Divide the window's lines into batches: a line is in the same one in every month, whatever the others are."""
    settings = read_settings()
    parts, sessions = settings.batches, list_window(window)
    lines = {line.ticker for session in sessions for line in list_session_lines(session)}
    months = len({(day.year, day.month) for day in sessions})
    store = open_store(settings)
    batches: list[SearchBatch] = []
    for part in range(parts):
        count = sum(_is_in(ticker, part, parts) for ticker in lines)
        if count:
            batches.append({"label": f"part {part + 1} of {parts}: {count} lines", "part": part, "parts": parts})
            progress = Progress(store, window["run"], len(sessions), _progress_name(part))
            progress.expect(round(count * months * CALLS_A_LINE))
    return batches


def collect_counts(window: Window, batch: SearchBatch) -> Counts:
    """Ask for the share counts of one batch's lines on as few sessions as tell those of all.

    Nothing is asked that is kept. Raises SearchStalledError, and UnreachableError where nobody answers.
    """
    settings = read_settings()
    store = open_store(settings)
    part, parts = batch["part"], batch["parts"]
    collector = Collector(settings, Asking.MISSING)
    claims = Claims(store, f"{window['run']} part {part} of {parts}")
    progress = Progress(store, window["run"], len(window["sessions"]), _progress_name(part))
    months = [list(days) for _, days in groupby(list_window(window), key=lambda day: (day.year, day.month))]
    counts: list[Counts] = []
    for place, sessions in enumerate(months):
        search = MonthSearch(collector, store, claims, sessions, batch)
        later = round(len(search.needed) * CALLS_A_LINE) * (len(months) - place - 1)
        while questions := search.list_questions():
            progress.tell(calls=sum(count["requests"] for count in counts), left=search.estimate_left() + later)
            counts += search.ask(questions)
        # One month's answers are enough to hold: a window may be years.
        collector.book.clear()
    total = add_counts(counts)
    progress.tell(calls=total["requests"], left=0)
    return total


class MonthSearch:
    """The search for one month's counts of a batch's lines; ``sessions`` are those of the window in that month."""

    def __init__(
        self,
        collector: Collector,
        store: ObjectStore,
        claims: Claims,
        sessions: Sequence[date],
        batch: SearchBatch,
    ) -> None:
        self._collector = collector
        self._store = store
        self._claims = claims
        self._batch = batch
        self._ends = month_ends(sessions[0])
        self._days = list_sessions(*self._ends)
        self.needed = list_needed(sessions, batch)
        self._told: dict[Line, dict[date, Told]] = {line: {} for line in self.needed}
        for line in self.needed:
            self._look(line, self._days)
        self._likely = {line: collector.reader.list_likely(sessions[0], line, self._days) for line in self.needed}

    def list_questions(self) -> list[Question]:
        """List what to ask next: lines and sessions, by session; none once every count is known."""
        questions = [
            (line, day)
            for line, needed in self.needed.items()
            for day in choose_sessions(needed, self._told[line], self._likely[line])
        ]
        return sorted(questions, key=lambda question: question[1])

    def estimate_left(self) -> int:
        """Estimate how many calls the search still takes."""
        return sum(
            count_steps(gap) for line, needed in self.needed.items() for gap in list_gaps(needed, self._told[line])
        )

    def ask(self, questions: Sequence[Question]) -> list[Counts]:
        """Ask; the sessions that the month shares with its neighbours only while no other run is at them."""
        ends = [question for question in questions if question[1] in self._ends]
        counts = self._ask_now([question for question in questions if question[1] not in self._ends])
        # The later end first: the earlier one may be another run's later end, which it is asking for now.
        for day, group in groupby(reversed(ends), key=lambda question: question[1]):
            key = claim_key(TICKER_DETAILS, day, self._batch["part"], self._batch["parts"])
            with self._claims.hold(key, lambda day=day: self._count_objects(day)):  # type: ignore[misc]
                counts += self._ask_now(self._look_again(list(group)))
        return counts

    def _look_again(self, questions: Sequence[Question]) -> list[Question]:
        """Read the answers to questions anew, which another run may have stored; returns those still open."""
        for line, day in questions:
            self._collector.book.forget(_call(line, day))
        for line, day in questions:
            self._look(line, [day])
        return [(line, day) for line, day in questions if day not in self._told[line]]

    def _ask_now(self, questions: Sequence[Question]) -> list[Counts]:
        if not questions:
            return []
        report = self._collector.ask_open(dict.fromkeys(_call(line, day) for line, day in questions))
        if report.unreachable is not None:
            raise report.unreachable
        if report.completed == 0 and report.asked >= STALLED_CALLS:
            _, failed = report.answers[0]
            raise SearchStalledError(
                f"the provider answered none of {report.asked} calls, the first of them {failed.path}: {failed.error};"
                " what was answered before is kept: clear this task once it answers again"
            )
        for line, day in questions:
            self._look(line, [day])
            if day not in self._told[line]:
                # It stays without an answer, so the session does; its neighbours need not.
                self.needed[line].remove(day)
        return [count_calls(report)]

    def _look(self, line: Line, days: Iterable[date]) -> None:
        """Read what the kept answers tell of a line on some sessions."""
        for day in days:
            told = self._collector.reader.tell(line, day)
            if told is not None:
                self._told[line][day] = told

    def _count_objects(self, day: date) -> int:
        return sum(1 for _ in self._store.list(answers_prefix(TICKER_DETAILS, day)))


def list_needed(sessions: Sequence[date], batch: SearchBatch) -> dict[Line, list[date]]:
    """List a batch's lines, each with the sessions on which its count is needed, in order.

    Those are the sessions on which it is a line of the index or one of the seven, and the ones before, which figures
    are compared with.
    """
    found: dict[str, tuple[Line, set[date]]] = {}
    for session in sessions:
        for line in list_session_lines(session):
            if _is_in(line.ticker, batch["part"], batch["parts"]):
                _, days = found.setdefault(line.ticker, (line, set()))
                days |= {session, previous_session(session)}
    return {line: sorted(days) for line, days in found.values()}


def _is_in(ticker: str, part: int, parts: int) -> bool:
    return crc32(ticker.encode()) % parts == part


def _call(line: Line, day: date) -> Call:
    return ticker_details(symbol_on(line.ticker, day), day)


def _progress_name(part: int) -> str:
    return f"counts-{part + 1:02d}"
