"""The manifest of a run: one JSON object in the lake about its inputs, its results and how it went.

Its part ``run`` holds what two equal runs do not share: names, params, times and calls. All else is equal where the
same work was done twice on the same lake. The part about a published session is also stored under the session's date,
so that the next session can be compared with it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from mag7.lake.keys import document_key, run_manifest_key, session_manifest_key, staged_document_key
from mag7.lake.objects import ObjectStore, parse_object
from mag7.market.document import Document, decode_document
from mag7.market.profile import Profile, is_profile, list_changed, list_departures, profile_document
from mag7.runs.record import Check, Failure, RunRecord
from mag7.sessions import previous_session

log = logging.getLogger(__name__)

READERS = 8
"""Objects that are read in parallel for their digests."""


class World(BaseModel):
    """What figures depend on besides the responses: versions, rules among the settings, and digests of the facts."""

    versions: dict[str, str]
    rules: dict[str, str]
    facts: dict[str, str]


class SessionOutcome(BaseModel):
    """The outcome of a session: its profile where its document was built, and its departures where it was published.

    Departures are None where nothing is known of the session before.
    """

    state: str
    reasons: list[str] | None = None
    rows: dict[str, int] | None = None
    profile: Profile | None = None
    compared_with: str | None = None
    departures: list[str] | None = None


class Manifest(World):
    """The manifest of a run; ``inputs`` are the SHA-256 of stored responses by key, None where one is gone."""

    manifest_version: Literal[2]
    run: dict[str, Any]
    failed_tasks: list[str]
    failure: Failure | None
    sessions: dict[str, SessionOutcome]
    complete: list[str]
    checks: list[Check]
    splits_loaded: int | None
    inputs: dict[str, str | None]


class SessionManifest(World):
    """The part of a manifest about a session that its run published, with the manifest's address."""

    manifest_version: Literal[2]
    manifest: str
    session: SessionOutcome

    @property
    def profile(self) -> Profile:
        """The session's profile, with its rows where they were loaded."""
        rows = {"rows": self.session.rows} if self.session.rows else {}
        return {**(self.session.profile or {}), **rows}


M = TypeVar("M", Manifest, SessionManifest)


