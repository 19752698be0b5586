"""The ground of this room's tests: a provider on the loopback, a clock that nobody waits for, a lake in memory."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from mag7.lake.objects import ObjectMissingError, StoredObject, Version
from mag7.polygon.client import PolygonClient
from mag7.polygon.rate import Clock, RateLimiter

KEY = "k3y/of+the.Tests=0123456789"
DAY = date(2024, 12, 13)
CLOSE_MS = 1734123600000
"""16:00 in New York on 2024-12-13, as grouped daily stamps it."""


def details_body(symbol: str, **fields: Any) -> bytes:
    """Ticker details with the given fields."""
    return json.dumps({"status": "OK", "request_id": "r", "results": {"ticker": symbol, **fields}}).encode()


def bar(ticker: str, **fields: Any) -> dict[str, Any]:
    """One good bar of 2024-12-13, changed by the given fields; None takes a field out."""
    values = {
        "T": ticker,
        "o": 247.82,
        "h": 249.29,
        "l": 246.24,
        "c": 248.13,
        "v": 33155300.5,
        "vw": 247.9,
        "t": CLOSE_MS,
    }
    return {name: value for name, value in {**values, **fields}.items() if value is not None}


def grouped_body(*bars: Any, **fields: Any) -> str:
    """A grouped daily response, changed by the given fields; None takes a field out."""
    content = {"status": "OK", "adjusted": False, "resultsCount": len(bars), "results": list(bars), **fields}
    return json.dumps({name: value for name, value in content.items() if value is not None})


@dataclass(frozen=True)
class Canned:
    """One scripted response; ``how`` is whole, truncated, reset, stalled or dripping."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    how: str = "whole"


class LocalProvider:
    """Sends the scripted responses of a path first, then good details of any requested ticker."""

    def __init__(self) -> None:
        self.scripts: dict[str, deque[Canned]] = defaultdict(deque)
        self.always: dict[str, Canned] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.on_request: Callable[[str], None] = lambda name: None
        self.released = threading.Event()
        self.port = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def choose(self, target: str) -> Canned:
        name = name_of(target)
        if self.scripts[name]:
            return self.scripts[name].popleft()
        return self.always.get(name) or self.always.get("*") or Canned(body=details_body(name, name="Some Company"))


def name_of(target: str) -> str:
    """The key of a script: the last segment of the path, so a symbol or a date."""
    return unquote(urlsplit(target).path).rpartition("/")[2]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True
    provider: LocalProvider

    def do_GET(self) -> None:
        provider = self.provider
        provider.asked.append(self.path)
        provider.headers.append(dict(self.headers.items()))
        provider.on_request(name_of(self.path))
        canned = provider.choose(self.path)
        if canned.how == "stalled":
            provider.released.wait(5)
        if canned.how in {"reset", "stalled"}:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.send_response(canned.status)
        for name, value in canned.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(canned.body) + (100 if canned.how == "truncated" else 0)))
        self.end_headers()
        if canned.how == "dripping":
            self._drip(canned.body)
        else:
            self.wfile.write(canned.body)
        self.close_connection = canned.how != "whole"

    def _drip(self, body: bytes) -> None:
        for letter in body:
            if self.provider.released.wait(0.05):
                return
            try:
                self.wfile.write(bytes([letter]))
            except OSError:
                return

    def log_message(self, *args: Any) -> None:
        """Keep test output clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that gives up is what many tests want."""


@contextmanager
def serve() -> Iterator[LocalProvider]:
    """Run a provider on a free port of the loopback."""
    provider = LocalProvider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = _Server(("127.0.0.1", 0), handler)
    provider.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


class FakeClock(Clock):
    """A clock that waits by moving itself."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []
        self._moving = threading.Lock()

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2024, 12, 14, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        with self._moving:
            if not stop.is_set():
                self.waits.append(seconds)
                self.seconds += seconds


class MemoryObjects:
    """The lake's object store in a dictionary."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.on_put: Callable[[str], None] = lambda key: None
        self._writing = threading.Lock()

    def uri(self, key: str) -> str:
        return f"s3://memory/{key}"

    def get(self, key: str) -> bytes:
        if key not in self.bodies:
            raise ObjectMissingError(f"{self.uri(key)} does not exist")
        return self.bodies[key]

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        self.on_put(key)
        self.bodies[key] = body

    def find(self, key: str) -> Version | None:
        body = self.bodies.get(key)
        return None if body is None else Version(body, hashlib.md5(body, usedforsecurity=False).hexdigest())

    def replace(self, key: str, body: bytes, before: Version | None) -> bool:
        with self._writing:
            if self.find(key) != before:
                return False
            self.put(key, body)
            return True

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return iter(
            [StoredObject(key, len(body)) for key, body in sorted(self.bodies.items()) if key.startswith(prefix)]
        )

    def delete(self, keys: Any) -> None:
        for key in keys:
            self.bodies.pop(key, None)


def open_client(address: str, clock: Clock | None = None, **changes: Any) -> PolygonClient:
    """A client with short timeouts that waits for nobody."""
    values: dict[str, Any] = {
        "limiter": RateLimiter(changes.pop("calls_per_minute", None), clock or FakeClock()),
        "connect_timeout": 2.0,
        "read_timeout": 2.0,
        "tries": 3,
        "threads": 8,
        **changes,
    }
    return PolygonClient(address, values.pop("key", KEY), **values)
