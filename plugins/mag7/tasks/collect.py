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
from mag7.polygon.collect import Call, collect, grouped_daily, ticker_details
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
        self.used: dict[str, Answer] = {}

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
        answer = self._read[place].get(call.path)
        if answer is not None:
            self.used[call.path] = answer
        return answer


class Collector:
    """Asks the provider within one task and keeps what it said."""

    def __init__(self, settings: Settings, *, again: bool) -> None:
        self._threads = settings.threads
        self._again = again
        self._client = PolygonHook().get_conn(settings)
        self.store = AnswerStore(open_store(settings))

    def ask(self, calls: Iterable[Call]) -> Counts:
        """Make the calls that are not completed yet (all of them when asked again) and store their answers."""
        report = collect(calls, self._client, self.store, threads=self._threads, again=self._again)
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

    What an earlier session said is not asked for twice, even when the session itself is collected again.
    """
    collector = Collector(read_settings(), again=False)
    return add_counts(counts for session in list_window(window) for counts in _look_back(collector, session))


def _look_back(collector: Collector, session: date) -> Iterator[Counts]:
    lines = list_session_lines(session)
    if EvidenceReader(AnswerBook(collector.store)).previous_close_wanted(session, lines):
        yield collector.ask([grouped_daily(previous_session(session))])
    for count_back in LOOK_BACK_SESSIONS:
        unpriced = _list_unpriced(collector.store, session, lines)
        if not unpriced:
            return
        day = previous_session(session, count_back)
        log.info("%d lines of %s have no price: asking for them on %s", len(unpriced), session, day)
        calls = [grouped_daily(day), *(ticker_details(symbol_on(line.ticker, day), day) for line in unpriced)]
        yield collector.ask(calls)


def _list_unpriced(store: AnswerStore, session: date, lines: tuple[Line, ...]) -> list[Line]:
    """List the lines that neither the session's answers nor an earlier session's say anything usable of."""
    unpriced = []
    for evidence in EvidenceReader(AnswerBook(store)).read_lines(session, lines):
        priced = price_line(evidence)
        if isinstance(priced, FailedLine) and evidence.look_back is None:
            unpriced.append(evidence.line)
    return unpriced


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