@dataclass(frozen=True)
class ManifestWriter:
    """Writes the manifest of a run that has ended, whatever its outcome.

    ``list_split_keys`` returns the keys of the splits by which a session is judged, ``read_published`` its published
    document; ``hide`` removes secrets from a text.
    """

    store: ObjectStore
    record: RunRecord
    list_split_keys: Callable[[date], Iterable[str]]
    read_published: Callable[[date], Document | None]
    hide: Callable[[str], str]
    _inputs: set[str] = field(default_factory=set, init=False)
    _published: list[date] = field(default_factory=list, init=False)

    def write(self, run: dict[str, Any], describe_world: Callable[[], World]) -> str:
        """Write the manifest, with its part ``run``; returns its address.

        For a run that was cleared and had nothing left to do, only the part about its end is replaced.
        """
        record, key = self.record, run_manifest_key(self.record.run)
        address = self.store.uri(key)
        outcome: dict[str, Any] = {"failed_tasks": record.failed, "failure": record.failure}
        if record.idle:
            stored, older = _read(self.store, key, Manifest)
            if stored is not None:
                self._write(key, stored.model_copy(update={**outcome, "run": stored.run | {"ended": run["ended"]}}))
            if stored is not None or older:
                log.info("nothing to do: %s describes this run as it was before it was cleared", address)
                return address
        manifest = Manifest(
            manifest_version=2,
            run=run,
            **outcome,
            **dict(describe_world()),
            sessions=self._describe_sessions(),
            complete=record.asked.complete if record.asked else [],
            checks=record.checks.checks if record.checks else [],
            splits_loaded=record.loaded.splits if record.loaded else None,
            inputs=_digest_objects(self.store, self._inputs),
        )
        self._compare_sessions(manifest, address)
        self._write(key, manifest)
        log.info("%s describes this run", address)
        return address

    def _describe_sessions(self) -> dict[str, SessionOutcome]:
        record = self.record
        days = {*(record.sessions or ()), *record.refused, *(record.corrections.edits if record.corrections else ())}
        days |= {*(record.built.refused if record.built else ())}
        found: dict[str, SessionOutcome] = {}
        for day in sorted(days):
            profile = self._profile(date.fromisoformat(day))
            known: dict[str, Any] = {"profile": profile} if profile else {}
            if day in record.refused:
                known |= {"reasons": record.refused[day], "state": "refused"}
            elif record.loaded and day in record.loaded.rows:
                known["rows"] = record.loaded.rows[day]
            found[day] = SessionOutcome(**{"state": (record.published or "built") if profile else "not built", **known})
        return found

    def _profile(self, session: date) -> Profile | None:
        """Profile the document that the run built of a session, and note its inputs; None where there is none."""
        key = staged_document_key(self.record.run, session)
        staged = self.store.find(key)
        if staged is None:
            return None
        document = decode_document(staged.body, self.store.uri(key))
        self._inputs.update(answer for line in document.lines for answer in line.answers)
        self._inputs.update(self.list_split_keys(session))
        published = self.store.find(document_key(session))
        if published is not None and published.body == staged.body:
            self._published.append(session)
        return profile_document(document)

    def _compare_sessions(self, manifest: Manifest, address: str) -> None:
        """List how each published session departs from the one before, and store that under the session's date.

        A session that another run has published since is left to that run.
        """
        world = {name: getattr(manifest, name) for name in World.model_fields}
        for session in self._published:
            section = manifest.sessions[session.isoformat()]
            if section.state not in {"loaded", "published"}:
                continue
            mine = SessionManifest(manifest_version=2, manifest=address, session=section, **world)
            before = previous_session(session)
            section.departures = self._list_departures(before, mine)
            section.compared_with = None if section.departures is None else before.isoformat()
            for departure in section.departures or ():
                log.info("%s compared with the session before: %s", session, departure)
            self._write(session_manifest_key(session), mine)

    def _list_departures(self, before: date, mine: SessionManifest) -> list[str] | None:
        """Compare a session with the manifest of the one before, else with its document; None without either."""
        stored, _ = _read(self.store, session_manifest_key(before), SessionManifest)
        if stored is None or not is_profile(stored.profile):
            document = self.read_published(before)
            return None if document is None else list_departures(profile_document(document), mine.profile)
        departures = list_departures(stored.profile, mine.profile)
        for kind, name in (("version of", "versions"), ("rule", "rules"), ("table", "facts")):
            departures += list_changed(kind, getattr(stored, name), getattr(mine, name))
        return departures

    def _write(self, key: str, manifest: Manifest | SessionManifest) -> None:
        content = manifest.model_dump(mode="json", exclude_unset=True, fallback=str)
        self.store.put(key, json.dumps(_hide_in(content, self.hide), indent=1).encode(), "application/json")


def _digest_objects(store: ObjectStore, keys: Iterable[str]) -> dict[str, str | None]:
    """Return the SHA-256 of objects by key; None where one is gone."""

    def digest(key: str) -> str | None:
        found = store.find(key)
        return None if found is None else hashlib.sha256(found.body).hexdigest()

    ordered = sorted(keys)
    with ThreadPoolExecutor(READERS, "digests") as readers:
        return dict(zip(ordered, readers.map(digest, ordered), strict=True))


def _read(store: ObjectStore, key: str, kind: type[M]) -> tuple[M | None, bool]:
    """Read a manifest, and whether it has an older form; None, with one log line, where it cannot be used."""
    found = store.find(key)
    if found is None:
        return None, False
    try:
        return kind.model_validate_json(found.body), False
    except ValidationError:
        content = parse_object(found.body) or {}
    versions = content.get("versions")
    older = content.get("manifest_version", 1) == 1 and isinstance(versions, dict) and "mag7" in versions
    fault = "of an older form: a rebuild, which makes no call, writes it in the new form" if older else "no manifest"
    log.warning("%s is %s", store.uri(key), fault)
    return None, older


def _hide_in(content: Any, hide: Callable[[str], str]) -> Any:
    """Remove secrets from every text of a JSON value."""
    if isinstance(content, str):
        return hide(content)
    if isinstance(content, dict):
        return {name: _hide_in(value, hide) for name, value in content.items()}
    return [_hide_in(value, hide) for value in content] if isinstance(content, list) else content
