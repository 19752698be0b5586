"""Files about the index's members: which sources are on, fetching them, and taking them out of the inbox.

What a source sends is kept as received, with its digest. A source that is silent, or sends what cannot be read, changes
nothing and stops no other: the run says which one and why.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Final, TypedDict

from mag7.constituents.announcements import Announcement, read_announcements
from mag7.constituents.ishares import read_ivv
from mag7.constituents.readings import NoFileYetError, Reading, ReadingError
from mag7.constituents.spdr import read_spy
from mag7.errors import Mag7Error, one_line
from mag7.index.facts import TABLES
from mag7.index.tables import FactTable, FactTableInvalidError, read_lines
from mag7.lake.keys import constituent_file_key, constituent_files_prefix, inbox_prefix, refused_file_key
from mag7.lake.objects import ObjectStore, StoredObject
from mag7.sessions import list_sessions, previous_session
from mag7.settings import read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

INBOX, IVV, SPY, CHANGES, ROWS = "inbox", "ivv", "spy", "changes", "rows"
"""The kinds of sources and of files; ``rows`` are rows of a fact table that a person adds."""

FROM_INBOX: Final = "inbox-"
"""What the kind of a kept file begins with where a person put it into the inbox."""

SESSIONS_ASKED: Final = 5
"""IVV's file of so many sessions before the run's is asked for, where it is not kept yet: it may come late."""

EARLIER_SESSIONS: Final = 3
"""Files of so many sessions before the confirmed one are read, too: what was shown before tells what changed."""

LARGEST_FILE: Final = 50_000_000
SECONDS: Final = 60.0
_SESSION: Final = re.compile(r"/session=(\d{4}-\d{2}-\d{2})/")


class SourceFailedError(Mag7Error):
    """A source did not answer, or sent what cannot be used; the others were used."""


class TermsNotReadError(Mag7Error):
    """A setting names a source's address, and none says that its terms were read."""


class Source(TypedDict):
    """One source to ask: its kind, its address (none for the inbox), and the session that it is asked about."""

    label: str
    kind: str
    url: str
    session: str


class Fetched(TypedDict):
    """What came of asking a source: the key of what it sent, or why there is none."""

    label: str
    kind: str
    session: str
    key: str
    failure: str


@dataclass(frozen=True)
class Gathered:
    """Every readable file at hand: what funds held, what was announced, and rows of fact tables by file name."""

    readings: tuple[Reading, ...]
    announcements: tuple[Announcement, ...]
    rows: tuple[FactTable, ...]


@with_facts
def list_sources(window: Window) -> list[Source]:
    """List what a run asks: the inbox always, a fund or a page where settings name it and say its terms were read.

    Raises TermsNotReadError.
    """
    settings, store = read_settings(), open_store(read_settings())
    (session,) = list_window(window)
    sources: list[Source] = [_source(INBOX, "", session)]
    terms = {name.strip() for name in settings.terms_read.split(",")}
    for kind, url in ((IVV, settings.ivv_url), (SPY, settings.spy_url), (CHANGES, settings.changes_url)):
        if not url:
            continue
        if kind not in terms:
            raise TermsNotReadError(
                f"MAG7_{kind.upper()}_URL names a source, but MAG7_TERMS_READ does not say that its terms were read: "
                f"read them, then add {kind} there, or leave the address empty"
            )
        sources += [_source(kind, url, day) for day in _list_days(store, kind, session)]
    return sources


def _source(kind: str, url: str, session: date) -> Source:
    address = url.replace("{date}", f"{session:%Y%m%d}")
    return {"label": f"{kind} {session}", "kind": kind, "url": address, "session": session.isoformat()}


def _list_days(store: ObjectStore, kind: str, session: date) -> list[date]:
    """List the sessions that a source is asked about: before the run's, as files of a session come a day later."""
    newest = previous_session(session)
    if kind != IVV:
        return [newest]
    kept = {_read_session(entry.key) for entry in store.list(constituent_files_prefix(kind))}
    return [day for day in list_sessions(previous_session(session, SESSIONS_ASKED), newest) if day not in kept]


def fetch(source: Source) -> list[Fetched]:
    """Fetch what a source has and keep it as received; of the inbox, every file that lies there."""
    store = open_store(read_settings())
    session = date.fromisoformat(source["session"])
    if source["kind"] == INBOX:
        return list(_empty_inbox(store, session))
    try:
        body = _download(source["url"])
    except SourceFailedError as failed:
        log.error("%s: %s", source["label"], failed)  # noqa: TRY400 - one line is enough
        return [_fetched(source["kind"], session, failure=str(failed))]
    return [_keep(store, source["kind"], session, body, PurePosixPath(source["url"].partition("?")[0]).name)]


def _download(url: str) -> bytes:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    with requests.Session() as session:
        retry = Retry(total=2, backoff_factor=1.0, status_forcelist=(429, 500, 502, 503, 504))
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        try:
            with session.get(url, timeout=(10, SECONDS), stream=True) as response:
                response.raise_for_status()
                body = response.raw.read(LARGEST_FILE + 1, decode_content=True)
        except (requests.RequestException, OSError) as failed:
            # An address may hold a token: only its kind of failure is told.
            raise SourceFailedError(f"no file came: {type(failed).__name__}; the next run asks again") from None
    if len(body) > LARGEST_FILE:
        raise SourceFailedError(f"the file has more than {LARGEST_FILE} bytes; the next run asks again")
    return bytes(body)


