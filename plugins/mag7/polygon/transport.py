"""Send one request with polygon-api-client, with the bounds of time and size and the secrecy that it lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

from mag7.errors import one_line
from mag7.polygon.errors import BodyInvalidError, KeyMissingError, PolygonError, UnreachableError
from mag7.polygon.source import check_base_url

READ_BYTES = 65_536
LARGEST_BODY = 64 * 2**20
"""Bytes of a decompressed body; a whole day of the market is about 2 MB."""
WHOLE_BODY_TIMEOUTS = 5
"""A body that trickles in is given up after this many read timeouts in all."""
SHORTEST_SCRUBBED_KEY = 8
"""A shorter key is a placeholder; replacing it could change words of a good body."""
SOURCE_HEADER = "X-Market-Source"
RETRY_AFTER_HEADER = "Retry-After"
LOCATION_HEADER = "Location"

_HEADERS = (SOURCE_HEADER, RETRY_AFTER_HEADER, LOCATION_HEADER)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response: its status, some of its headers, and its text without the key."""

    status: int
    headers: Mapping[str, str]
    text: str


class Transport:
    """Connections to one address, as many as threads, that send the key in the Authorization header and nowhere else.

    Nothing is retried and no redirect is followed. ``connect_timeout`` and ``read_timeout`` are seconds.
    """

    def __init__(
        self, base_url: str, api_key: str, *, connect_timeout: float, read_timeout: float, threads: int
    ) -> None:
        from polygon import RESTClient
        from urllib3.util.retry import Retry

        key = _check_key(api_key)
        self.base_url = check_base_url(base_url)
        self.scrub = _make_scrubber(key)
        rest = RESTClient(
            api_key=key, connect_timeout=connect_timeout, read_timeout=read_timeout, retries=0, base=self.base_url
        )
        # It builds its timeouts and never hands them to its pools, whose width it leaves at one connection.
        rest.client.connection_pool_kw.update(timeout=rest.timeout, maxsize=max(threads, 1))
        self._rest = rest
        self._pool = rest.client.connection_from_url(self.base_url)
        self._retries = Retry(total=False, redirect=False)
        self._path_before = urlsplit(self.base_url).path
        self._longest_body_seconds = WHOLE_BODY_TIMEOUTS * read_timeout

    @property
    def host(self) -> str:
        """The address's host and port."""
        return urlsplit(self.base_url).netloc

    def close(self) -> None:
        """Close the connections."""
        self._rest.client.clear()

    def send(self, path: str) -> Reply | PolygonError:
        """Send one GET; returns the response whatever its status, or why there is none that can be read."""
        from urllib3.exceptions import DecodeError, HTTPError

        # Errors are returned and raised elsewhere: no frame of urllib3, whose locals hold the headers, hangs on them.
        try:
            response = self._pool.urlopen(
                "GET",
                self._path_before + path,
                headers=self._rest.headers,
                retries=self._retries,
                redirect=False,
                preload_content=False,
            )
            body = self._read_body(response)
        except DecodeError as error:
            return BodyInvalidError(path, f"the body cannot be decompressed ({one_line(self.scrub(str(error)))})")
        except HTTPError as error:
            return self._unreachable(path, _describe(error))
        if isinstance(body, str):
            return self._unreachable(path, body)
        headers = {name: self.scrub(response.headers[name]) for name in _HEADERS if name in response.headers}
        try:
            return Reply(response.status, headers, self.scrub(body.decode("utf-8")))
        except UnicodeDecodeError as broken:
            if response.status == 200:
                return BodyInvalidError(path, f"the body is not UTF-8 (byte {broken.start})", status=200)
            return Reply(response.status, headers, "")

    def _read_body(self, response: Any) -> bytes | str:
        """Read a body of bounded size in bounded time; returns its bytes, or in words what is wrong with it."""
        until = monotonic() + self._longest_body_seconds
        parts: list[bytes] = []
        size = 0
        while part := response.read1(READ_BYTES):
            parts.append(part)
            size += len(part)
            if size > LARGEST_BODY:
                response.close()
                return f"sent more than {LARGEST_BODY} bytes"
            if monotonic() > until:
                response.close()
                return f"had not sent the whole body after {self._longest_body_seconds:g} seconds"
        return b"".join(parts)

    def _unreachable(self, path: str, what: str) -> UnreachableError:
        step = f"check the network and POLYGON_BASE_URL (now {self.base_url})"
        return UnreachableError(path, f"{self.host} {one_line(self.scrub(what))}", next_step=step)


def _describe(error: Exception) -> str:
    from urllib3 import exceptions

    # From the narrow class to the wide one: a refused connection is a kind of connect timeout to urllib3.
    if isinstance(error, exceptions.NameResolutionError):
        return "is not a host that can be found"
    if isinstance(error, exceptions.NewConnectionError):
        return "cannot be connected to (connection refused or no route)"
    if isinstance(error, exceptions.ConnectTimeoutError):
        return "did not accept a connection in time (connect timeout)"
    if isinstance(error, exceptions.ReadTimeoutError):
        return "did not answer in time (read timeout)"
    inner = next((part for part in error.args if isinstance(part, Exception)), None)
    detail = f"{type(inner).__name__}: {inner}" if inner else str(error)
    return f"broke the response off ({type(error).__name__}: {detail})"


def _check_key(api_key: str | None) -> str:
    key = (api_key or "").strip()
    if not key:
        raise KeyMissingError("API key", "no key is set")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise KeyMissingError("API key", "the key holds characters that no key has (spaces, line ends, accents)")
    return key


def _make_scrubber(key: str) -> Callable[[str], str]:
    if len(key) < SHORTEST_SCRUBBED_KEY:
        return str
    forms = sorted({key, quote(key, safe=""), quote(key), json.dumps(key)[1:-1]}, key=len, reverse=True)

    def scrub(text: str) -> str:
        for form in forms:
            if form in text:
                text = text.replace(form, "[API key]")
        return text

    return scrub
