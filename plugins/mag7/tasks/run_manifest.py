"""The manifest of a run: one JSON object in the lake that says what went in, what came out, and how it went.

Its part ``run`` holds what two equal runs do not share: names, params, times and calls. All else is equal where the
same work was done twice on the same lake. What it says of a published session is kept by its date, too: the next
session is held against it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mag7.errors import Mag7Error
from mag7.index.pinned import find_pinned
from mag7.lake.keys import document_key, run_manifest_key, session_manifest_key, staged_document_key
from mag7.lake.objects import ObjectStore, Version
from mag7.lake.scripts import digest_scripts
from mag7.market.document import Document, list_document_lines
from mag7.market.profile import is_profile, list_changed, list_departures, profile_document
from mag7.paths import PACKAGE, SQL
from mag7.polygon.answers import AnswerStore
from mag7.sessions import previous_session
from mag7.settings import Settings, read_settings
from mag7.tasks.backfill import RANGE
from mag7.tasks.check import CHECKS
from mag7.tasks.collector import AnswerBook, Counts, add_counts
from mag7.tasks.connections import open_store
from mag7.tasks.corrections import CORRECTIONS
from mag7.tasks.document import COVERAGE
from mag7.tasks.ending import LOADING, PUBLISHING, Ending, read_ending
from mag7.tasks.facts import with_facts
from mag7.tasks.publish import WAREHOUSE
from mag7.tasks.published import read_published
from mag7.tasks.reports import FAILURE, hide_secrets_in, parse_content
from mag7.tasks.summary import add_stages
from mag7.tasks.window import Window

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

MANIFEST_VERSION = 1
PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-amazon",
    "polygon-api-client",
    "pandas",
    "pandas-market-calendars",
    "pyarrow",
)
RULES = (
    "counts_frozen_before",
    "minimum_companies_pct",
    "minimum_cap_pct",
    "minimum_mag7_pct",
    "maximum_mag7_pct",
    "maximum_share_change",
    "maximum_company_pct",
    "minimum_mag7_company_cap",
)
"""The settings that decide what a figure is and whether it is published."""

READERS = 8
"""Objects that are read side by side for their digests."""

Content = dict[str, Any]


@with_facts
def write_run_manifest(window: Window | None, counts: Sequence[Counts | Sequence[Counts] | None]) -> str | None:
    """Write the manifest of the run that this task ends, whatever became of it; returns its address.

    ``window`` is None where the run's sessions were not resolved; ``counts`` is what each collecting task counted, None
    where it did not. Of a run that was cleared and had nothing left to do, it says how it ended now and keeps what it
    was made of. Returns None where the settings do not say where the lake is.
    """
    from airflow.sdk import get_current_context

    try:
        settings = read_settings()
    except Mag7Error as wrong:
        # It is what the run failed of: its first task has said so.
        log.error("no manifest can be written: %s", wrong)  # noqa: TRY400 - one line is enough
        return None
    context, store = get_current_context(), open_store(settings)
    ending = read_ending(context["ti"], context["dag_run"], window, store)
    key = run_manifest_key(ending.run)
    if ending.idle and (kept := _read_manifest(store, key)) is not None:
        _write(store, key, end_manifest(kept, ending))
        log.info("nothing was to be done: %s says what this run was made of before it was cleared", store.uri(key))
        return store.uri(key)
    made = Made(store, ending.run)
    manifest = {
        "manifest_version": MANIFEST_VERSION,
        "run": describe_run(context, ending, counts),
        "failed_tasks": ending.failed,
        "failure": ending.reports.get(FAILURE),
        **describe_world(settings),
        "sessions": describe_sessions(ending, made),
        "complete": ending.reports.get(RANGE, {}).get("complete", []),
        "checks": ending.reports.get(CHECKS, {}).get("checks", []),
        "splits_loaded": ending.reports.get(WAREHOUSE, {}).get("splits"),
        "inputs": digest_objects(store, made.answers),
    }
    compare_sessions(store, manifest, made.published)
    _write(store, key, manifest)
    log.info("%s says what this run was made of", store.uri(key))
    return store.uri(key)


def end_manifest(kept: Content, ending: Ending) -> Content:
    """Say in a run's kept manifest how the run has ended now."""
    return kept | {
        "failed_tasks": ending.failed,
        "failure": ending.reports.get(FAILURE),
        "run": kept["run"] | {"ended": datetime.now(UTC)},
    }


class Made:
    """What a run has made of its sessions, read one at a time.

    ``answers`` are the keys of the answers behind the documents that were read, ``published`` the sessions whose
    published document is this run's.
    """

    def __init__(self, store: ObjectStore, run: str) -> None:
        self._store = store
        self._run = run
        self._book = AnswerBook(AnswerStore(store))
        self.answers: set[str] = set()
        self.published: set[date] = set()

    def read(self, session: date) -> Document | None:
        """Read the document that the run has built of a session; None where there is none."""
        staged = self._store.find(staged_document_key(self._run, session))
        if staged is None:
            return None
        document: Document = json.loads(staged.body)
        self.answers.update(key for line in list_document_lines(document) for key in line["answers"])
        self.answers.update(page.key for page in self._book.splits(session) or () if page.key)
        if _holds(self._store.find(document_key(session)), staged.body):
            self.published.add(session)
        return document


def _holds(found: Version | None, body: bytes) -> bool:
    return found is not None and found.body == body


