"""The assets of what is produced, and what their events say."""

from __future__ import annotations

from types import SimpleNamespace

from mag7.lake.tables import list_published_tables
from mag7.tasks.assets import describe_events, list_lake_assets, list_split_assets, list_warehouse_assets


def test_every_table_is_an_asset_in_both_places() -> None:
    tables = [table.name for table in list_published_tables()]

    assert [asset.uri for asset in list_warehouse_assets()] == [f"mag7://warehouse/{table}" for table in tables]
    assert [asset.uri for asset in (*list_lake_assets(), *list_split_assets())] == [
        f"mag7://lake/{table}" for table in tables
    ]


def test_no_two_assets_share_a_name() -> None:
    names = [asset.name for asset in (*list_lake_assets(), *list_split_assets(), *list_warehouse_assets())]

    assert len(set(names)) == len(names)


def test_an_event_of_every_asset_says_what_it_is_about() -> None:
    assets = list_warehouse_assets()
    events = {asset: SimpleNamespace(extra={}) for asset in assets}
    describe_events(events, assets, {"sessions": ["2024-12-13"]})  # type: ignore[arg-type]

    assert [event.extra for event in events.values()] == [{"sessions": ["2024-12-13"]}] * len(assets)
