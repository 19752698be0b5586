"""Collecting a session: every close in one call, ticker details in mapped batches, and look-backs where needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, TypedDict

from mag7.index.constituents import Line, list_lines, main_ticker
from mag7.index.seven import seven_lines
from mag7.index.symbols import symbol_on
from mag7.lake.objects import ObjectStore
from mag7.market.caps import FailedLine, price_line
from mag7.market.response_reader import LOOK_BACK_SESSIONS
from mag7.market.search import estimate_calls
from mag7.polygon.collect import Call, CollectReport, grouped_daily, symbol_of, ticker_details
from mag7.polygon.errors import NotYetReleasedError
from mag7.runs.progress import CLOSES, Progress, name_part
from mag7.sessions import NEW_YORK, group_months, previous_session
from mag7.settings import read_settings
from mag7.tasks.collector import NO_COUNTS, Collector, Counts, add_counts, count_calls
from mag7.tasks.facts import with_facts
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window

if TYPE_CHECKING:
    from airflow.sdk import PokeReturnValue

log = logging.getLogger(__name__)

LOOK_BACK_BATCHES = 8
"""On a plan of 5 calls a minute, of which each task has a quarter, one of them takes less than its two hours."""

LISTED_SPLIT_ROUNDS = 10
"""Counts, closes of the listed day, those of both ends around it, and four halvings of the sessions between."""

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


@with_facts
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


@with_facts
def collect_closes(window: Window, asking: Asking) -> PokeReturnValue:
    """Ask for every close of each session in one call; not done while the provider has not released the day.

    The closes of the session before are asked for, too, which figures are compared with; the run can do without them.
    """
    from airflow.sdk import PokeReturnValue

    if asking is Asking.NOTHING:
        return PokeReturnValue(is_done=True, xcom_value=NO_COUNTS)
    settings = read_settings()
    sessions = list_window(window)
    try:
        counts = Collector(settings, asking).ask(grouped_daily(session) for session in sessions)
    except NotYetReleasedError as early:
        log.warning("%s; asking again later", early)
        return PokeReturnValue(is_done=False)
    days = sorted({previous_session(session) for session in sessions} - set(sessions))
    others = Collector(settings, Asking.MISSING).ask_optional(grouped_daily(day) for day in days)
    return PokeReturnValue(is_done=True, xcom_value=add_counts([counts, others]))


@with_facts
def collect_range_closes(window: Window) -> PokeReturnValue:
    """Ask for every close of a backfill's sessions, and of the two before each, which figures are compared with.

    Not done while the provider has not released the last day. Sessions whose closes cannot be had are refused later;
    raises the PolygonError of the first one where none of them has any.
    """
    from airflow.sdk import PokeReturnValue

    collector = Collector(read_settings(), Asking.MISSING)
    sessions = list_window(window)
    progress = Progress(collector.objects, window["run"], len(sessions), CLOSES)
    _expect_counts(collector.objects, window["run"], sessions)
    counts: list[Counts] = []
    had, failure = 0, None
    try:
        for month in group_months(sessions):
            left = sum(session >= month[0] for session in sessions)
            report = _ask_closes(collector, month, progress, sum(count["requests"] for count in counts), left)
            counts.append(count_calls(report))
            had += report.completed + report.kept
            failure = failure or report.failure
            # A month's bars are enough to hold: a window may be years.
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
    total = add_counts(counts)
    progress.tell(calls=total["requests"])
    return PokeReturnValue(is_done=True, xcom_value=total)


def _expect_counts(store: ObjectStore, run: str, sessions: Sequence[date]) -> None:
    """Tell of the search after the closes: until that is planned, its first part stands for all."""
    lines = {line.ticker for session in sessions for line in list_session_lines(session)}
    calls = estimate_calls(len(lines), len(group_months(sessions)))
    Progress(store, run, len(sessions), name_part(1)).expect(calls)


def _ask_closes(collector: Collector, month: Iterable[date], progress: Progress, made: int, left: int) -> CollectReport:
    """Ask for a month's closes; ``made`` calls came before it, and ``left`` are left with its own."""

    def tell(stored: int) -> None:
        progress.tell(calls=made + stored, left=left - stored)

    return collector.ask_closes((grouped_daily(session) for session in month), tell)


