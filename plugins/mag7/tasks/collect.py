"""Collect a session: all closes in one call, ticker details in mapped batches, and look-backs where needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypedDict

from mag7.index.constituents import Line, list_lines
from mag7.index.seven import seven_lines
from mag7.index.symbols import symbol_on
from mag7.lake.objects import ObjectStore
from mag7.market.search import estimate_calls
from mag7.polygon.calls import grouped_daily, symbol_of, ticker_details
from mag7.polygon.collect import CollectReport
from mag7.polygon.errors import NotYetReleasedError
from mag7.runs.progress import CLOSES, Progress, name_part
from mag7.sessions import group_months, previous_session
from mag7.settings import read_settings
from mag7.tasks.collector import NO_CALLS, CallCounts, Collector, add_call_counts, count_calls
from mag7.tasks.facts import with_facts
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window

if TYPE_CHECKING:
    from airflow.sdk import PokeReturnValue

log = logging.getLogger(__name__)

LOOK_BACK_BATCHES = 8
"""On a plan of 5 calls a minute, of which a task has a quarter, a batch of one in eight fits into its two hours."""

LEAST_BATCH = 20
"""Smallest batch: fewer symbols are not worth another task."""


class Batch(TypedDict):
    """One mapped batch of ticker details: its label in the UI, its session and its symbols.

    ``look_back`` marks a session that is only compared with: a missing response does not fail the task.
    """

    label: str
    session: str
    symbols: list[str]
    look_back: bool


@with_facts
def plan_batches(window: Window, asking: Asking) -> list[Batch]:
    """Divide every session's symbols, those of the seven outside the index included, into batches of equal size.

    Missing details of the previous session, with which figures are compared, get batches of their own if its closes are
    stored. A run that makes no calls gets one empty batch: without a batch, Airflow would skip the tasks after it.
    """
    if asking is Asking.NOTHING:
        return [{"label": "no calls", "session": window["sessions"][0], "symbols": [], "look_back": False}]
    settings = read_settings()
    collector = Collector(settings, asking)
    sessions = list_window(window)
    batches: list[Batch] = []
    for session in sessions:
        symbols = sorted({line.symbol for line in list_session_lines(session)})
        batches += _divide(session, symbols, settings.batches, look_back=False)
        day = previous_session(session)
        closes = None if day in sessions else collector.book.grouped(day)
        # A completed response was parsed when it was stored.
        if closes is not None and closes.completed:
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
    """List the lines in the index on a session, followed by those of the seven that are not in it yet."""
    lines = list_lines(session)
    return (*lines, *list_seven_outside(session, lines))


def list_seven_outside(session: date, lines: Iterable[Line]) -> tuple[Line, ...]:
    """List those of the seven that are not in the index on a session."""
    members = {line.ticker for line in lines}
    return tuple(line for line in seven_lines(session) if line.ticker not in members)


@with_facts
def collect_closes(window: Window, asking: Asking) -> PokeReturnValue:
    """Fetch every session's closes, one call each; not done while the provider has not released the day.

    Also fetches the closes of the previous sessions, with which figures are compared. The run can do without those.
    """
    from airflow.sdk import PokeReturnValue

    if asking is Asking.NOTHING:
        return PokeReturnValue(is_done=True, xcom_value=NO_CALLS)
    settings = read_settings()
    sessions = list_window(window)
    try:
        counts = Collector(settings, asking).ask(grouped_daily(session) for session in sessions)
    except NotYetReleasedError as early:
        log.warning("%s; asking again later", early)
        return PokeReturnValue(is_done=False)
    days = sorted({previous_session(session) for session in sessions} - set(sessions))
    others = Collector(settings, Asking.MISSING).ask_optional(grouped_daily(day) for day in days)
    return PokeReturnValue(is_done=True, xcom_value=add_call_counts([counts, others]))


@with_facts
def collect_range_closes(window: Window) -> PokeReturnValue:
    """Fetch the closes of a backfill's sessions and of the two sessions before each, with which figures are compared.

    Not done while the provider has not released the last day. Sessions without closes are refused later. Where no
    session has closes, raises the PolygonError of the first.
    """
    from airflow.sdk import PokeReturnValue

    collector = Collector(read_settings(), Asking.MISSING)
    sessions = list_window(window)
    progress = Progress(collector.objects, window["run"], len(sessions), CLOSES)
    _expect_counts(collector.objects, window["run"], sessions)
    counts: list[CallCounts] = []
    had, failure = 0, None
    try:
        for month in group_months(sessions):
            left = sum(session >= month[0] for session in sessions)
            report = _ask_closes(collector, month, progress, sum(count["requests"] for count in counts), left)
            counts.append(count_calls(report))
            had += report.completed + report.kept
            failure = failure or report.failure
            # Hold the bars of one month at a time: a window can span years.
            del report
    except NotYetReleasedError as early:
        log.warning("%s; asking again later", early)
        return PokeReturnValue(is_done=False)
    if failure is not None and not had:
        raise failure
    earlier = {previous_session(session, back) for session in sessions for back in (1, 2)}
    for month in group_months(sorted(earlier - set(sessions))):
        counts.append(collector.ask_optional(grouped_daily(day) for day in month))
        collector.book.clear()
    total = add_call_counts(counts)
    progress.tell(calls=total["requests"])
    return PokeReturnValue(is_done=True, xcom_value=total)


def _expect_counts(store: ObjectStore, run: str, sessions: Sequence[date]) -> None:
    """Announce the calls of the search after the closes; until it is planned, its first part stands for all of it."""
    lines = {line.ticker for session in sessions for line in list_session_lines(session)}
    calls = estimate_calls(len(lines), len(group_months(sessions)))
    Progress(store, run, len(sessions), name_part(1)).expect(calls)


def _ask_closes(collector: Collector, month: Iterable[date], progress: Progress, made: int, left: int) -> CollectReport:
    """Fetch a month's closes; ``made`` calls came before it, and ``left`` calls are left, its own included."""

    def tell(stored: int) -> None:
        progress.tell(calls=made + stored, left=left - stored)

    return collector.ask_closes((grouped_daily(session) for session in month), tell)


@with_facts
def collect_splits(window: Window, asking: Asking) -> CallCounts:
    """Fetch every split that can lie between a session and the counts that it is judged by: one paged query.

    The list of one session serves the later sessions of its month.
    """
    if asking is Asking.NOTHING:
        return NO_CALLS
    collector = Collector(read_settings(), asking)
    return add_call_counts(
        collector.ask_splits(session)
        for session in list_window(window)
        if asking is Asking.AGAIN or collector.book.splits(session) is None
    )


def collect_details(batch: Batch, asking: Asking) -> CallCounts:
    """Fetch the ticker details of one batch."""
    if asking is Asking.NOTHING:
        return NO_CALLS
    session = date.fromisoformat(batch["session"])
    calls = [ticker_details(symbol, session) for symbol in batch["symbols"]]
    span = min(batch["symbols"]), max(batch["symbols"])
    collector = Collector(read_settings(), asking, span=span)
    return collector.ask_optional(calls) if batch["look_back"] else collector.ask(calls)
