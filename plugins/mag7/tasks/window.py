"""The window of a DAG run: the sessions that its tasks work on, passed between them as a small XCom."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TypedDict


class Window(TypedDict):
    """What tasks hand on: the run's path segment in the lake and its sessions as ISO dates."""

    run: str
    sessions: list[str]


def make_window(run: str, sessions: Iterable[date]) -> Window:
    """Make a window of sessions for a run."""
    return {"run": run, "sessions": [session.isoformat() for session in sessions]}


def list_window(window: Window) -> list[date]:
    """List a window's sessions as dates."""
    return [date.fromisoformat(session) for session in window["sessions"]]
