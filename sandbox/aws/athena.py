"""Athena queries that really run: the Glue catalog says what a table is, S3 holds it, DuckDB executes."""

import contextlib
import math
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from sandbox.aws.api import Action, ApiError, Payload, require
from sandbox.aws.backends import S3Object, S3Store, find_table, find_workgroup, list_partitions, split_uri
from sandbox.aws.faults import QUERY_KINDS, Faults
from sandbox.aws.files import NotParquetError, ParquetFiles
from sandbox.aws.trino import MACROS, QueryError, check_comparisons, parse_query, translate

HIVE_TYPES = {"string": "VARCHAR", "int": "INTEGER", "float": "REAL"}
TRINO_TYPES = {
    "HUGEINT": "bigint",
    "UBIGINT": "bigint",
    "FLOAT": "real",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}
PAGE_ROWS = 1000


@dataclass
class Query:
    """One query execution; times in seconds since 1970."""

    id: str
    sql: str
    region: str
    database: str
    workgroup: str
    output: str
    cutoff: int | None
    state: str = "QUEUED"
    reason: str | None = None
    submitted: float = field(default_factory=time.time)
    completed: float | None = None
    scanned: int = 0
    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    connection: Any = None

    def describe(self) -> Payload:
        """Describe the query as GetQueryExecution does."""
        status: Payload = {"State": self.state, "SubmissionDateTime": self.submitted}
        status |= {"CompletionDateTime": self.completed} if self.completed else {}
        status |= {"StateChangeReason": self.reason} if self.reason else {}
        elapsed = int(((self.completed or time.time()) - self.submitted) * 1000)
        return {
            "QueryExecutionId": self.id,
            "Query": self.sql,
            "StatementType": "DML",
            "ResultConfiguration": {"OutputLocation": f"{self.output}{self.id}.csv"},
            "QueryExecutionContext": {"Database": self.database},
            "Status": status,
            "Statistics": {
                "EngineExecutionTimeInMillis": elapsed,
                "TotalExecutionTimeInMillis": elapsed,
                "DataScannedInBytes": self.scanned,
            },
            "WorkGroup": self.workgroup,
            "EngineVersion": {"EffectiveEngineVersion": "Athena engine version 3"},
        }


