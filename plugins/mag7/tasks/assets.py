"""The tables as Airflow assets: other DAGs can be scheduled on them, and see in an event which sessions are new."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from mag7.lake.tables import SPLITS, Table, list_published_tables, list_tables

if TYPE_CHECKING:
    from airflow.sdk.types import OutletEventAccessorsProtocol


def list_lake_assets() -> list[Asset]:
    """List what publishing sessions produces: their tables as Athena reads them."""
    return _make_assets("lake", list_tables())


def list_split_assets() -> list[Asset]:
    """List what publishing splits produces."""
    return _make_assets("lake", [SPLITS])


def list_warehouse_assets() -> list[Asset]:
    """List what a load produces once it is reconciled with the lake: every table as Redshift holds it."""
    return _make_assets("warehouse", list_published_tables())


def describe_events(events: OutletEventAccessorsProtocol, assets: Iterable[Asset], extra: dict[str, Any]) -> None:
    """Say something beside a task's events of some assets: which sessions, or days, they are about."""
    for asset in assets:
        events[asset].extra = extra


def _make_assets(place: str, tables: Iterable[Table]) -> list[Asset]:
    return [Asset(name=f"mag7_{place}_{table.name}", uri=f"mag7://{place}/{table.name}") for table in tables]
