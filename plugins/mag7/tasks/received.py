"""Files about the index's members as received: read, checked, and moved aside where they cannot be used."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Final, TypedDict

from mag7.constituents.announcements import Announcement, read_announcements
from mag7.constituents.applying import add_rows
from mag7.constituents.facts import Facts, RowEdit, cut_back
from mag7.constituents.ishares import read_ivv
from mag7.constituents.readings import NoFileYetError, Reading, ReadingError
from mag7.constituents.sources import find_misfit
from mag7.constituents.spdr import NEXT_STEP, read_spy
from mag7.constituents.timeline import Timeline
from mag7.errors import Mag7Error, one_line
from mag7.index.facts import TABLES, read_facts
from mag7.index.pinned import pinned_facts
from mag7.index.tables import FactTable, FactTableInvalidError, read_lines
from mag7.lake.fact_log import FactLog
from mag7.lake.keys import constituent_files_prefix, refused_file_key, used_rows_key, used_rows_prefix
from mag7.lake.objects import ObjectStore
from mag7.polygon.source import SIMULATED, name_declared_source
from mag7.session_calendar import OverrideInvalidError
from mag7.sessions import previous_session
from mag7.settings import read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

INBOX, IVV, SPY, CHANGES, ROWS = "inbox", "ivv", "spy", "changes", "rows"
"""The kinds of sources and of files; ``rows`` are rows of a fact table that a person adds."""

FROM_INBOX: Final = "inbox-"
"""Prefix of a stored file's kind where a person put the file into the inbox."""

EARLIER_SESSIONS: Final = 3
"""Sessions before the confirmed one from which files are read: what they showed tells what changed."""

_SESSION: Final = re.compile(r"/session=(\d{4}-\d{2}-\d{2})/")


class FileUnusableError(Mag7Error):
    """A file can be read, but not used: it is about another fund, or simulated where facts are real."""


UNUSABLE: Final = (ReadingError, FactTableInvalidError, OverrideInvalidError, FileUnusableError)


class Fetched(TypedDict):
    """The result of fetching from a source: the key of what it sent, or why there is none."""

    label: str
    kind: str
    session: str
    key: str
    failure: str


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


@dataclass(frozen=True)
class Added:
    """Tables with the rows of files added: which files were used, and why others were refused."""

    tables: dict[str, bytes]
    used: tuple[RowFile, ...]
    refused: tuple[tuple[RowFile, str], ...]


@with_facts
def read_files(window: Window, fetched: Iterable[list[Fetched]]) -> list[Fetched]:
    """Read what was fetched; a file that cannot be used is moved aside and reported, and nothing rests on it."""
    store = open_store(read_settings())
    (session,) = list_window(window)
    result = [_check(store, item, session) if item["key"] else item for mine in fetched for item in mine]
    result = _check_rows(store, result, session)
    for item in result:
        log.info("%s: %s", item["label"], item["failure"] or item["key"] or "nothing yet")
    return result


def _check(store: ObjectStore, item: Fetched, session: date) -> Fetched:
    if store.find(item["key"]) is None:
        return _find_moved(store, item)
    try:
        _require_usable(read_file(store, item["key"]), session)
    except NoFileYetError as none:
        store.delete([item["key"]])
        log.info("%s: %s", item["label"], none)
        return {**item, "key": "", "failure": ""}
    except UNUSABLE as wrong:
        return _put_aside(store, item, str(wrong))
    return item


def _find_moved(store: ObjectStore, item: Fetched) -> Fetched:
    """Report a file that an earlier try of this task, or a run since, has moved."""
    aside = refused_file_key(item["key"])
    failure = f"it cannot be used and was moved to {store.uri(aside)}" if store.find(aside) is not None else ""
    return {**item, "key": "", "failure": failure}


def _put_aside(store: ObjectStore, item: Fetched, why: str) -> Fetched:
    key = refused_file_key(item["key"])
    store.copy(item["key"], key)
    store.delete([item["key"]])
    log.error("%s: %s; moved to %s", item["label"], why, store.uri(key))
    return {**item, "key": "", "failure": one_line(why)}


