"""The runs that the harness disturbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Flow:
    """A DAG and its params; ``sessions`` are those that it publishes.

    ``repeat`` are the additional params that publish complete sessions again.
    """

    name: str
    dag: str
    conf: Mapping[str, Any]
    sessions: tuple[str, ...]
    repeat: Mapping[str, Any] = field(default_factory=dict)


DAILY = Flow("daily", "mag7_daily", {"trading_date": "2024-12-13"}, ("2024-12-13",))
BACKFILL = Flow(
    "backfill",
    "mag7_backfill",
    {"start_date": "2024-11-26", "end_date": "2024-11-27"},
    ("2024-11-26", "2024-11-27"),
    {"repeat": True},
)
FLOWS = {flow.name: flow for flow in (DAILY, BACKFILL)}
