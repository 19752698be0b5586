"""The published document of a session, as an earlier run left it."""

from __future__ import annotations

import json
import logging
from datetime import date

from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.market.document import Document

log = logging.getLogger(__name__)


def read_published(store: ObjectStore, session: date) -> Document | None:
    """Read a session's published document; None where there is none, or, with a warning, where it cannot be read."""
    key = document_key(session)
    try:
        document = json.loads(store.get(key))
    except ObjectMissingError:
        return None
    except ValueError as damaged:
        log.warning("%s is no document (%s): taken for not published, a run replaces it", store.uri(key), damaged)
        return None
    if not isinstance(document, dict) or "constituents" not in document:
        log.warning("%s is no document of this project: taken for not published, a run replaces it", store.uri(key))
        return None
    return document
