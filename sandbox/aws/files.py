"""Local copies of the lake's Parquet files, which DuckDB reads: one copy for each key and content."""

import hashlib
import uuid
from pathlib import Path

import duckdb

from sandbox.aws.backends import S3Object, S3Store


class NotParquetError(Exception):
    """An object is not a Parquet file."""


class ParquetFiles:
    """Copies of S3 objects, and the schemas in their footers."""

    def __init__(self, store: S3Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._columns: dict[Path, list[tuple[str, str]]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def list_visible(self, bucket: str, prefix: str) -> list[S3Object]:
        """List the objects that Athena and COPY read: no markers, and no names with a leading `_` or `.`."""
        folder = prefix.rpartition("/")[0]
        found = self._store.list(bucket, prefix)
        return [item for item in found if item.size and not _is_hidden(item.key.removeprefix(folder))]

    def fetch(self, found: S3Object) -> Path:
        """Return the path of a local copy."""
        name = hashlib.sha256(f"{found.uri} {found.etag}".encode()).hexdigest()[:40]
        path = self._folder / f"{name}.parquet"
        if not path.exists():
            beside = path.with_suffix(f".{uuid.uuid4().hex}")
            beside.write_bytes(self._store.read(found.bucket, found.key) or b"")
            beside.replace(path)
        return path

    def describe(self, connection: duckdb.DuckDBPyConnection, path: Path) -> list[tuple[str, str]]:
        """List a copy's columns and their DuckDB types; raise NotParquetError for other files."""
        if path not in self._columns:
            sql = f"DESCRIBE SELECT * FROM read_parquet('{path}', hive_partitioning = false)"  # noqa: S608  # nosec B608 # our own names
            try:
                rows = connection.execute(sql).fetchall()
            except duckdb.InvalidInputException as error:
                raise NotParquetError(str(error).splitlines()[0]) from error
            self._columns[path] = [(name, kind) for name, kind, *_ in rows]
        return self._columns[path]


def _is_hidden(rest: str) -> bool:
    return any(part.startswith(("_", ".")) for part in rest.split("/"))
