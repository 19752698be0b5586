"""The catalog's tables as DuckDB views, over the files of the partitions that a query can match."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlglot import exp

from sandbox.aws.api import Payload
from sandbox.aws.backends import S3Object, find_table, list_partitions, split_uri
from sandbox.aws.files import NotParquetError, ParquetFiles
from sandbox.aws.trino import QueryError

HIVE_TYPES = {"string": "VARCHAR", "int": "INTEGER", "float": "REAL"}


def find_tables(region: str, default: str, tree: exp.Query) -> dict[tuple[str, str], Payload]:
    """Find the catalog's tables that a query names, by database and name; raises QueryError for an unknown one."""
    named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    tables: dict[tuple[str, str], Payload] = {}
    for node in tree.find_all(exp.Table):
        name = node.name.lower()
        if not name or (not node.db and name in named):
            continue
        database = (node.db or default).lower()
        table = find_table(region, database, name)
        if table is None:
            raise QueryError(f"TABLE_NOT_FOUND: Table 'awsdatacatalog.{database}.{name}' does not exist")
        tables[database, name] = table
        node.set("catalog", None)  # awsdatacatalog.database.table means the same table
    return tables


def collect_types(tables: list[Payload]) -> dict[str, str]:
    """Collect the types of columns by name; a name that has two types is left out."""
    seen: dict[str, set[str]] = {}
    for table in tables:
        for column in [*table["StorageDescriptor"]["Columns"], *(table.get("PartitionKeys") or [])]:
            seen.setdefault(column["Name"].lower(), set()).add(column["Type"].lower())
    return {name: kinds.pop() for name, kinds in seen.items() if len(kinds) == 1}


def create_view(connection: Any, files: ParquetFiles, region: str, tree: exp.Query, table: Payload) -> int:
    """Create the view of a table and return the bytes of the files that it reads."""
    database, name = table["DatabaseName"], table["Name"]
    keys = table.get("PartitionKeys") or []
    columns = table["StorageDescriptor"]["Columns"]
    chosen: list[tuple[Path, S3Object, list[str]]] = []
    for location, values in _choose_partitions(region, tree, table):
        bucket, prefix = split_uri(f"{location.rstrip('/')}/")
        chosen += [(files.fetch(found), found, values) for found in files.list_visible(bucket, prefix)]
    picked = [f"CAST(NULL AS {_duck_type(c['Type'])}) AS {quote(c['Name'])}" for c in [*columns, *keys]]
    body = f"SELECT {', '.join(picked)} WHERE false"
    if chosen:
        paths = [str(path) for path, _, _ in chosen]
        listed = f"read_parquet({paths!r}, union_by_name = true, hive_partitioning = false, filename = '_path')"
        present = _check_files(connection, files, columns, {path: found.uri for path, found, _ in chosen})
        picked = [_pick(column, present) for column in columns]
        parts = f"{quote(f'{database}.{name}')}"
        marks = ", ".join(f"k{index} VARCHAR" for index in range(len(keys)))
        connection.execute(f"CREATE TEMP TABLE {parts} (_path VARCHAR{', ' if marks else ''}{marks})")
        slots = ", ".join("?" for _ in range(len(keys) + 1))
        rows = [[str(path), *values] for path, _, values in chosen]
        connection.executemany(f"INSERT INTO {parts} VALUES ({slots})", rows)  # noqa: S608  # nosec B608 # our own names
        picked += [f"CAST(k{i} AS {_duck_type(k['Type'])}) AS {quote(k['Name'])}" for i, k in enumerate(keys)]
        body = f"SELECT {', '.join(picked)} FROM {listed} JOIN {parts} USING (_path)"  # noqa: S608  # nosec B608 # our own names
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(database)}")
    connection.execute(f"CREATE VIEW {quote(database)}.{quote(name)} AS {body}")
    return sum(found.size for _, found, _ in chosen)


def _choose_partitions(region: str, tree: exp.Query, table: Payload) -> Iterator[tuple[str, list[str]]]:
    """List location and values of each registered partition that the query can match, or the whole table."""
    keys = [key["Name"].lower() for key in table.get("PartitionKeys") or []]
    if not keys:
        yield table["StorageDescriptor"]["Location"], []
        return
    nodes = [node for node in tree.find_all(exp.Table) if node.name.lower() == table["Name"]]
    wanted = [_read_filter(node, keys) for node in nodes]
    for partition in list_partitions(region, table["DatabaseName"], table["Name"]):
        values = dict(zip(keys, partition["Values"], strict=True))
        if any(all(values[key] in allowed for key, allowed in bound.items()) for bound in wanted):
            yield partition["StorageDescriptor"]["Location"], list(values.values())


def _read_filter(node: exp.Table, keys: list[str]) -> dict[str, set[str]]:
    """Read from the WHERE of a table which values its partition columns may have."""
    select = node.find_ancestor(exp.Select)
    where = select.args.get("where") if select else None
    if where is None:
        return {}
    alone = not select.args.get("joins")
    bounds: dict[str, set[str]] = {}
    for term in where.this.flatten() if isinstance(where.this, exp.And) else [where.this]:
        column = term.this if isinstance(term, exp.EQ | exp.In) else None
        if not isinstance(column, exp.Column) or column.name.lower() not in keys:
            continue
        mine = column.table.lower() == node.alias_or_name.lower() if column.table else alone
        literals = [
            _read_literal(value) for value in ([term.expression] if isinstance(term, exp.EQ) else term.expressions)
        ]
        texts = {text for text in literals if text is not None}
        if mine and texts and len(texts) == len(set(literals)):
            bounds[column.name.lower()] = bounds.get(column.name.lower(), texts) & texts
    return bounds


def _read_literal(node: exp.Expression) -> str | None:
    inner = node.this if isinstance(node, exp.Cast) else node
    return str(inner.this) if isinstance(inner, exp.Literal) else None


def _check_files(connection: Any, files: ParquetFiles, columns: list[Payload], uris: dict[Path, str]) -> set[str]:
    """Return the columns that the files hold; raise QueryError where a file's type is not the catalog's."""
    wanted = {column["Name"].lower(): _duck_type(column["Type"]) for column in columns}
    present: set[str] = set()
    for path, uri in uris.items():
        try:
            described = files.describe(connection, path)
        except NotParquetError as error:
            raise QueryError(f"HIVE_BAD_DATA: {uri} is not a valid Parquet file") from error
        for name, kind in described:
            want = wanted.get(name.lower(), kind)
            if kind.split(" WITH")[0] != want:
                message = f"Field {name}'s type {kind} in parquet file {uri} is incompatible with type {want}"
                raise QueryError(f"HIVE_BAD_DATA: {message} defined in table schema")
            present.add(name.lower())
    return present


def _pick(column: Payload, present: set[str]) -> str:
    source = quote(column["Name"]) if column["Name"].lower() in present else "NULL"
    return f"CAST({source} AS {_duck_type(column['Type'])}) AS {quote(column['Name'])}"


def _duck_type(hive: str) -> str:
    return HIVE_TYPES.get(hive.lower(), "VARCHAR" if hive.lower().startswith(("varchar", "char")) else hive.upper())


def quote(name: str) -> str:
    """Quote a name for DuckDB, in lower case as the catalog has it."""
    return '"' + name.lower().replace('"', '""') + '"'
