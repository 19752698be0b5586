"""Migrate the warehouse's schema: each version is applied once, in order, in one transaction with its record.

The version table records what was applied. Version 1 is the folder redshift/schema; every later one is a file of
redshift/migrations (its README says how to write one). Two setups at the same time wait for each other at the version
table; the second finds the version applied, is rolled back and looks again.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mag7.errors import Mag7Error
from mag7.lake.tables import list_published_tables
from mag7.warehouse.schema import (
    FOLDER,
    Columns,
    list_faults,
    list_schema_files,
    read_columns,
    render,
    render_file,
)
from mag7.warehouse.statements import StatementFailedError, Warehouse

VERSIONS = "schema_version"
MAXIMUM_STATEMENTS = 38
"""Statements of a migration at most: BatchExecuteStatement takes 40; the lock and the version's row are two."""

CREATE_WAITS = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each attempt to create the version table: another setup may be creating it."""

_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# A semicolon does not end a statement inside these: a text, a quoted name, a comment.
_PARTS = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|\{#.*?#\}|;|[^'\"\-/;{]+|.", re.DOTALL)


class MigrationInvalidError(Mag7Error):
    """A migration file of this checkout cannot be used."""


class SchemaNewerError(Mag7Error):
    """The warehouse was migrated by a newer checkout."""


class MigrationChangedError(Mag7Error):
    """The content of an applied migration has changed."""


class MigrationFailedError(Mag7Error):
    """The warehouse refused a migration; it was rolled back, and earlier ones stay."""


class SchemaDiffersError(Mag7Error):
    """The warehouse's tables are not what the migrations create."""


@dataclass(frozen=True)
class Migration:
    """One version: its file, the SHA-256 of its content, and its statements as templates."""

    version: int
    file_name: str
    digest: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class Applied:
    """A row of the version table."""

    version: int
    file_name: str
    digest: str


def list_migrations(folder: Path = FOLDER / "migrations") -> tuple[Migration, ...]:
    """List this checkout's versions in order; raises MigrationInvalidError for a gap, a bad name or a bad file."""
    migrations = [_read_first()]
    for path in sorted(folder.glob("*.sql")):
        found = _FILE.fullmatch(path.name)
        if not found or int(found[1]) != len(migrations) + 1:
            wanted = f"{len(migrations) + 1:04d}_what_it_does.sql"
            raise MigrationInvalidError(f"{path.name} is not the next migration: name it {wanted}, without a gap")
        migrations.append(read_migration(path, int(found[1])))
    return tuple(migrations)


def _read_first() -> Migration:
    files = list_schema_files()
    digest = _digest((path.name, path.read_bytes()) for path in files)
    return Migration(1, "schema", digest, tuple(path.read_text(encoding="utf-8") for path in files))


def read_migration(path: Path, version: int) -> Migration:
    """Read a migration file; raises MigrationInvalidError where it holds no statement, or too many."""
    statements = split_statements(path.read_text(encoding="utf-8"))
    if not 1 <= len(statements) <= MAXIMUM_STATEMENTS:
        raise MigrationInvalidError(
            f"{path.name} holds {len(statements)} statements: a migration needs 1 to {MAXIMUM_STATEMENTS}, each ended"
            " by a semicolon"
        )
    return Migration(version, path.name, _digest([(path.name, path.read_bytes())]), statements)


def split_statements(text: str) -> tuple[str, ...]:
    """Split SQL at the semicolons that end a statement, not at those in texts, quoted names and comments."""
    statements, current = [], ""
    for part in _PARTS.findall(text):
        if part == ";":
            statements.append(current.strip())
            current = ""
        else:
            current += part
    statements.append(current.strip())
    return tuple(statement for statement in statements if _strip_comments(statement))


def _strip_comments(statement: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}", "", statement, flags=re.DOTALL).strip()


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(f"{name}\0".encode() + content + b"\0")
    return digest.hexdigest()


def read_applied(warehouse: Warehouse, columns: Columns) -> tuple[Applied, ...]:
    """Read what was applied, oldest first; ``columns`` is what ``read_columns`` found."""
    if VERSIONS not in columns:
        return ()
    return tuple(Applied(*row) for row in warehouse.ask(render_file("versions/read.sql", warehouse.schema)))


