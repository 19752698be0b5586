"""COPY of Parquet files, with every rule of Redshift's that a load can break."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlglot import exp

from sandbox.aws.api import ApiError
from sandbox.aws.backends import S3Store, split_uri
from sandbox.aws.redshift_locks import RedshiftError

PARQUET_TYPES: dict[str, Callable[[Any], bool]] = {
    "SMALLINT": pa.types.is_int16,
    "INTEGER": pa.types.is_int32,
    "BIGINT": pa.types.is_int64,
    "FLOAT": pa.types.is_float32,
    "DOUBLE": pa.types.is_float64,
    "BOOLEAN": pa.types.is_boolean,
    "DATE": pa.types.is_date,
    "TIMESTAMP": pa.types.is_timestamp,
    "TIMESTAMP WITH TIME ZONE": pa.types.is_timestamp,
    "VARCHAR": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
}


@dataclass(frozen=True)
class Column:
    """A column of a COPY's target; bytes is the most that a text may have."""

    name: str
    type: str
    nullable: bool
    bytes: int | None


def find_columns(connection: Any, schema: str, table: str) -> list[Column]:
    """List a table's columns in order; raise RedshiftError when there is no such table."""
    rows = connection.execute(
        "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE table_name = ? AND (database_name = 'temp' OR schema_name = ?) "
        "ORDER BY database_name = 'temp' DESC, column_index",
        [table, schema],
    ).fetchall()
    checks = connection.execute(
        "SELECT expression FROM duckdb_constraints() WHERE table_name = ? AND constraint_type = 'CHECK'", [table]
    ).fetchall()
    limits = {
        found[1].lower(): int(found[2])
        for (text,) in checks
        if (found := re.search(r'strlen\("?([^")]+)"?\)\s*<=\s*(\d+)', text))
    }
    if not rows:
        raise RedshiftError(f"Cannot COPY into nonexistent table {table}")
    return [Column(name, kind, nullable, limits.get(name.lower())) for name, kind, nullable in rows]


def copy(connection: Any, store: S3Store, tree: exp.Copy) -> int:
    """Append the files that a COPY names to its table and return the rows loaded."""
    _check_options(tree)
    listed = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
    table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    columns = find_columns(connection, table.db.lower() or "public", table.name.lower())
    if listed:
        by_name = {column.name.lower(): column for column in columns}
        unknown = [name.name for name in listed if name.name.lower() not in by_name]
        if unknown:
            raise RedshiftError(f'column "{unknown[0]}" of relation "{table.name}" does not exist')
        columns = [by_name[name.name.lower()] for name in listed]
    location = tree.args["files"][0].name
    has_manifest = any(option.this.name.upper() == "MANIFEST" for option in tree.args["params"])
    files = _read_manifest(store, location) if has_manifest else _find_files(store, location)
    rows = 0
    for uri in files:
        data = _read(store, uri, columns, location)
        names = ", ".join(f'"{column.name}"' for column in columns)
        connection.register("incoming", data)
        connection.execute(f"INSERT INTO {table.sql('duckdb')} ({names}) SELECT * FROM incoming")  # noqa: S608
        connection.unregister("incoming")
        rows += data.num_rows
    return rows


def _check_options(tree: exp.Copy) -> None:
    role = tree.args["credentials"].args.get("iam_role") if tree.args.get("credentials") else None
    if role is None:
        raise RedshiftError("COPY needs IAM_ROLE: access keys have no place in SQL text")
    if role.name != "default" and not re.fullmatch(r"arn:aws[\w-]*:iam::\d{12}:role/\S+", role.name):
        raise RedshiftError(f"Invalid IAM_ROLE {role.name!r}: not the ARN of a role")
    if not tree.args["files"]:
        raise RedshiftError("COPY needs FROM 's3://...'")
    options = {option.this.name.upper(): option.expression for option in tree.args["params"]}
    form = options.pop("FORMAT", None)
    if "PARQUET" not in options and (form is None or form.name.upper() != "PARQUET"):
        raise RedshiftError("the sandbox loads FORMAT AS PARQUET only")
    for name in options.keys() - {"PARQUET", "MANIFEST", "STATUPDATE"}:
        raise RedshiftError(f"{name} argument is not supported for PARQUET based COPY")


def _find_files(store: S3Store, location: str) -> list[str]:
    bucket, prefix = split_uri(location)
    found = [item for item in store.list(bucket, prefix) if not re.search(r"(^|/)[._][^/]*$|/$", item.key)]
    if not found:
        raise RedshiftError(f"The specified S3 prefix '{prefix}' does not exist")
    return [item.uri for item in found]


def _read_manifest(store: S3Store, location: str) -> list[str]:
    body = store.read(*split_uri(location))
    if body is None:
        raise RedshiftError(f"The specified manifest {location} does not exist")
    try:
        entries = json.loads(body)["entries"]
        return [uri for entry in entries if (uri := _check_entry(store, entry))]
    except (ValueError, KeyError, TypeError) as error:
        raise RedshiftError(f"Manifest {location} is malformed: {type(error).__name__} {error}") from error


def _check_entry(store: S3Store, entry: dict[str, Any]) -> str | None:
    uri, length = entry["url"], entry.get("meta", {}).get("content_length")
    if length is None:
        message = "COPY with MANIFEST parameter requires meta.content_length for columnar formats"
        raise RedshiftError(f"{message}: {uri}")
    found = store.find(*split_uri(uri))
    if found is None:
        if entry.get("mandatory", False):
            raise RedshiftError(f"Mandatory url is not present in S3: {uri}")
        return None
    if found.size != length:
        raise RedshiftError(f"Spectrum Scan Error. File size {found.size} is not content_length {length}: {uri}")
    return str(uri)


def _read(store: S3Store, uri: str, columns: list[Column], location: str) -> Any:
    try:
        data = pq.read_table(io.BytesIO(store.read(*split_uri(uri)) or b""), use_threads=False)
    except (pa.ArrowException, ApiError) as error:
        raise RedshiftError(f"Spectrum Scan Error. {uri} is not a valid Parquet file: {error}") from error
    if data.num_columns != len(columns):
        message = f"Table columns: {len(columns)}, Data columns: {data.num_columns}, File name: {uri}"
        raise RedshiftError(f"Spectrum Scan Error. Unmatched number of columns between table and file. {message}")
    for column, name, values in zip(columns, data.column_names, data.columns, strict=True):
        if not _fits(column.type, values.type):
            place = f"column '{location}.{column.name}'. Column type: {column.type}"
            message = f"has an incompatible Parquet schema for {place}, Parquet schema: optional {values.type} {name}"
            raise RedshiftError(f"Spectrum Scan Error. File '{uri}' {message}")
        if not column.nullable and values.null_count:
            raise RedshiftError(f"Cannot insert a NULL value into column {column.name}, File name: {uri}")
        longest = pc.max(pc.binary_length(values)).as_py() if column.bytes and len(values) else None
        if column.bytes and longest and longest > column.bytes:
            message = f"The length of the data column {name} is longer than the length defined in the table"
            raise RedshiftError(
                f"Spectrum Scan Error. {message}. Table: {column.bytes}, Data: {longest}, File name: {uri}"
            )
    return data.rename_columns([f"c{index}" for index in range(data.num_columns)])


def _fits(column: str, parquet: Any) -> bool:
    if column.startswith("DECIMAL"):
        return bool(pa.types.is_decimal(parquet)) and column == f"DECIMAL({parquet.precision},{parquet.scale})"
    return column in PARQUET_TYPES and PARQUET_TYPES[column](parquet)
