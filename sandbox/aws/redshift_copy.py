"""COPY of Parquet files, with all of Redshift's rules that a load can break."""

import json
import re
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from sandbox.aws.backends import S3Object, S3Store, split_uri
from sandbox.aws.files import NotParquetError, ParquetFiles
from sandbox.aws.redshift_locks import RedshiftError


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


def copy(connection: Any, store: S3Store, files: ParquetFiles, tree: exp.Copy) -> int:
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
    found = _read_manifest(store, location) if has_manifest else _find_files(files, location)
    names = ", ".join(exp.to_identifier(column.name, quoted=True).sql("duckdb") for column in columns)
    into = f"INSERT INTO {table.sql('duckdb')} ({names})"
    return sum(_load(connection, files, item, columns, into) for item in found)


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


def _find_files(files: ParquetFiles, location: str) -> list[S3Object]:
    bucket, prefix = split_uri(location)
    found = files.list_visible(bucket, prefix)
    if not found:
        raise RedshiftError(f"The specified S3 prefix '{prefix}' does not exist")
    return found


def _read_manifest(store: S3Store, location: str) -> list[S3Object]:
    body = store.read(*split_uri(location))
    if body is None:
        raise RedshiftError(f"The specified manifest {location} does not exist")
    try:
        entries = json.loads(body)["entries"]
        return [found for entry in entries if (found := _check_entry(store, entry))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RedshiftError(f"Manifest {location} is malformed: {type(error).__name__} {error}") from error


def _check_entry(store: S3Store, entry: dict[str, Any]) -> S3Object | None:
    uri, length = entry["url"], entry.get("meta", {}).get("content_length")
    if length is None:
        message = "COPY with MANIFEST parameter requires meta.content_length for columnar formats"
        raise RedshiftError(f"{message}: {uri}")
    found = store.find(*split_uri(uri))
    if found is None and entry.get("mandatory", False):
        raise RedshiftError(f"Mandatory url is not present in S3: {uri}")
    if found is not None and found.size != length:
        raise RedshiftError(f"Spectrum Scan Error. File size {found.size} is not content_length {length}: {uri}")
    return found


def _load(connection: Any, files: ParquetFiles, found: S3Object, columns: list[Column], into: str) -> int:
    path, uri = files.fetch(found), found.uri
    try:
        data = files.describe(connection, path)
    except NotParquetError as error:
        raise RedshiftError(f"Spectrum Scan Error. File {uri} is not a valid Parquet file") from error
    if len(data) != len(columns):
        message = f"Table columns: {len(columns)}, Data columns: {len(data)}, File name: {uri}"
        raise RedshiftError(f"Spectrum Scan Error. Unmatched number of columns between table and file. {message}")
    for column, (name, kind) in zip(columns, data, strict=True):
        if kind != column.type and not (kind.startswith("TIMESTAMP") and column.type.startswith("TIMESTAMP")):
            message = f"Column type: {column.type}, Parquet schema: optional {kind} {name}"
            where = f"File '{uri}' has an incompatible Parquet schema for column '{column.name}'"
            raise RedshiftError(f"Spectrum Scan Error. {where}. {message}")
    source = f"read_parquet('{path}', hive_partitioning = false)"
    _check_values(connection, columns, [name for name, _ in data], source, uri)
    rows = connection.execute(f"{into} SELECT * FROM {source}").fetchone()  # noqa: S608  # nosec B608 # our own names
    return int(rows[0])


def _check_values(connection: Any, columns: list[Column], names: list[str], source: str, uri: str) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    nulls = ", ".join(f"count(*) - count({name})" for name in quoted)
    longest = ", ".join(f"max(strlen({name}))" if c.bytes else "0" for name, c in zip(quoted, columns, strict=True))
    counts = connection.execute(f"SELECT {nulls}, {longest} FROM {source}").fetchone()  # noqa: S608  # nosec B608 # our own names
    for index, column in enumerate(columns):
        if counts[index] and not column.nullable:
            raise RedshiftError(f"Cannot insert a NULL value into column {column.name}, File name: {uri}")
        length = counts[len(columns) + index]
        if column.bytes and length and length > column.bytes:
            message = f"The length of the data column {names[index]} is longer than the length defined in the table"
            sizes = f"Table: {column.bytes}, Data: {length}, File name: {uri}"
            raise RedshiftError(f"Spectrum Scan Error. {message}. {sizes}")
