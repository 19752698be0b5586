"""Replies and the error bodies of the provider."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

PRICING = "https://polygon.io/pricing"


@dataclass(frozen=True)
class Reply:
    """An HTTP response and the endpoint that counts it."""

    status: int
    body: bytes
    endpoint: str = "other"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A GET request: path, query, the id of its response, and the address that the client used."""

    path: str
    query: Mapping[str, str]
    base_url: str = "http://127.0.0.1"

    @property
    def request_id(self) -> str:
        """Return an id that depends only on the request, so that equal requests get equal bytes."""
        text = self.path + "?" + "&".join(f"{key}={value}" for key, value in sorted(self.query.items()))
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class RefusedError(Exception):
    """A request that gets an error body."""

    def __init__(self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status, self.body, self.headers = status, body, headers or {}

    def reply(self, request: Request, endpoint: str) -> Reply:
        """The HTTP answer."""
        content = {"status": self.body["status"], "request_id": request.request_id, **self.body}
        return Reply(self.status, to_json(content), endpoint, self.headers)


def to_json(content: object) -> bytes:
    """Write JSON without spaces, as the provider does."""
    return json.dumps(content, separators=(",", ":")).encode()


def unknown_key() -> RefusedError:
    """Unknown key."""
    return RefusedError(401, {"status": "ERROR", "error": "Unknown API Key"})


def missing_key() -> RefusedError:
    """Missing key."""
    return RefusedError(401, {"status": "ERROR", "error": "API Key was not provided"})


def plan_refuses() -> RefusedError:
    """The plan does not include the endpoint."""
    text = f"You are not entitled to this data. Please upgrade your plan at {PRICING}"
    return RefusedError(403, {"status": "NOT_AUTHORIZED", "message": text})


def outside_plan() -> RefusedError:
    """The date lies in the future or before the plan's history."""
    text = f"Your plan doesn't include this data timeframe. Please upgrade your plan at {PRICING}"
    return RefusedError(403, {"status": "NOT_AUTHORIZED", "message": text})


def before_end_of_day() -> RefusedError:
    """Today's bars are requested too early."""
    text = f"Attempted to request today's data before end of day. Please upgrade your plan at {PRICING}"
    return RefusedError(403, {"status": "NOT_AUTHORIZED", "message": text})


def ticker_not_found() -> RefusedError:
    """No such symbol on the date."""
    return RefusedError(404, {"status": "NOT_FOUND", "message": "Ticker not found."})


def data_not_found() -> RefusedError:
    """No bar on the date."""
    return RefusedError(404, {"status": "NOT_FOUND", "message": "Data not found."})


def bad_request(text: str) -> RefusedError:
    """A parameter is invalid."""
    return RefusedError(400, {"status": "ERROR", "error": text})


def too_many_requests() -> RefusedError:
    """The rate limit of the plan."""
    text = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."
    return RefusedError(429, {"status": "ERROR", "error": f"{text} {PRICING}"})


def read_day(text: str, what: str) -> date:
    """Read a date parameter; anything but YYYY-MM-DD is a bad request."""
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise bad_request(f"Could not parse the {what} parameter: '{text}'. Use YYYY-MM-DD or Unix MS Timestamps")


def read_limit(query: Mapping[str, str], default: int, largest: int) -> int:
    """Read the page size."""
    text = query.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= largest:
        raise bad_request(f"limit must be a number between 1 and {largest}: '{text}'")
    return int(text)
