"""Command line of the offline market: ``python -m sandbox.polygon --port 0 --ready-file F``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

from sandbox.fault_rules import FaultRuleError, read_rules
from sandbox.polygon.app import DENIED_KEY, MarketApp
from sandbox.polygon.faults import Fault
from sandbox.polygon.server import serve
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="sandbox.polygon", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 only inside a container")
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--ready-file", type=Path, help="written as {port, pid} when the market answers")
    add("--key", help=f"the only key that is accepted (default: any; the key {DENIED_KEY} is always refused with 403)")
    add("--now", type=datetime.fromisoformat, help="what time the market believes it is, ISO 8601")
    add("--release-minutes", type=float, default=240, help="today's bars are refused until so long after the close")
    add("--status", default="OK", choices=("OK", "DELAYED"), help="status of bars, by plan")
    add("--evening", action="store_true", help="some market caps still rest on the previous session's close")
    add("--no-source-header", action="store_true", help="leave out X-Market-Source")
    add("--replay", type=Path, help="folder of recorded bodies that are served first")
    add("--latency-ms", type=float, default=0, help="delay of every response")
    add("--fault", action="append", default=[], type=json.loads, help="a fault rule as JSON; may be repeated")
    return parser.parse_args(arguments)


def make_app(options: argparse.Namespace) -> MarketApp:
    """Build the market's app from its command line."""
    now: datetime | None = options.now
    if now is not None and now.tzinfo is None:
        now = now.replace(tzinfo=NEW_YORK)
    settings = Settings(
        key=options.key,
        clock=Clock(now, timedelta(minutes=options.release_minutes)),
        status=options.status,
        evening=options.evening,
        source_header=not options.no_source_header,
        replay=options.replay,
    )
    rules = read_rules(Fault, options.fault)
    if options.latency_ms:
        rules.append(Fault(kind="latency", seconds=options.latency_ms / 1000))
    return MarketApp(settings, rules)


def main() -> int:
    """Run the market until it gets a signal."""
    options = read_arguments(sys.argv[1:])
    try:
        app = make_app(options)
    except FaultRuleError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        asyncio.run(serve(app, options.host, options.port, options.ready_file))
    except OSError as error:
        print(f"the market cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