def list_pending(known: Sequence[Migration], applied: Sequence[Applied]) -> tuple[Migration, ...]:
    """List what is still to be applied; raises SchemaNewerError or MigrationChangedError."""
    newest, ours = max((row.version for row in applied), default=0), known[-1].version
    if newest > ours:
        raise SchemaNewerError(
            f"the warehouse's schema is at version {newest}, this checkout knows versions up to {ours}:"
            " update the checkout to the one that migrated it; a schema is never downgraded"
        )
    for migration, row in zip(known, applied, strict=False):
        if (row.version, row.digest) != (migration.version, migration.digest):
            raise MigrationChangedError(
                f"version {row.version} of the warehouse's schema was made by {row.file_name} with the digest"
                f" {row.digest[:12]}, but {migration.file_name} of this checkout has {migration.digest[:12]}:"
                " restore the file as it was applied and put the change into a new migration"
            )
    return tuple(known[len(applied) :])


def migrate(warehouse: Warehouse, known: Sequence[Migration]) -> list[Migration]:
    """Apply missing migrations, one transaction each; returns those that this call applied.

    Raises SchemaNewerError, MigrationChangedError, SchemaDiffersError (tables that this project did not create stand in
    the way, or a column is missing although every migration ran) or MigrationFailedError. What was applied before a
    failure stays: fix the cause and run it again.
    """
    done = []
    columns = _create_versions(warehouse)
    while pending := list_pending(known, applied := read_applied(warehouse, columns)):
        if not applied:
            _refuse_foreign(warehouse.schema, columns)
        if _apply(warehouse, pending[0], columns):
            done.append(pending[0])
        columns = read_columns(warehouse)
    if faults := list_faults(columns):
        raise SchemaDiffersError(
            f"every migration up to version {known[-1].version} was applied to {warehouse.schema}, yet"
            f" {'; '.join(faults)}: a column was declared without a migration, or a table was changed by hand"
        )
    return done


def _create_versions(warehouse: Warehouse) -> Columns:
    """Create the schema and its version table unless they are there; returns what the schema holds."""
    failed: StatementFailedError | None = None
    files = ("schema/00_schema.sql", "versions/create.sql")
    for wait in CREATE_WAITS:
        time.sleep(wait)
        if VERSIONS in (columns := read_columns(warehouse)):
            return columns
        try:
            warehouse.run([render_file(name, warehouse.schema) for name in files])
        except StatementFailedError as refused:
            failed = refused
    if VERSIONS in (columns := read_columns(warehouse)):
        return columns
    raise MigrationFailedError(f"the version table of {warehouse.schema} cannot be created: {failed}") from failed


def _refuse_foreign(schema: str, columns: Columns) -> None:
    """Refuse tables of other programs in the way of ours before any version was applied; raises SchemaDiffersError."""
    for table in (table for table in list_published_tables() if table.name in columns):
        held = ", ".join(f"{name} {kind}" for name, kind in columns[table.name].items())
        raise SchemaDiffersError(
            f"{schema}.{table.name} was not created by this project: it has {held}, and no version is recorded."
            " Rename that table, then run it again"
        )


def _apply(warehouse: Warehouse, migration: Migration, columns: Columns) -> bool:
    """Apply one migration; False where another setup applied it at the same moment."""
    names = [VERSIONS, *(table.name for table in list_published_tables() if table.name in columns)]
    tables = ", ".join(f"{warehouse.schema}.{name}" for name in names)
    record = {"version": migration.version, "file_name": migration.file_name, "digest": migration.digest}
    try:
        warehouse.run(
            [
                render_file("versions/lock.sql", warehouse.schema, tables=tables),
                render_file("versions/claim.sql", warehouse.schema, **record),
                *(render(statement, warehouse.schema) for statement in migration.statements),
            ]
        )
    except StatementFailedError as refused:
        if any(row.version >= migration.version for row in read_applied(warehouse, columns)):
            return False
        raise MigrationFailedError(
            f"{migration.file_name} could not make version {migration.version} of {warehouse.schema}: {refused}."
            " It was rolled back; fix the cause, then run it again"
        ) from refused
    return True
