"""Sources about the index's members: which are switched on, fetching their files, and emptying the inbox.

Files are stored as received, with their digest. A source that does not respond, or sends what cannot be read, changes
nothing and stops no other: the run reports which one and why.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import Any, Final, TypedDict

from mag7.errors import Mag7Error, one_line
from mag7.index.facts import TABLES
from mag7.lake.keys import constituent_file_key, constituent_files_prefix, inbox_prefix
from mag7.lake.objects import ObjectStore
from mag7.sessions import list_sessions, previous_session
from mag7.settings import read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.received import Fetched
from mag7.tasks.stored_files import CHANGES, FROM_INBOX, INBOX, IVV, ROWS, SPY, find_session
from mag7.tasks.window import Window, list_window

log = logging.getLogger(__name__)

SESSIONS_ASKED: Final = 5
"""Sessions before the run's for which a missing IVV file is asked for: a file may come late."""

LARGEST_FILE: Final = 50_000_000
SECONDS: Final = 60.0
BACKOFF: Final = 1.0
PASSING_STATUSES: Final = (429, 500, 502, 503, 504)


class SourceFailedError(Mag7Error):
    """A source did not respond, or sent what cannot be used; the others were used."""


class TermsNotReadError(Mag7Error):
    """A setting names a source's address, and none says that its terms were read."""


class Source(TypedDict):
    """One source to fetch from: its kind, its address (none for the inbox), and the session to ask for."""

    label: str
    kind: str
    url: str
    session: str


@with_facts
def list_sources(window: Window) -> list[Source]:
    """List a run's sources: the inbox, and each address that the settings name and whose terms they say were read.

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
        sources += [_source(kind, url, day) for day in _list_days(store, kind, url, session)]
    return sources


def _source(kind: str, url: str, session: date) -> Source:
    address = url.replace("{date}", f"{session:%Y%m%d}")
    return {"label": f"{kind} {session}", "kind": kind, "url": address, "session": session.isoformat()}


def _list_days(store: ObjectStore, kind: str, url: str, session: date) -> list[date]:
    """List the sessions to ask a source for: those before the run's, as files of a session come a day later."""
    newest = previous_session(session)
    if kind != IVV or "{date}" not in url:
        return [newest]
    kept = {find_session(entry.key) for entry in store.list(constituent_files_prefix(kind))}
    return [day for day in list_sessions(previous_session(session, SESSIONS_ASKED), newest) if day not in kept]


def fetch(source: Source) -> list[Fetched]:
    """Fetch a source's files and store them as received; of the inbox, every file in it."""
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
    from urllib3.exceptions import HTTPError
    from urllib3.util import Retry

    with requests.Session() as session:
        # A source that asks for an hour's wait is left out of this run.
        retry = Retry(
            total=2,
            backoff_factor=BACKOFF,
            status_forcelist=PASSING_STATUSES,
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        try:
            # Wikipedia refuses clients that do not say what they are.
            agent = {"User-Agent": "mag7-constituents (an Airflow pipeline; one request a day)"}
            with session.get(url, headers=agent, timeout=(10, SECONDS), stream=True) as response:
                if not response.ok:
                    raise SourceFailedError(f"no file came: status {response.status_code}; the next run asks again")
                body = response.raw.read(LARGEST_FILE + 1, decode_content=True)
        except (requests.RequestException, HTTPError, OSError) as failed:
            # An address may hold a token: report only the kind of failure.
            raise SourceFailedError(f"no file came: {type(failed).__name__}; the next run asks again") from None
    if len(body) > LARGEST_FILE:
        raise SourceFailedError(f"the file has more than {LARGEST_FILE} bytes; the next run asks again")
    return bytes(body)


def _empty_inbox(store: ObjectStore, session: date) -> Iterator[Fetched]:
    """Take every file out of the inbox; one whose name does not say its kind stays, and is reported."""
    for entry in list(store.list(inbox_prefix())):
        name = entry.key.removeprefix(inbox_prefix())
        if not name or name.endswith("/"):
            continue  # a folder, as the console makes it
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
    """Return the kind of a file in the inbox, from the beginning of its name; None where it says none."""
    plain = PurePosixPath(name).name.lower()
    if any(plain.startswith(table.removesuffix(".csv")) for table in TABLES):
        return ROWS
    return next((kind for kind in (IVV, SPY, CHANGES) if plain.startswith(kind)), None)


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


def report_sources(read: list[Fetched], outcome: Mapping[str, Any]) -> None:
    """Fail the run where a source failed or sent false data, although the others were used; names each."""
    failures = [f"{item['label']}: {item['failure']}" for item in read if item["failure"]]
    failures += outcome["failures"]
    if failures:
        raise SourceFailedError(
            f"{len(failures)} of the sources could not be used, nothing was taken from them: {'; '.join(failures)}"
        )
