"""What is due: members ten sessions after the confirmed one, filed counts before they are too old."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from mag7.index.fact_ages import PROVISIONAL_SESSIONS, REFERENCE_WARNING_DAYS, list_due
from mag7.index.facts import IndexFacts, load_packaged_facts
from mag7.sessions import next_session

FACTS = load_packaged_facts()
THROUGH = FACTS.confirmed_through


def without(ticker: str) -> IndexFacts:
    (issuer,) = {stay.issuer for stay in FACTS.membership.stays if stay.ticker == ticker}
    return replace(FACTS, references={key: known for key, known in FACTS.references.items() if key != issuer})


def test_a_session_of_confirmed_members_with_filed_counts_has_nothing_due() -> None:
    assert list_due(FACTS, THROUGH) == list_due(FACTS, date(2024, 12, 13)) == []


@pytest.mark.parametrize(("sessions", "due"), [(PROVISIONAL_SESSIONS - 1, False), (PROVISIONAL_SESSIONS, True)])
def test_members_are_due_from_ten_sessions_on(sessions: int, due: bool) -> None:
    found = list_due(FACTS, next_session(THROUGH, sessions))

    assert bool(found) is due
    if due:
        assert found[0].startswith(f"members and their symbols are confirmed through {THROUGH}, 10 sessions before")
        assert f"sessions after {THROUGH + timedelta(days=120)} are refused" in found[0]


def test_a_filed_count_is_due_before_its_line_is_flagged() -> None:
    newest = max(reference.as_of for known in FACTS.references.values() for reference in known)
    day = newest + timedelta(days=REFERENCE_WARNING_DAYS + 1)

    assert sum("reference count of" in sentence for sentence in list_due(FACTS, day)) == 7


def test_one_of_the_seven_without_any_is_named() -> None:
    assert list_due(without("META"), THROUGH) == [
        "META has no reference count: its sessions are refused until one is added"
    ]
