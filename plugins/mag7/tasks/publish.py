"""Publish the accepted sessions and their splits, load both into the warehouse, and reconcile the two."""

from __future__ import annotations

import io
import logging
from datetime import date
from typing import Any

from mag7.lake import publish, splits
from mag7.lake.keys import analytics_key, manifest_key, pending_key, staged_document_key, staged_splits_key
from mag7.lake.objects import ObjectStore
from mag7.lake.tables import SPLITS, Table, list_tables
from mag7.market.document import decode_document
from mag7.runs.record import Loaded, write_section
from mag7.settings import read_settings
from mag7.tasks.connections import open_client, open_store
from mag7.tasks.facts import require_current
from mag7.tasks.window import Window, list_window
from mag7.warehouse.load import encode_manifest
from mag7.warehouse.reconcile import Tallies, Tally, name_split, require_equal

log = logging.getLogger(__name__)


def publish_sessions(window: Window) -> Window:
    """Copy the window's files from staging to their published keys, and return the window.

    Its sessions are marked as not loaded until ``reconcile`` finds them in the warehouse. Raises FactsChangedError
    where newer facts change them.
    """
    store = open_store(read_settings())
    require_current(store, window)
    for session in list_window(window):
        store.put(pending_key(session), window["run"].encode(), "text/plain")
    count = publish.publish_sessions(store, open_client("glue"), window["run"], list_window(window))
    log.info("%d files published for %s", count, ", ".join(window["sessions"]))
    return window


def publish_splits(window: Window) -> list[str]:
    """Publish every split in the window's documents; returns the days that changed, as ISO dates."""
    store = open_store(read_settings())
    known = {session: read_known_splits(store, window["run"], session) for session in list_window(window)}
    days = splits.publish_splits(store, open_client("glue"), window["run"], known)
    changed = [day.isoformat() for day in days]
    log.info("splits: %s", f"{len(days)} days written, {', '.join(changed)}" if days else "nothing was new")
    return changed


def read_known_splits(store: ObjectStore, run: str, session: date) -> list[splits.StoredSplit]:
    """Read the splits of a session's staged document; raises DocumentUnreadableError."""
    key = staged_document_key(run, session)
    return [splits.StoredSplit(**dict(split)) for split in decode_document(store.get(key), store.uri(key)).splits]


def write_manifests(window: Window) -> int:
    """Write one COPY manifest for each table, with the window's flat files and their sizes; returns their number.

    For splits there is one file, which ``publish_splits`` wrote.
    """
    store = open_store(read_settings())
    keys = {
        table.name: [analytics_key(table.name, session) for session in list_window(window)] for table in list_tables()
    }
    keys[SPLITS.name] = [staged_splits_key(window["run"])]
    for name, files in keys.items():
        manifest = encode_manifest((store.uri(key), store.size(key)) for key in files)
        store.put(manifest_key(window["run"], name), manifest, "application/json")
    return len(keys)


def reconcile(window: Window, counted: list[dict[str, Any]]) -> dict[str, int]:
    """Compare rows and totals of the warehouse with those of the lake; returns the window's rows by table.

    ``counted`` is what RedshiftDataOperator returned for count_window.sql (table_name, trading_date, row_count and
    total of each table and session) and for count_splits.sql (issuer, execution_date, row_count and total of each
    split). Raises ReconciliationError naming every difference.
    """
    store = open_store(read_settings())
    warehouse = read_tallies(counted[0])
    lake = {
        (table.name, session): tally_file(store, table, session)
        for table in list_tables()
        for session in list_window(window)
    }
    known = tally_splits(store, window["run"])
    # Leave out splits that only other runs know.
    loaded = {(name_split(issuer), day): tally for (issuer, day), tally in read_tallies(counted[1]).items()}
    mine = {key: tally for key, tally in loaded.items() if key in known}
    require_equal({**lake, **known}, {**warehouse, **mine})
    rows = {
        session.isoformat(): {
            table.name: warehouse[table.name, session].rows if (table.name, session) in warehouse else 0
            for table in list_tables()
        }
        for session in list_window(window)
    }
    _clear_marks(store, window)
    write_section(store, window["run"], Loaded(rows=rows, splits=len(known)))
    return {table.name: sum(found[table.name] for found in rows.values()) for table in list_tables()}


def _clear_marks(store: ObjectStore, window: Window) -> None:
    """Delete this run's marks of sessions that were not loaded; those of another run, which published since, stay."""
    for session in list_window(window):
        found = store.find(pending_key(session))
        if found is not None and found.body == window["run"].encode():
            store.delete([pending_key(session)])


def read_tallies(result: dict[str, Any]) -> dict[tuple[str, date], Tally]:
    """Read a counting query's result: name, date, number of rows and total of each row."""
    tallies = {}
    for record in result["Records"]:
        name, day, rows, total = (_plain(cell) for cell in record)
        tallies[str(name), date.fromisoformat(str(day))] = Tally(int(rows), float(total))
    return tallies


def tally_splits(store: ObjectStore, run: str) -> Tallies:
    """Count each split of a run's COPY file, which holds it once."""
    key = staged_splits_key(run)
    known = splits.decode_splits(store.get(key), store.uri(key))
    return {(name_split(split.issuer), split.execution_date): Tally(1, split.factor) for split in known}


def _plain(cell: dict[str, Any]) -> Any:
    """Return the value of a Data API cell, such as {"longValue": 7}."""
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
