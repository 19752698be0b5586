"""Collecting a session: every close in one call, ticker details in mapped batches, and look-backs where needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, TypedDict, cast

from mag7.index.constituents import Line, list_lines
from mag7.index.seven import seven_lines
from mag7.index.symbols import symbol_on
from mag7.market.caps import FailedLine, price_line
from mag7.market.evidence import LOOK_BACK_SESSIONS, EvidenceReader
from mag7.polygon.answers import Answer, AnswerStore
from mag7.polygon.collect import Call, CollectReport, collect, grouped_daily, ticker_details
from mag7.polygon.errors import NotYetReleasedError
from mag7.sessions import previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.polygon_hook import PolygonHook
from mag7.tasks.window import Window, list_window

if TYPE_CHECKING:
    from airflow.sdk import PokeReturnValue

log = logging.getLogger(__name__)


class Batch(TypedDict):
    """One mapped batch of ticker details: what the UI calls it, its session and its symbols."""

    label: str
    session: str
    symbols: list[str]


class Counts(TypedDict):
    """What a collecting task hands on: calls asked, kept from before and failed, and requests really sent."""

    asked: int
    kept: int
    failed: int
    requests: int


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

    def _find(self, call: Call) -> Answer | None:
        place = (call.endpoint, call.trading_date)
        if place not in self._read:
            self._read[place] = self._store.load(*place)
        return self._read[place].get(call.path)


class Collector:
    """Asks the provider within one task and keeps what it said."""

    def __init__(self, settings: Settings, *, again: bool) -> None:
        self._threads = settings.threads
        self._again = again
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
        report = collect(calls, self._client, self.store, threads=self._threads, optional=True)
        if report.unreachable is not None and not self._reached:
            raise report.unreachable
        self._reached = self._reached or report.asked > 0
        return self._count(report)

    def _count(self, report: CollectReport) -> Counts:
        log.info("asked %d calls, %d were kept already, %d failed", report.asked, report.kept, report.failed)
        return {
            "asked": report.asked,
            "kept": report.kept,
            "failed": report.failed,
            "requests": report.requests,
        }


def plan_batches(window: Window) -> list[Batch]:
    """Divide every session's symbols, those of the seven outside the index included, into batches of equal size."""
    count = read_settings().batches
    batches: list[Batch] = []
    for session in list_window(window):
        symbols = sorted({line.symbol for line in list_session_lines(session)})
        size = -(-len(symbols) // count)
        for start in range(0, len(symbols), size):
            part = symbols[start : start + size]
            label = f"{session.isoformat()} {part[0]} to {part[-1]}"
            batches.append({"label": label, "session": session.isoformat(), "symbols": part})
    return batches


def list_session_lines(session: date) -> tuple[Line, ...]:
    """List the lines in the index on a session, then those of the seven that are not in it yet."""
    lines = list_lines(session)
    return (*lines, *list_seven_outside(session, lines))


def list_seven_outside(session: date, lines: Iterable[Line]) -> tuple[Line, ...]:
    """List those of the seven that are not in the index on a session."""
    members = {line.ticker for line in lines}
    return tuple(line for line in seven_lines(session) if line.ticker not in members)


def collect_closes(window: Window, *, again: bool) -> PokeReturnValue:
    """Ask for every close of each session in one call; not done while the provider has not released the day."""
    from airflow.sdk import PokeReturnValue

    collector = Collector(read_settings(), again=again)
    try:
        counts = collector.ask(grouped_daily(session) for session in list_window(window))
    except NotYetReleasedError as early:
        log.warning("%s; asking again later", early)
        return PokeReturnValue(is_done=False)
    return PokeReturnValue(is_done=True, xcom_value=counts)


def collect_details(batch: Batch, *, again: bool) -> Counts:
    """Ask for the ticker details of one batch."""
    session = date.fromisoformat(batch["session"])
    return Collector(read_settings(), again=again).ask(ticker_details(symbol, session) for symbol in batch["symbols"])


def collect_look_back(window: Window) -> Counts:
    """Ask earlier sessions about lines that cannot be priced, and for yesterday's closes where market_cap needs them.

    What an earlier session said is not asked for twice, even when the session itself is collected again. What it does
    not say is no reason to fail: the plan may not reach back so far.
    """
    collector = Collector(read_settings(), again=False)
    return add_counts(counts for session in list_window(window) for counts in _look_back(collector, session))


def _look_back(collector: Collector, session: date) -> Iterator[Counts]:
    lines = list_session_lines(session)
    reader = EvidenceReader(AnswerBook(collector.store))
    unpriced = [line for line in lines if isinstance(price_line(reader.read_own(session, line)), FailedLine)]
    if reader.previous_close_wanted(session, lines):
        day = previous_session(session)
        yield collector.ask_optional([grouped_daily(day)])
        _closes_kept(collector, day)
    for sessions_back in LOOK_BACK_SESSIONS:
        if not unpriced:
            return
        day = previous_session(session, sessions_back)
        log.info("%d lines of %s have no price: asking for them on %s", len(unpriced), session, day)
        yield collector.ask_optional([grouped_daily(day)])
        if not _closes_kept(collector, day):
            continue
        yield collector.ask_optional(ticker_details(symbol_on(line.ticker, day), day) for line in unpriced)
        # Whatever later steps are kept from other runs: the figures take the first step that helps, so ask in order.
        unpriced = _list_unhelped(collector, session, unpriced, sessions_back)


def _closes_kept(collector: Collector, day: date) -> bool:
    failure = EvidenceReader(AnswerBook(collector.store)).closes_failure(day)
    if failure is not None:
        log.warning("skipped: %s", failure)
    return failure is None


def _list_unhelped(collector: Collector, session: date, lines: list[Line], sessions_back: int) -> list[Line]:
    """List the lines of which the session so many sessions before says nothing usable."""
    reader = EvidenceReader(AnswerBook(collector.store))
    found = [(line, reader.look_back(session, line, sessions_back)) for line in lines]
    for line, failure in found:
        if isinstance(failure, str):
            log.info("%s is not helped: %s", line.ticker, failure)
    return [line for line, failure in found if isinstance(failure, str)]


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
