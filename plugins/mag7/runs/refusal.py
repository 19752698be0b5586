"""How a run reports refused sessions: which, why, and the state of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mag7.errors import Mag7Error

REASONS_SHOWN, SESSIONS_SHOWN = 5, 10

ASKS_AGAIN = "mag7_daily"
"""The DAG that makes calls again whose responses are stored; a run of any other uses the stored responses."""


class SessionRefusedError(Mag7Error):
    """Sessions of the window cannot be published; what readers see of them stays as it was."""


def refusal_sentence(
    refusals: Mapping[str, Sequence[str]], published: Sequence[str] = (), *, asked: bool = True
) -> str:
    """Put refused sessions and their first reasons into one line that ends with the next step.

    ``refusals`` may name sessions without a reason: those are not refused. ``published`` are the others. Where no call
    was made (not ``asked``), making it again cannot help.
    """
    refused = [(session, reasons) for session, reasons in refusals.items() if reasons]
    parts = [f"{session} refused: {shorten(reasons)}" for session, reasons in refused[:SESSIONS_SHOWN]]
    if len(refused) > SESSIONS_SHOWN:
        parts.append(f"{len(refused) - SESSIONS_SHOWN} more refused, up to {refused[-1][0]}")
    rest = f"{_name_sessions(published)} published, but none of the refused" if published else "Nothing was published"
    again = f"if a response is wrong, trigger {ASKS_AGAIN} with trading_date and collect_again; else " if asked else ""
    return f"{'. '.join(parts)}. {rest}; what was fetched is stored: {again}fix the cause, then run it again"


def _name_sessions(sessions: Sequence[str]) -> str:
    if len(sessions) <= SESSIONS_SHOWN:
        return ", ".join(sessions)
    return f"{len(sessions)} sessions from {sessions[0]} to {sessions[-1]}"


def shorten(reasons: Sequence[str]) -> str:
    """Name the first of some reasons, and how many more there are."""
    more = len(reasons) - REASONS_SHOWN
    shown = "; ".join(reasons[:REASONS_SHOWN])
    return f"{shown}; and {more} more" if more > 0 else shown
