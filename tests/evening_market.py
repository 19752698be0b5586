"""The offline market over HTTP in this process: each test sets its clock, its faults and the gaps in its files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from sandbox.polygon.app import MarketApp
from sandbox.polygon.faults import Fault
from sandbox.polygon.market import load_market
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings

EVENING = time(22)
SOURCES = ("ivv", "spy", "changes")


class EveningMarket:
    """The market at 22:00 of a session.

    ``bend`` changes the body of a path before it is sent; ``asked`` has the requested paths.
    """

    def __init__(self) -> None:
        self.bend: dict[str, Callable[[bytes], bytes]] = {}
        self.asked: list[str] = []
        self.port = 0
        self.turn_to(date(2026, 12, 17))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def turn_to(self, session: date, *faults: Fault) -> None:
        """Set the clock to the evening of a session."""
        self._app = MarketApp(Settings(clock=Clock(datetime.combine(session, EVENING, NEW_YORK))), list(faults))

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str], bool]:
        """Return status, body, headers, and whether the connection breaks half-way."""
        path = urlsplit(target).path
        self.asked.append(path)
        outcome = self._app.answer(target, headers)
        body = outcome.reply.body
        if path in self.bend:
            body = self.bend[path](body)
        broken = outcome.strike.fault is not None and outcome.strike.fault.kind == "truncate"
        return outcome.reply.status, body, {"X-Market-Source": "simulated", **outcome.reply.headers}, broken

    def environment(self) -> dict[str, str]:
        """Return settings that enable all sources."""
        return {
            "POLYGON_BASE_URL": self.address,
            "POLYGON_SOURCE": "simulated",
            "POLYGON_CALLS_PER_MINUTE": "0",
            "MAG7_IVV_URL": f"{self.address}/funds/ivv.csv?asOfDate={{date}}",
            "MAG7_SPY_URL": f"{self.address}/funds/spy.xlsx",
            "MAG7_CHANGES_URL": f"{self.address}/funds/changes.json",
            "MAG7_TERMS_READ": ", ".join(SOURCES),
        }


@contextmanager
def serve_evenings() -> Iterator[EveningMarket]:
    """Serve the market on the loopback interface until the block ends."""
    market = EveningMarket()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body, headers, broken = market.answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # the client may have disconnected
                self.wfile.write(body[: len(body) // 2] if broken else body)
            self.close_connection = self.close_connection or broken

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    market.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield market
    finally:
        server.shutdown()
        server.server_close()


def true_members(session: date) -> frozenset[str]:
    """Return the symbols in the index on a session, from the market's own tables."""
    return frozenset(line.symbol_on(session) for line in load_market(session).lines if line.is_member(session))
