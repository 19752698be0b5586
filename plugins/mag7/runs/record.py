"""The record of a run as one typed model, of which each task writes its own section once.

A section is a small JSON object in the run's folder of the lake. The log, the manifest and the alert read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mag7.errors import Mag7Error
from mag7.lake.keys import record_prefix, run_segment
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.market.profile import Profile

PUBLISHING, MANIFEST, ALERT = "publish_sessions", "write_run_manifest", "send_alert"
"""The task after whose success sessions are in the lake, and the two that report on a run, whatever its outcome."""

MAPPED = re.compile(r"_\d+$")
"""What Airflow appends to a mapped task's id to tell its instances apart."""

Reasons = dict[str, list[str]]
"""Sentences by session, as an ISO date; none where there is nothing to report."""


class RecordDamagedError(Mag7Error):
    """A section of a run's record cannot be read."""


class Section(BaseModel):
    """What one task, the ``writer``, records of its run. Until it has ended, the section is of an earlier try.

    The name of its class names the field of the record and the object in the lake.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    writer: ClassVar[str] = ""


class Asked(Section):
    """The sessions that a backfill was asked for, those that were complete, and those refused before any call."""

    writer = "resolve_window"
    asked: list[str]
    complete: list[str] = []
    refused: Reasons = {}


class Corrections(Section):
    """Earlier sessions that are rebuilt, and what the provider has edited."""

    writer = "add_corrected"
    edits: Reasons


class Built(Section):
    """Why sessions were refused for their coverage, and how each document differs from the published one."""

    writer = "check_coverage"
    refused: Reasons
    changes: Reasons = {}


class Check(BaseModel):
    """One check of the staged tables, and whether every session passed it."""

    name: str
    passed: bool


class Checks(Section):
    """The checks of the staged tables, and the sessions that they refused."""

    writer = "check.judge_checks"
    checks: list[Check]
    refused: Reasons


class Loaded(Section):
    """Rows in the warehouse by session and table, and how many splits the run loaded."""

    writer = "load.reconcile"
    rows: dict[str, dict[str, int]]
    splits: int


class Summary(Section):
    """The published sessions' profiles, calls, bytes, facts that are due, explained lines, and seconds by stage."""

    writer = "summarise"
    sessions: dict[str, Profile]
    calls: int = 0
    bytes: int = 0
    facts_due: list[str] = []
    explained: list[str] = []
    seconds_by_stage: dict[str, float] = {}


class Failure(Section):
    """The error of the task that failed last; ``ours``: this project raises it on purpose."""

    task: str
    error: str
    message: str
    ours: bool


class RunRecord(Section):
    """The whole record, and the states of the run's tasks by id; a section is None where the run did not reach it.

    ``sessions`` is None where they were not resolved; ``late`` is how long after it was due a run ended, where that is
    late.
    """

    dag_id: str = ""
    run_id: str = ""
    states: dict[str, str] = {}
    sessions: list[str] | None = None
    late: timedelta | None = None
    asked: Asked | None = None
    corrections: Corrections | None = None
    built: Built | None = None
    checks: Checks | None = None
    loaded: Loaded | None = None
    summary: Summary | None = None
    failure: Failure | None = None

    @property
    def run(self) -> str:
        """The run's path segment in the lake."""
        return run_segment(self.dag_id, self.run_id)

    @property
    def refused(self) -> Reasons:
        """The refused sessions and why: before any call, for their coverage, or by a check."""
        gates = (self.asked, self.built, self.checks)
        return {day: reasons for gate in gates if gate for day, reasons in gate.refused.items() if reasons}

    @property
    def partial(self) -> dict[str, Profile]:
        """The profiles of published sessions in which companies are missing."""
        sessions = self.summary.sessions if self.summary else {}
        return {day: profile for day, profile in sessions.items() if profile["quality"] == "partial"}

    @property
    def idle(self) -> bool:
        """Whether every session was complete, so that there was nothing to do."""
        return self.states.get(Asked.writer) == "skipped"

    @property
    def failed(self) -> list[str]:
        """The tasks that failed, a mapped one once, without those that report on the run."""
        return sorted(_list_failed(self.states) - {MANIFEST, ALERT})

    @property
    def published(self) -> str:
        """How far publishing came, in a word or two; empty where it did not begin."""
        if self.states.get(Loaded.writer) == "success":
            return "loaded"
        return {"success": "published", "failed": "partly published"}.get(self.states.get(PUBLISHING, ""), "")


SECTIONS: tuple[type[Section], ...] = (Asked, Corrections, Built, Checks, Loaded, Summary, Failure)
S = TypeVar("S", bound=Section)


def write_section(store: ObjectStore, run: str, section: Section, part: str = "") -> None:
    """Write a section of a run's record, replacing an earlier one; ``part`` tells mapped tasks' sections apart."""
    store.put(section_key(run, type(section), part), section.model_dump_json(indent=1).encode(), "application/json")


def read_section(store: ObjectStore, run: str, kind: type[S], part: str = "") -> S:
    """Read a section; raises ObjectMissingError where the run has none, and RecordDamagedError."""
    found = find_section(store, run, kind, part)
    if found is None:
        key = section_key(run, kind, part)
        raise ObjectMissingError(f"{store.uri(key)} does not exist; run the task that writes it again")
    return found


def find_section(store: ObjectStore, run: str, kind: type[S], part: str = "") -> S | None:
    """Read a section; None where the run has none; raises RecordDamagedError."""
    key = section_key(run, kind, part)
    found = store.find(key)
    try:
        return None if found is None else kind.model_validate_json(found.body)
    except ValidationError as invalid:
        raise RecordDamagedError(
            f"{store.uri(key)} is not a section of a run's record: clear the whole run, which writes it again"
        ) from invalid


def read_record(store: ObjectStore, run: str, states: Mapping[str, str] | None = None, **known: Any) -> RunRecord:
    """Read what there is of a run's record; ``known`` are its other fields. Raises RecordDamagedError.

    With its tasks' ``states``, only what this attempt wrote: any task can be cleared, so an earlier attempt may have
    left sections.
    """
    sections: dict[str, Any] = {}
    for kind in SECTIONS:
        state = "success" if states is None or kind is Failure else states.get(kind.writer)
        # A backfill's first task is skipped where every session is complete, but has written its section.
        if state in {"success", "failed"} or (kind is Asked and state == "skipped"):
            sections[kind.__name__.lower()] = find_section(store, run, kind)
    failure = sections["failure"]
    if states is not None and failure and failure.task not in _list_failed(states):
        sections["failure"] = None
    return RunRecord(**sections, states=dict(states or {}), **known)


def clear_record(store: ObjectStore, run: str) -> None:
    """Delete the sections of an earlier try of the same run, so that they are not taken for this one's."""
    store.delete([stored.key for stored in store.list(record_prefix(run))])


def section_key(run: str, kind: type[Section], part: str = "") -> str:
    """Return the key of a section."""
    return f"{record_prefix(run)}{kind.__name__.lower()}{f'-{part}' if part else ''}.json"


def _list_failed(states: Mapping[str, str]) -> set[str]:
    return {MAPPED.sub("", task) for task, state in states.items() if state == "failed"}
