"""Finding facts that are due for an update, before a line is flagged or a session refused because of them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from mag7.index.facts import IndexFacts
from mag7.index.seven import SEVEN
from mag7.index.share_counts import REFERENCE_DAYS, REFERENCE_LIMIT_DAYS
from mag7.sessions import list_sessions

PROVISIONAL_SESSIONS: Final = 10
"""Sessions after the last confirmed one at which holdings files are due."""

REFERENCE_WARNING_DAYS: Final = REFERENCE_DAYS - 60
"""Days after the newest reference count of one of the seven at which a newer one is due."""


def list_due(facts: IndexFacts, day: date) -> list[str]:
    """List the facts that are due on a day and what happens without them, a sentence each."""
    return [*_list_due_members(facts, day), *_list_due_references(facts, day)]


def _list_due_members(facts: IndexFacts, day: date) -> list[str]:
    through = facts.confirmed_through
    waiting = len(list_sessions(through + timedelta(days=1), day))
    if waiting < PROVISIONAL_SESSIONS:
        return []
    last = through + timedelta(days=facts.membership.carry_forward_days)
    return [
        f"members and their symbols are confirmed through {through}, {waiting} sessions before {day}: put the holdings"
        f" of IVV and SPY of a session since into inbox/ of the bucket and run mag7_constituents; sessions after {last}"
        " are refused"
    ]


def _list_due_references(facts: IndexFacts, day: date) -> list[str]:
    issuers = {stay.ticker: stay.issuer for stay in facts.membership.stays}
    due: list[str] = []
    for ticker in SEVEN:
        known = facts.references.get(issuers[ticker], ())
        nearest = min((reference.as_of for reference in known), key=lambda as_of: abs(as_of - day), default=None)
        if nearest is None:
            due.append(f"{ticker} has no reference count: its sessions are refused until one is added")
        elif day - nearest > timedelta(days=REFERENCE_WARNING_DAYS):
            due.append(
                f"the newest reference count of {ticker} is of {nearest}: add one from a filing since; its line is"
                f" flagged after {nearest + timedelta(days=REFERENCE_DAYS)}, and refused after"
                f" {nearest + timedelta(days=REFERENCE_LIMIT_DAYS)}"
            )
    return due
