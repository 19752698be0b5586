"""The Redshift Data API on DuckDB: one file a database, one transaction a call, Redshift's own rules."""

import contextlib
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from sandbox.aws.api import Action, ApiError, Payload, require
from sandbox.aws.backends import S3Store
from sandbox.aws.faults import STATEMENT_KINDS, Faults
from sandbox.aws.files import ParquetFiles
from sandbox.aws.redshift_copy import copy
from sandbox.aws.redshift_locks import RedshiftError, TableLocks, Transaction
from sandbox.aws.redshift_sql import Statement, prepare

MAX_STATEMENTS = 40
ACTIVE = {"SUBMITTED", "PICKED", "STARTED"}
TYPE_NAMES = {
    "BOOLEAN": "bool",
    "SMALLINT": "int2",
    "INTEGER": "int4",
    "BIGINT": "int8",
    "HUGEINT": "int8",
    "FLOAT": "float4",
    "DOUBLE": "float8",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "VARCHAR": "varchar",
}


@dataclass
class Call:
    """A statement or batch as the Data API tells of it; times in seconds since 1970, duration in nanoseconds."""

    id: str
    sql: str
    status: str = "SUBMITTED"
    error: str | None = None
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    duration: int = 0
    rows: int = -1
    columns: list[tuple[str, str]] | None = None
    records: list[tuple[Any, ...]] = field(default_factory=list)

    def describe(self) -> Payload:
        """Describe what statement and sub-statement have in common."""
        failed = {"Error": self.error} if self.error else {}
        return {
            "Id": self.id,
            "QueryString": self.sql,
            "Status": self.status,
            "CreatedAt": self.created,
            "UpdatedAt": self.updated,
            "Duration": self.duration,
            "HasResultSet": self.columns is not None,
            "ResultRows": self.rows,
            "ResultSize": sum(len(str(cell)) for record in self.records for cell in record),
            "RedshiftQueryId": 0,
            **failed,
        }

    def finish(self, status: str, error: str | None = None) -> None:
        """Close the call with its final status."""
        self.updated, self.error = time.time(), error
        self.status = status


@dataclass
class Batch(Call):
    """What one API call submitted: itself as its only statement, or sub-statements."""

    database: str = ""
    target: Payload = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    parts: list[Call] = field(default_factory=list)
    session: "Session | None" = None

    def describe(self) -> Payload:
        """Describe the call as DescribeStatement does."""
        described = {**super().describe(), "Database": self.database, **self.target, "RedshiftPid": 1}
        if self.parameters:
            described["QueryParameters"] = [{"name": n, "value": v} for n, v in self.parameters.items()]
        if self.parts != [self]:
            described["SubStatements"] = [part.describe() for part in self.parts]
        return described


class Database:
    """One database: its DuckDB file and its locks."""

    def __init__(self, path: Path) -> None:
        self.root = duckdb.connect(str(path), config={"threads": 2})
        self.root.execute("CREATE SCHEMA IF NOT EXISTS public")
        self.locks = TableLocks()


class Session:
    """One session: its temporary tables end with it, its statements share a transaction."""

    def __init__(self, database: Database, store: S3Store, files: ParquetFiles) -> None:
        self._locks = database.locks
        self._store = store
        self._files = files
        self.connection = database.root.cursor()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET schema = 'public'")
        self.connection.execute("SET integer_division = true")
        self._temporary: set[str] = set()
        self.transaction = Transaction()

    def run(self, call: Call, parameters: dict[str, str]) -> None:
        """Run one statement; raise RedshiftError or a DuckDB error."""
        statement = prepare(call.sql, parameters, self._temporary, self._describe)
        if statement.kind == "lock":
            for table in statement.writes:
                self._describe(*table.split("."))  # a table that is missing cannot be locked
            self._locks.lock(self.transaction, statement.writes)
        elif statement.kind in {"commit", "rollback"}:
            self.end(committed=statement.kind == "commit")
        elif statement.kind not in {"nothing", "begin"}:
            self._execute(statement, call)
            if statement.kind == "truncate":
                self.end(committed=True)

    def end(self, *, committed: bool) -> None:
        """Commit or roll back; the next statement starts a new transaction."""
        word = "COMMIT" if committed else "ROLLBACK"
        begun = self.transaction.snapshot is not None
        finish = (lambda: self.connection.execute(word)) if begun else (lambda: None)
        self._locks.end(self.transaction, finish, committed=committed)
        self.transaction = Transaction(cancelled=self.transaction.cancelled)

    def cancel(self) -> None:
        """Interrupt what runs or waits."""
        self._locks.cancel(self.transaction)
        self.connection.interrupt()

    def _execute(self, statement: Statement, call: Call) -> None:
        if statement.kind == "define" and self.transaction.snapshot is None:
            self._locks.lock(self.transaction, statement.writes)  # DDL waits before it looks
        self._locks.read(self.transaction, statement.reads if self.transaction.snapshot is None else ())
        self._locks.begin(self.transaction, self._begin)
        self._locks.read(self.transaction, statement.reads)
        self._locks.write(self.transaction, statement.writes)
        if statement.kind == "copy":
            call.rows = copy(self.connection, self._store, self._files, statement.tree)
            return
        cursor = self.connection.execute(statement.sql)
        if statement.kind == "query":
            call.columns = [(column[0].lower(), str(column[1])) for column in cursor.description]
            call.records = cursor.fetchall()
            call.rows = len(call.records)
        elif statement.kind in {"write", "truncate"}:
            call.rows = int(cursor.fetchone()[0])

    def _begin(self) -> None:
        self.connection.execute("BEGIN")
        # DuckDB takes its snapshot at the first look into the file, not at BEGIN.
        self.connection.execute("SELECT count(*) FROM duckdb_schemas()").fetchall()

    def _describe(self, schema: str, table: str) -> str:
        found = self.connection.execute(
            "SELECT sql FROM duckdb_tables() WHERE table_name = ? AND (schema_name = ? OR database_name = 'temp')",
            [table, schema or "public"],
        ).fetchone()
        if found is None:
            raise RedshiftError(f'relation "{schema}.{table}" does not exist')
        return str(found[0])


