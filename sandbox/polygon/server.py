"""A small HTTP/1.1 server with keep-alive for the offline market, which can break connections as a fault."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
from http import HTTPStatus
from pathlib import Path

import httptools

from sandbox.fault_rules import FaultRuleError, read_rules
from sandbox.polygon.app import MarketApp, Outcome
from sandbox.polygon.faults import Fault
from sandbox.polygon.market import load_market
from sandbox.polygon.replies import Reply, to_json

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One client connection: each request is answered before the next is read."""

    def __init__(self, app: MarketApp, built: asyncio.Future[None]) -> None:
        self._app, self._built = app, built
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._target, self._body = b"", b""
        self._headers: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._send(Reply(400, b"bad request"), close=True)

    def on_message_begin(self) -> None:
        self._target, self._body, self._headers = b"", b"", {}

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method, target = self._parser.get_method().decode(), self._target.decode("latin-1")
        close = not self._parser.should_keep_alive()
        if target.startswith("/sandbox/"):
            self._send(self._steer(method, target, self._body), close=close)
        elif method != "GET":
            self._send(Reply(405, b"method not allowed"), close=close)
        elif self._built.done():
            self._answer(target, self._headers, close)
        else:
            headers = self._headers
            self._built.add_done_callback(lambda _: self._answer(target, headers, close))

    def _answer(self, target: str, headers: dict[str, str], close: bool) -> None:
        outcome = self._app.answer(target, headers)
        if outcome.strike.delay:
            loop = asyncio.get_running_loop()
            loop.call_later(outcome.strike.delay, self._deliver, outcome, close)
        else:
            self._deliver(outcome, close)

    def _deliver(self, outcome: Outcome, close: bool) -> None:
        kind = outcome.strike.fault.kind if outcome.strike.fault else ""
        if kind == "reset":
            self._reset()
        elif kind == "truncate":
            self._send(outcome.reply, close=True, cut=len(outcome.reply.body) // 2)
        elif kind != "stall":
            self._send(outcome.reply, close=close)

    def _reset(self) -> None:
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def _send(self, reply: Reply, *, close: bool, cut: int | None = None) -> None:
        if self._transport is None:
            return
        kind = "application/json" if reply.body[:1] in {b"{", b"["} else "text/plain"
        lines = [
            f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}",
            f"Content-Length: {len(reply.body)}",
            *(f"{name}: {value}" for name, value in ({"Content-Type": kind} | dict(reply.headers)).items()),
        ]
        if self._app.settings.source_header:
            lines.append("X-Market-Source: simulated")
        if close:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""])
        self._transport.write(head.encode() + reply.body[:cut])
        if close:
            self._transport.close()

    def _steer(self, method: str, target: str, body: bytes) -> Reply:
        """Answer /sandbox/*: health, counts of calls, fault rules."""
        match method, target:
            case "GET", "/sandbox/health":
                return Reply(200, to_json({"status": "ok", "built": self._built.done()}))
            case "GET", "/sandbox/calls":
                return Reply(200, to_json(self._app.show_calls()))
            case "POST", "/sandbox/calls/reset":
                self._app.calls.clear()
                return Reply(200, to_json(self._app.show_calls()))
            case "POST", "/sandbox/faults":
                return self._set_rules(body)
            case "GET", "/sandbox/faults":
                rules = [{"kind": r.kind, "path": r.path, "struck": r.struck} for r in self._app.rules]
                return Reply(200, to_json(rules))
        return Reply(404, to_json({"error": f"no {method} {target} here"}))

    def _set_rules(self, body: bytes) -> Reply:
        try:
            self._app.rules = read_rules(Fault, json.loads(body))
        except (FaultRuleError, TypeError, ValueError) as error:
            return Reply(400, to_json({"error": str(error)}))
        return Reply(200, to_json({"rules": len(self._app.rules)}))


async def serve(app: MarketApp, host: str, port: int, ready_file: Path | None) -> None:
    """Serve on an address until SIGTERM or until the parent process ends.

    Port and health are available at once; the first request about the market waits until it is built.
    """
    loop = asyncio.get_running_loop()
    built: asyncio.Future[None] = loop.create_future()
    server = await loop.create_server(lambda: Connection(app, built), host, port, backlog=512)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    _announce(server.sockets[0].getsockname()[1], ready_file)
    watch = asyncio.create_task(_watch_parent(os.getppid(), stopped))
    try:
        await loop.run_in_executor(None, load_market, app.settings.clock.today())
        built.set_result(None)
        await stopped.wait()
    finally:
        watch.cancel()
        server.close()


def _announce(port: int, ready_file: Path | None) -> None:
    if ready_file is None:
        return
    partial = ready_file.with_suffix(".partial")
    partial.write_text(json.dumps({"port": port, "pid": os.getpid()}))
    partial.replace(ready_file)


async def _watch_parent(parent: int, stopped: asyncio.Event) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while os.getppid() == parent:
            await asyncio.sleep(0.5)
        stopped.set()
