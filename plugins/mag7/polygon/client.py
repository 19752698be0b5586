"""Call the provider until it responds: bodies are checked, transient failures retried, the rate limit kept."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

from mag7.errors import one_line
from mag7.polygon.answers import Answer
from mag7.polygon.error_statuses import LONGEST_KEPT_BODY, describe_error
from mag7.polygon.errors import BodyInvalidError, CollectionStoppedError, PolygonError, RateLimitedError
from mag7.polygon.rate import RateLimiter
from mag7.polygon.response_fields import parse_object
from mag7.polygon.source import SIMULATED, name_declared_source
from mag7.polygon.transport import SOURCE_HEADER, Reply, Transport

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
MOST_PAGES = 10_000

Check = Callable[[str], object]


class PolygonClient:
    """One key at one address; safe to use from ``threads`` threads at once.

    A call is tried at most ``tries`` times; ``read_timeout`` (seconds) bounds each wait for the server. ``source``
    names the responses of an address that is not the provider's; a response that says it is simulated counts as
    simulated in any case.
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
        self._transport = Transport(
            base_url, api_key, connect_timeout=connect_timeout, read_timeout=read_timeout, threads=threads
        )
        self.limiter = limiter
        self.tries = tries
        self.source = name_declared_source(base_url, source)
        self._never = threading.Event()
        self._counting = threading.Lock()
        self._requests = 0

    def __repr__(self) -> str:
        """Show the address and the source, never the key."""
        return f"PolygonClient({self._transport.base_url!r}, source={self.source!r})"

    @property
    def requests(self) -> int:
        """The number of requests sent so far, retries included."""
        return self._requests

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def fetch(self, path: str, check: Check | None = None, stop: threading.Event | None = None) -> Answer:
        """Request a path until it responds, at most ``tries`` times; returns a valid 200 or a 404.

        ``check`` raises BodyInvalidError for a body that cannot be used (default: any JSON object can). Raises the
        PolygonError of the last try, at once where a retry cannot help; CollectionStoppedError after ``stop``.
        """
        stop = stop or self._never
        tries = 0
        while True:
            if not self.limiter.acquire(stop):
                raise CollectionStoppedError(f"{path}: given up, the collection is being stopped")
            tries += 1
            outcome = self._hide_key(self._attempt(path, check))
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
            if following in seen or len(seen) >= MOST_PAGES:
                raise BodyInvalidError(path, f"next_url leads nowhere new after {len(seen)} pages")
            seen.add(following)
            answer = self.fetch(following, check)
            yield answer
            following = next_page_path(answer)
            if following is not None and self._transport.scrub(following) != following:
                raise BodyInvalidError(path, "next_url holds the API key in a parameter that is not its own")

    def _attempt(self, path: str, check: Check | None) -> Answer | PolygonError:
        with self._counting:
            self._requests += 1
        reply = self._transport.send(path)
        if isinstance(reply, PolygonError):
            return reply
        if reply.headers.get(SOURCE_HEADER) == SIMULATED:
            self.source = SIMULATED
        if reply.status == 200:
            invalid = _check_body(path, reply, check)
            if invalid is not None:
                return invalid
        elif reply.status != 404:
            return describe_error(path, reply, self.limiter.clock.now())
        return Answer(path, self.limiter.clock.now(), reply.status, self.source, reply.text)

    def _hide_key(self, outcome: Answer | PolygonError) -> Answer | PolygonError:
        """Remove the key from a reason, too: a body that escapes letters shows the key only once it is parsed."""
        if isinstance(outcome, Answer):
            return outcome
        return outcome.changed(reason=self._transport.scrub(outcome.reason))

    def _wait(self, error: PolygonError, tries: int, stop: threading.Event) -> None:
        seconds = _back_off(tries) if error.retry_after is None else error.retry_after
        if isinstance(error, RateLimitedError):
            # The limit is the key's: every thread waits in the limiter, at least for the interval of one call.
            self.limiter.pause(max(seconds, self.limiter.interval))
        else:
            self.limiter.clock.wait(seconds, stop)


def _check_body(path: str, reply: Reply, check: Check | None) -> BodyInvalidError | None:
    try:
        if check is None:
            parse_object(reply.text, path)
        else:
            check(reply.text)
    except BodyInvalidError as invalid:
        return BodyInvalidError(path, invalid.reason, status=reply.status, body=reply.text[:LONGEST_KEPT_BODY])
    return None


def _back_off(tries: int) -> float:
    longest = min(FIRST_BACKOFF_SECONDS * 2.0 ** (tries - 1), LONGEST_BACKOFF_SECONDS)
    # Threads that failed together must not retry together. No secret depends on it.
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # nosec B311 # as said above


def next_page_path(answer: Answer) -> str | None:
    """Return the path and query of the page after a listing's page, without a key; None after the last."""
    following = parse_object(answer.body, answer.path).get("next_url") if answer.status == 200 else None
    if following is None:
        return None
    if not isinstance(following, str):
        raise BodyInvalidError(answer.path, "next_url is not a string")
    try:
        following.encode()  # half a surrogate pair cannot be sent
        parts = urlsplit(following)
    except ValueError:
        raise BodyInvalidError(answer.path, f"next_url is not an address ({one_line(following)})") from None
    if not parts.path.startswith("/") or parts.path.startswith("//"):
        raise BodyInvalidError(answer.path, f"next_url has no usable path ({one_line(following)})")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode([pair for pair in pairs if pair[0].lower() != "apikey"])
    return f"{parts.path}?{query}" if query else parts.path
