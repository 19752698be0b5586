"""Asking the provider: polygon-api-client carries the request, everything it leaves open is closed here."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from mag7.polygon.answers import Answer
from mag7.polygon.bodies import parse_object
from mag7.polygon.errors import (
    BodyInvalidError,
    CollectionStoppedError,
    KeyMissingError,
    KeyRejectedError,
    NotYetReleasedError,
    PlanRefusedError,
    PolygonError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
    UnreachableError,
)
from mag7.polygon.rate import RateLimiter

OFFICIAL_HOSTS = frozenset({"api.polygon.io", "api.massive.com"})
SOURCE_HEADER = "X-Market-Source"
SIMULATED = "simulated"

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 120.0
LONGEST_FAILED_BODY = 10_000
LONGEST_EXCERPT = 200
LARGEST_PAGES = 10_000
SHORTEST_SCRUBBED_KEY = 8
"""A shorter key is a placeholder; replacing it could change words of a good body."""

_TRANSIENT_STATUSES = frozenset({408, 425, 499})
Check = Callable[[str], object]


class PolygonClient:
    """One key at one address; safe to use from ``threads`` threads at once.

    ``tries`` attempts at most are made at a call, ``read_timeout`` (seconds) bounds each wait for the server. The key
    travels in the Authorization header alone. ``source`` names answers of an address that is not the provider's;
    whatever is said there, an answer that calls itself simulated is.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        limiter: RateLimiter,
        connect_timeout: float,
        read_timeout: float,
        tries: int,
        threads: int,
        source: str | None = None,
    ) -> None:
        self.base_url = _check_base_url(base_url)
        self.limiter = limiter
        self.source = _declared_source(self.base_url, source)
        self.tries = tries
        self._prefix = urlsplit(self.base_url).path
        self._scrub = _make_scrubber(_check_key(api_key))
        self._headers, self._pool, self._pools = _open_transport(
            self.base_url, api_key.strip(), connect_timeout, read_timeout, threads
        )
        self._no_retries = _no_retries()
        self._never = threading.Event()
        self._counting = threading.Lock()
        self._requests = 0

    def __repr__(self) -> str:
        """Show the address and the source, never the key."""
        return f"PolygonClient({self.base_url!r}, source={self.source!r})"

    @property
    def requests(self) -> int:
        """How many requests were sent so far, repeated ones included."""
        return self._requests

    def close(self) -> None:
        """Close the connections."""
        self._pools.clear()

    def fetch(self, path: str, check: Check | None = None, stop: threading.Event | None = None) -> Answer:
        """Ask for a path until it answers, at most ``tries`` times; returns a valid 200 or a 404.

        ``check`` raises BodyInvalidError for a body that cannot be used (default: any JSON object can). Raises the
        PolygonError of the last attempt, at once where asking again cannot help, CollectionStoppedError after ``stop``.
        """
        stop = stop or self._never
        tries = 0
        while True:
            tries += 1
            if not self.limiter.acquire(stop):
                raise CollectionStoppedError(f"{path}: not asked, the collection is being stopped")
            outcome = self._attempt(path, check)
            if isinstance(outcome, Answer):
                return outcome
            if not outcome.transient or tries >= self.tries:
                raise outcome.changed(tries=tries)
            self._wait(outcome, tries, stop)

    def fetch_pages(self, path: str, check: Check | None = None) -> Iterator[Answer]:
        """Yield a listing's pages; next_url is followed by path and query only, on our own address."""
        seen: set[str] = set()
        following: str | None = path
        while following is not None:
            if following in seen or len(seen) >= LARGEST_PAGES:
                raise BodyInvalidError(path, f"next_url leads nowhere new after {len(seen)} pages")
            seen.add(following)
            answer = self.fetch(following, check)
            yield answer
            following = _next_path(answer, path)

    def _wait(self, error: PolygonError, tries: int, stop: threading.Event) -> None:
        seconds = _backoff(tries) if error.retry_after is None else error.retry_after
        if isinstance(error, RateLimitedError):
            # The limit is the key's: every thread waits, in the limiter, and at least as long as one call is worth.
            self.limiter.pause(max(seconds, self.limiter.interval))
        else:
            self.limiter.clock.wait(seconds, stop)

    def _attempt(self, path: str, check: Check | None) -> Answer | PolygonError:
        response = self._send(path)
        if isinstance(response, PolygonError):
            return response
        status, headers = response.status, response.headers
        source = self._name_source(headers)
        try:
            body = self._scrub(response.data.decode("utf-8"))
        except UnicodeDecodeError as broken:
            if status == 200:
                return BodyInvalidError(path, f"the body is not UTF-8 (byte {broken.start})", status=status)
            body = ""
        if status == 200:
            invalid = _check_body(path, body, check)
            if invalid is not None:
                return invalid
        elif status != 404:
            return self._describe_refusal(path, status, headers, body)
        return Answer(path, self.limiter.clock.now(), status, source, body)

    def _send(self, path: str) -> Any | PolygonError:
        from urllib3.exceptions import DecodeError, HTTPError

        with self._counting:
            self._requests += 1
        # The errors are built inside the except blocks and returned, not raised: no frame of urllib3, whose locals
        # hold the headers, hangs on what travels on.
        try:
            return self._pool.urlopen(
                "GET", self._prefix + path, headers=self._headers, retries=self._no_retries, redirect=False
            )
        except DecodeError as error:
            return BodyInvalidError(path, f"the body cannot be decompressed ({self._scrub(_one_line(str(error)))})")
        except HTTPError as error:
            return self._unreachable(path, error)

    def _unreachable(self, path: str, error: Exception) -> UnreachableError:
        what = self._scrub(_one_line(_describe_transport(error)))
        step = f"check the network and POLYGON_BASE_URL (now {self.base_url})"
        return UnreachableError(path, f"{urlsplit(self.base_url).netloc} {what}", next_step=step)

    def _name_source(self, headers: Any) -> str:
        if headers.get(SOURCE_HEADER) == SIMULATED:
            self.source = SIMULATED
        return self.source

    def _describe_refusal(self, path: str, status: int, headers: Any, body: str) -> PolygonError:
        kind = _refusal_kind(status, body)
        message = _message(body)
        said = f' "{message}"' if message else ""
        location = self._scrub(headers.get("Location") or "")
        moved = f", redirected to {_one_line(location)}" if 300 <= status < 400 else ""
        return kind(
            path,
            f"HTTP {status}{said}{moved}",
            status=status,
            body=body[:LONGEST_FAILED_BODY],
            retry_after=_retry_after(headers.get("Retry-After"), self.limiter.clock.now()),
        )


