"""Doubt about the index's members: written by each evening's run, read by the runs that publish sessions."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from mag7.constituents.decision import Decision
from mag7.errors import Mag7Error
from mag7.index.facts import IndexFacts
from mag7.lake.keys import fact_doubt_key
from mag7.lake.objects import ObjectStore, parse_object
from mag7.sessions import list_sessions, next_session, previous_session

log = logging.getLogger(__name__)

MOST_DOUBT: Final = Decimal("0.5")
"""Percentage of the index that may be in doubt; above it, sessions of provisional members are refused."""

WARN_SESSIONS: Final = 10
"""Provisional sessions from which a run warns."""


class MembersInDoubtError(Mag7Error):
    """Too much of the index is in doubt to publish a session of it."""


class DoubtDamagedError(Mag7Error):
    """The stored doubt about members cannot be read."""


def write_doubt(store: ObjectStore, decision: Decision) -> None:
    """Store what is in doubt for the daily run: the symbols, and their part of the index."""
    content = {
        "session": decision.session.isoformat(),
        "confirmed_through": decision.confirmed_through.isoformat(),
        "symbols": list(decision.doubtful),
        "pct": None if decision.doubtful_pct is None else float(decision.doubtful_pct),
        "questions": [question.id for question in decision.questions],
        "reasons": list(decision.reasons),
    }
    store.put(fact_doubt_key(), json.dumps(content, indent=1).encode(), "application/json")


def _read_doubt(store: ObjectStore) -> dict[str, Any]:
    found = store.find(fact_doubt_key())
    content = {} if found is None else parse_object(found.body)
    if content is None:
        raise DoubtDamagedError(
            f"{store.uri(fact_doubt_key())} is damaged: delete it and run mag7_constituents, which writes it again"
        )
    return content


def find_evening(store: ObjectStore, session: date) -> date:
    """Return the evening that a run decides on: its own, or the newest one that was decided already.

    A run of an earlier session must not undo what later files have shown.
    """
    newest = _read_doubt(store).get("session")
    return session if newest is None else max(session, date.fromisoformat(newest))


def require_members(store: ObjectStore, facts: IndexFacts, sessions: Sequence[date]) -> None:
    """Raise MembersInDoubtError for sessions of provisional members where too much of the index is in doubt.

    Warns from ten provisional sessions on.
    """
    for reason in find_doubt(store, facts, sessions).values():
        raise MembersInDoubtError(reason)


def find_doubt(store: ObjectStore, facts: IndexFacts, sessions: Sequence[date]) -> dict[str, str]:
    """Return, by session of provisional members, why it may not be published where too much is in doubt.

    Warns from ten provisional sessions on.
    """
    provisional = [day for day in sessions if facts.membership.is_provisional(day)]
    if not provisional:
        return {}
    waiting = len(list_sessions(next_session(facts.confirmed_through), provisional[-1]))
    if waiting >= WARN_SESSIONS:
        log.warning(
            "the members of %s are those of %s, %d sessions before: put holdings of IVV and SPY of a session since into"
            " inbox/ of the bucket and run mag7_constituents",
            provisional[-1],
            facts.confirmed_through,
            waiting,
        )
    doubt = _read_doubt(store)
    if doubt.get("confirmed_through") != facts.confirmed_through.isoformat():
        return {}
    part = doubt.get("pct")
    if part is not None and Decimal(str(part)) <= MOST_DOUBT:
        return {}
    size = "a part of the index whose size no file shows" if part is None else f"{part:.2f} % of the index"
    reason = (
        f"{size} is in doubt ({', '.join(doubt['symbols'])}), at most {MOST_DOUBT} % may"
        f" be: answer the questions of mag7_decide, or put holdings of IVV and SPY of a session after "
        f"{previous_session(provisional[0])} into inbox/ of the bucket and run mag7_constituents"
    )
    return {day.isoformat(): reason for day in provisional}
