"""Versions of the facts in the lake: an append-only log, and the tables that its entries name by their digests.

    facts/log/<number>.json           what a version is made of, since when it is known, from what, decided by whom
    facts/tables/<name>/<sha256>.csv  a table; nothing is ever overwritten

An entry is appended by a conditional write, so of two writers one has to read the other's version first.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from mag7.errors import Mag7Error, one_line
from mag7.lake.keys import fact_log_key, fact_log_prefix, fact_table_key
from mag7.lake.objects import ObjectMissingError, ObjectStore

_VERSION: Final = re.compile(r"[0-9a-f]{16}")
_ENTRY: Final = re.compile(r"facts/log/(\d{8})\.json")


class FactsMissingError(Mag7Error):
    """The lake holds no version of the facts, or not the requested one."""


class FactsDamagedError(Mag7Error):
    """An entry of the log, or a table that it names, is not what was written."""


class FactsOvertakenError(Mag7Error):
    """Another writer published a version after the one on which a new one is based."""

    transient = True


@dataclass(frozen=True)
class FactSource:
    """What a version was made from: a name, the SHA-256 of the bytes, and their key in the lake where stored."""

    name: str
    sha256: str = ""
    key: str = ""


@dataclass(frozen=True)
class FactEntry:
    """An entry of the log.

    ``version`` names the tables' contents. ``source`` is what the facts are about: real ones, or those of the simulated
    market. ``known_since`` (UTC) is when they were published; ``decided_by`` the rule or the person that decided.
    ``supersedes`` is the version before it, ``tables`` the SHA-256 of each table by name, ``changes`` the rows that
    were added (+) or removed (-).
    """

    number: int
    version: str
    source: str
    known_since: datetime
    decided_by: str
    supersedes: str | None
    tables: Mapping[str, str]
    sources: tuple[FactSource, ...] = ()
    changes: tuple[str, ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        """The name that runs use: its number in the log and its version."""
        return f"{self.number:08d}-{self.version}"


class FactLog:
    """The log of versions in a lake."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def list_numbers(self) -> list[int]:
        """List the numbers of the log's entries, ascending."""
        found = (_ENTRY.fullmatch(entry.key) for entry in self._store.list(fact_log_prefix()))
        return [int(match[1]) for match in found if match]

    def newest(self) -> FactEntry | None:
        """Return the newest entry; None where there is none. Raises FactsDamagedError."""
        numbers = self.list_numbers()
        return self.read(numbers[-1]) if numbers else None

    def list_entries(self) -> list[FactEntry]:
        """Read every entry, oldest first; raises FactsDamagedError."""
        return [self.read(number) for number in self.list_numbers()]

    def find_known_at(self, moment: datetime) -> FactEntry | None:
        """Return the entry that was the newest one at an aware moment; None before the first."""
        return next((entry for entry in reversed(self.list_entries()) if entry.known_since <= moment), None)

    def read(self, number: int) -> FactEntry:
        """Read an entry; raises FactsMissingError and FactsDamagedError."""
        key = fact_log_key(number)
        try:
            body = self._store.get(key)
        except ObjectMissingError as missing:
            raise FactsMissingError(
                f"{self._store.uri(key)} does not exist: restore it from the bucket's versions"
            ) from missing
        try:
            return _parse_entry(json.loads(body), number)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as damaged:
            raise FactsDamagedError(
                f"{self._store.uri(key)} is not an entry of the log of facts ({one_line(str(damaged))}): restore it"
                " from the bucket's versions"
            ) from damaged

    def find(self, name: str) -> FactEntry:
        """Read the entry of a name as ``FactEntry.name`` gives it; raises FactsMissingError and FactsDamagedError."""
        number, _, version = name.partition("-")
        if not (number.isdigit() and _VERSION.fullmatch(version)):
            raise FactsMissingError(
                f"{one_line(name)!r} is not the name of a version of the facts, such as 00000001-0123456789abcdef"
            )
        entry = self.read(int(number))
        if entry.version != version:
            raise FactsDamagedError(
                f"entry {entry.number} of the log of facts is version {entry.version}, but the run is pinned to "
                f"{version}: restore the object from the bucket's versions, or start the run again"
            )
        return entry

    def read_tables(self, entry: FactEntry) -> dict[str, bytes]:
        """Read a version's tables by name; raises FactsMissingError and FactsDamagedError."""
        return {name: self._read_table(name, digest) for name, digest in entry.tables.items()}

    def _read_table(self, name: str, digest: str) -> bytes:
        key = fact_table_key(name, digest)
        try:
            body = self._store.get(key)
        except ObjectMissingError as missing:
            raise FactsMissingError(
                f"{self._store.uri(key)} does not exist: restore it from the bucket's versions"
            ) from missing
        if hashlib.sha256(body).hexdigest() != digest:
            raise FactsDamagedError(
                f"{self._store.uri(key)} is damaged, its digest is {hashlib.sha256(body).hexdigest()}: restore it from "
                "the bucket's versions"
            )
        return body

    def append(self, entry: FactEntry, tables: Mapping[str, bytes]) -> FactEntry:
        """Publish a version: its tables first, then its entry.

        Raises FactsOvertakenError where another version has the entry's number: base the new one on that.
        """
        for name, body in tables.items():
            self._store.put(fact_table_key(name, entry.tables[name]), body, "text/csv")
        body = json.dumps({**asdict(entry), "known_since": entry.known_since.isoformat()}, indent=1).encode()
        if not self._store.replace(fact_log_key(entry.number), body, None):
            raise FactsOvertakenError(
                f"another version of the facts was published as number {entry.number} meanwhile: run the task again, "
                "it then starts from that one"
            )
        return entry


def list_row_changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[str, ...]:
    """List the rows that differ between two sets of tables: ``+ table: row`` and ``- table: row``, by table."""
    changes: list[str] = []
    for name in sorted({*before, *after}):
        old, new = (_lines(tables.get(name, b"")) for tables in (before, after))
        changes += [f"- {name}: {row}" for row in old if row not in set(new)]
        changes += [f"+ {name}: {row}" for row in new if row not in set(old)]
    return tuple(changes)


def _lines(body: bytes) -> Sequence[str]:
    return body.decode("utf-8", errors="replace").splitlines()


def _parse_entry(content: dict[str, Any], number: int) -> FactEntry:
    entry = FactEntry(
        number=int(content["number"]),
        version=str(content["version"]),
        source=str(content["source"]),
        known_since=datetime.fromisoformat(content["known_since"]),
        decided_by=str(content["decided_by"]),
        supersedes=content["supersedes"],
        tables={str(name): str(digest) for name, digest in content["tables"].items()},
        sources=tuple(FactSource(**source) for source in content["sources"]),
        changes=_texts(content["changes"]),
        note=str(content["note"]),
    )
    if entry.number != number or entry.known_since.tzinfo is None or not _VERSION.fullmatch(entry.version):
        raise ValueError("its number, version or time is not that of an entry")
    return entry


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
