"""The sessions of a mag7_backfill run: those of its month, or of a range, that are not complete."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mag7.index.membership import MembershipUnknownError
from mag7.index.pinned import pinned_facts
from mag7.lake.keys import run_segment
from mag7.runs.record import Asked, clear_record, write_section
from mag7.runs.refusal import SessionRefusedError, refusal_sentence
from mag7.sessions import SessionNotClosedError, day_asked_for, last_closed_session, sessions_asked_for
from mag7.settings import read_settings
from mag7.tasks.collect import list_session_lines
from mag7.tasks.connections import open_store
from mag7.tasks.doubt import find_doubt
from mag7.tasks.facts import pin_newest
from mag7.tasks.polygon_hook import PolygonHook
from mag7.tasks.published import list_complete
from mag7.tasks.request import RangeRequest
from mag7.tasks.session import LONGEST_STRETCH, StretchTooLongError
from mag7.tasks.window import Window, make_window, with_sessions

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk.types import DagRunProtocol

log = logging.getLogger(__name__)

PART_SESSIONS = 6
"""Sessions that one mapped task builds; four tasks build a month."""


def resolve_window(dag_run: DagRunProtocol, first: date, request: RangeRequest) -> Window:
    """Resolve the sessions of a run, and check settings, key and members before any call or write.

    ``first`` is the first session that the DAG covers. The run's month is the month of its logical date; without one,
    the month of the last closed session. Only closed sessions are taken. Complete sessions are left out unless the
    request repeats them, so the window can be empty. Sessions whose members are unknown or too much in doubt are
    refused, and the run fails for them after the others are done. Raises SessionRefusedError where there are no others.
    """
    settings = read_settings()
    run = run_segment(dag_run.dag_id, dag_run.run_id)
    store = open_store(settings)
    facts = pin_newest(store, settings).name
    clear_record(store, run)
    if request.sessions:
        asked = tuple(
            day for one in request.sessions for day in sessions_asked_for(one, one, dag_run.run_after, covered=first)
        )
    elif request.first is not None and request.last is not None:
        asked = sessions_asked_for(request.first, request.last, dag_run.run_after, covered=first)
    else:
        asked = list_month(day_asked_for(dag_run.logical_date, dag_run.run_after), dag_run.run_after, first)
    complete = set() if request.repeat else list_complete(store, asked)
    sessions = [day for day in asked if day not in complete]
    if len(sessions) > LONGEST_STRETCH:
        raise StretchTooLongError(
            f"{asked[0]} to {asked[-1]} has {len(sessions)} sessions to build, a run takes at most {LONGEST_STRETCH}:"
            f" give a range up to {sessions[LONGEST_STRETCH - 1]}, then the rest"
        )
    unknown = {day: [reason] for day, reason in find_doubt(store, pinned_facts(), sessions).items()}
    unknown |= {day.isoformat(): [reason] for day in sessions if (reason := find_gap(day)) is not None}
    days = [day.isoformat() for day in asked]
    write_section(store, run, Asked(asked=days, complete=sorted(map(str, complete)), refused=unknown))
    sessions = [day for day in sessions if day.isoformat() not in unknown]
    if unknown and not sessions:
        raise SessionRefusedError(refusal_sentence(unknown, asked=False))
    if sessions:
        PolygonHook().find_api_key()
    log.info(
        "%s to %s: %d sessions, %d complete, %d refused, %d to build; run %s",
        *(asked[0], asked[-1], len(asked), len(complete), len(unknown), len(sessions), run),
    )
    return make_window(run, sessions, facts)


def find_gap(session: date) -> str | None:
    """Return why the lines of a session are not known; None where they are."""
    try:
        list_session_lines(session)
    except MembershipUnknownError as unknown:
        return str(unknown)
    return None


def list_month(day: date | None, at: datetime, first: date) -> tuple[date, ...]:
    """List the closed sessions, from ``first`` on, of the month that holds a day.

    Without a day, it is the month of the last closed session. Raises SessionNotClosedError and SessionTooEarlyError for
    a month without a session.
    """
    newest = last_closed_session(at)
    begin = (day or newest).replace(day=1)
    end = (begin + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    if begin > newest:
        raise SessionNotClosedError(f"no session of {begin:%B %Y} has closed; the last closed session is {newest}")
    if end >= first:
        begin = max(begin, first)
    return sessions_asked_for(begin, min(end, newest), at, covered=first)


def divide_window(window: Window) -> list[Window]:
    """Divide a window into parts for mapped tasks: a few sessions of one month, in order."""
    parts: list[Window] = []
    for session in window["sessions"]:
        if not parts or len(parts[-1]["sessions"]) == PART_SESSIONS or parts[-1]["sessions"][0][:7] != session[:7]:
            parts.append(with_sessions(window, []))
        parts[-1]["sessions"].append(session)
    return parts
