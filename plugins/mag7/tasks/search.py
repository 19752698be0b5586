"""Collect the share counts of many sessions with few calls: the search of mag7.market.search, in mapped batches."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import TypedDict
from zlib import crc32

from mag7.errors import Mag7Error
from mag7.index.constituents import Line
from mag7.index.symbols import symbol_on
from mag7.lake.keys import answers_prefix, closes_key, lock_key
from mag7.lake.locks import Locks
from mag7.lake.objects import ObjectStore
from mag7.market.input_reader import open_inputs
from mag7.market.observation import Observation
from mag7.market.search import choose_sessions, count_steps, estimate_calls, list_gaps
from mag7.polygon.answers import AnswerStore
from mag7.polygon.calls import TICKER_DETAILS, Call, ticker_details
from mag7.polygon.errors import PlanRefusedError
from mag7.runs.progress import Progress, name_part
from mag7.sessions import group_months, list_sessions, month_ends, previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.collect import list_session_lines
from mag7.tasks.collector import AnswerBook, CallCounts, Collector, add_call_counts, count_calls
from mag7.tasks.connections import open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

PART_MINUTES = 30
"""Minutes for which a part holds one slot of the pool at most, while there are at most MOST_PARTS parts."""

MOST_PARTS = 512

STALLED_CALLS = 10
"""Calls without any response from which on the provider is taken to fail, and not a line."""

Question = tuple[Line, date]

Tell = Callable[[int, int], None]
"""Called with the number of calls that a month's search has made, and about how many are left."""


class SearchStalledError(Mag7Error):
    """The provider responds to none of a search's calls."""

    transient = True


class SearchBatch(TypedDict):
    """One mapped batch of a search: its label in the UI, and which part of how many it is, counted from 1."""

    label: str
    part: int
    parts: int


@with_facts
def plan_searches(window: Window) -> list[SearchBatch]:
    """Divide the window's lines into batches, and store the closes that all of them need in one object.

    For a given number of batches, a line is in the same one in every month, whatever the others are.
    """
    settings = read_settings()
    sessions = list_window(window)
    lines = {line.ticker for session in sessions for line in list_session_lines(session)}
    months = len({(day.year, day.month) for day in sessions})
    parts = choose_parts(settings, estimate_calls(len(lines), months))
    store = open_store(settings)
    write_closes(store, window["run"], settings, sessions, lines)
    batches: list[SearchBatch] = []
    for part in range(1, parts + 1):
        count = sum(_is_in(ticker, part, parts) for ticker in lines)
        if count:
            batches.append({"label": f"part {part} of {parts}: {count} lines", "part": part, "parts": parts})
            progress = Progress(store, window["run"], len(sessions), name_part(part))
            progress.expect(estimate_calls(count, months))
    return batches


def choose_parts(settings: Settings, calls: int) -> int:
    """Return the number of parts for ``calls``: half as many as slots, more where a part takes long.

    The other half of the slots is for the first calls and the searches of other months: running more months than slots
    keeps all of them busy. It is a power of two, so that months that differ a little are divided alike.
    """
    a_slot = settings.calls_per_minute / settings.slots * PART_MINUTES
    wanted = max(math.ceil(settings.slots / 2), math.ceil(calls / a_slot) if a_slot else 1)
    return int(min(2 ** math.ceil(math.log2(wanted)), MOST_PARTS))


@with_facts
def collect_counts(window: Window, batch: SearchBatch) -> CallCounts:
    """Fetch the share counts of one batch's lines on as few sessions as determine those of all.

    No stored response is fetched again. Raises SearchStalledError, and UnreachableError where the provider does not
    respond.
    """
    settings = read_settings()
    part, parts = batch["part"], batch["parts"]
    store = open_store(settings)
    closes = read_closes(store, window["run"])
    collector = Collector(settings, Asking.MISSING, objects=store, part=f"{part}of{parts}", closes=closes)
    locks = Locks(store, f"{window['run']} part {part} of {parts}")
    progress = Progress(store, window["run"], len(window["sessions"]), name_part(part))
    priced = {day for day, found in closes.items() if found}
    months = group_months(list_window(window))
    counts: list[CallCounts] = []
    for place, sessions in enumerate(months):
        search = MonthSearch(collector, locks, sessions, batch, priced)
        later = estimate_calls(len(search.needed), len(months) - place - 1)
        counts += search.run(_tell_month(progress, sum(count["requests"] for count in counts), later))
        # Hold the responses of one month at a time: a window can span years.
        collector.book.clear()
    total = add_call_counts(counts)
    progress.tell(calls=total["requests"], left=0)
    return total


def _tell_month(progress: Progress, earlier: int, later: int) -> Tell:
    """Report a month's calls as part of the window's, with those of the months before and after it."""

    def tell(calls: int, left: int) -> None:
        progress.tell(calls=earlier + calls, left=left + later)

    return tell


def write_closes(
    store: ObjectStore, run: str, settings: Settings, sessions: Sequence[date], tickers: Collection[str]
) -> None:
    """Store the closes of some lines, for every session that a search may look at, in one object of the run."""
    days = {other for session in sessions for other in list_sessions(*month_ends(session))}
    days |= {previous_session(min(days))}
    closes: dict[str, dict[str, Decimal]] = {}
    book = AnswerBook(AnswerStore(store))
    reader = open_inputs(book, settings.counts_frozen_before)
    for month in group_months(sorted(days)):
        closes |= {day.isoformat(): reader.responses.select_closes(day, tickers) for day in month}
        # Hold the bars of one month at a time.
        book.clear()
    store.put(closes_key(run), json.dumps(closes, default=str).encode(), "application/json")


