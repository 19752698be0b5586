"""The version of the facts that a run works with: its first task pins it, and every later task uses it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final, TypeVar, cast

from mag7.constituents.decision import list_changed_sessions
from mag7.constituents.facts import Facts
from mag7.errors import Mag7Error
from mag7.index.facts import (
    REAL,
    TABLES,
    IndexFacts,
    digest_tables,
    name_version,
    pin_facts,
    read_facts,
    read_packaged_tables,
)
from mag7.lake.fact_log import FactEntry, FactLog, FactsMissingError, FactSource, list_row_changes
from mag7.lake.objects import ObjectStore
from mag7.polygon.source import POLYGON, SIMULATED, name_declared_source
from mag7.settings import Settings, read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

CHECKOUT: Final = "the checkout's tables"


class FactsChangedError(Mag7Error):
    """The facts that a run works with have changed for the sessions that it would publish."""


_Task = TypeVar("_Task", bound=Callable[..., Any])


def publish_packaged(store: ObjectStore) -> FactEntry:
    """Store this checkout's tables in the lake where it holds no version yet; returns the newest entry.

    The lake's later versions stay: what it learned since counts more than the tables of a newer checkout, whose
    differing rows are logged.
    """
    facts_log = FactLog(store)
    newest, tables = facts_log.newest(), read_packaged_tables()
    digests = digest_tables(tables)
    if newest is None:
        read_facts(tables)
        return facts_log.append(
            FactEntry(
                number=1,
                version=name_version(digests),
                source=REAL,
                known_since=datetime.now(UTC),
                decided_by=CHECKOUT,
                supersedes=None,
                tables=digests,
                sources=tuple(FactSource(f"include/data/{name}", digest) for name, digest in digests.items()),
                note="the first version",
            ),
            tables,
        )
    return newest


def publish_newer_checkout(store: ObjectStore) -> FactEntry | None:
    """Publish this checkout's tables after an update of it, where nobody has changed the facts in the lake since.

    Returns the new entry; None where the log holds these tables already, or the lake has learned something since the
    checkout's last version. Then the differing rows are logged for a person to take over.
    """
    facts_log = FactLog(store)
    entries, tables = facts_log.list_entries(), read_packaged_tables()
    digests = digest_tables(tables)
    if not entries or any(dict(entry.tables) == digests for entry in entries):
        return None
    newest = entries[-1]
    changes = list_row_changes(facts_log.read_tables(newest), tables)
    if newest.decided_by != CHECKOUT:
        log.warning("the checkout's tables differ from the lake's facts %s and are not taken over:", newest.name)
        for change in changes:
            log.warning("  %s", change)
        return None
    read_facts(tables)
    return facts_log.append(
        FactEntry(
            number=newest.number + 1,
            version=name_version(digests),
            source=newest.source,
            known_since=datetime.now(UTC),
            decided_by=CHECKOUT,
            supersedes=newest.version,
            tables=digests,
            sources=tuple(FactSource(f"include/data/{name}", digest) for name, digest in digests.items()),
            changes=changes,
            note="a newer checkout",
        ),
        tables,
    )


def pin_newest(store: ObjectStore, settings: Settings) -> FactEntry:
    """Pin the newest version of the lake for this process and return its entry; a run's first task calls this.

    Raises FactsMissingError where there is none, FactsDamagedError, and FactsSimulatedError where a run with a real
    provider would use facts of the simulated market.
    """
    newest = FactLog(store).newest()
    if newest is None:
        raise FactsMissingError(
            f"{store.uri('facts/')} holds no version of the facts: run mag7_setup, then run this again"
        )
    facts = _load(store, newest)
    declared = name_declared_source(settings.polygon_base_url, settings.polygon_source)
    if declared == POLYGON:
        # Of another address only its responses say whether they are simulated: the document's source decides there.
        facts.require_source(declared, SIMULATED)
    pin_facts(facts)
    log.info("facts %s, known since %s", newest.name, newest.known_since.isoformat(timespec="seconds"))
    return newest


def pin_version(store: ObjectStore, name: str) -> IndexFacts:
    """Pin the version of a name for this process; raises FactsMissingError and FactsDamagedError."""
    facts = _load_kept(store, name)
    pin_facts(facts)
    return facts


def require_current(store: ObjectStore, window: Window) -> None:
    """Raise FactsChangedError where a version published since the run began changes the window's sessions.

    A repair lists published sessions only, so it would not fix what this run publishes after it on the older facts.
    """
    newest = FactLog(store).newest()
    if newest is None or not window["facts"] or newest.name == window["facts"]:
        return
    before, after = (_load_kept(store, name) for name in (window["facts"], newest.name))
    days = list_window(window)
    changed = set(list_changed_sessions(Facts.of(before), Facts.of(after), days[0], days[-1]))
    changed |= {day for day in days if before.membership.is_provisional(day) != after.membership.is_provisional(day)}
    if found := sorted(changed & set(days)):
        raise FactsChangedError(
            f"facts {newest.name} were published while this run worked with {window['facts']}, and change"
            f" {', '.join(map(str, found))}: clear the run from its first task, which takes the newest; nothing is"
            " published"
        )


def with_facts(task: _Task) -> _Task:
    """Run a task with the version that its argument ``window`` names; without a name, with the pinned one."""
    parameters = inspect.signature(task)

    @wraps(task)
    def run(*arguments: Any, **named: Any) -> Any:
        bound = parameters.bind(*arguments, **named).arguments
        window = bound.get("window") or {}
        if name := window.get("facts"):
            pin_version(open_store(read_settings()), name)
        return task(*arguments, **named)

    return cast("_Task", run)


def _load(store: ObjectStore, entry: FactEntry) -> IndexFacts:
    tables = FactLog(store).read_tables(entry)
    facts = read_facts({name: tables[name] for name in TABLES if name in tables}, source=entry.source, name=entry.name)
    days = read_settings().membership_max_age_days
    return replace(facts, membership=replace(facts.membership, carry_forward_days=days))


def _load_kept(store: ObjectStore, name: str) -> IndexFacts:
    """Load a version once for each process: its tables never change."""
    found = _kept.get((store.bucket, name))
    if found is None:
        entry = FactLog(store).find(name)
        found = _kept[store.bucket, name] = _load(store, entry)
    return found


_kept: dict[tuple[str, str], IndexFacts] = {}
