"""The published document of a session, as an earlier run left it."""

from __future__ import annotations

import json
import logging
from datetime import date
from typing import cast

from mag7.errors import one_line
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.market.document import Document
from mag7.market.stored import find_fault

log = logging.getLogger(__name__)


def read_published(store: ObjectStore, session: date) -> Document | None:
    """Read a session's published document; None where there is none, or, with a warning, where it cannot be read."""
    key = document_key(session)
    try:
        document = json.loads(store.get(key))
        fault = find_fault(document)
    except ObjectMissingError:
        return None
    except (ValueError, RecursionError) as damaged:
        fault = str(damaged) or type(damaged).__name__
    if fault is None and document["trading_date"] != session.isoformat():
        fault = f"its trading_date is {document['trading_date']}"
    if fault is not None:
        log.warning(
            "%s is no document of this project (%s): taken for not published, a run replaces it",
            store.uri(key),
            one_line(fault),
        )
        return None
    return cast("Document", document)
