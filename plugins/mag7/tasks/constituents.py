"""Publish the changes of the index's members as a version of the facts, and list the sessions to rebuild."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Final, TypedDict

from mag7.constituents.decision import Decision, list_changed_sessions
from mag7.constituents.facts import Facts
from mag7.index.facts import IndexFacts, digest_tables, name_version, read_facts
from mag7.lake.fact_log import FactEntry, FactLog, FactSource, FactsOvertakenError, list_row_changes
from mag7.lake.keys import document_key, used_rows_key
from mag7.lake.objects import ObjectStore
from mag7.polygon.source import SIMULATED
from mag7.sessions import last_closed_session, list_sessions, next_session
from mag7.settings import Settings, read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.doubt import write_doubt
from mag7.tasks.facts import pin_newest, with_facts
from mag7.tasks.proposal import Proposal, make_proposal
from mag7.tasks.questions import Recorded, store_questions
from mag7.tasks.row_files import mark_used
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

BY_HAND: Final = "person: the inbox"

TRIES: Final = 3
"""Attempts to publish a proposal where another writer publishes a version first."""

FIRST: Final = date(2020, 11, 30)


class Outcome(TypedDict):
    """What a run changed: the version before and after, questions to ask, and published sessions to rebuild.

    ``failures`` name the sources that could not be used for the proposal.
    """

    before: str
    after: str
    questions: list[str]
    repair: list[str]
    failures: list[str]


@with_facts
def publish_facts(window: Window) -> Outcome:
    """Publish the proposed changes as a version, store new questions, and list the sessions to rebuild.

    Where another writer has published a version since, the proposal is made again from that one.
    """
    settings, store = read_settings(), open_store(read_settings())
    (session,) = list_window(window)
    return publish_proposal(store, settings, session, since=window["facts"], run=window["run"])


def publish_answer(recorded: Recorded) -> Outcome:
    """Publish the changes of a person's answer for the newest evening: the question may have waited for weeks.

    Questions that follow from it are left to the next evening's run.
    """
    settings, store = read_settings(), open_store(read_settings())
    pin_newest(store, settings)
    log.info("the answer: %s", recorded["verdict"])
    return publish_proposal(store, settings, last_closed_session(datetime.now(UTC)), since=recorded["facts"])


def publish_proposal(
    store: ObjectStore, settings: Settings, session: date, *, since: str = "", run: str = ""
) -> Outcome:
    """Make a proposal from the newest version and publish it.

    ``since`` names the version with which published sessions are compared: the newest one at the run's start, so that a
    retry lists the same sessions. ``run`` is the run that asks people; without it no question is stored.
    """
    overtaken: FactsOvertakenError | None = None
    for _ in range(TRIES):
        proposal = make_proposal(store, settings, session)
        try:
            entry = _append(store, proposal) if proposal.changed else proposal.base
        except FactsOvertakenError as other:
            overtaken = other
            continue
        mark_used(store, proposal.rows)
        facts_log = FactLog(store)
        first = facts_log.find(since) if since else proposal.base
        before = read_facts(facts_log.read_tables(first))
        last = max(proposal.decision.session, last_closed_session(datetime.now(UTC)))
        repair = list_repairs(store, before, proposal.facts, last) if first.name != entry.name else []
        write_doubt(store, proposal.decision)
        log.info("facts %s; %d sessions to rebuild: %s", entry.name, len(repair), ", ".join(map(str, repair)))
        return {
            "before": first.name,
            "after": entry.name,
            "questions": _store_questions(store, proposal.decision, run),
            "repair": [day.isoformat() for day in repair],
            "failures": list(proposal.failures),
        }
    raise overtaken or FactsOvertakenError("no version could be published")


def _store_questions(store: ObjectStore, decision: Decision, run: str) -> list[str]:
    return store_questions(store, decision.questions, decision.session, run) if run else []


def _append(store: ObjectStore, proposal: Proposal) -> FactEntry:
    base, decision = proposal.base, proposal.decision
    digests = digest_tables(proposal.tables)
    sources = {
        digest: FactSource(edit.decided.source or edit.decided.by, digest)
        for edit in decision.edits
        for digest in edit.decided.digests
    }
    rows = [
        FactSource(one.table.name, sha256(one.table.body).hexdigest(), used_rows_key(one.key)) for one in proposal.rows
    ]
    decided = {edit.decided.by for edit in decision.edits} | ({BY_HAND} if rows else set())
    entry = FactEntry(
        number=base.number + 1,
        version=name_version(digests),
        source=SIMULATED if decision.simulated or base.source == SIMULATED else base.source,
        known_since=datetime.now(UTC),
        decided_by="; ".join(sorted(decided)),
        supersedes=base.version,
        tables=digests,
        sources=(*sources.values(), *rows),
        changes=list_row_changes(FactLog(store).read_tables(base), proposal.tables),
        note=f"the evening of {decision.session}: confirmed through {decision.confirmed_through}",
    )
    return FactLog(store).append(entry, proposal.tables)


def list_repairs(store: ObjectStore, before: IndexFacts, after: IndexFacts, last: date) -> list[date]:
    """List the published sessions that a new version changes, and the session after each, which rests on it.

    A session changes where its lines, symbols or CIKs change, or where its members become confirmed.
    """
    changed = set(list_changed_sessions(Facts.of(before), Facts.of(after), FIRST, last))
    rests = {next_session(day) for day in changed}
    changed |= {day for day in rests if day <= last}
    through = before.confirmed_through, after.confirmed_through
    changed |= set(list_sessions(next_session(min(through)), max(through))) if through[0] != through[1] else set()
    return sorted(day for day in changed if any(store.list(document_key(day))))
