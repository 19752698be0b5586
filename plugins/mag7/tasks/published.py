"""What earlier runs have published: the complete sessions, and a session's document."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date

from mag7.lake.keys import (
    analytics_key,
    analytics_month_prefix,
    document_key,
    document_month_prefix,
    pending_key,
    pending_prefix,
)
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.lake.tables import list_tables
from mag7.market.document import Document, DocumentUnreadableError, decode_document

log = logging.getLogger(__name__)


def list_complete(store: ObjectStore, sessions: Sequence[date]) -> set[date]:
    """List those of some sessions of which every file is published and has been loaded into the warehouse."""
    pending = {stored.key for stored in store.list(pending_prefix())}
    prefixes = {document_month_prefix(day) for day in sessions}
    prefixes |= {analytics_month_prefix(table.name, day) for day in sessions for table in list_tables()}
    found = {stored.key for prefix in sorted(prefixes) for stored in store.list(prefix)}
    return {
        day
        for day in sessions
        if pending_key(day) not in pending
        and found.issuperset([document_key(day), *(analytics_key(table.name, day) for table in list_tables())])
    }


def read_published(store: ObjectStore, session: date) -> Document | None:
    """Read a session's published document; None where there is none, or, with a warning, where it cannot be read."""
    key = document_key(session)
    try:
        document = decode_document(store.get(key), store.uri(key))
    except ObjectMissingError:
        return None
    except DocumentUnreadableError as unreadable:
        log.warning("%s; treated as not published", unreadable)
        return None
    if document.trading_date != session:
        log.warning("%s is the document of %s: treated as not published", store.uri(key), document.trading_date)
        return None
    return document
