"""A provider that answers each request for ticker details after a fixed time, and uses hardly any processor time.

It runs as its own process (``python -m bench.slow_server --delay-ms 100``), prints {"port": N} when it listens on
127.0.0.1, and ends when its standard input closes, so it cannot outlive its parent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

HEADERS_END = b"\r\n\r\n"


def render_template() -> tuple[bytes, ...]:
    """Render details of about 2 kB, the provider's size, cut where the symbol goes."""
    results = {
        "ticker": "{}",
        "name": "Bench Incorporated",
        "market": "stocks",
        "locale": "us",
        "primary_exchange": "XNAS",
        "type": "CS",
        "active": True,
        "currency_name": "usd",
        "cik": "0000000001",
        "composite_figi": "BBG000000001",
        "share_class_figi": "BBG001000001",
        "market_cap": 3746917340909.66,
        "phone_number": "000-000-0000",
        "address": {"address1": "1 Bench Street", "city": "New York", "state": "NY", "postal_code": "10001"},
        "description": "A company that exists to be measured. " * 32,
        "sic_code": "0000",
        "ticker_root": "BENCH",
        "homepage_url": "https://example.com",
        "total_employees": 1000,
        "list_date": "1980-12-12",
        "share_class_shares_outstanding": 15115823000,
        "weighted_shares_outstanding": 15115823000,
        "round_lot": 100,
    }
    body = json.dumps({"request_id": "0" * 32, "results": results, "status": "OK"})
    return tuple(part.encode() for part in body.split("{}"))


BEFORE, AFTER = render_template()


def render_answer(symbol: bytes) -> bytes:
    """Render a whole HTTP response with the details of a symbol."""
    length = len(BEFORE) + len(symbol) + len(AFTER)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length
    return b"".join((head, BEFORE, symbol, AFTER))


class SlowProtocol(asyncio.Protocol):
    """One kept-alive connection; requests are GETs without a body."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport: a late response has no receiver."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every complete request after the delay."""
        self._received += data
        while HEADERS_END in self._received:
            head, self._received = self._received.split(HEADERS_END, 1)
            path = head.split(b" ", 2)[1].partition(b"?")[0]
            answer = render_answer(path.rpartition(b"/")[2])
            asyncio.get_running_loop().call_later(self._delay, self._answer, answer)

    def _answer(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


async def serve(delay: float) -> None:
    """Listen on a free port until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SlowProtocol(delay), "127.0.0.1", 0, backlog=512)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Read the delay and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=100.0)
    asyncio.run(serve(parser.parse_args().delay_ms / 1000))


if __name__ == "__main__":
    main()
