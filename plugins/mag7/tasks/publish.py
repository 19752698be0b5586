"""Publishing the accepted sessions, loading them into the warehouse, and reconciling the two."""

from __future__ import annotations

import io
import logging
from datetime import date
from typing import Any

from mag7.lake import publish
from mag7.lake.keys import analytics_key, manifest_key
from mag7.lake.objects import ObjectStore
from mag7.lake.tables import Table, list_tables
from mag7.settings import read_settings
from mag7.tasks.connections import open_client, open_store
from mag7.tasks.reports import write_report
from mag7.tasks.window import Window, list_window
from mag7.warehouse.load import encode_manifest
from mag7.warehouse.reconcile import Tally, require_equal

log = logging.getLogger(__name__)

WAREHOUSE = "warehouse"


def publish_sessions(window: Window) -> Window:
    """Copy the window's files from staging to where they are read, and pass the window on."""
    store = open_store(read_settings())
    count = publish.publish_sessions(store, open_client("glue"), window["run"], list_window(window))
    log.info("%d files published for %s", count, ", ".join(window["sessions"]))
    return window


def write_manifests(window: Window) -> int:
    """Write one COPY manifest a table, naming the window's flat files and their sizes; returns their number."""
    store = open_store(read_settings())
    for table in list_tables():
        files = []
        for session in list_window(window):
            key = analytics_key(table.name, session)
            files.append((store.uri(key), store.size(key)))
        store.put(manifest_key(window["run"], table.name), encode_manifest(files), "application/json")
    return len(list_tables())


def reconcile(window: Window, counted: list[dict[str, Any]]) -> dict[str, int]:
    """Compare rows and totals of the warehouse with those of the lake's files; returns rows by table.

    ``counted`` is what RedshiftDataOperator returned for count_window.sql: table_name, trading_date, row_count and
    total of each table and session. Raises ReconciliationError naming every difference.
    """
    store = open_store(read_settings())
    warehouse = {}
    for record in counted[0]["Records"]:
        name, day, rows, total = (_plain(cell) for cell in record)
        warehouse[str(name), date.fromisoformat(str(day))] = Tally(int(rows), float(total))
    lake = {
        (table.name, session): tally_file(store, table, session)
        for table in list_tables()
        for session in list_window(window)
    }
    require_equal(lake, warehouse)
    rows_by_table = {
        table.name: sum(tally.rows for (name, _), tally in warehouse.items() if name == table.name)
        for table in list_tables()
    }
    write_report(store, window["run"], WAREHOUSE, {"rows": rows_by_table})
    return rows_by_table


def _plain(cell: dict[str, Any]) -> Any:
    """Take the value out of a Data API cell, such as {"longValue": 7}."""
    (kind, value), *_ = cell.items()
    return 0 if kind == "isNull" else value


def tally_file(store: ObjectStore, table: Table, session: date) -> Tally:
    """Count the rows of a published flat file and add up its money column."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    content = pq.read_table(io.BytesIO(store.get(analytics_key(table.name, session))))
    if table.money_column is None or content.num_rows == 0:
        return Tally(content.num_rows, 0.0)
    return Tally(content.num_rows, pc.sum(content[table.money_column]).as_py() or 0.0)