class RedshiftEngine:
    """Answers the Data API; a workgroup or cluster name is taken as given."""

    def __init__(self, store: S3Store, files: ParquetFiles, state: Path, faults: Faults) -> None:
        self._store = store
        self._files = files
        self._state = state
        self._faults = faults
        self._lock = threading.Lock()
        self._databases: dict[str, Database] = {}
        self._calls: dict[str, Call] = {}

    def list_actions(self) -> dict[str, Action]:
        """List the API actions that this engine answers, by X-Amz-Target."""
        return {
            "RedshiftData.ExecuteStatement": lambda _, payload: self._submit(payload, [require(payload, "Sql")]),
            "RedshiftData.BatchExecuteStatement": lambda _, payload: self._submit(payload, require(payload, "Sqls")),
            "RedshiftData.DescribeStatement": lambda _, payload: self._find(payload).describe(),
            "RedshiftData.GetStatementResult": lambda _, payload: self._get_result(payload),
            "RedshiftData.CancelStatement": lambda _, payload: self._cancel(payload),
            "RedshiftData.ListStatements": lambda _, payload: self._list(payload),
        }

    def end(self) -> None:
        """Interrupt what runs and close the files."""
        for batch in [call for call in list(self._calls.values()) if isinstance(call, Batch)]:
            if batch.status in ACTIVE and batch.session is not None:
                batch.session.cancel()
        for database in self._databases.values():
            database.root.close()

    def _submit(self, payload: Payload, statements: list[str]) -> Payload:
        batch = self._check(payload, statements)
        alone = "Sql" in payload
        batch.parts = [batch] if alone else [Call(f"{batch.id}:{n}", sql) for n, sql in enumerate(statements, 1)]
        self._calls |= {call.id: call for call in [batch, *batch.parts]}
        threading.Thread(target=self._execute, args=(batch,), name="redshift", daemon=True).start()
        return {"Id": batch.id, "CreatedAt": batch.created, "Database": batch.database, **batch.target}

    def _check(self, payload: Payload, statements: list[str]) -> Batch:
        targets = {name: payload[name] for name in ("WorkgroupName", "ClusterIdentifier") if payload.get(name)}
        if payload.get("SessionId") or payload.get("SessionKeepAliveSeconds"):
            raise ApiError("ValidationException", "the sandbox keeps no sessions: put the statements into one batch")
        if len(targets) != 1:
            raise ApiError("ValidationException", "Either WorkgroupName or ClusterIdentifier is required")
        database = require(payload, "Database")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]{0,126}", database):
            raise ApiError("ValidationException", f"Database {database!r} is not a name")
        if len(statements) > MAX_STATEMENTS:
            message = f"Sqls has {len(statements)} statements: member must have length less than or equal to"
            raise ApiError("ValidationException", f"{message} {MAX_STATEMENTS}")
        parameters = {item["name"]: item["value"] for item in payload.get("Parameters") or []}
        unused = [name for name in parameters if not any(re.search(rf":{name}\b", sql) for sql in statements)]
        if unused:
            message = "Parameters list contains unused parameters. Unused parameters"
            raise ApiError("ValidationException", f"{message}: [{', '.join(unused)}]")
        text = "; ".join(sql.strip().rstrip(";") for sql in statements)
        return Batch(str(uuid.uuid4()), text, database=database.lower(), target=targets, parameters=parameters)

    def _open(self, name: str) -> Database:
        with self._lock:
            if name not in self._databases:
                self._databases[name] = Database(self._state / f"redshift_{name}.duckdb")
            return self._databases[name]

    def _execute(self, batch: Batch) -> None:
        try:
            session = batch.session = Session(self._open(batch.database), self._store, self._files)
        except duckdb.Error as failure:
            batch.finish("FAILED", _explain(failure))
            return
        batch.status = "STARTED"
        with contextlib.closing(session.connection):
            error = self._run_parts(batch, session)
            try:
                session.end(committed=error is None)
            except duckdb.Error as failure:
                error = _explain(failure)
        cancelled = session.transaction.cancelled
        batch.duration = int((time.time() - batch.created) * 1e9)
        batch.finish("ABORTED" if cancelled else "FAILED" if error else "FINISHED", error)

    def _run_parts(self, batch: Batch, session: Session) -> str | None:
        error: str | None = None
        for part in batch.parts:
            if error is not None:
                part.finish("ABORTED", "Connection or an prior query failed.")
                continue
            started = time.time()
            try:
                self._let_fail(part.sql)
                session.run(part, batch.parameters)
            except (RedshiftError, ApiError, duckdb.Error) as failure:
                error = _explain(failure)
            except Exception as failure:
                # A bug of the sandbox must end the statement, not leave its caller polling.
                error = f"ERROR: internal error of the sandbox: {type(failure).__name__}: {failure}"
            part.duration = int((time.time() - started) * 1e9)
            if part is not batch:
                part.finish("FAILED" if error else "FINISHED", error)
        return error

    def _let_fail(self, sql: str) -> None:
        fault = self._faults.choose(STATEMENT_KINDS, sql)
        if fault == "serialization":
            raise RedshiftError("1023 DETAIL: Serializable isolation violation on table (simulated) ERROR: 1023")
        if fault is not None:
            raise RedshiftError("simulated failure of Redshift")

    def _find(self, payload: Payload) -> Call:
        call = self._calls.get(require(payload, "Id"))
        if call is None:
            raise ApiError("ResourceNotFoundException", "Query does not exist.")
        return call

    def _get_result(self, payload: Payload) -> Payload:
        call = self._find(payload)
        if call.status != "FINISHED" or call.columns is None:
            message = "Query does not have result. Please check query status with DescribeStatement."
            raise ApiError("ResourceNotFoundException", message)
        columns = [{"name": n, "label": n, "typeName": _name_type(kind), "nullable": 1} for n, kind in call.columns]
        records = [[_write_cell(value) for value in record] for record in call.records]
        return {"ColumnMetadata": columns, "Records": records, "TotalNumRows": len(records)}

    def _cancel(self, payload: Payload) -> Payload:
        call = self._find(payload)
        if not isinstance(call, Batch) or call.status not in ACTIVE or call.session is None:
            message = f"Could not cancel a query that is already in {call.status} state with ID: {call.id}"
            raise ApiError("ValidationException", message)
        call.session.cancel()
        return {"Status": True}

    def _list(self, payload: Payload) -> Payload:
        wanted = payload.get("Status") or "ALL"
        batches = [call for call in reversed(self._calls.values()) if isinstance(call, Batch)]
        return {"Statements": [call.describe() for call in batches if wanted in {"ALL", call.status}]}


