"""Building Parquet files of the six tables from market_data.json documents: code that both Glue jobs share.

A document is one session. The jobs read the documents of an explicit list of sessions, build tables with the Spark SQL
of <table>.sql, and write exactly one file a table and session below the run's staging folder, also where a session has
no row. table_columns.json and the SQL are in the working directory (Glue: --extra-files).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from market_documents import MarketTablesError, Window, parse_sessions, read_documents
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

VIEW = "market_data"
"""The temporary view that the SQL files select from; one row a document."""

_SPARK_TYPES = {"double": "double", "integer": "int", "bigint": "bigint", "boolean": "boolean", "date": "date"}
_VARCHAR = re.compile(r"varchar\((\d+)\)")
_TABLES_AT_ONCE = 3


class FolderNotMovedError(MarketTablesError):
    """The file system refused to move a folder or to copy a file."""


@dataclass(frozen=True)
class Column:
    """A declared column: double, integer, bigint, boolean, date or varchar(n), where n counts bytes."""

    name: str
    type: str

    @property
    def varchar_bytes(self) -> int | None:
        """The largest size of a string in bytes of UTF-8; None for another type."""
        found = _VARCHAR.fullmatch(self.type)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Table:
    """A declared table: its columns in order, and its key."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """A form of files: their folder in staging, and whether trading_date is a column of the file."""

    folder: str
    trading_date_inside: bool


PARTITIONED = Form("processed", trading_date_inside=False)
FLAT = Form("analytics", trading_date_inside=True)


def read_tables(folder: Path = Path()) -> tuple[Table, ...]:
    """Read the declaration of the six tables."""
    declared = json.loads((folder / "table_columns.json").read_text(encoding="utf-8"))
    return tuple(
        Table(name, tuple(Column(column["name"], column["type"]) for column in entry["columns"]), tuple(entry["key"]))
        for name, entry in declared.items()
    )


def build_tables(documents: DataFrame, tables: Iterable[Table], folder: Path = Path()) -> dict[str, DataFrame]:
    """Build every table's rows from the documents with the SQL of <table>.sql, in the declared columns."""
    documents.createOrReplaceTempView(VIEW)
    spark = documents.sparkSession
    return {
        table.name: conform(spark.sql((folder / f"{table.name}.sql").read_text(encoding="utf-8")), table)
        for table in tables
    }


def conform(frame: DataFrame, table: Table) -> DataFrame:
    """Select exactly the declared columns, in order, with their types; cut every VARCHAR to its size in bytes."""
    return frame.select([_conform_column(column).alias(column.name) for column in table.columns])


def _conform_column(column: Column) -> SparkColumn:
    value = sf.col(f"`{column.name}`")
    if limit := column.varchar_bytes:
        return cut_to_bytes(value.cast("string"), limit)
    return value.cast(_SPARK_TYPES[column.type])


def cut_to_bytes(text: SparkColumn, limit: int) -> SparkColumn:
    """Cut a string to at most ``limit`` bytes of UTF-8 without splitting a character.

    The cut moves back while the first byte after it continues a character (0x80 to 0xBF): three bytes at most.
    """
    encoded = sf.encode(text, "UTF-8")
    cut = sf.when(sf.octet_length(text) <= limit, text)
    for length in range(limit, max(limit - 3, 0), -1):
        first_out = sf.hex(encoded.substr(length + 1, 1))
        cut = cut.when(~first_out.between("80", "BF"), sf.decode(encoded.substr(1, length), "UTF-8"))
    return cut.when(text.isNotNull(), sf.decode(encoded.substr(1, max(limit - 3, 0)), "UTF-8"))


def write_tables(frames: dict[str, DataFrame], tables: Sequence[Table], form: Form, window: Window) -> None:
    """Write every table in one form, one file a table and session, replacing files of an earlier attempt."""
    # Small Spark jobs mostly wait for the store, so several tables are written at a time.
    with ThreadPoolExecutor(max_workers=_TABLES_AT_ONCE) as pool:
        for done in [pool.submit(write_table, frames[table.name], table, form, window) for table in tables]:
            done.result()


