"""Read the files about the index's members that are stored in the lake as received."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Final

from mag7.constituents.announcements import Announcement, read_announcements
from mag7.constituents.ishares import read_ivv
from mag7.constituents.readings import Reading, ReadingError
from mag7.constituents.spdr import NEXT_STEP, read_spy
from mag7.errors import Mag7Error
from mag7.index.facts import TABLES
from mag7.index.tables import FactTable, FactTableInvalidError, read_lines
from mag7.lake.keys import constituent_files_prefix, used_rows_prefix
from mag7.lake.objects import ObjectStore
from mag7.session_calendar import OverrideInvalidError
from mag7.sessions import previous_session

INBOX, IVV, SPY, CHANGES, ROWS = "inbox", "ivv", "spy", "changes", "rows"
"""The kinds of sources and of files; ``rows`` are rows of a fact table that a person adds."""

FROM_INBOX: Final = "inbox-"
"""Prefix of a stored file's kind where a person put the file into the inbox."""

ROWS_KIND: Final = FROM_INBOX + ROWS

EARLIER_SESSIONS: Final = 3
"""Sessions before the confirmed one from which files are read: what they showed tells what changed."""

_SESSION: Final = re.compile(r"/session=(\d{4}-\d{2}-\d{2})/")


class FileUnusableError(Mag7Error):
    """A file can be read, but not used: it is about another fund, or simulated where facts are real."""


UNUSABLE: Final = (ReadingError, FactTableInvalidError, OverrideInvalidError, FileUnusableError)


@dataclass(frozen=True)
class RowFile:
    """Rows that a person adds to a fact table, and the key of the file that holds them."""

    key: str
    table: FactTable


@dataclass(frozen=True)
class Gathered:
    """Every readable file at hand: what funds held, what was announced, and rows of fact tables.

    ``failures`` name stored files that cannot be read, such as one that names a session that became a closed day.
    """

    readings: tuple[Reading, ...]
    announcements: tuple[Announcement, ...]
    rows: tuple[RowFile, ...]
    failures: tuple[str, ...] = ()


def read_row_files(store: ObjectStore) -> list[RowFile]:
    found = [(entry.key, read_file(store, entry.key)) for entry in store.list(constituent_files_prefix(ROWS_KIND))]
    return [RowFile(key, table) for key, table in found if isinstance(table, FactTable)]


def name_table(name: str) -> str:
    """Return the fact table of a file of rows: the longest table name that the file's name begins with."""
    plain = PurePosixPath(name).name.lower()
    return max((table for table in TABLES if plain.startswith(table.removesuffix(".csv"))), key=len)


def read_file(store: ObjectStore, key: str) -> Reading | tuple[Announcement, ...] | FactTable:
    """Read a stored file by its kind; raises ReadingError, and FactTableInvalidError for invalid rows."""
    body, name = store.get(key), PurePosixPath(key).name.partition("-")[2]
    kind = key.removeprefix(constituent_files_prefix()).partition("/")[0]
    by_hand = kind.startswith(FROM_INBOX)
    # A fetched file must be of the session that was asked for; a file of the inbox names its own.
    session = None if by_hand else find_session(key)
    match kind.removeprefix(FROM_INBOX):
        case "ivv":
            return read_ivv(body, f"IVV {name}", session=session)
        case "spy":
            return _read_newest(body, f"SPY {name}", session)
        case "changes":
            return read_announcements(body, f"changes {name}", person="the inbox" if by_hand else None)
    table = FactTable(name_table(name), body)
    list(read_lines(table))
    return table


def _read_newest(body: bytes, source: str, asked: date | None) -> Reading:
    """Read a workbook of the newest session: the one that was asked for, or a later one."""
    reading = read_spy(body, source)
    if asked is not None and reading.as_of < asked:
        raise ReadingError(source, f"holdings as of {asked}", f"holdings as of {reading.as_of}", NEXT_STEP)
    return reading


def find_session(key: str) -> date | None:
    """Return the session in the key of a stored file."""
    found = _SESSION.search(key)
    return date.fromisoformat(found[1]) if found else None


def gather(store: ObjectStore, confirmed: date) -> Gathered:
    """Read every stored file of a proposal: funds' files from shortly before the confirmed session on, and all rows.

    Of several files of one fund and session, one that a person put into the inbox comes last, so it counts.
    """
    first = previous_session(confirmed, EARLIER_SESSIONS)
    entries = [
        (entry.key, session)
        for entry in store.list(constituent_files_prefix())
        if not entry.key.startswith((used_rows_prefix(), constituent_files_prefix(ROWS_KIND)))
        if (session := find_session(entry.key)) is not None and (session >= first or _is_stated_by_hand(entry.key))
    ]
    entries.sort(key=lambda entry: (FROM_INBOX in entry[0], entry[1], entry[0]))
    readings: list[Reading] = []
    stated: list[tuple[str, date, tuple[Announcement, ...]]] = []
    failures: list[str] = []
    for key, session in entries:
        try:
            found = read_file(store, key)
        except UNUSABLE as wrong:
            failures.append(f"{store.uri(key)}: {wrong}; delete it if it is wrong")
            continue
        if isinstance(found, Reading):
            readings.append(found)
        elif not isinstance(found, FactTable):
            stated.append((key, session, found))
    return Gathered(tuple(readings), _without_withdrawn(stated), tuple(read_row_files(store)), tuple(failures))


def _is_stated_by_hand(key: str) -> bool:
    """Whether a person states changes in a file: it counts until their dates are confirmed, however old it is."""
    return key.startswith(constituent_files_prefix(FROM_INBOX + CHANGES))


def _without_withdrawn(stated: Iterable[tuple[str, date, tuple[Announcement, ...]]]) -> tuple[Announcement, ...]:
    """Leave out what an address announced for a future day and no longer announces."""
    stated = list(stated)
    announced = {session: {_subject(one) for one in found} for key, session, found in stated if FROM_INBOX not in key}

    def is_withdrawn(one: Announcement, since: date) -> bool:
        return any(since < day < one.effective and _subject(one) not in found for day, found in announced.items())

    kept = [
        one for key, session, found in stated for one in found if FROM_INBOX in key or not is_withdrawn(one, session)
    ]
    return tuple(dict.fromkeys(kept))


def _subject(one: Announcement) -> tuple[object, ...]:
    return one.effective, one.action, one.symbol, one.new_symbol, one.source
