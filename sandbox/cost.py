"""How many calls a run takes and how long that is on a slow plan, printed before it starts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from mag7.errors import Mag7Error
from mag7.index.facts import load_packaged_facts
from mag7.index.pinned import pinned
from mag7.lake.keys import answers_prefix
from mag7.market.search import estimate_calls
from mag7.polygon.calls import TICKER_DETAILS
from mag7.sessions import group_months, is_session, list_sessions, previous_session
from mag7.settings import read_settings
from mag7.tasks.collect import list_session_lines
from sandbox.provision import open_stack
from sandbox.stack import Stack
from sandbox.tally import count_stored

SLOW_MINUTES = 10.0
"""A longer run prints its cost before it starts."""


def describe_session_cost(stack: Stack, day: date, *, again: bool) -> str | None:
    """Describe what a session costs on a slow plan; None on a fast one, and for a day that the run itself refuses."""
    settings = read_settings(stack.environment())
    if not settings.calls_per_minute or not is_session(day) or not (lines := _count_lines([day])):
        return None
    own = lines if again else _count_missing(stack, day, lines)
    before = previous_session(day)
    compared = _count_missing(stack, before, _count_lines([before]))
    cost = _describe_cost(own + compared, settings.calls_per_minute)
    if cost is None or not compared:
        return cost
    return (
        f"{cost}\n{compared:,} of these calls are for the session before, which this one is compared with:"
        f" a session after a stored one takes {_describe(own, settings.calls_per_minute)}"
    )


def describe_range_cost(stack: Stack, first: date, last: date) -> str | None:
    """Describe what a range of sessions costs at most on a slow plan, with no response stored; None on a fast one."""
    days = list_sessions(first, last)
    calls = len(days) + estimate_calls(_count_lines(days), len(group_months(days)))
    return _describe_cost(calls, read_settings(stack.environment()).calls_per_minute)


def _describe_cost(calls: int, a_minute: float) -> str | None:
    if not a_minute or calls / a_minute < SLOW_MINUTES:
        return None
    return (
        f"the plan's limit is {a_minute:g} calls a minute: this run takes {_describe(calls, a_minute)};"
        " if it is stopped, the same command continues from the stored responses"
    )


def _describe(calls: int, a_minute: float) -> str:
    hours, minutes = divmod(round(calls / a_minute), 60)
    return f"about {calls:,} calls, at least {hours} h {minutes:02} min"


def _count_missing(stack: Stack, day: date, lines: int) -> int:
    """Count the calls for the details of a session's ``lines`` whose responses are not stored."""
    stored = count_stored(open_stack(stack).store, answers_prefix(TICKER_DETAILS, day)).calls
    return max(lines - stored, 0)


def _count_lines(days: Iterable[date]) -> int:
    """Count the lines of the index and of the seven on some sessions; 0 where the packaged facts do not know them."""
    try:
        with pinned(load_packaged_facts()):
            return len({line.ticker for day in days for line in list_session_lines(day)})
    except Mag7Error:
        return 0