def describe_run(context: Context, ending: Ending, counts: Iterable[Counts | Sequence[Counts] | None]) -> Content:
    """Give the run's names, params, times and calls; ``uncounted`` are the tasks whose calls are not among those."""
    ti: Any = context["ti"]
    finished = ti.get_task_breadcrumbs(ending.dag_id, ending.run_id)
    return {
        "dag_id": ending.dag_id,
        "run_id": ending.run_id,
        "folder": ending.run,
        "params": dict(context["params"]),
        "began": context["dag_run"].start_date,
        "ended": datetime.now(UTC),
        "seconds_by_stage": add_stages(finished),
        "calls": add_counts(found for found in counts if found is not None),
        "uncounted": sorted(
            task for task, state in ending.states.items() if task.startswith("collect.") and state != "success"
        ),
    }


def describe_world(settings: Settings) -> Content:
    """Say what figures depend on beside the answers: versions, rules among the settings, and fact tables."""
    facts = find_pinned()
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
            "glue_scripts": digest_scripts(),
            "mag7": digest_files(PACKAGE.rglob("*.py")),
            "sql": digest_files(SQL.rglob("*.sql")),
        },
        "rules": {name: str(getattr(settings, name)) for name in RULES},
        "facts": {"version": facts.name or facts.version, **facts.digests} if facts else {},
    }


def digest_files(paths: Iterable[Path]) -> str:
    """Give the SHA-256 of files, one after the other in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def digest_objects(store: ObjectStore, keys: Iterable[str]) -> dict[str, str | None]:
    """Give the SHA-256 of objects by key; None where one is gone."""

    def digest(key: str) -> str | None:
        found = store.find(key)
        return None if found is None else hashlib.sha256(found.body).hexdigest()

    ordered = sorted(keys)
    with ThreadPoolExecutor(READERS, "digests") as readers:
        return dict(zip(ordered, readers.map(digest, ordered), strict=True))


def describe_sessions(ending: Ending, made: Made) -> dict[str, Content]:
    """Say by session what became of it and, where its document was built, what that comes to."""
    refused, reports = ending.refused, ending.reports
    days = {*(ending.sessions or ()), *reports.get(CORRECTIONS, {}), *reports.get(COVERAGE, {}), *refused}
    found: dict[str, Content] = {}
    for day in sorted(days):
        document = made.read(date.fromisoformat(day))
        rows = reports.get(WAREHOUSE, {}).get("rows", {}).get(day)
        found[day] = {"state": _name_state(ending, refused=day in refused, built=document is not None)}
        if day in refused:
            found[day]["reasons"] = refused[day]
        elif rows:
            found[day]["rows"] = rows
        if document:
            found[day] |= profile_document(document)
    return found


def _name_state(ending: Ending, *, refused: bool, built: bool) -> str:
    if refused:
        return "refused"
    if not built:
        return "not built"
    if ending.states.get(LOADING) == "success":
        return "loaded"
    return {"success": "published", "failed": "partly published"}.get(ending.states.get(PUBLISHING, ""), "built")


def compare_sessions(store: ObjectStore, manifest: Content, published: Iterable[date]) -> None:
    """Say of every published session where it is unlike the one before, and keep by its date what is said of it.

    Of one that another run has published since, that run says so.
    """
    world = {name: manifest[name] for name in ("versions", "rules", "facts")}
    for session in sorted(published):
        section = manifest["sessions"][session.isoformat()]
        if section["state"] not in {"loaded", "published"}:
            continue
        before = previous_session(session)
        known = _read_kept(store, before) or _profile_published(store, before)
        departures = None if known is None else _list_departures(known, {**world, "session": section})
        section["compared_with"] = None if departures is None else before.isoformat()
        section["departures"] = departures
        for departure in departures or ():
            log.info("%s against the session before: %s", session, departure)
        address = store.uri(run_manifest_key(manifest["run"]["folder"]))
        _write(store, session_manifest_key(session), {"manifest": address, **world, "session": section})


def _read_manifest(store: ObjectStore, key: str) -> Content | None:
    """Read a run's manifest; None where there is none, or where it cannot be read."""
    found = store.find(key)
    kept = None if found is None else parse_content(found.body)
    return kept if kept is not None and isinstance(kept.get("run"), dict) else None


def _read_kept(store: ObjectStore, session: date) -> Content | None:
    """Read what is kept of a session; None where there is nothing, or where it cannot be read."""
    key = session_manifest_key(session)
    found = store.find(key)
    if found is None:
        return None
    kept = parse_content(found.body)
    parts = ("versions", "rules", "facts")
    if kept is not None and is_profile(kept.get("session")) and all(isinstance(kept.get(name), dict) for name in parts):
        return kept
    log.warning("%s is no manifest of a session: not compared with it", store.uri(key))
    return None


def _profile_published(store: ObjectStore, session: date) -> Content | None:
    """Profile what is published of a session of which no manifest is kept; None where nothing is."""
    document = read_published(store, session)
    return None if document is None else {"session": profile_document(document)}


def _list_departures(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    departures = list_departures(before["session"], after["session"])
    for kind, name in (("version of", "versions"), ("rule", "rules"), ("table", "facts")):
        if name in before:
            departures += list_changed(kind, before[name], after[name])
    return departures


def _write(store: ObjectStore, key: str, content: Content) -> None:
    body = json.dumps(hide_secrets_in(content), indent=1, default=str).encode()
    store.put(key, body, "application/json")