class AthenaEngine:
    """Starts, runs and stops queries; workgroups stay moto's."""

    def __init__(self, store: S3Store, files: ParquetFiles, faults: Faults) -> None:
        self._store = store
        self._files = files
        self._faults = faults
        self._queries: dict[str, Query] = {}
        self._lock = threading.Lock()

    def list_actions(self) -> dict[str, Action]:
        """List the API actions that this engine answers, by X-Amz-Target."""
        return {
            "AmazonAthena.StartQueryExecution": self.start,
            "AmazonAthena.GetQueryExecution": self.get,
            "AmazonAthena.GetQueryResults": self.get_results,
            "AmazonAthena.StopQueryExecution": self.stop,
            "AmazonAthena.ListQueryExecutions": self.list_queries,
        }

    def start(self, region: str, payload: Payload) -> Payload:
        """Start a query; raise InvalidRequestException for an unknown workgroup or without an output location."""
        name = payload.get("WorkGroup") or "primary"
        group = find_workgroup(region, name)
        if group is None:
            raise ApiError("InvalidRequestException", f"WorkGroup {name} is not found.")
        asked = (payload.get("ResultConfiguration") or {}).get("OutputLocation")
        fixed = (group.get("ResultConfiguration") or {}).get("OutputLocation")
        output = fixed or asked if group.get("EnforceWorkGroupConfiguration") else asked or fixed
        if not output:
            message = "No output location provided. An output location is required either through the Workgroup"
            raise ApiError("InvalidRequestException", f"{message} result configuration setting or as an API input.")
        bucket, _ = split_uri(output)
        if bucket not in self._store.list_buckets():
            raise ApiError("InvalidRequestException", f"Unable to verify/create output bucket {bucket}")
        database = (payload.get("QueryExecutionContext") or {}).get("Database") or "default"
        cutoff = group.get("BytesScannedCutoffPerQuery")
        sql = require(payload, "QueryString")
        query = Query(str(uuid.uuid4()), sql, region, database.lower(), name, f"{output.rstrip('/')}/", cutoff)
        self._queries[query.id] = query
        threading.Thread(target=self._execute, args=(query,), name="athena", daemon=True).start()
        return {"QueryExecutionId": query.id}

    def get(self, _region: str, payload: Payload) -> Payload:
        """Describe a query."""
        return {"QueryExecution": self._find(payload).describe()}

    def get_results(self, _region: str, payload: Payload) -> Payload:
        """Return a page of a query's rows; the first row of the first page holds the column names."""
        query = self._find(payload)
        if query.state != "SUCCEEDED":
            message = f"Query did not finish successfully. Final query state: {query.state}"
            if query.completed is None:
                message = f"Query has not yet finished. Current state: {query.state}"
            raise ApiError("InvalidRequestException", message)
        header: list[list[str | None]] = [[name for name, _ in query.columns]]
        start, size = int(payload.get("NextToken") or 0), int(payload.get("MaxResults") or PAGE_ROWS)
        if size > PAGE_ROWS:
            raise ApiError("InvalidRequestException", f"MaxResults is more than maximum allowed length {PAGE_ROWS}.")
        rows = header + query.rows
        page = [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in rows[start : start + size]]
        more = {"NextToken": str(start + size)} if start + size < len(rows) else {}
        info = [_describe_column(name, kind) for name, kind in query.columns]
        return {"UpdateCount": 0, "ResultSet": {"Rows": page, "ResultSetMetadata": {"ColumnInfo": info}}, **more}

    def stop(self, _region: str, payload: Payload) -> Payload:
        """Cancel a query that has not finished."""
        query = self._find(payload)
        with self._lock:
            if query.completed is None:
                query.state, query.completed = "CANCELLED", time.time()
                query.reason = "Query cancelled by user"
                if query.connection is not None:
                    query.connection.interrupt()
        return {}

    def list_queries(self, _region: str, payload: Payload) -> Payload:
        """List the ids of a workgroup's queries, newest first."""
        name = payload.get("WorkGroup") or "primary"
        return {
            "QueryExecutionIds": [query.id for query in reversed(self._queries.values()) if query.workgroup == name]
        }

    def _find(self, payload: Payload) -> Query:
        query = self._queries.get(payload.get("QueryExecutionId", ""))
        if query is None:
            raise ApiError("InvalidRequestException", f"QueryExecution {payload.get('QueryExecutionId')} was not found")
        return query

    def _execute(self, query: Query) -> None:
        fault = self._faults.choose(QUERY_KINDS, query.sql)
        if fault is not None:
            state = "FAILED" if fault == "query_failed" else "CANCELLED"
            self._finish(query, state, "GENERIC_INTERNAL_ERROR: simulated failure of Athena")
            return
        try:
            with contextlib.closing(duckdb.connect(config={"threads": 2})) as connection:
                with self._lock:
                    if query.completed is not None:
                        return
                    query.connection, query.state = connection, "RUNNING"
                columns, rows = _run(query, connection, self._files)
            bucket, key = split_uri(f"{query.output}{query.id}.csv")
            self._store.write(bucket, key, "".join(_write_csv([[n for n, _ in columns], *rows])).encode())
            self._finish(query, "SUCCEEDED", None, columns, rows)
        except QueryError as error:
            self._finish(query, "FAILED", str(error))
        except (duckdb.Error, ApiError) as error:
            self._finish(query, "FAILED", _explain(error))
        except Exception as error:
            # A bug of the sandbox must end the query, not leave its caller polling.
            self._finish(query, "FAILED", f"GENERIC_INTERNAL_ERROR: {type(error).__name__}: {error}")
            raise

    def _finish(
        self,
        query: Query,
        state: str,
        reason: str | None,
        columns: list[tuple[str, str]] | None = None,
        rows: list[list[str | None]] | None = None,
    ) -> None:
        with self._lock:
            query.connection = None
            if query.completed is None:
                query.columns, query.rows = columns or [], rows or []
                query.reason, query.completed, query.state = reason, time.time(), state


