"""Counts of what the sandbox holds: rows of each session in the warehouse, stored responses in the lake, calls."""

from __future__ import annotations

import gzip
import json
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from mag7.lake.objects import ObjectStore
from mag7.lake.tables import list_tables
from mag7.warehouse.statements import Warehouse
from sandbox.stack import Stack

ROWS_QUERY = Path(__file__).with_name("rows_a_session.sql")
RESPONSES = "raw/polygon/"
RESPONSE_SECONDS = 20.0


@dataclass(frozen=True)
class SessionRows:
    """Rows of a session (ISO date) in a table, and how many of them repeat another row's key."""

    table: str
    session: str
    rows: int
    duplicates: int


@dataclass(frozen=True)
class StoredCalls:
    """Responses stored in the lake, and how many different calls they belong to."""

    responses: int
    calls: int


def count_rows(warehouse: Warehouse) -> list[SessionRows]:
    """Count the rows of every session in every table of sessions."""
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701  # nosec B701
    template = environment.from_string(ROWS_QUERY.read_text())
    return [
        SessionRows(table.name, str(session), int(rows), int(duplicates))
        for table in list_tables()
        for session, rows, duplicates in warehouse.ask(template.render(table=table, schema=warehouse.schema))
    ]


def count_stored(store: ObjectStore, prefix: str = RESPONSES) -> StoredCalls:
    """Count the responses below a prefix of the lake; a call is a path and the date that it is stored under."""
    responses, calls = 0, set[tuple[str, str]]()
    for stored in store.list(prefix):
        folder = stored.key.rpartition("/")[0]
        for path in _list_paths(gzip.decompress(store.get(stored.key)).decode().splitlines()):
            responses += 1
            calls.add((folder, path))
    return StoredCalls(responses, len(calls))


def _list_paths(lines: Iterable[str]) -> list[str]:
    return [str(json.loads(line)["path"]) for line in lines if line]


def count_served(stack: Stack) -> int:
    """Count the calls that the offline market has served since it started or its count was reset; 0 without one."""
    if not stack.simulated:
        return 0
    address = f"{stack.polygon_url}/sandbox/calls"
    with urllib.request.urlopen(address, timeout=RESPONSE_SECONDS) as response:  # noqa: S310  # nosec B310
        return int(json.load(response)["total"])