def write_table(frame: DataFrame, table: Table, form: Form, window: Window) -> None:
    """Write one table: one file a session, without rows where a session has none.

    One Spark job writes all sessions into a scratch folder, partitioned by a copy of trading_date: a partition column
    is not in the files, and the flat form needs trading_date there. Then each folder is moved to its final place. Rows
    are sorted, so a repeated run writes the same rows in the same order.
    """
    root = f"{window.staging}/{form.folder}/{table.name}"
    store = Folders(frame.sparkSession)
    scratch = f"{root}/_written"
    inside = [column.name for column in table.columns if form.trading_date_inside or column.name != "trading_date"]
    rows = frame.coalesce(1).sortWithinPartitions(*table.key)
    partitioned = rows.select(*[sf.col(f"`{name}`") for name in inside], sf.col("trading_date").alias("session"))
    partitioned.write.mode("overwrite").option("compression", "snappy").partitionBy("session").parquet(scratch)
    written = store.list_names(f"{scratch}/session=*")
    empty = [session for session in window.sessions if f"session={session.isoformat()}" not in written]
    if empty:
        # Spark writes one file that has only the schema.
        nothing = rows.where(sf.lit(False)).select(*[sf.col(f"`{name}`") for name in inside])
        nothing.write.mode("overwrite").option("compression", "snappy").parquet(f"{scratch}/empty")
    for session in window.sessions:
        target = f"{root}/trading_date={session.isoformat()}"
        store.delete(target)
        if session in empty:
            (name,) = store.list_names(f"{scratch}/empty/part-*")
            store.copy(f"{scratch}/empty/{name}", f"{target}/{name}")
        else:
            store.move(f"{scratch}/session={session.isoformat()}", target)
    store.delete(scratch)


class Folders:
    """Lists, moves, copies and deletes folders and files of Spark's file system."""

    def __init__(self, spark: SparkSession) -> None:
        self._hadoop = spark._jvm.org.apache.hadoop.fs
        self._configuration = spark._jsc.hadoopConfiguration()

    def _open(self, address: str) -> tuple[Any, Any]:
        path = self._hadoop.Path(address)
        return path.getFileSystem(self._configuration), path

    def list_names(self, pattern: str) -> set[str]:
        """List the names that match a pattern; empty where none does."""
        system, path = self._open(pattern)
        return {status.getPath().getName() for status in system.globStatus(path) or []}

    def delete(self, address: str) -> None:
        """Delete a folder and its contents; a missing folder is not an error."""
        system, path = self._open(address)
        system.delete(path, True)

    def move(self, source: str, target: str) -> None:
        """Move a folder to a target that does not exist; raises FolderNotMovedError."""
        system, path = self._open(source)
        if not system.rename(path, self._hadoop.Path(target)):
            raise FolderNotMovedError(f"{source} could not be moved to {target}; run this job again")

    def copy(self, source: str, target: str) -> None:
        """Copy a file to a target, whose folder is created if needed; raises FolderNotMovedError."""
        system, path = self._open(source)
        copied = self._hadoop.FileUtil.copy(system, path, system, self._hadoop.Path(target), False, self._configuration)
        if not copied:
            raise FolderNotMovedError(f"{source} could not be copied to {target}; run this job again")


def run_job(form: Form, argv: Sequence[str]) -> None:
    """Run a Glue job from its command line, and commit it.

    Arguments: --JOB_NAME, --bucket, --staging (the run's folder, such as staging/<run>) and --sessions (dates, comma
    separated).
    """
    from awsglue.context import GlueContext
    from awsglue.job import Job
    from awsglue.utils import getResolvedOptions
    from pyspark.context import SparkContext

    arguments = getResolvedOptions(argv, ["JOB_NAME", "bucket", "staging", "sessions"])
    glue = GlueContext(SparkContext.getOrCreate())
    job = Job(glue)
    job.init(arguments["JOB_NAME"], arguments)
    staging = f"s3://{arguments['bucket']}/{arguments['staging'].strip('/')}"
    run_pipeline(glue.spark_session, form, Window(staging, parse_sessions(arguments["sessions"])))
    job.commit()


def run_pipeline(spark: SparkSession, form: Form, window: Window, folder: Path = Path()) -> None:
    """Read a window's documents and write all six tables in one form."""
    # In ANSI mode a value that does not fit its declared type fails the job instead of becoming NULL.
    spark.conf.set("spark.sql.ansi.enabled", "true")
    tables = read_tables(folder)
    documents = read_documents(spark, window, folder)
    try:
        write_tables(build_tables(documents, tables, folder), tables, form, window)
    finally:
        documents.unpersist()
