"""What a container runs: a server of the sandbox, made reachable for the other containers.

Usage: python -m sandbox.serve aws --state FOLDER [--host 0.0.0.0] [--port 4566]
       python -m sandbox.serve polygon [--host 0.0.0.0] [--port 8090]

The servers listen on 127.0.0.1 only. This program starts one and hands on what comes in on another address, which
is right inside a container and nowhere else. What the AWS sandbox holds is saved when it ends, and every minute in
which it was asked something, so that a container that is killed loses little.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.processes import Server, ServerNotReadyError, run_server
from sandbox.stack import ROOT

PORTS = {"aws": 4566, "polygon": 8090}
SAVE_SECONDS = 60.0
_CHUNK = 65536


class ServerGoneError(Exception):
    """The server behind the address no longer answers."""


class Doorway:
    """Hands connections on to a server, and counts them."""

    def __init__(self, server: Server) -> None:
        self._target = urlsplit(server.url)
        self.served = 0
        self.gone = asyncio.Event()

    async def hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand one connection on until both sides have ended."""
        self.served += 1
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            self.gone.set()
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        self.served += 1  # a connection may live long: its end counts too


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    # Half-closed connections are not handed on as such: whoever ends one ends both.
    writer.close()


async def serve(server: Server, host: str, port: int, *, saves: bool) -> None:
    """Hand on until SIGTERM or SIGINT; raises ServerGoneError when the server has ended by itself."""
    doorway = Doorway(server)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    listener = await asyncio.start_server(doorway.hand_on, host, port)
    keeper = asyncio.create_task(_save_regularly(server, doorway)) if saves else None
    print(f"listening on {host}:{port}", flush=True)
    waits = [asyncio.create_task(event.wait()) for event in (stopping, doorway.gone)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in [*waits, *([keeper] if keeper else [])]:
        task.cancel()
    listener.close()
    if doorway.gone.is_set():
        raise ServerGoneError(f"the server at {server.url} has ended")


async def _save_regularly(server: Server, doorway: Doorway) -> None:
    saved = 0
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        if doorway.served != saved:
            saved = doorway.served
            await asyncio.to_thread(_save, server)


def _save(server: Server) -> None:
    request = urllib.request.Request(f"{server.url}/sandbox/save", method="POST")  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=SAVE_SECONDS) as answer:  # noqa: S310  # nosec B310 # our own server
            answer.read()
    except OSError as error:
        print(f"the state could not be saved: {error}", file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.serve", description="A server of the sandbox.")
    parser.add_argument("server", choices=sorted(PORTS))
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 only inside a container")
    parser.add_argument("--port", type=int, help=f"default: {', '.join(f'{n} {p}' for n, p in PORTS.items())}")
    parser.add_argument("--state", type=Path, help="folder that keeps what the AWS sandbox holds")
    options = parser.parse_args(arguments)
    if (options.server == "aws") != (options.state is not None):
        parser.error("--state is needed by aws, and by aws only")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the server and hand on to it until a signal comes; returns the exit code."""
    options = _parse(arguments)
    extra = ["--state", str(options.state)] if options.state else []
    port = options.port or PORTS[options.server]
    try:
        with (
            tempfile.TemporaryDirectory() as logs,
            run_server(f"sandbox.{options.server}", ["--port", "0", *extra], Path(logs), ROOT) as server,
        ):
            asyncio.run(serve(server, options.host, port, saves=options.server == "aws"))
    except (ServerNotReadyError, ServerGoneError, OSError) as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
