"""Which session a DAG run is for: every later task takes it from here."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from mag7.index.constituents import list_lines
from mag7.lake.keys import run_segment
from mag7.sessions import session_asked_for
from mag7.settings import read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.polygon_hook import PolygonHook
from mag7.tasks.reports import clear_reports
from mag7.tasks.window import Window, make_window

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

log = logging.getLogger(__name__)


def resolve_session(dag_run: DagRunProtocol, first: date, trading_date: str | None = None) -> Window:
    """Resolve the run's session, and check settings, key and membership before anything is asked or written.

    ``first`` is the first session that the DAG covers, ``trading_date`` (ISO) what the trigger form asked for: it
    repeats a session that has a run already, as Airflow allows one run a logical date. A date that is asked for and
    is no closed session is an error; only a trigger without a date takes the last closed session.
    """
    settings = read_settings()
    run = run_segment(dag_run.dag_id, dag_run.run_id)
    clear_reports(open_store(settings), run)
    PolygonHook().find_api_key()
    asked = datetime.combine(date.fromisoformat(trading_date), time.min, UTC) if trading_date else dag_run.logical_date
    session = session_asked_for(asked, dag_run.run_after, first=first)
    list_lines(session)
    log.info("session %s, run %s", session, run)
    return make_window(run, [session])