def _run(query: Query, connection: Any, files: ParquetFiles) -> tuple[list[tuple[str, str]], list[list[str | None]]]:
    tree = parse_query(query.sql)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET integer_division = true")
    # DuckDB 2.0.0 fails to bind array_join results compared with a text once this optimizer rewrites the filter.
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    for macro in MACROS:
        connection.execute(macro)
    tables = _find_tables(query, tree)
    check_comparisons(tree, _collect_types(list(tables.values())))
    for (database, name), table in tables.items():
        query.scanned += _create_view(connection, files, query, tree, table)
        if query.cutoff and query.scanned > query.cutoff:
            raise QueryError(
                f"Bytes scanned limit was exceeded: {query.scanned} of {query.cutoff} bytes ({database}.{name})"
            )
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(query.database)}")
    connection.execute(f"SET schema = {_quote(query.database)}")
    cursor = connection.execute(translate(tree))
    columns = [(column[0].lower(), _name_type(str(column[1]))) for column in cursor.description]
    rows = [[_write_value(value) for value in row] for row in cursor.fetchall()]
    return columns, rows


def _find_tables(query: Query, tree: exp.Query) -> dict[tuple[str, str], Payload]:
    named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    tables: dict[tuple[str, str], Payload] = {}
    for node in tree.find_all(exp.Table):
        name = node.name.lower()
        if not name or (not node.db and name in named):
            continue
        database = (node.db or query.database).lower()
        table = find_table(query.region, database, name)
        if table is None:
            raise QueryError(f"TABLE_NOT_FOUND: Table 'awsdatacatalog.{database}.{name}' does not exist")
        tables[database, name] = table
        node.set("catalog", None)  # awsdatacatalog.database.table means the same table
    return tables


def _collect_types(tables: list[Payload]) -> dict[str, str]:
    seen: dict[str, set[str]] = {}
    for table in tables:
        for column in [*table["StorageDescriptor"]["Columns"], *(table.get("PartitionKeys") or [])]:
            seen.setdefault(column["Name"].lower(), set()).add(column["Type"].lower())
    return {name: kinds.pop() for name, kinds in seen.items() if len(kinds) == 1}


def _create_view(connection: Any, files: ParquetFiles, query: Query, tree: exp.Query, table: Payload) -> int:
    """Create the view that stands for a table and return the bytes of the files behind it."""
    database, name = table["DatabaseName"], table["Name"]
    keys = table.get("PartitionKeys") or []
    columns = table["StorageDescriptor"]["Columns"]
    chosen: list[tuple[Path, S3Object, list[str]]] = []
    for location, values in _choose_partitions(query.region, tree, table):
        bucket, prefix = split_uri(f"{location.rstrip('/')}/")
        chosen += [(files.fetch(found), found, values) for found in files.list_visible(bucket, prefix)]
    picked = [f"CAST(NULL AS {_duck_type(c['Type'])}) AS {_quote(c['Name'])}" for c in [*columns, *keys]]
    body = f"SELECT {', '.join(picked)} WHERE false"
    if chosen:
        paths = [str(path) for path, _, _ in chosen]
        listed = f"read_parquet({paths!r}, union_by_name = true, hive_partitioning = false, filename = '_path')"
        present = _check_files(connection, files, columns, {path: found.uri for path, found, _ in chosen})
        picked = [_pick(column, present) for column in columns]
        parts = f"{_quote(f'{database}.{name}')}"
        marks = ", ".join(f"k{index} VARCHAR" for index in range(len(keys)))
        connection.execute(f"CREATE TEMP TABLE {parts} (_path VARCHAR{', ' if marks else ''}{marks})")
        slots = ", ".join("?" for _ in range(len(keys) + 1))
        rows = [[str(path), *values] for path, _, values in chosen]
        connection.executemany(f"INSERT INTO {parts} VALUES ({slots})", rows)  # noqa: S608  # nosec B608 # our own names
        picked += [f"CAST(k{i} AS {_duck_type(k['Type'])}) AS {_quote(k['Name'])}" for i, k in enumerate(keys)]
        body = f"SELECT {', '.join(picked)} FROM {listed} JOIN {parts} USING (_path)"  # noqa: S608  # nosec B608 # our own names
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(database)}")
    connection.execute(f"CREATE VIEW {_quote(database)}.{_quote(name)} AS {body}")
    return sum(found.size for _, found, _ in chosen)


