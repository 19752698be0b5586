"""The tables as Airflow assets, on which other DAGs can be scheduled; an event names the new sessions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from mag7.lake.tables import SPLITS, Table, list_published_tables, list_tables

if TYPE_CHECKING:
    from airflow.sdk.types import OutletEventAccessorsProtocol


def list_lake_assets() -> list[Asset]:
    """List the assets of published sessions: their tables in Athena."""
    return _make_assets("lake", list_tables())


def list_split_assets() -> list[Asset]:
    """List the assets of published splits."""
    return _make_assets("lake", [SPLITS])


def list_warehouse_assets() -> list[Asset]:
    """List the assets of a load that is reconciled with the lake: every table in Redshift."""
    return _make_assets("warehouse", list_published_tables())


def describe_events(events: OutletEventAccessorsProtocol, assets: Iterable[Asset], extra: dict[str, Any]) -> None:
    """Attach extra information to a task's asset events: their sessions or days."""
    for asset in assets:
        events[asset].extra = extra


def _make_assets(place: str, tables: Iterable[Table]) -> list[Asset]:
    return [Asset(name=f"mag7_{place}_{table.name}", uri=f"mag7://{place}/{table.name}") for table in tables]
