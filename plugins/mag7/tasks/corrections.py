"""Closes that the provider edited after the close: asked for again, compared with what was published."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import date
from typing import Any

from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.market.document import Document
from mag7.polygon.answers import AnswerStore
from mag7.polygon.bodies import GroupedDaily, parse_grouped_daily
from mag7.polygon.collect import grouped_daily
from mag7.polygon.errors import BodyInvalidError
from mag7.sessions import previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.collect import NO_COUNTS, AnswerBook, Collector, Counts
from mag7.tasks.connections import open_store
from mag7.tasks.reports import write_report
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window, make_window

log = logging.getLogger(__name__)

CORRECTIONS = "corrections"
PRICES = ("open", "high", "low", "close")


def collect_corrections(window: Window, *, wanted: bool) -> Counts:
    """Ask again for the closes of the sessions before the window's first, where they are published: one call each.

    A call that fails leaves its session as it is.
    """
    if not wanted:
        return NO_COUNTS
    settings = read_settings()
    days = [day for day, _ in _list_published(open_store(settings), settings, list_window(window)[0])]
    return Collector(settings, Asking.AGAIN).ask_optional(grouped_daily(day) for day in days)


def add_corrected(window: Window, *, wanted: bool) -> Window:
    """Add to a window the earlier sessions whose closes differ from what is published, to be built anew.

    The difference is measured against what is published: a run that stops halfway finds it again. What changed is
    logged and reported.
    """
    settings = read_settings()
    store = open_store(settings)
    sessions = list_window(window)
    book = AnswerBook(AnswerStore(store))
    published = list(_list_published(store, settings, sessions[0])) if wanted else []
    changes = {day: found for day, document in published if (found := _list_edits(book, day, document))}
    for day, found in changes.items():
        log.warning("%s: %d prices differ from what is published: %s", day, len(found), "; ".join(found))
    if wanted:
        log.info("%d earlier sessions looked at, %d changed", len(published), len(changes))
    write_report(store, window["run"], CORRECTIONS, {day.isoformat(): found for day, found in changes.items()})
    return make_window(window["run"], sorted({*sessions, *changes}))


def _list_published(store: ObjectStore, settings: Settings, session: date) -> Iterator[tuple[date, Document]]:
    """Yield the published ones among the sessions before, each with its document, newest first."""
    for sessions_back in range(1, settings.correction_sessions + 1):
        day = previous_session(session, sessions_back)
        try:
            yield day, json.loads(store.get(document_key(day)))
        except ObjectMissingError:
            continue


def _list_edits(book: AnswerBook, day: date, document: Document) -> list[str]:
    """Say, one phrase each, which prices of a published session the kept closes have otherwise."""
    answer = book.grouped(day)
    if answer is None or not answer.completed or answer.source != document["source"]:
        return []
    try:
        bars = parse_grouped_daily(answer.body, day)
    except BodyInvalidError as invalid:
        log.warning("the closes of %s stay as published: %s", day, invalid)
        return []
    edits = [
        f"{line['ticker']} close {line['close']} -> {bar.close}"
        for line in document["constituents"]
        if line["close"] is not None and (bar := bars.bars.get(line["symbol"])) and float(bar.close) != line["close"]
    ]
    for ticker, company in document["companies"].items():
        edits += _list_bar_edits(bars, ticker, document, company["trading_data"])
    return edits


def _list_bar_edits(bars: GroupedDaily, ticker: str, document: Document, published: dict[str, Any]) -> list[str]:
    lines = [*document["constituents"], *document.get("seven_outside", [])]
    symbol = next((line["symbol"] for line in lines if line["ticker"] == ticker), ticker)
    bar = bars.bars.get(symbol)
    if bar is None:
        return []
    # A document holds doubles: the kept decimals are compared as it would write them.
    found: dict[str, tuple[Any, float | None]] = {
        price: (published[f"{price}_price"], float(getattr(bar, price))) for price in PRICES
    }
    found["volume"] = published["volume"], int(bar.volume.to_integral_value())
    found["vwap"] = published["vwap"], None if bar.vwap is None else float(bar.vwap)
    return [f"{ticker} {name} {old} -> {new}" for name, (old, new) in found.items() if old != new and name != "close"]
