"""The Redshift Data API on DuckDB: one file a database, one transaction a call, Redshift's own rules."""

import contextlib
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from sandbox.aws.api import Action, ApiError, Payload, require
from sandbox.aws.backends import S3Store
from sandbox.aws.faults import STATEMENT_KINDS, Faults
from sandbox.aws.files import ParquetFiles
from sandbox.aws.redshift_calls import Call, explain
from sandbox.aws.redshift_locks import RedshiftError
from sandbox.aws.redshift_session import Database, Session

MAX_STATEMENTS = 40
ACTIVE = {"SUBMITTED", "PICKED", "STARTED"}


@dataclass
class Batch(Call):
    """What one API call submitted: one statement, which is the call itself, or sub-statements."""

    database: str = ""
    target: Payload = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    parts: list[Call] = field(default_factory=list)
    session: Session | None = None

    def describe(self) -> Payload:
        """Describe the call as DescribeStatement does."""
        described = {**super().describe(), "Database": self.database, **self.target, "RedshiftPid": 1}
        if self.parameters:
            described["QueryParameters"] = [{"name": n, "value": v} for n, v in self.parameters.items()]
        if self.parts != [self]:
            described["SubStatements"] = [part.describe() for part in self.parts]
        return described


class RedshiftEngine:
    """Implements the Data API; any workgroup or cluster name is accepted."""

    def __init__(self, store: S3Store, files: ParquetFiles, state: Path, faults: Faults) -> None:
        self._store = store
        self._files = files
        self._state = state
        self._faults = faults
        self._lock = threading.Lock()
        self._databases: dict[str, Database] = {}
        self._calls: dict[str, Call] = {}

    def list_actions(self) -> dict[str, Action]:
        """List the API actions of this engine, by X-Amz-Target."""
        return {
            "RedshiftData.ExecuteStatement": lambda _, payload: self._submit(payload, [require(payload, "Sql")]),
            "RedshiftData.BatchExecuteStatement": lambda _, payload: self._submit(payload, require(payload, "Sqls")),
            "RedshiftData.DescribeStatement": lambda _, payload: self._find(payload).describe(),
            "RedshiftData.GetStatementResult": lambda _, payload: self._get_result(payload),
            "RedshiftData.CancelStatement": lambda _, payload: self._cancel(payload),
            "RedshiftData.ListStatements": lambda _, payload: self._list(payload),
        }

    def end(self) -> None:
        """Interrupt active calls and close the files."""
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
            batch.finish("FAILED", explain(failure))
            return
        batch.status = "STARTED"
        with contextlib.closing(session.connection):
            error = self._run_parts(batch, session)
            try:
                session.end(committed=error is None)
            except duckdb.Error as failure:
                error = explain(failure)
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
                error = explain(failure)
            except Exception as failure:
                # A bug in the sandbox must end the statement, or its caller would poll forever.
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
        return self._find(payload).describe_result()

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
