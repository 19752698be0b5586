"""Collecting a session: every close in one call, ticker details in mapped batches, and look-backs where needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, cast
from zoneinfo import ZoneInfo

from mag7.index.constituents import Line, list_lines, main_ticker
from mag7.index.seven import seven_lines
from mag7.index.share_counts import REFERENCE_DAYS
from mag7.index.symbols import symbol_on
from mag7.market.caps import FailedLine, price_line
from mag7.market.evidence import LOOK_BACK_SESSIONS, CountRules, EvidenceReader
from mag7.polygon.answers import Answer, AnswerStore
from mag7.polygon.collect import (
    Call,
    CollectReport,
    collect,
    collect_pages,
    grouped_daily,
    join_pages,
    list_missing,
    list_of_splits,
    symbol_of,
    ticker_details,
)
from mag7.polygon.errors import NotYetReleasedError
from mag7.sessions import previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window

if TYPE_CHECKING:
    from airflow.sdk import PokeReturnValue

log = logging.getLogger(__name__)

NEW_YORK = ZoneInfo("America/New_York")
LOOK_BACK_BATCHES = 8
"""On a plan of 5 calls a minute, of which each task has a quarter, one of them takes less than its two hours."""

LEAST_BATCH = 20
"""Symbols that are not worth another task."""


class Batch(TypedDict):
    """One mapped batch of ticker details: what the UI calls it, its session and its symbols.

    ``look_back`` marks a session that is only compared with: what it does not say is no reason to fail.
    """

    label: str
    session: str
    symbols: list[str]
    look_back: bool


class Counts(TypedDict):
    """What a collecting task hands on: calls asked, kept from before and failed, and requests really sent."""

    asked: int
    kept: int
    failed: int
    requests: int


NO_COUNTS: Counts = {"asked": 0, "kept": 0, "failed": 0, "requests": 0}


class AnswerBook:
    """The kept answers, read from the lake once a date and endpoint."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._read: dict[tuple[str, date], dict[str, Answer]] = {}

    def details(self, symbol: str, day: date) -> Answer | None:
        """Ticker details of a symbol on a date."""
        return self._find(ticker_details(symbol, day))

    def grouped(self, day: date) -> Answer | None:
        """Every bar of a session."""
        return self._find(grouped_daily(day))

    def splits(self, session: date) -> list[Answer] | None:
        """The pages of the list of splits as it was asked for with a session."""
        first = list_session_splits(session)
        return join_pages(first, self._load(first))

    def _find(self, call: Call) -> Answer | None:
        return self._load(call).get(call.path)

    def _load(self, call: Call) -> dict[str, Answer]:
        place = (call.endpoint, call.trading_date)
        if place not in self._read:
            self._read[place] = self._store.load(*place)
        return self._read[place]


class Collector:
    """Asks the provider within one task and keeps what it said."""

    def __init__(self, settings: Settings, asking: Asking) -> None:
        from mag7.tasks.polygon_hook import PolygonHook

        self._threads = settings.threads
        self._again = asking is Asking.AGAIN
        self._reached = False
        self._client = PolygonHook().get_conn(settings)
        self.store = AnswerStore(open_store(settings))

    def ask(self, calls: Iterable[Call]) -> Counts:
        """Make the calls that are not completed yet (all of them when asked again) and store their answers."""
        return self._count(collect(calls, self._client, self.store, threads=self._threads, again=self._again))

    def ask_optional(self, calls: Iterable[Call]) -> Counts:
        """Make calls that the session can do without: those that fail are stored with their reason.

        Raises KeyRejectedError, and UnreachableError where the provider answers none of this task's first calls.
        """
        report = collect(calls, self._client, self.store, threads=self._threads, again=self._again, optional=True)
        if report.unreachable is not None and not self._reached:
            raise report.unreachable
        self._reached = self._reached or report.asked > 0
        return self._count(report)

    def ask_pages(self, first: Call) -> Counts:
        """Ask for every page of a listing, unless all are kept."""
        return self._count(collect_pages(first, self._client, self.store, again=self._again))

    def list_missing(self, calls: Iterable[Call]) -> list[Call]:
        """List the calls that were not completed yet; when asked again also those that were answered by a 404."""
        return list_missing(list(calls), self._client, self.store, unknown_too=self._again)

    def _count(self, report: CollectReport) -> Counts:
        log.info("asked %d calls, %d were kept already, %d failed", report.asked, report.kept, report.failed)
        return {
            "asked": report.asked,
            "kept": report.kept,
            "failed": report.failed,
            "requests": report.requests,
        }


