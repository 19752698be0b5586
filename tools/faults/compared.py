"""What the harness compares of published data, and the differences."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tools.declared import find_table
from tools.faults.flows import BACKFILL, Flow
from tools.stack_reader import Published, digest

CAPS, ASKED = "constituent_market_caps", "provider_market_cap"


def reduce_rows(found: Published) -> Published:
    """Remove from a backfill's rows whether the provider was asked for that session."""
    return replace(found, rows={**found.rows, CAPS: [_forget_asking(row) for row in found.rows[CAPS]]})


def _forget_asking(row: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [column.name for column in find_table(CAPS).columns]
    if row[0] not in BACKFILL.sessions:
        return row
    return tuple(None if name == ASKED else value for name, value in zip(names, row, strict=True))


def reduce_object(key: str, body: bytes) -> str:
    leave_out = (ASKED,) if any(day in key for day in BACKFILL.sessions) else ()
    return _digest_document(body, {"answers", *leave_out}) if key.endswith(".json") else digest(key, body, leave_out)


def _digest_document(body: bytes, leave_out: Collection[str]) -> str:
    """Return a document without its time and some keys."""
    document = json.loads(body)
    document.pop("data_collection_time", None)
    return json.dumps(_strip(document, leave_out), sort_keys=True)


def _strip(content: Any, leave_out: Collection[str]) -> Any:
    if isinstance(content, Mapping):
        return {key: _strip(value, leave_out) for key, value in content.items() if key not in leave_out}
    return [_strip(value, leave_out) for value in content] if isinstance(content, list) else content


def leave_out_flow(published: Published, flow: Flow) -> Published:
    """Return what is published of all other sessions and of splits."""
    return Published(
        {
            table: [row for row in rows if table == "splits" or row[0] not in flow.sessions]
            for table, rows in published.rows.items()
        },
        {
            key: digest
            for key, digest in published.objects.items()
            if "splits/" in key or not any(day in key for day in flow.sessions)
        },
        {
            table: {day: place for day, place in found.items() if day not in flow.sessions}
            for table, found in published.partitions.items()
        },
    )


def list_differences(right: Published, found: Published) -> list[str]:
    """List the differences between two published states, one phrase each."""
    differences = []
    for table in sorted({*right.rows, *found.rows}):
        left, held = right.rows.get(table, []), found.rows.get(table, [])
        if left != held:
            differences.append(f"{table}: {len(held)} rows, {len(left)} are right{_first(left, held)}")
    for key in sorted({*right.objects, *found.objects}):
        if right.objects.get(key) != found.objects.get(key):
            word = "missing" if key not in found.objects else "too much" if key not in right.objects else "differs"
            differences.append(f"{key} {word}")
    if right.partitions != found.partitions:
        differences.append("partitions differ")
    return differences


def _first(left: Sequence[tuple[Any, ...]], held: Sequence[tuple[Any, ...]]) -> str:
    odd = next((row for row in held if row not in left), None) or next((row for row in left if row not in held), None)
    return f", such as {str(odd)[:200]}" if odd else ""
