"""The window of a DAG run: the sessions that its tasks work on, passed between them as a small XCom."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TypedDict


class Window(TypedDict):
    """What tasks pass on: the run's path segment in the lake, its sessions as ISO dates, and its facts' version.

    ``facts`` is the name in the lake's log; empty where a caller has pinned facts of its own.
    """

    run: str
    sessions: list[str]
    facts: str


def make_window(run: str, sessions: Iterable[date], facts: str = "") -> Window:
    """Make a window of sessions for a run."""
    return {"run": run, "sessions": [session.isoformat() for session in sessions], "facts": facts}


def with_sessions(window: Window, sessions: Iterable[date]) -> Window:
    """Return the same run's window with other sessions."""
    return make_window(window["run"], sessions, window["facts"])


def list_window(window: Window) -> list[date]:
    """List a window's sessions as dates."""
    return [date.fromisoformat(session) for session in window["sessions"]]