def read_closes(store: ObjectStore, run: str) -> dict[date, dict[str, Decimal]]:
    """Read the closes (USD) that ``write_closes`` left, by session and symbol."""
    closes: dict[str, dict[str, str]] = json.loads(store.get(closes_key(run)))
    return {
        date.fromisoformat(day): {symbol: Decimal(close) for symbol, close in found.items()}
        for day, found in closes.items()
    }


class MonthSearch:
    """The search for one month's counts of a batch's lines; ``sessions`` are those of the window in that month.

    ``priced`` are the sessions with stored closes: counts of others are of no use.
    """

    def __init__(
        self,
        collector: Collector,
        locks: Locks,
        sessions: Sequence[date],
        batch: SearchBatch,
        priced: Collection[date],
    ) -> None:
        self._made = 0
        self._collector = collector
        self._locks = locks
        self._batch = batch
        self._ends = month_ends(sessions[0])
        self._days = list_sessions(*self._ends)
        self.needed = list_needed(sessions, batch, priced)
        self._observed: dict[Line, dict[date, Observation]] = {line: {} for line in self.needed}
        for line in self.needed:
            self._look(line, self._days)
        self._likely = {
            line: collector.reader.observations.list_likely(sessions[0], line, self._days) for line in self.needed
        }

    def run(self, tell: Tell) -> list[CallCounts]:
        """Make calls until every count is known; reports progress to ``tell``."""
        counts: list[CallCounts] = []
        while questions := self.list_questions():
            tell(self._made, self.estimate_left())
            counts += self._ask(questions, tell)
        return counts

    def list_questions(self) -> list[Question]:
        """List what to ask next: lines and sessions, by session; empty once every count is known."""
        questions = [
            (line, day)
            for line, needed in self.needed.items()
            for day in choose_sessions(needed, self._observed[line], self._likely[line])
        ]
        return sorted(questions, key=lambda question: question[1])

    def estimate_left(self) -> int:
        """Estimate how many calls the search still takes."""
        return sum(
            count_steps(gap) for line, needed in self.needed.items() for gap in list_gaps(needed, self._observed[line])
        )

    def _ask(self, questions: Sequence[Question], tell: Tell) -> list[CallCounts]:
        """Make the calls; for sessions that the month shares with its neighbours, only while holding the lock."""
        ends = [question for question in questions if question[1] in self._ends]
        counts = self._ask_now([question for question in questions if question[1] not in self._ends], tell)
        # The later end first: the earlier one may be another run's later end, which that run is fetching now.
        for day, group in groupby(reversed(ends), key=lambda question: question[1]):
            key = lock_key(TICKER_DETAILS, day, self._batch["part"], self._batch["parts"])
            with self._locks.hold(key, lambda day=day: self._count_objects(day)):  # type: ignore[misc]
                counts += self._ask_now(self._look_again(list(group)), tell)
        return counts

    def _look_again(self, questions: Sequence[Question]) -> list[Question]:
        """Read what another run may have stored of one session since; returns the questions still open."""
        self._collector.book.refresh(_call(*questions[0]))
        for line, day in questions:
            self._look(line, [day])
        return [(line, day) for line, day in questions if day not in self._observed[line]]

    def _ask_now(self, questions: Sequence[Question], tell: Tell) -> list[CallCounts]:
        if not questions:
            return []
        made, left = self._made, self.estimate_left()

        report = self._collector.ask_open(
            dict.fromkeys(_call(line, day) for line, day in questions),
            lambda stored: tell(made + stored, max(left - stored, 0)),
        )
        self._made += report.requests
        refused = isinstance(report.failure, PlanRefusedError)
        if report.completed == 0 and report.asked >= STALLED_CALLS and not refused:
            _, failed = report.answers[0]
            raise SearchStalledError(
                f"the provider responded to none of {report.asked} calls, the first {failed.path}: {failed.error};"
                " earlier responses are stored: clear this task once it responds again"
            )
        for line, day in questions:
            self._look(line, [day])
            if day not in self._observed[line]:
                # The call gets no usable response, so its session stays open; the neighbours need not.
                self.needed[line].remove(day)
        return [count_calls(report)]

    def _look(self, line: Line, days: Iterable[date]) -> None:
        """Read what the stored responses say of a line on some sessions."""
        for day in days:
            observed = self._collector.reader.observations.observe(line, day)
            if observed is not None:
                self._observed[line][day] = observed

    def _count_objects(self, day: date) -> int:
        return sum(1 for _ in self._collector.objects.list(answers_prefix(TICKER_DETAILS, day)))


def list_needed(sessions: Sequence[date], batch: SearchBatch, priced: Collection[date]) -> dict[Line, list[date]]:
    """List a batch's lines, each with the sessions on which its count is needed, in order.

    Those are the sessions on which it is a line of the index or one of the seven, and the sessions before them, with
    which figures are compared. Sessions without closes are left out.
    """
    found: dict[str, tuple[Line, set[date]]] = {}
    for session in sessions:
        for line in list_session_lines(session):
            if _is_in(line.ticker, batch["part"], batch["parts"]):
                _, days = found.setdefault(line.ticker, (line, set()))
                days |= {session, previous_session(session)} & set(priced)
    return {line: sorted(days) for line, days in found.values()}


def _is_in(ticker: str, part: int, parts: int) -> bool:
    return crc32(ticker.encode()) % parts == part - 1


def _call(line: Line, day: date) -> Call:
    return ticker_details(symbol_on(line.ticker, day), day)