def _require_usable(found: Reading | tuple[Announcement, ...] | FactTable, session: date) -> None:
    """Raise FileUnusableError for another fund's file, and for a simulated one where facts are real."""
    settings = read_settings()
    simulated = name_declared_source(settings.polygon_base_url, settings.polygon_source) == SIMULATED
    stated = found if isinstance(found, tuple) else (found,) if isinstance(found, Reading) else ()
    if any(one.simulated for one in stated) and not simulated:
        raise FileUnusableError("it is simulated by the offline market, and this lake holds real facts")
    if isinstance(found, Reading) and found.as_of <= session:
        misfit = find_misfit(found, Timeline(cut_back(Facts.of(pinned_facts()))))
        if misfit is not None:
            raise FileUnusableError(misfit)


def _check_rows(store: ObjectStore, read: list[Fetched], session: date) -> list[Fetched]:
    """Move aside the files of rows, of this run or an earlier one, that contradict the newest facts."""
    base = FactLog(store).newest()
    rows = _read_rows(store)
    if base is None or not rows:
        return read
    refused = {one.key: why for one, why in add_row_files(FactLog(store).read_tables(base), rows).refused}
    known = {item["key"] for item in read}
    earlier: list[Fetched] = [
        {"label": f"{FROM_INBOX}{ROWS} {session}", "kind": ROWS, "session": str(session), "key": key, "failure": ""}
        for key in refused
        if key not in known
    ]
    return [
        _put_aside(store, item, refused[item["key"]]) if item["key"] in refused else item for item in [*read, *earlier]
    ]


def _read_rows(store: ObjectStore) -> list[RowFile]:
    found = [(entry.key, read_file(store, entry.key)) for entry in store.list(constituent_files_prefix(ROWS_KIND))]
    return [RowFile(key, table) for key, table in found if isinstance(table, FactTable)]


ROWS_KIND: Final = FROM_INBOX + ROWS


def add_row_files(before: Mapping[str, bytes], files: Iterable[RowFile]) -> Added:
    """Add the rows of each file that contradicts nothing; a file may rest on the rows of another one."""
    tables, used = dict(before), list[RowFile]()
    waiting = sorted(files, key=lambda one: (TABLES.index(one.table.name), one.key))
    while waiting:
        refused: list[tuple[RowFile, str]] = []
        for one in waiting:
            try:
                added = add_rows(tables, [one.table])
                read_facts(added)
            except UNUSABLE as wrong:
                refused.append((one, str(wrong)))
                continue
            tables = added
            used.append(one)
        if len(refused) == len(waiting):
            return Added(tables, tuple(used), tuple(refused))
        waiting = [one for one, _ in refused]
    return Added(tables, tuple(used), ())


def sort_rows(files: Iterable[RowFile], edits: Iterable[RowEdit]) -> tuple[tuple[RowFile, ...], tuple[RowFile, ...]]:
    """Split files by whether their rows stay: those of unconfirmed sessions are taken out again, and wait."""
    removed = [
        (edit.table.value, edit.before.items()) for edit in edits if edit.before is not None and edit.after is None
    ]
    used, early = list[RowFile](), list[RowFile]()
    for one in files:
        header, *rows = (values for _, values in read_lines(one.table) if values)
        named = [dict(zip(header, values, strict=False)).items() for values in rows]
        gone = any(name == one.table.name and before <= row for name, before in removed for row in named)
        (early if gone else used).append(one)
    return tuple(used), tuple(early)


def mark_used(store: ObjectStore, files: Iterable[RowFile]) -> None:
    """Move files whose rows are published, so that they are not added again: a later version may change the rows."""
    for one in files:
        store.copy(one.key, used_rows_key(one.key))
        store.delete([one.key])


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
    return Gathered(tuple(readings), _without_withdrawn(stated), tuple(_read_rows(store)), tuple(failures))


def _is_stated_by_hand(key: str) -> bool:
    """Whether a person states changes in a file: it counts until their dates are confirmed, however old it is."""
    return key.startswith(constituent_files_prefix(FROM_INBOX + CHANGES))


def _without_withdrawn(stated: Iterable[tuple[str, date, tuple[Announcement, ...]]]) -> tuple[Announcement, ...]:
    """Leave out what an address announced for a future day and no longer announces."""
    stated = list(stated)
    says = {session: {_subject(one) for one in found} for key, session, found in stated if FROM_INBOX not in key}

    def is_withdrawn(one: Announcement, since: date) -> bool:
        return any(since < day < one.effective and _subject(one) not in told for day, told in says.items())

    kept = [
        one for key, session, found in stated for one in found if FROM_INBOX in key or not is_withdrawn(one, session)
    ]
    return tuple(dict.fromkeys(kept))


def _subject(one: Announcement) -> tuple[object, ...]:
    return one.effective, one.action, one.symbol, one.new_symbol, one.source
