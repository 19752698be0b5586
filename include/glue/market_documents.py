"""Reading and checking the documents of a window (market_data.json of each session) with Spark.

Their schema is market_data.schema.json in the working directory (Glue: --extra-files). ``make document-schema`` writes
this JSON Schema from the models in plugins/mag7/market/document.py, which Glue cannot import.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql import types as st

SCHEMA_FILE = "market_data.schema.json"
NOT_IN_TABLES = frozenset({"answers", "splits_applied"})
"""Long fields of a line that no table has. They are half of a document, so Spark does not read them."""

_SESSION_FOLDER = re.compile(r"trading_date(?:=|%3D)(\d{4}-\d{2}-\d{2})/")
LONGEST_MESSAGE = 2_000


class MarketTablesError(Exception):
    """An error of these jobs; its one-line message says what happened and what to do next."""

    def __init__(self, message: str) -> None:
        # The message may quote a document or an argument, with line ends and of any length.
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in message).split())
        super().__init__(line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 3]}...")


class SessionListError(MarketTablesError):
    """The list of sessions is empty, has an invalid date, or names a session twice."""


class DocumentMissingError(MarketTablesError):
    """A session has no document in the run's staging folder."""


class DocumentInvalidError(MarketTablesError):
    """A document is not that of its session, or does not have the schema that the tables are built from."""


@dataclass(frozen=True)
class Window:
    """What a job run works on: the s3:// staging folder of the DAG run, and the sessions."""

    staging: str
    sessions: tuple[date, ...]

    def document_path(self, session: date) -> str:
        """Return the address of a session's document."""
        return f"{self.staging}/market_data/trading_date={session.isoformat()}/market_data.json"


@dataclass(frozen=True)
class DocumentSchema:
    """The schema of a document: its schema_version, and the fields that Spark reads."""

    version: int
    struct: st.StructType

    @property
    def required(self) -> Iterator[tuple[str, ...]]:
        """Yield the path of each required part of a document, and of each non-null field of a part."""
        for part in self.struct:
            yield (part.name,)
            if isinstance(part.dataType, st.StructType):
                yield from ((part.name, field.name) for field in part.dataType if not field.nullable)


def read_schema(folder: Path = Path()) -> DocumentSchema:
    """Read the JSON Schema of a document and convert it to a Spark schema."""
    schema = json.loads((folder / SCHEMA_FILE).read_text(encoding="utf-8"))
    return DocumentSchema(schema["properties"]["schema_version"]["const"], _make_struct(schema, schema["$defs"]))