@with_facts
def collect_splits(window: Window, asking: Asking) -> Counts:
    """Ask for every split that may lie between a session and the counts that it is judged by: one paged query.

    The list of one session serves the later ones of its month.
    """
    if asking is Asking.NOTHING:
        return NO_COUNTS
    collector = Collector(read_settings(), asking)
    return add_counts(
        collector.ask_splits(session)
        for session in list_window(window)
        if asking is Asking.AGAIN or collector.book.splits(session) is None
    )


def collect_details(batch: Batch, asking: Asking) -> Counts:
    """Ask for the ticker details of one batch."""
    if asking is Asking.NOTHING:
        return NO_COUNTS
    session = date.fromisoformat(batch["session"])
    calls = [ticker_details(symbol, session) for symbol in batch["symbols"]]
    collector = Collector(read_settings(), asking)
    return collector.ask_optional(calls) if batch["look_back"] else collector.ask(calls)


@with_facts
def collect_look_back(window: Window, asking: Asking) -> Counts:
    """Ask what a session's own answers leave open: counts beside splits, and earlier sessions' where one is missing.

    What another session said is not asked for twice, even when the session itself is collected again. What it does
    not say is no reason to fail: the plan may not reach back so far.
    """
    if asking is Asking.NOTHING:
        return NO_COUNTS
    collector = Collector(read_settings(), Asking.MISSING)
    counts: list[Counts] = []
    for sessions in group_months(list_window(window)):
        for session in sessions:
            counts += _look_back(collector, session)
        # Answers of one month are enough to hold: a window may be years.
        collector.book.clear()
    return add_counts(counts)


def _look_back(collector: Collector, session: date) -> Iterator[Counts]:
    lines = list_session_lines(session)
    reader = collector.reader
    yield from _ask_listed_splits(collector, session, lines, previous_session(session))
    yield from _ask_probes(collector, session, lines, previous_session(session))
    unpriced = _list_unpriced(collector, session, lines)
    if lagging := reader.split_basis.list_wanted_closes(session, unpriced):
        # A count that comes late is that of before the split, whose day's closes tell so.
        yield collector.ask_optional(grouped_daily(day) for day in sorted(lagging))
        befores = [(line, before) for line, _, before in reader.split_basis.list_probes(session, unpriced, session)]
        yield from _ask_unanswered(collector, [(line, day) for line, day in befores if day < session])
        unpriced = _list_unpriced(collector, session, lines)
    unasked = [line for line in unpriced if reader.observations.observe(line, session) is None]
    if unasked and reader.responses.closes(session)[1] is None:
        # The sessions around it were taken to agree, until one between them was asked that does not.
        yield collector.ask_optional(ticker_details(line.symbol, session) for line in unasked)
        unpriced = _list_unpriced(collector, session, unpriced)
    yield from _ask_about_jumps(collector, session, lines)
    for sessions_back in LOOK_BACK_SESSIONS:
        if not unpriced:
            return
        day = previous_session(session, sessions_back)
        log.info("%d lines of %s have no price: asking for them on %s", len(unpriced), session, day)
        yield collector.ask_optional([grouped_daily(day)])
        if not _closes_kept(collector, day):
            continue
        yield collector.ask_optional(
            ticker_details(symbol_on(line.ticker, day), day)
            for line in unpriced
            if reader.observations.find_between(line, day) is None
        )
        yield from _ask_listed_splits(collector, session, unpriced, day)
        yield from _ask_probes(collector, session, unpriced, day)
        # Whatever later steps are kept from other runs: the figures take the first step that helps, so ask in order.
        unpriced = _list_unhelped(collector, session, unpriced, sessions_back)


