"""Check the files about the index's members that a run received, and move aside those that cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date
from typing import TypedDict

from mag7.constituents.announcements import Announcement
from mag7.constituents.facts import Facts, cut_back
from mag7.constituents.readings import NoFileYetError, Reading
from mag7.constituents.sources import find_misfit
from mag7.constituents.timeline import Timeline
from mag7.errors import one_line
from mag7.index.pinned import pinned_facts
from mag7.index.tables import FactTable
from mag7.lake.fact_log import FactLog
from mag7.lake.keys import refused_file_key
from mag7.lake.objects import ObjectStore
from mag7.polygon.source import SIMULATED, name_declared_source
from mag7.settings import read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.row_files import add_row_files
from mag7.tasks.stored_files import (
    FROM_INBOX,
    ROWS,
    UNUSABLE,
    FileUnusableError,
    read_file,
    read_row_files,
)
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)


class Fetched(TypedDict):
    """The result of fetching from a source: the key of what it sent, or why there is none."""

    label: str
    kind: str
    session: str
    key: str
    failure: str


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
    rows = read_row_files(store)
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
