"""Reads a running sandbox: rows, objects and partitions, and where a secret occurs in them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mag7.lake.keys import DATABASE
from mag7.lake.tables import list_published_tables, list_tables
from sandbox.provision import open_stack
from sandbox.stack import Stack

BUCKET = "magnificent7-market-data"
READ_PREFIXES = ("raw/magnificent7/", "processed/", "analytics/")
TABLES = tuple(table.name for table in list_tables())
QUERY_SECONDS = 60
Rows = list[tuple[Any, ...]]


class QueryFailedError(Exception):
    """A query failed, or did not end in time."""


@dataclass(frozen=True)
class Published:
    """What readers see: warehouse rows, objects by digest, partitions with their locations.

    A Parquet file's digest is that of its schema and ordered rows: the order in which parquet-mr lists a column's
    encodings differs between JVMs, and no reader sees it.
    """

    rows: dict[str, Rows]
    objects: dict[str, str]
    partitions: dict[str, dict[str, str]]

    def of(self, day: str) -> Published:
        """Return what is published of one session."""
        return Published(
            {table: [row for row in rows if row[0] == day] for table, rows in self.rows.items()},
            {key: digest for key, digest in self.objects.items() if day in key},
            {table: {d: place for d, place in found.items() if d == day} for table, found in self.partitions.items()},
        )


def digest(key: str, body: bytes, leave_out: Collection[str] = ()) -> str:
    """Return the SHA-256 of what a reader of an object sees, without some columns of a table."""
    if key.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(body))
        table = table.select([name for name in table.column_names if name not in leave_out])
        body = repr((table.schema.to_string(), table.to_pylist())).encode()
    return hashlib.sha256(body).hexdigest()


@dataclass
class StackReader:
    """Reads a running stack; ``home`` is the folder above the stack's, with the files of commands."""

    home: Path
    stack: Stack
    clients: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def client(self, service: str) -> Any:
        """Return a boto3 client of the sandbox's AWS."""
        if service not in self.clients:
            self.clients[service] = open_stack(self.stack).open_client(service)
        return self.clients[service]

    def query(self, sql: str) -> Rows:
        """Query the warehouse through the Redshift Data API."""
        data = self.client("redshift-data")
        started = data.execute_statement(WorkgroupName="market-analysis", Database="dev", Sql=sql)["Id"]
        _wait(lambda: data.describe_statement(Id=started), "FINISHED", ("Status",))
        pages = data.get_paginator("get_statement_result").paginate(Id=started)
        return [tuple(_plain(cell) for cell in record) for page in pages for record in page["Records"]]

    def ask_athena(self, sql: str) -> list[dict[str, str | None]]:
        """Query the lake through Athena; values are strings."""
        athena = self.client("athena")
        started = athena.start_query_execution(
            QueryString=sql, WorkGroup="mag7", QueryExecutionContext={"Database": DATABASE}
        )["QueryExecutionId"]
        _wait(
            lambda: athena.get_query_execution(QueryExecutionId=started),
            "SUCCEEDED",
            ("QueryExecution", "Status", "State"),
        )
        pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=started)
        rows = [
            [cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]
        ]
        return [dict(zip([str(name) for name in rows[0]], row, strict=True)) for row in rows[1:]]

    def list_keys(self, prefix: str = "") -> list[str]:
        """List the lake's keys below a prefix."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def get(self, key: str) -> bytes:
        """Return an object's bytes."""
        return bytes(self.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def list_leaks(self, *secrets: str, prefixes: Iterable[str] = ("",)) -> list[str]:
        """List where secrets can be read: files below the home, with Airflow's database and logs, and objects."""
        places: dict[str, Callable[[], bytes]] = {str(path): path.read_bytes for path in self._list_files()}
        keys = [key for prefix in prefixes for key in self.list_keys(prefix)]
        places |= {key: partial(self.get_plain, key) for key in keys}
        wanted = [secret.encode() for secret in secrets]
        return [name for name, read in places.items() if _holds_any(read(), wanted)]

    def _list_files(self) -> list[Path]:
        return [path for path in self.home.rglob("*") if path.is_file()]

    def get_plain(self, key: str) -> bytes:
        """Return an object's bytes, decompressed if needed."""
        body = self.get(key)
        return gzip.decompress(body) if key.endswith(".gz") else body

    def document(self, day: str) -> dict[str, Any]:
        """Return a session's published document."""
        return dict(json.loads(self.get(f"raw/magnificent7/trading_date={day}/market_data.json")))

    def dump_table(self, table: str) -> Rows:
        """Return all rows of a warehouse table, in a fixed order."""
        return sorted(self.query(f"SELECT * FROM market_data.{table}"), key=repr)  # noqa: S608  # nosec B608

    def published(self, look: Callable[[str, bytes], str] = digest) -> Published:
        """Return what readers see now; ``look`` reduces an object to what is compared."""
        keys = [key for prefix in READ_PREFIXES for key in self.list_keys(prefix)]
        return Published(
            {table.name: self.dump_table(table.name) for table in list_published_tables()},
            {key: look(key, self.get(key)) for key in keys},
            {table: self._list_partitions(table) for table in TABLES},
        )

    def _list_partitions(self, table: str) -> dict[str, str]:
        pages = self.client("glue").get_paginator("get_partitions").paginate(DatabaseName=DATABASE, TableName=table)
        return {
            partition["Values"][0]: partition["StorageDescriptor"]["Location"]
            for page in pages
            for partition in page["Partitions"]
        }


def _plain(cell: dict[str, Any]) -> Any:
    (kind, value), *_ = cell.items()
    return None if kind == "isNull" else value


def _wait(ask: Any, wanted: str, path: tuple[str, ...]) -> None:
    deadline = time.monotonic() + QUERY_SECONDS
    while True:
        answer = state = ask()
        for step in path:
            state = state[step]
        if state == wanted:
            return
        if state in {"FAILED", "ABORTED", "CANCELLED"}:
            raise QueryFailedError(str(answer))
        if time.monotonic() > deadline:
            raise QueryFailedError(f"the query is still {state} after {QUERY_SECONDS} s")
        time.sleep(0.02)


def _holds_any(body: bytes, wanted: Iterable[bytes]) -> bool:
    return any(text in body for text in wanted)