def _empty_inbox(store: ObjectStore, session: date) -> Iterator[Fetched]:
    """Take every file out of the inbox; one whose kind its name does not tell stays, and is named."""
    for entry in list(store.list(inbox_prefix())):
        name = entry.key.removeprefix(inbox_prefix())
        kind = name_kind(name)
        if kind is None:
            reason = (
                f"the name of {entry.key} does not say what it is: begin it with ivv, spy, changes, or the name of a "
                f"fact table such as {TABLES[0]}"
            )
            yield _fetched(INBOX, session, failure=reason)
            continue
        yield _keep(store, FROM_INBOX + kind, session, store.get(entry.key), name)
        store.delete([entry.key])


def name_kind(name: str) -> str | None:
    """Name the kind of a file in the inbox by how its name begins; None where it tells none."""
    plain = PurePosixPath(name).name.lower()
    if any(plain.startswith(table.removesuffix(".csv")) for table in TABLES):
        return ROWS
    return next((kind for kind in (IVV, SPY, CHANGES) if plain.startswith(kind)), None)


def name_table(name: str) -> str:
    """Name the fact table that a file of rows belongs to: the longest table name that it begins with."""
    plain = PurePosixPath(name).name.lower()
    return max((table for table in TABLES if plain.startswith(table.removesuffix(".csv"))), key=len)


def _keep(store: ObjectStore, kind: str, session: date, body: bytes, name: str) -> Fetched:
    key = constituent_file_key(kind, session, hashlib.sha256(body).hexdigest(), name or kind)
    store.put(key, body)
    return _fetched(kind, session, key=key)


def _fetched(kind: str, session: date, *, key: str = "", failure: str = "") -> Fetched:
    return {
        "label": f"{kind} {session}",
        "kind": kind,
        "session": session.isoformat(),
        "key": key,
        "failure": one_line(failure),
    }


@with_facts
def read_files(window: Window, fetched: Iterable[list[Fetched]]) -> list[Fetched]:
    """Read what was fetched; a file that cannot be used is put aside and named, and nothing rests on it."""
    store = open_store(read_settings())
    result: list[Fetched] = []
    for item in (item for mine in fetched for item in mine):
        result.append(_check(store, item) if item["key"] else item)
        log.info("%s: %s", item["label"], result[-1]["failure"] or result[-1]["key"])
    return result


def _check(store: ObjectStore, item: Fetched) -> Fetched:
    try:
        read_file(store, item["key"])
    except NoFileYetError as none:
        store.delete([item["key"]])
        log.info("%s: %s", item["label"], none)
        return {**item, "key": "", "failure": ""}
    except (ReadingError, FactTableInvalidError) as wrong:
        store.copy(item["key"], refused_file_key(item["key"]))
        store.delete([item["key"]])
        log.error("%s: %s", item["label"], wrong)  # noqa: TRY400 - one line is enough
        return {**item, "key": "", "failure": str(wrong)}
    return item


def read_file(store: ObjectStore, key: str) -> Reading | tuple[Announcement, ...] | FactTable:
    """Read a kept file by its kind; raises ReadingError, and FactTableInvalidError for rows that are none."""
    body, name = store.get(key), PurePosixPath(key).name.partition("-")[2]
    kind = key.removeprefix(constituent_files_prefix()).partition("/")[0]
    by_hand = kind.startswith(FROM_INBOX)
    # What an address sends must be of the session that it was asked about; a file of the inbox names its own.
    session = None if by_hand else _read_session(key)
    match kind.removeprefix(FROM_INBOX):
        case "ivv":
            return read_ivv(body, f"IVV {name}", session=session)
        case "spy":
            return read_spy(body, f"SPY {name}", session=session)
        case "changes":
            return read_announcements(body, f"changes {name}", person="the inbox" if by_hand else None)
    table = FactTable(name_table(name), body)
    list(read_lines(table))
    return table


def _read_session(key: str) -> date | None:
    found = _SESSION.search(key)
    return date.fromisoformat(found[1]) if found else None


def gather(store: ObjectStore, confirmed: date) -> Gathered:
    """Read every kept file that a proposal rests on: funds' from shortly before the confirmed session on, and all rows.

    The inbox's come last: of several files of one fund and session the last one counts, and a person's is a correction.
    """
    first = previous_session(confirmed, EARLIER_SESSIONS)
    readings: list[Reading] = []
    announcements: list[Announcement] = []
    rows: list[FactTable] = []
    for entry in sorted(store.list(constituent_files_prefix()), key=_is_by_hand):
        session = _read_session(entry.key)
        if session is None or session < first:
            continue
        found = read_file(store, entry.key)
        if isinstance(found, Reading):
            readings.append(found)
        elif isinstance(found, FactTable):
            rows.append(found)
        else:
            announcements += found
    return Gathered(tuple(readings), tuple(dict.fromkeys(announcements)), tuple(rows))


def _is_by_hand(entry: StoredObject) -> bool:
    return entry.key.startswith(constituent_files_prefix() + FROM_INBOX)


def report_sources(read: list[Fetched]) -> None:
    """Fail the run where a source failed or lied, whatever became of the others: SourceFailedError names each."""
    failures = [f"{item['label']}: {item['failure']}" for item in read if item["failure"]]
    if failures:
        raise SourceFailedError(
            f"{len(failures)} of {len(read)} sources could not be used, nothing rests on them: {'; '.join(failures)}"
        )
