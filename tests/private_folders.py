"""pytest's folders are private to the account that runs it; PostgreSQL runs under another one where that is root."""

from __future__ import annotations

from pathlib import Path

REACHABLE = 0o055
"""What others need of a folder: to read it and to go through it."""


def open_to_others(folder: Path) -> Path:
    """Let other accounts reach a folder through those above it that are private; returns the folder."""
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if mode & REACHABLE != REACHABLE:
            place.chmod(mode & 0o7777 | REACHABLE)
    return folder