def _name_type(duck: str) -> str:
    return TYPE_NAMES.get(duck, "numeric" if duck.startswith("DECIMAL") else duck.lower())


def _write_cell(value: Any) -> Payload:
    if value is None:
        return {"isNull": True}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"longValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, datetime):
        return {"stringValue": value.isoformat(" ")}
    return {"stringValue": str(value) if isinstance(value, Decimal | date | str) else repr(value)}


def _explain(error: Exception) -> str:
    """Word an error as Redshift does."""
    line = " ".join(str(error).split("\n\nLINE")[0].split("\nCandidate")[0].split())
    if isinstance(error, duckdb.TransactionException) or "write-write conflict" in line:
        return f"ERROR: 1023 DETAIL: Serializable isolation violation on table ({line}) ERROR: 1023"
    if found := re.search(r"NOT NULL constraint failed: (\S+)", line):
        return f"ERROR: Cannot insert a NULL value into column {found[1].rpartition('.')[2]}"
    if found := re.search(r'strlen\("?([^")]+)"?\)\s*<=\s*(\d+)', line):
        return f"ERROR: value too long for type character varying({found[2]}) in column {found[1]}"
    if found := re.search(r"Table with name (\S+) does not exist", line):
        return f'ERROR: relation "{found[1]}" does not exist'
    return f"ERROR: {line}"
