"""Athena queries that really run: tables from the Glue catalog, files from S3, execution in DuckDB."""

import contextlib
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import duckdb

from sandbox.aws.api import Action, ApiError, Payload, require
from sandbox.aws.athena_results import describe_column, explain, name_type, write_csv, write_value
from sandbox.aws.athena_tables import collect_types, create_view, find_tables, quote
from sandbox.aws.backends import S3Store, find_workgroup, split_uri
from sandbox.aws.faults import QUERY_KINDS, Faults
from sandbox.aws.files import ParquetFiles
from sandbox.aws.trino import MACROS, QueryError, check_comparisons, parse_query, translate

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
        """List the API actions of this engine, by X-Amz-Target."""
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
        info = [describe_column(name, kind) for name, kind in query.columns]
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
            self._store.write(bucket, key, "".join(write_csv([[n for n, _ in columns], *rows])).encode())
            self._finish(query, "SUCCEEDED", None, columns, rows)
        except QueryError as error:
            self._finish(query, "FAILED", str(error))
        except (duckdb.Error, ApiError) as error:
            self._finish(query, "FAILED", explain(error))
        except Exception as error:
            # A bug in the sandbox must end the query, or its caller would poll forever.
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
    tables = find_tables(query.region, query.database, tree)
    check_comparisons(tree, collect_types(list(tables.values())))
    for (database, name), table in tables.items():
        query.scanned += create_view(connection, files, query.region, tree, table)
        if query.cutoff and query.scanned > query.cutoff:
            raise QueryError(
                f"Bytes scanned limit was exceeded: {query.scanned} of {query.cutoff} bytes ({database}.{name})"
            )
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(query.database)}")
    connection.execute(f"SET schema = {quote(query.database)}")
    cursor = connection.execute(translate(tree))
    columns = [(column[0].lower(), name_type(str(column[1]))) for column in cursor.description]
    rows = [[write_value(value) for value in row] for row in cursor.fetchall()]
    return columns, rows