def _make_struct(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> st.StructType:
    fields = schema["properties"].items()
    return st.StructType([_make_field(name, field, definitions) for name, field in fields if name not in NOT_IN_TABLES])


def _make_field(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> st.StructField:
    return st.StructField(name, _make_type(schema, definitions), nullable=isinstance(schema.get("type"), list))


def _make_type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> st.DataType:
    """Convert a type: dates stay strings, which the SQL casts; companies are a map, as one may be absent."""
    if reference := schema.get("$ref"):
        return _make_struct(definitions[reference.rpartition("/")[2]], definitions)
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]  # the other one is null
    if kind == "array":
        return st.ArrayType(_make_type(schema["items"], definitions))
    if kind == "object":
        return st.MapType(st.StringType(), _make_type(schema["additionalProperties"], definitions))
    kinds = {"string": st.StringType, "boolean": st.BooleanType, "integer": st.LongType, "number": st.DoubleType}
    return kinds[kind]()


def parse_sessions(text: str) -> tuple[date, ...]:
    """Parse the --sessions argument, dates with commas between, into ascending order; raises SessionListError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    try:
        sessions = [date.fromisoformat(name) for name in names]
    except ValueError as wrong:
        raise SessionListError(
            f"--sessions has an invalid date ({wrong}); give dates such as 2024-12-12,2024-12-13"
        ) from wrong
    if not sessions:
        raise SessionListError("--sessions is empty; name at least one session, such as 2024-12-13")
    if twice := sorted({session.isoformat() for session in sessions if sessions.count(session) > 1}):
        raise SessionListError(f"--sessions names {', '.join(twice)} more than once; name each session once")
    return tuple(sorted(sessions))


def read_documents(spark: SparkSession, window: Window, folder: Path = Path()) -> DataFrame:
    """Read the documents of a window's sessions into a cached frame, one row each, and check them.

    Raises DocumentMissingError, or DocumentInvalidError where one is malformed or is not that of its folder.
    """
    paths = [window.document_path(session) for session in window.sessions]
    schema = read_schema(folder)
    documents = _open_documents(spark, paths, schema).cache()
    try:
        _require_valid(_describe_documents(documents, schema), paths, schema.version)
    except Py4JJavaError as failed:
        documents.unpersist()
        culprits = [path for path in paths if len(paths) == 1 or _is_malformed(spark, path, schema)]
        raise DocumentInvalidError(_explain_malformed(culprits, failed)) from None
    except DocumentInvalidError:
        documents.unpersist()  # else Spark would return these rows to the next reader of the same paths
        raise
    return documents


def _open_documents(spark: SparkSession, paths: Sequence[str], schema: DocumentSchema) -> DataFrame:
    reader = spark.read.schema(schema.struct).option("multiLine", True).option("mode", "FAILFAST")
    try:
        found = reader.option("allowNonNumericNumbers", False).json(list(paths))
    except AnalysisException as refused:
        if refused.getErrorClass() != "PATH_NOT_FOUND":
            raise
        path = (refused.getMessageParameters() or {}).get("path", refused)
        raise DocumentMissingError(f"there is no document at {path}; run build_market_data of this run again") from None
    return found.withColumn("path", sf.col("_metadata.file_path"))


def _describe_documents(documents: DataFrame, schema: DocumentSchema) -> list[dict[str, Any]]:
    """Collect the values by which documents are checked."""
    day = sf.col("trading_date")
    bar_dates = sf.transform(sf.map_values("companies"), lambda company: company.trading_data.date)
    described = documents.select(
        "path",
        "trading_date",
        "schema_version",
        sf.array_distinct(sf.filter(bar_dates, lambda of_bar: ~of_bar.eqNullSafe(day))).alias("other_bar_dates"),
        sf.array_compact(sf.array(*[_name_absent(path) for path in schema.required])).alias("absent"),
    )
    return [row.asDict() for row in described.collect()]


def _name_absent(path: tuple[str, ...]) -> SparkColumn:
    """Return a field's name where it is absent although its part is present; else null."""
    name = ".".join(path)
    absent = sf.col(name).isNull()
    if len(path) > 1:
        absent &= sf.col(path[0]).isNotNull()
    return sf.when(absent, sf.lit(name))


def _explain_malformed(culprits: Sequence[str], failed: Py4JJavaError) -> str:
    """Describe which document is malformed and why; Spark's own error does not name it."""
    cause = failed.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    reason = " ".join(str(cause.getMessage()).split())[:300]
    return f"{', '.join(culprits)} does not have the schema that the tables are built from: {reason}"


def _is_malformed(spark: SparkSession, path: str, schema: DocumentSchema) -> bool:
    try:
        _open_documents(spark, [path], schema).collect()
    except Py4JJavaError:
        return True
    return False


def _require_valid(described: Sequence[dict[str, Any]], paths: Sequence[str], version: int) -> None:
    faults = [fault for row in described for fault in _list_faults(row, version)]
    if len(described) != len(paths):
        faults.append(f"{len(paths)} files hold {len(described)} documents instead of one each: {', '.join(paths)}")
    if faults:
        raise DocumentInvalidError(f"{'; '.join(faults)}; run build_market_data of this run again")


def _list_faults(row: dict[str, Any], version: int) -> list[str]:
    """List what is wrong with one document; empty for a valid one."""
    path = row["path"]
    folder = _SESSION_FOLDER.search(path)
    faults = []
    if folder is None or row["trading_date"] != folder[1]:
        faults.append(f"{path} has the trading_date {row['trading_date']}")
    if row["schema_version"] != version:
        faults.append(f"{path} has schema_version {row['schema_version']}, these jobs read {version}")
    if row["other_bar_dates"]:
        faults.append(f"{path} holds prices of {', '.join(map(str, row['other_bar_dates']))}")
    if row["absent"]:
        faults.append(f"{path} lacks {', '.join(row['absent'])}")
    return faults
