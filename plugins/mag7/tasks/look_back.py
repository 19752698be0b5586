"""Fetch what a session's own responses leave open: counts beside splits, and earlier sessions of unpriced lines."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime

from mag7.index.constituents import Line, main_ticker
from mag7.index.symbols import symbol_on
from mag7.market.caps import FailedLine, price_line
from mag7.market.response_reader import LOOK_BACK_SESSIONS
from mag7.polygon.calls import Call, grouped_daily, ticker_details
from mag7.session_calendar import NEW_YORK
from mag7.sessions import group_months, previous_session
from mag7.settings import read_settings
from mag7.tasks.collect import list_session_lines
from mag7.tasks.collector import NO_CALLS, CallCounts, Collector, add_call_counts
from mag7.tasks.facts import with_facts
from mag7.tasks.request import Asking
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

LISTED_SPLIT_ROUNDS = 10
"""Rounds: counts, closes of the listed day, closes at both ends around it, and four halvings of the span."""


@with_facts
def collect_look_back(window: Window, asking: Asking) -> CallCounts:
    """Fetch what a session's own responses leave open: counts beside splits, and earlier counts where one is missing.

    No response of another session is fetched twice, even when the session itself is collected again. A missing response
    does not fail the task: the plan may not cover that date.
    """
    if asking is Asking.NOTHING:
        return NO_CALLS
    collector = Collector(read_settings(), Asking.MISSING)
    counts: list[CallCounts] = []
    for sessions in group_months(list_window(window)):
        for session in sessions:
            counts += _look_back(collector, session)
        # Hold the responses of one month at a time: a window can span years.
        collector.book.clear()
    return add_call_counts(counts)


def _look_back(collector: Collector, session: date) -> Iterator[CallCounts]:
    lines = list_session_lines(session)
    reader = collector.reader
    yield from _ask_listed_splits(collector, session, lines, previous_session(session))
    yield from _ask_probes(collector, session, lines, previous_session(session))
    unpriced = _list_unpriced(collector, session, lines)
    if lagging := reader.split_basis.list_wanted_closes(session, unpriced):
        # A count that comes late is the one before the split; the closes of the split's day show it.
        yield collector.ask_optional(grouped_daily(day) for day in sorted(lagging))
        befores = [(line, before) for line, _, before in reader.split_basis.list_probes(session, unpriced, session)]
        yield from _ask_unanswered(collector, [(line, day) for line, day in befores if day < session])
        unpriced = _list_unpriced(collector, session, lines)
    unasked = [line for line in unpriced if reader.observations.observe(line, session) is None]
    if unasked and reader.responses.closes(session)[1] is None:
        # The sessions around it were taken to agree, until one between them was fetched that does not.
        yield collector.ask_optional(ticker_details(line.symbol, session) for line in unasked)
        unpriced = _list_unpriced(collector, session, unpriced)
    yield from _ask_about_jumps(collector, session, lines)
    for sessions_back in LOOK_BACK_SESSIONS:
        if not unpriced:
            return
        day = previous_session(session, sessions_back)
        log.info("%d lines of %s are not priced: fetching their details of %s", len(unpriced), session, day)
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
        # Other runs may have stored later steps. The figures use the first step that helps, so fetch in order.
        unpriced = _list_unhelped(collector, session, unpriced, sessions_back)


def _list_unpriced(collector: Collector, session: date, lines: Iterable[Line]) -> list[Line]:
    """List the lines that neither a session's own responses nor those around it price."""
    return [line for line in lines if isinstance(price_line(collector.reader.read_own(session, line)), FailedLine)]


def _ask_listed_splits(
    collector: Collector, session: date, lines: Sequence[Line], earliest: date
) -> Iterator[CallCounts]:
    """Fetch the closes and counts that show which entries of the provider's list of splits apply.

    What one response leaves open is fetched next; no entry needs more than LISTED_SPLIT_ROUNDS rounds.
    """
    today = datetime.now(NEW_YORK).date()
    for _ in range(LISTED_SPLIT_ROUNDS):
        counts, closes = collector.reader.splits.list_wanted(session, lines, earliest)
        calls = {_probe_call(line, day) for line, day in counts if day < today} - collector.failed
        # Counts settle most entries: fetch closes only where counts leave one open.
        calls = calls or {grouped_daily(day) for day in closes if day < today} - collector.failed
        if not calls:
            return
        yield collector.ask_optional(sorted(calls, key=lambda call: call.path))


def _ask_about_jumps(collector: Collector, session: date, lines: Sequence[Line]) -> Iterator[CallCounts]:
    """Fetch the sessions around one for lines that fail because their close or count jumps."""
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


def _ask_probes(collector: Collector, session: date, lines: Sequence[Line], earliest: date) -> Iterator[CallCounts]:
    """Fetch companies' counts after their splits and, where there is no response, before them."""
    reader = collector.reader
    probes = reader.split_basis.list_probes(session, lines, earliest)
    today = datetime.now(NEW_YORK).date()
    yield from _ask_unanswered(collector, [(line, after) for line, after, _ in probes if after < today])
    befores = [(line, day) for line, after, day in probes if not reader.split_basis.probe_answered(line, after)]
    yield from _ask_unanswered(collector, [(line, day) for line, day in befores if day < today])


def _ask_unanswered(collector: Collector, probes: Iterable[tuple[Line, date]]) -> Iterator[CallCounts]:
    """Fetch companies' counts of a day that are not stored yet; once, although many sessions want them."""
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
    """List the lines that have nothing usable on an earlier session, that many sessions back."""
    found = [(line, collector.reader.look_backs.read(session, line, sessions_back)) for line in lines]
    for line, failure in found:
        if isinstance(failure, str):
            log.info("%s stays unpriced: %s", line.ticker, failure)
    return [line for line, failure in found if isinstance(failure, str)]
