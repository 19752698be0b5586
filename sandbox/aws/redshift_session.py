"""Sessions of the Redshift sandbox: statements of one call share a transaction, with Redshift's locks."""

from pathlib import Path

import duckdb

from sandbox.aws.backends import S3Store
from sandbox.aws.files import ParquetFiles
from sandbox.aws.redshift_calls import Call
from sandbox.aws.redshift_copy import copy
from sandbox.aws.redshift_locks import RedshiftError, TableLocks, Transaction
from sandbox.aws.redshift_sql import Statement, prepare


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
        """Interrupt the statement that runs or waits."""
        self._locks.cancel(self.transaction)
        self.connection.interrupt()

    def _execute(self, statement: Statement, call: Call) -> None:
        if statement.kind == "define" and self.transaction.snapshot is None:
            self._locks.lock(self.transaction, statement.writes)  # DDL waits before it reads the catalog
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
        # DuckDB takes its snapshot at the first read, not at BEGIN.
        self.connection.execute("SELECT count(*) FROM duckdb_schemas()").fetchall()

    def _describe(self, schema: str, table: str) -> str:
        found = self.connection.execute(
            "SELECT sql FROM duckdb_tables() WHERE table_name = ? AND (schema_name = ? OR database_name = 'temp')",
            [table, schema or "public"],
        ).fetchone()
        if found is None:
            raise RedshiftError(f'relation "{schema}.{table}" does not exist')
        return str(found[0])