def _choose_partitions(region: str, tree: exp.Query, table: Payload) -> Iterator[tuple[str, list[str]]]:
    """List location and values of what the query can match: every registered partition, or the whole table."""
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
    """Read from the WHERE round a table which values its partition columns may have."""
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
    source = _quote(column["Name"]) if column["Name"].lower() in present else "NULL"
    return f"CAST({source} AS {_duck_type(column['Type'])}) AS {_quote(column['Name'])}"


def _duck_type(hive: str) -> str:
    return HIVE_TYPES.get(hive.lower(), "VARCHAR" if hive.lower().startswith(("varchar", "char")) else hive.upper())


def _name_type(duck: str) -> str:
    return TRINO_TYPES.get(duck, duck.lower().split("(")[0])


def _describe_column(name: str, kind: str) -> Payload:
    fixed = {"CatalogName": "hive", "SchemaName": "", "TableName": "", "Precision": 0, "Scale": 0}
    return {
        **fixed,
        "Name": name,
        "Label": name,
        "Type": kind,
        "Nullable": "UNKNOWN",
        "CaseSensitive": kind == "varchar",
    }


def _write_csv(rows: list[list[str | None]]) -> Iterator[str]:
    # Athena quotes every value and leaves NULL as nothing at all.
    for row in rows:
        quoted = ['"' + value.replace('"', '""') + '"' if value is not None else "" for value in row]
        yield ",".join(quoted) + "\n"


def _write_value(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _write_double(value)
    if isinstance(value, list):
        return f"[{', '.join(str(_write_value(item)) for item in value)}]"
    return str(value.isoformat(" ", "milliseconds")) if hasattr(value, "hour") else str(value)


def _write_double(value: float) -> str:
    """Write a double as Java does: 1.0E7 from ten million on."""
    if not math.isfinite(value):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value) if "e" not in repr(value) else f"{value:.20f}".rstrip("0")
    digits, _, exponent = f"{value:.16e}".partition("e")
    for places in range(1, 17):
        short = f"{value:.{places}e}"
        if float(short) == value:
            digits, _, exponent = short.partition("e")
            break
    return f"{digits}E{int(exponent)}"


def _explain(error: Exception) -> str:
    """Name an engine's error as Athena would."""
    text = str(error).split("\n\nLINE")[0].split("\nCandidate")[0].strip()
    line = " ".join(text.split())
    missing = line.split('"')[1] if '"' in line else ""
    if "Referenced column" in line or "does not have a column" in line:
        column = line.rsplit('"', 2)[1] if "does not have a column" in line else missing
        return f"COLUMN_NOT_FOUND: Column '{column}' cannot be resolved"
    if "Division by zero" in line:
        return "DIVISION_BY_ZERO: Division by zero"
    kinds = {duckdb.BinderException: "TYPE_MISMATCH", duckdb.CatalogException: "FUNCTION_NOT_FOUND"}
    return f"{kinds.get(type(error), 'GENERIC_USER_ERROR')}: {line}"


def _quote(name: str) -> str:
    return '"' + name.lower().replace('"', '""') + '"'
