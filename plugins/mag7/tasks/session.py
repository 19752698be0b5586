"""The session of a DAG run: its first task resolves it for all later tasks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from mag7.errors import Mag7Error
from mag7.index.constituents import Line
from mag7.index.pinned import pinned_facts
from mag7.lake.keys import document_key, run_segment
from mag7.lake.objects import ObjectStore
from mag7.market.explain import LineUnknownError
from mag7.runs.record import clear_record
from mag7.sessions import ClosedAtShortNoticeError, list_sessions, require_open, session_asked_for
from mag7.settings import read_settings
from mag7.tasks.collect import list_session_lines
from mag7.tasks.connections import open_store
from mag7.tasks.doubt import require_members
from mag7.tasks.facts import pin_newest
from mag7.tasks.polygon_hook import PolygonHook
from mag7.tasks.request import Asking, Request
from mag7.tasks.window import Window, make_window

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

log = logging.getLogger(__name__)


LONGEST_STRETCH = 1250
"""Sessions of a run at most, five years: every statement names them, and Redshift's Data API takes 100 KB."""


class StretchTooLongError(Mag7Error):
    """A rebuild names more sessions than one run takes."""


class NothingStoredError(Mag7Error):
    """None of the sessions of a rebuild is published."""


def resolve_session(dag_run: DagRunProtocol, first: date, request: Request) -> Window:
    """Resolve the run's session, and check settings, key and members before any call or write.

    ``first`` is the first session that the DAG covers. The request's trading_date repeats a session that has a run
    already, as Airflow allows one run for each logical date. A date that is not a closed session is an error; only a
    trigger without a date takes the last closed session. Raises ClosedAtShortNoticeError where a scheduled run's day
    turned out closed. A rebuild takes every published session of its range.
    """
    settings = read_settings()
    run = run_segment(dag_run.dag_id, dag_run.run_id)
    store = open_store(settings)
    facts = pin_newest(store, settings).name
    clear_record(store, run)
    if request.asking is not Asking.NOTHING:
        PolygonHook().find_api_key()
    if dag_run.run_type == "scheduled" and dag_run.logical_date is not None:
        require_open(dag_run.logical_date.date())
    asked = _midnight(request.trading_date) if request.trading_date else dag_run.logical_date
    session = session_asked_for(asked, dag_run.run_after, first=first)
    sessions = [session]
    if request.through:
        last = session_asked_for(_midnight(request.through), dag_run.run_after, first=first)
        sessions = list(list_sessions(session, last))
        if len(sessions) > LONGEST_STRETCH:
            raise StretchTooLongError(
                f"{session} to {last} are {len(sessions)} sessions, a run takes {LONGEST_STRETCH}: rebuild through"
                f" {sessions[LONGEST_STRETCH - 1]}, then from {sessions[LONGEST_STRETCH]}"
            )
    if request.asking is Asking.NOTHING:
        sessions = _list_stored(store, sessions)
    require_members(store, pinned_facts(), sessions)
    for day in sessions:
        _require_line(request.explain, list_session_lines(day), day)
    log.info("sessions %s, run %s", ", ".join(map(str, sessions)), run)
    return make_window(run, sessions, facts)


def resolve_evening(dag_run: DagRunProtocol, first: date) -> Window:
    """Resolve the session of an evening's run, and pin the facts that it starts from."""
    settings = read_settings()
    store = open_store(settings)
    run = run_segment(dag_run.dag_id, dag_run.run_id)
    facts = pin_newest(store, settings).name
    clear_record(store, run)
    if dag_run.run_type == "scheduled" and dag_run.logical_date is not None:
        require_open(dag_run.logical_date.date())
    return make_window(run, [session_asked_for(dag_run.logical_date, dag_run.run_after, first=first)], facts)


@contextmanager
def skip_closed_day() -> Iterator[None]:
    """End the task as skipped where a scheduled day turns out not to be a session."""
    from airflow.sdk.exceptions import AirflowSkipException

    try:
        yield
    except ClosedAtShortNoticeError as closed:
        raise AirflowSkipException(str(closed)) from closed


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _list_stored(store: ObjectStore, sessions: list[date]) -> list[date]:
    """List the sessions that are published; raises NothingStoredError where none is."""
    stored = [day for day in sessions if any(store.list(document_key(day)))]
    if not stored:
        raise NothingStoredError(
            f"nothing is published from {sessions[0]} to {sessions[-1]}, so there is nothing to rebuild: run the"
            " sessions without rebuild"
        )
    left_out = [day for day in sessions if day not in stored]
    if left_out:
        log.warning("not rebuilt, as they are not published: %s", ", ".join(map(str, left_out)))
    return stored


def _require_line(name: str | None, lines: Iterable[Line], day: date) -> None:
    """Raise LineUnknownError where the line that a run should explain is not a line of its session."""
    if name is not None and not any(name in {line.ticker, line.symbol} for line in lines):
        raise LineUnknownError(
            f"explain names {name}, which is not a line of the index on {day}: give a ticker such as NVDA or BRK.B"
        )
