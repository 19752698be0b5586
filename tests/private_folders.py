"""Opens pytest's private folders to the account of PostgreSQL, which is another one where the tests run as root."""

from __future__ import annotations

from pathlib import Path

REACHABLE = 0o055
"""Permissions for others: to read and to enter a folder."""


def open_to_others(folder: Path) -> Path:
    """Open a folder and its parents to other accounts; returns the folder."""
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if mode & REACHABLE != REACHABLE:
            place.chmod(mode & 0o7777 | REACHABLE)
    return folder