def plan_batches(window: Window, asking: Asking) -> list[Batch]:
    """Divide every session's symbols, those of the seven outside the index included, into batches of equal size.

    The session before is compared with: of it, what was not answered yet is in batches of its own, if it has closes.
    A run that asks nothing has one empty batch: without any, the tasks after it would be skipped.
    """
    if asking is Asking.NOTHING:
        return [{"label": "nothing is asked", "session": window["sessions"][0], "symbols": [], "look_back": False}]
    settings = read_settings()
    collector = Collector(settings, asking)
    sessions = list_window(window)
    batches: list[Batch] = []
    for session in sessions:
        symbols = sorted({line.symbol for line in list_session_lines(session)})
        batches += _divide(session, symbols, settings.batches, look_back=False)
        day = previous_session(session)
        if day not in sessions and _closes_kept(collector, day):
            earlier = sorted({symbol_on(line.ticker, day) for line in list_session_lines(session)})
            missing = collector.list_missing(ticker_details(symbol, day) for symbol in earlier)
            batches += _divide(day, [symbol_of(call) for call in missing], LOOK_BACK_BATCHES, look_back=True)
    return batches


def _divide(session: date, symbols: list[str], count: int, *, look_back: bool) -> list[Batch]:
    size = max(-(-len(symbols) // count), LEAST_BATCH)
    parts = [symbols[start : start + size] for start in range(0, len(symbols), size)]
    return [
        {
            "label": f"{session.isoformat()} {part[0]} to {part[-1]}",
            "session": session.isoformat(),
            "symbols": part,
            "look_back": look_back,
        }
        for part in parts
    ]


def list_session_lines(session: date) -> tuple[Line, ...]:
    """List the lines in the index on a session, then those of the seven that are not in it yet."""
    lines = list_lines(session)
    return (*lines, *list_seven_outside(session, lines))


def list_seven_outside(session: date, lines: Iterable[Line]) -> tuple[Line, ...]:
    """List those of the seven that are not in the index on a session."""
    members = {line.ticker for line in lines}
    return tuple(line for line in seven_lines(session) if line.ticker not in members)


def list_session_splits(session: date) -> Call:
    """The list of splits that a session is judged by: from the oldest that can lie between it and a reference count."""
    return list_of_splits(session - timedelta(days=REFERENCE_DAYS), session)


def collect_closes(window: Window, asking: Asking) -> PokeReturnValue:
    """Ask for every close of each session in one call; not done while the provider has not released the day.

    The closes of the session before are asked for, too, which figures are compared with; the run can do without them.
    """
    from airflow.sdk import PokeReturnValue

    if asking is Asking.NOTHING:
        return PokeReturnValue(is_done=True, xcom_value=NO_COUNTS)
    settings = read_settings()
    collector = Collector(settings, asking)
    sessions = list_window(window)
    try:
        counts = collector.ask(grouped_daily(session) for session in sessions)
    except NotYetReleasedError as early:
        log.warning("%s; asking again later", early)
        return PokeReturnValue(is_done=False)
    days = {previous_session(session) for session in sessions} - set(sessions)
    compared = Collector(settings, Asking.MISSING).ask_optional(grouped_daily(day) for day in sorted(days))
    return PokeReturnValue(is_done=True, xcom_value=add_counts([counts, compared]))


def collect_splits(window: Window, asking: Asking) -> Counts:
    """Ask for every split that may lie between a session and the counts that it is judged by: one paged query."""
    if asking is Asking.NOTHING:
        return NO_COUNTS
    collector = Collector(read_settings(), asking)
    return add_counts(collector.ask_pages(list_session_splits(session)) for session in list_window(window))


def collect_details(batch: Batch, asking: Asking) -> Counts:
    """Ask for the ticker details of one batch."""
    if asking is Asking.NOTHING:
        return NO_COUNTS
    session = date.fromisoformat(batch["session"])
    calls = [ticker_details(symbol, session) for symbol in batch["symbols"]]
    collector = Collector(read_settings(), asking)
    return collector.ask_optional(calls) if batch["look_back"] else collector.ask(calls)


def collect_look_back(window: Window, asking: Asking) -> Counts:
    """Ask what a session's own answers leave open: counts beside splits, and earlier sessions' where one is missing.

    What another session said is not asked for twice, even when the session itself is collected again. What it does
    not say is no reason to fail: the plan may not reach back so far.
    """
    if asking is Asking.NOTHING:
        return NO_COUNTS
    settings = read_settings()
    collector = Collector(settings, Asking.MISSING)
    return add_counts(counts for session in list_window(window) for counts in _look_back(collector, settings, session))


def _look_back(collector: Collector, settings: Settings, session: date) -> Iterator[Counts]:
    lines = list_session_lines(session)
    yield from _ask_probes(collector, settings, session, lines, previous_session(session))
    reader = open_reader(collector.store, settings)
    unpriced = [line for line in lines if isinstance(price_line(reader.read_own(session, line)), FailedLine)]
    for sessions_back in LOOK_BACK_SESSIONS:
        if not unpriced:
            return
        day = previous_session(session, sessions_back)
        log.info("%d lines of %s have no price: asking for them on %s", len(unpriced), session, day)
        yield collector.ask_optional([grouped_daily(day)])
        if not _closes_kept(collector, day):
            continue
        yield collector.ask_optional(ticker_details(symbol_on(line.ticker, day), day) for line in unpriced)
        yield from _ask_probes(collector, settings, session, unpriced, day)
        # Whatever later steps are kept from other runs: the figures take the first step that helps, so ask in order.
        unpriced = _list_unhelped(collector, settings, session, unpriced, sessions_back)


def _ask_probes(
    collector: Collector, settings: Settings, session: date, lines: Sequence[Line], earliest: date
) -> Iterator[Counts]:
    """Ask for companies' counts after their splits, and where that has no answer, before them."""
    probes = open_reader(collector.store, settings).list_probes(session, lines, earliest)
    today = datetime.now(NEW_YORK).date()
    yield collector.ask_optional(_probe_call(line, after) for line, after, _ in probes if after < today)
    reader = open_reader(collector.store, settings)
    unanswered = [(line, before) for line, after, before in probes if not reader.probe_answered(line, after)]
    yield collector.ask_optional(_probe_call(line, before) for line, before in unanswered if before < today)


def _probe_call(line: Line, day: date) -> Call:
    return ticker_details(symbol_on(main_ticker(line.issuer), day), day)


def _closes_kept(collector: Collector, day: date) -> bool:
    failure = EvidenceReader(AnswerBook(collector.store)).closes_failure(day)
    if failure is not None:
        log.warning("skipped: %s", failure)
    return failure is None


def _list_unhelped(
    collector: Collector, settings: Settings, session: date, lines: list[Line], sessions_back: int
) -> list[Line]:
    """List the lines of which the session so many sessions before says nothing usable."""
    reader = open_reader(collector.store, settings)
    found = [(line, reader.look_back(session, line, sessions_back)) for line in lines]
    for line, failure in found:
        if isinstance(failure, str):
            log.info("%s is not helped: %s", line.ticker, failure)
    return [line for line, failure in found if isinstance(failure, str)]


def open_reader(store: AnswerStore, settings: Settings) -> EvidenceReader:
    """Open a reader of the kept answers as they are now, by the rules of the settings."""
    return EvidenceReader(AnswerBook(store), CountRules(settings.counts_frozen_before))


def add_counts(counts: Iterable[Counts | Iterable[Counts]]) -> Counts:
    """Add up what several tasks counted; a mapped task's counts come as one sequence."""
    found: list[Counts] = []
    for item in counts:
        found.extend([cast("Counts", item)] if isinstance(item, Mapping) else item)
    return {
        "asked": sum(item["asked"] for item in found),
        "kept": sum(item["kept"] for item in found),
        "failed": sum(item["failed"] for item in found),
        "requests": sum(item["requests"] for item in found),
    }
