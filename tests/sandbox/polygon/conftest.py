"""The offline market as a function, and as a process where transport matters."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from sandbox.polygon.app import MarketApp
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings

ROOT = Path(__file__).parents[3]
NOW = datetime(2025, 6, 30, 21, tzinfo=NEW_YORK)
KEY = {"authorization": "Bearer any-key", "host": "market.test"}


@dataclass(frozen=True)
class Said:
    """An answer as a client reads it."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


Ask = Callable[[str], Said]


def make_ask(app: MarketApp) -> Ask:
    def ask(target: str) -> Said:
        reply = app.answer(target, KEY).reply
        return Said(reply.status, reply.body)

    return ask


@pytest.fixture(scope="session")
def ask() -> Ask:
    """A market that takes today for 2025-06-30, in the evening."""
    return make_ask(MarketApp(Settings(clock=Clock(NOW))))


@dataclass
class Server:
    """A running market."""

    port: int
    process: subprocess.Popen[bytes]

    def get(self, target: str, key: str | None = "k", method: str = "GET", body: Any = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
            return response, content
        finally:
            connection.close()

    def post(self, target: str, body: Any = None) -> Any:
        return json.loads(self.get(target, None, "POST", body)[1])


def start_server(folder: Path, *flags: str) -> Server:
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "sandbox.polygon", "--port", "0", "--ready-file", str(ready), *flags]
    process = subprocess.Popen(command, cwd=ROOT)
    end = time.monotonic() + 60
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise RuntimeError(f"the market did not start: {process.poll()}")
        time.sleep(0.02)
    return Server(json.loads(ready.read_text())["port"], process)


def stop_server(server: Server) -> int:
    server.process.terminate()
    return server.process.wait(timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A market in a process of its own."""
    running = start_server(tmp_path_factory.mktemp("market"), "--now", "2025-06-30T21:00:00")
    yield running
    stop_server(running)
