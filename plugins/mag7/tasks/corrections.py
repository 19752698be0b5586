"""Closes that the provider edited afterwards: fetched again and compared with what was published."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from mag7.lake.keys import pending_key
from mag7.lake.objects import ObjectStore
from mag7.market.document import Bar, Document, DocumentLine
from mag7.polygon.answers import Answer
from mag7.polygon.bars import DailyBar
from mag7.polygon.calls import Call, grouped_daily, ticker_details
from mag7.polygon.errors import BodyInvalidError
from mag7.polygon.response_bodies import GroupedDaily, parse_grouped_daily
from mag7.runs.record import Corrections, read_section, write_section
from mag7.sessions import previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.collector import NO_CALLS, AnswerBook, CallCounts, Collector, add_call_counts
from mag7.tasks.connections import open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.published import read_published
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window, with_sessions

log = logging.getLogger(__name__)

FOUND = "found"
"""The section of the record in which ``collect_corrections`` stores what it found, by session."""

OTHER_PRICES = {"open_price": "open", "high_price": "high", "low_price": "low", "vwap": "vwap"}
NOT_LOADED = "it was published, but not loaded"


@dataclass(frozen=True)
class Edit:
    """A value of a line's bar that the provider gives differently now; None: the bar was missing, or is gone."""

    symbol: str
    ticker: str
    field: str
    before: float | None
    after: float | None

    def __str__(self) -> str:
        return f"{self.ticker} {self.field} {self.before} -> {self.after}"


@with_facts
def collect_corrections(window: Window, *, wanted: bool) -> CallCounts:
    """Fetch the closes of the published sessions before the window's first again, one call each.

    Where a close was edited, the line's details are fetched again, too: their market_cap rests on that close. A failed
    call leaves its session as it is. The edits are stored for ``add_corrected``, which parses nothing.
    """
    if not wanted:
        return NO_CALLS
    settings = read_settings()
    published = dict(_list_published(open_store(settings), settings, list_window(window)[0]))
    collector = Collector(settings, Asking.AGAIN)
    parsed = ParsedBars({day: {line.symbol for line in published[day].lines} for day in published})
    counts = [collector.ask_optional((grouped_daily(day) for day in published), parsed.take)]
    edits: dict[str, list[str]] = {}
    for day, document in published.items():
        found = list_edits(collector.book, day, document, parsed)
        edited = dict.fromkeys(edit.symbol for edit in found if edit.field == "close")
        counts.append(collector.ask_optional(ticker_details(symbol, day) for symbol in edited))
        edits[day.isoformat()] = [str(edit) for edit in found]
    write_section(collector.objects, window["run"], Corrections(edits=edits), FOUND)
    return add_call_counts(counts)


@with_facts
def add_corrected(window: Window, *, wanted: bool) -> Window:
    """Add to a window the earlier sessions that must be published or loaded again.

    These are sessions whose closes differ from the published ones, and sessions that were published but not loaded
    because a run stopped halfway. The changes are logged and recorded.
    """
    store = open_store(read_settings())
    sessions = list_window(window)
    edits = read_section(store, window["run"], Corrections, FOUND).edits if wanted else {}
    changes: dict[date, list[str]] = {}
    for day, edited in ((date.fromisoformat(name), edited) for name, edited in edits.items()):
        if found := edited or [NOT_LOADED] * any(store.list(pending_key(day))):
            changes[day] = found
            log.warning("%s is rebuilt: %s", day, "; ".join(found))
    if wanted:
        log.info("%d earlier sessions compared, %d are rebuilt", len(edits), len(changes))
    write_section(store, window["run"], Corrections(edits={day.isoformat(): found for day, found in changes.items()}))
    return with_sessions(window, sorted({*sessions, *changes}))


def _list_published(store: ObjectStore, settings: Settings, session: date) -> Iterator[tuple[date, Document]]:
    """Yield the published sessions among those before the window, each with its document, newest first."""
    for sessions_back in range(1, settings.correction_sessions + 1):
        day = previous_session(session, sessions_back)
        document = read_published(store, day)
        if document is not None:
            yield day, document


class ParsedBars:
    """Some symbols' bars by session, taken from responses as they are parsed; the rest of the market is dropped."""

    def __init__(self, symbols: Mapping[date, Collection[str]]) -> None:
        self._symbols = symbols
        self._found: dict[tuple[str, datetime], Mapping[str, DailyBar]] = {}

    def take(self, call: Call, answer: Answer, content: object) -> None:
        """Take the parsed content of a grouped daily response."""
        if isinstance(content, GroupedDaily):
            wanted = self._symbols[call.trading_date]
            self._found[answer.path, answer.time] = {
                name: content.bars[name] for name in wanted if name in content.bars
            }

    def read(self, answer: Answer, day: date) -> Mapping[str, DailyBar]:
        """Return a response's bars, parsing it unless it was just fetched; raises BodyInvalidError."""
        found = self._found.get((answer.path, answer.time))
        return parse_grouped_daily(answer.body, day).bars if found is None else found


def list_edits(book: AnswerBook, day: date, document: Document, parsed: ParsedBars) -> list[Edit]:
    """List where the stored closes of a published session differ from its document; none where they cannot be used."""
    answer = book.grouped(day)
    if answer is None or not answer.completed or answer.source != document.source:
        return []
    try:
        bars = parsed.read(answer, day)
    except BodyInvalidError as invalid:
        log.warning("the closes of %s stay as published: %s", day, invalid)
        return []
    edits: list[Edit] = []
    for line in document.lines:
        company = document.companies.get(line.ticker)
        edits += _list_line_edits(line, company.trading_data if company else None, bars.get(line.symbol))
    return edits


def _list_line_edits(line: DocumentLine, published: Bar | None, bar: DailyBar | None) -> Iterator[Edit]:
    """List one line's edits: its close, whether it has a bar at all, and for the seven the rest of the bar."""
    before = line.close
    after = None if bar is None else float(bar.close)
    # A line may have failed for its count: then its document has no close, though there was a bar.
    if before is None and line.has_bar:
        return
    if before != after:
        yield Edit(line.symbol, line.ticker, "close", before, after)
    if bar is None or published is None:
        return
    # A document holds doubles: the stored decimals are compared as it would write them.
    prices = {field: getattr(bar, price) for field, price in OTHER_PRICES.items()}
    found = {field: None if price is None else float(price) for field, price in prices.items()}
    found["volume"] = bar.whole_volume
    for field, value in found.items():
        if (written := getattr(published, field)) != value:
            yield Edit(line.symbol, line.ticker, field, written, value)
