"""The errors of HTTP statuses other than 200 and 404, and how long the provider asks to wait."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mag7.errors import one_line
from mag7.polygon.errors import (
    KeyRejectedError,
    NotYetReleasedError,
    PlanRefusedError,
    PolygonError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
)
from mag7.polygon.transport import LOCATION_HEADER, RETRY_AFTER_HEADER, Reply

LONGEST_KEPT_BODY = 10_000
"""Letters kept of a body that is of no use: error pages can be long."""
LONGEST_RETRY_AFTER_SECONDS = 120.0

_TRANSIENT_STATUSES = frozenset({408, 425, 499})


def describe_error(path: str, reply: Reply, now: datetime) -> PolygonError:
    """Return the error of a response that refuses a call."""
    message = _read_message(reply.text)
    said = f' "{message}"' if message else ""
    target = one_line(reply.headers.get(LOCATION_HEADER, ""))
    moved = f", redirected to {target}" if 300 <= reply.status < 400 else ""
    kind = _choose_kind(reply)
    return kind(
        path,
        f"HTTP {reply.status}{said}{moved}",
        status=reply.status,
        body=reply.text[:LONGEST_KEPT_BODY],
        retry_after=read_retry_after(reply.headers.get(RETRY_AFTER_HEADER), now),
    )


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from now; None where it says nothing usable."""
    text = (text or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _choose_kind(reply: Reply) -> type[PolygonError]:
    if reply.status == 401:
        return KeyRejectedError
    if reply.status == 403:
        return NotYetReleasedError if "before end of day" in reply.text.lower() else PlanRefusedError
    if reply.status == 429:
        return RateLimitedError
    if reply.status >= 500 or reply.status in _TRANSIENT_STATUSES:
        return ServerFailedError
    return RequestRefusedError


def _read_message(body: str) -> str:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return one_line(body)
    said = (content.get("error") or content.get("message")) if isinstance(content, dict) else None
    return one_line(said if isinstance(said, str) else body)