def _check_body(path: str, body: str, check: Check | None) -> BodyInvalidError | None:
    try:
        if check is None:
            parse_object(body, path)
        else:
            check(body)
    except BodyInvalidError as invalid:
        return BodyInvalidError(path, invalid.reason, status=200, body=body)
    return None


def _refusal_kind(status: int, body: str) -> type[PolygonError]:
    if status == 401:
        return KeyRejectedError
    if status == 403:
        return NotYetReleasedError if "before end of day" in body.lower() else PlanRefusedError
    if status == 429:
        return RateLimitedError
    if status >= 500 or status in _TRANSIENT_STATUSES:
        return ServerFailedError
    return RequestRefusedError


def _message(body: str) -> str:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    said = (content.get("error") or content.get("message")) if isinstance(content, dict) else None
    return _one_line(said if isinstance(said, str) else body)


def _one_line(text: str) -> str:
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:2000]).split())
    return line if len(line) <= LONGEST_EXCERPT else f"{line[: LONGEST_EXCERPT - 3]}..."


def _describe_transport(error: Exception) -> str:
    from urllib3 import exceptions

    if isinstance(error, exceptions.ConnectTimeoutError):
        return "did not accept a connection in time (connect timeout)"
    if isinstance(error, exceptions.ReadTimeoutError):
        return "did not answer in time (read timeout)"
    if isinstance(error, exceptions.NameResolutionError):
        return "is not a host that can be found"
    if isinstance(error, exceptions.NewConnectionError):
        return "cannot be connected to (connection refused or no route)"
    inner = next((part for part in error.args if isinstance(part, Exception)), None)
    detail = f"{type(inner).__name__}: {inner}" if inner else str(error)
    return f"broke the answer off ({type(error).__name__}: {detail})"


def _retry_after(text: str | None, now: datetime) -> float | None:
    if not text:
        return None
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _backoff(tries: int) -> float:
    longest = min(FIRST_BACKOFF_SECONDS * 2.0 ** (tries - 1), LONGEST_BACKOFF_SECONDS)
    # Threads that failed together must not come back together. No secret hangs on it.
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


def _next_path(answer: Answer, first: str) -> str | None:
    following = parse_object(answer.body, first).get("next_url") if answer.status == 200 else None
    if following is None:
        return None
    if not isinstance(following, str):
        raise BodyInvalidError(first, "next_url is not a string")
    parts = urlsplit(following)
    if not parts.path.startswith("/") or parts.path.startswith("//"):
        raise BodyInvalidError(first, f"next_url has no usable path ({_one_line(following)})")
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0].lower() != "apikey"])
    return f"{parts.path}?{query}" if query else parts.path


def _check_base_url(base_url: str) -> str:
    parts = urlsplit(base_url.strip().rstrip("/"))
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        shown = parts.hostname or "that text"
        raise UnreachableError(
            "POLYGON_BASE_URL",
            f"{shown} is no address of the form https://host[:port]",
            next_step="set POLYGON_BASE_URL to the API's address without key, query or password",
        )
    if parts.hostname in OFFICIAL_HOSTS and parts.scheme != "https":
        raise UnreachableError(
            "POLYGON_BASE_URL",
            f"http://{parts.hostname} would show the key to everyone on the way",
            next_step=f"set POLYGON_BASE_URL to https://{parts.hostname}",
        )
    return parts.geturl()


def _declared_source(base_url: str, source: str | None) -> str:
    parts = urlsplit(base_url)
    if parts.hostname in OFFICIAL_HOSTS:
        return "polygon"
    return source or parts.netloc


def _check_key(api_key: str | None) -> str:
    key = (api_key or "").strip()
    if not key:
        raise KeyMissingError("API key", "no key is set")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise KeyMissingError("API key", "the key holds characters that no key has (spaces, line ends, accents)")
    return key


def _make_scrubber(key: str) -> Callable[[str], str]:
    if len(key) < SHORTEST_SCRUBBED_KEY:
        return lambda text: text
    forms = sorted({key, quote(key, safe=""), quote(key), json.dumps(key)[1:-1]}, key=len, reverse=True)

    def scrub(text: str) -> str:
        for form in forms:
            if form in text:
                text = text.replace(form, "[API key]")
        return text

    return scrub


def _no_retries() -> Any:
    from urllib3.util.retry import Retry

    return Retry(total=False, redirect=False)


def _open_transport(base_url: str, key: str, connect: float, read: float, threads: int) -> tuple[Any, Any, Any]:
    from polygon import RESTClient

    rest = RESTClient(api_key=key, connect_timeout=connect, read_timeout=read, retries=0, base=base_url)
    # The client builds these timeouts and never hands them to its pools; and its pools keep one connection.
    rest.client.connection_pool_kw.update(timeout=rest.timeout, maxsize=max(threads, 1))
    return rest.headers, rest.client.connection_from_url(base_url), rest.client