def _list_unpriced(collector: Collector, session: date, lines: Iterable[Line]) -> list[Line]:
    """List the lines that a session's own answers, or those around it, do not price."""
    return [line for line in lines if isinstance(price_line(collector.reader.read_own(session, line)), FailedLine)]


def _ask_listed_splits(collector: Collector, session: date, lines: Sequence[Line], earliest: date) -> Iterator[Counts]:
    """Ask for the closes and counts that tell which entries of the provider's list of splits hold.

    What one answer leaves open is asked next: no entry needs more than LISTED_SPLIT_ROUNDS.
    """
    today = datetime.now(NEW_YORK).date()
    for _ in range(LISTED_SPLIT_ROUNDS):
        counts, closes = collector.reader.splits.list_wanted(session, lines, earliest)
        calls = {_probe_call(line, day) for line, day in counts if day < today} - collector.failed
        # Most entries are settled by their counts: closes are asked for where those leave one open.
        calls = calls or {grouped_daily(day) for day in closes if day < today} - collector.failed
        if not calls:
            return
        yield collector.ask_optional(sorted(calls, key=lambda call: call.path))


def _ask_about_jumps(collector: Collector, session: date, lines: Sequence[Line]) -> Iterator[Counts]:
    """Ask what the sessions around one say of a line that fails since its close or its count jumps."""
    reader, today = collector.reader, datetime.now(NEW_YORK).date()
    jumping = [
        line
        for line in reader.jumps.list_jumping(session, lines)
        if isinstance(price_line(reader.read_line(session, line)), FailedLine)
    ]
    counts, closes = reader.jumps.list_wanted(session, jumping)
    calls = {ticker_details(symbol_on(line.ticker, day), day) for line, day in counts if day < today}
    calls |= {grouped_daily(day) for day in closes if day < today}
    if calls := calls - collector.failed:
        yield collector.ask_optional(sorted(calls, key=lambda call: call.path))


def _ask_probes(collector: Collector, session: date, lines: Sequence[Line], earliest: date) -> Iterator[Counts]:
    """Ask for companies' counts after their splits, and where that has no answer, before them."""
    reader = collector.reader
    probes = reader.split_basis.list_probes(session, lines, earliest)
    today = datetime.now(NEW_YORK).date()
    yield from _ask_unanswered(collector, [(line, after) for line, after, _ in probes if after < today])
    befores = [(line, day) for line, after, day in probes if not reader.split_basis.probe_answered(line, after)]
    yield from _ask_unanswered(collector, [(line, day) for line, day in befores if day < today])


def _ask_unanswered(collector: Collector, probes: Iterable[tuple[Line, date]]) -> Iterator[Counts]:
    """Ask for companies' counts of a day that are not among the kept answers; once, though many sessions want them."""
    answered = collector.reader.split_basis.probe_answered
    wanted = {_probe_call(line, day) for line, day in probes if not answered(line, day)}
    if calls := wanted - collector.failed:
        yield collector.ask_optional(sorted(calls, key=lambda call: call.path))


def _probe_call(line: Line, day: date) -> Call:
    return ticker_details(symbol_on(main_ticker(line.issuer), day), day)


def _closes_kept(collector: Collector, day: date) -> bool:
    failure = collector.reader.responses.closes(day)[1]
    if failure is not None:
        log.warning("skipped: %s", failure)
    return failure is None


def _list_unhelped(collector: Collector, session: date, lines: list[Line], sessions_back: int) -> list[Line]:
    """List the lines of which an earlier session, that many sessions back, says nothing usable."""
    found = [(line, collector.reader.look_backs.read(session, line, sessions_back)) for line in lines]
    for line, failure in found:
        if isinstance(failure, str):
            log.info("%s is not helped: %s", line.ticker, failure)
    return [line for line, failure in found if isinstance(failure, str)]
