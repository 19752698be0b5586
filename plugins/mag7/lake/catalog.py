"""The Glue Data Catalog: databases and tables for Athena, and the partitions that make sessions visible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mag7.errors import Mag7Error
from mag7.lake.keys import DATABASE, STAGING_DATABASE
from mag7.lake.tables import Column, Table, list_published_tables, list_tables

BATCH = 100
"""Partitions that a BatchCreatePartition call may name: the service's limit."""

_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
# What GetTable returns and UpdateTable takes; what is left out of an update is lost.
_TABLE_INPUT = ("Name", "Description", "Owner", "Retention", "PartitionKeys", "TableType", "Parameters")


class CatalogDiffersError(Mag7Error):
    """A table of the catalog has a column of another type than the declared one."""


class PartitionNotRegisteredError(Mag7Error):
    """The catalog refused a partition."""


@dataclass(frozen=True)
class Partition:
    """A partition to register: its values in the order of the table's keys, and its s3:// folder."""

    values: tuple[str, ...]
    location: str


def create_catalog(glue: Any, bucket: str) -> list[str]:
    """Create missing databases, tables and columns.

    Nothing is changed or removed, so that running tasks are not affected. Returns the names of what was created; raises
    CatalogDiffersError where a column has another type.
    """
    created = []
    for database in (DATABASE, STAGING_DATABASE):
        created += _create_database(glue, database)
        held = _read_tables(glue, database)
        root = f"s3://{bucket}/{'processed' if database == DATABASE else 'staging'}"
        for table in _list_declared(database):
            if table.name in held:
                created += _add_columns(glue, database, table, held[table.name])
            else:
                created += _create_table(glue, database, table, f"{root}/{table.name}/")
    return created


def list_catalog_faults(glue: Any) -> list[str]:
    """List, one phrase each, the databases, tables and columns that the catalog lacks."""
    faults = []
    for database in (DATABASE, STAGING_DATABASE):
        try:
            held = _read_tables(glue, database)
        except glue.exceptions.EntityNotFoundException:
            faults.append(f"the catalog database {database} is missing")
            continue
        for table in _list_declared(database):
            if table.name not in held:
                faults.append(f"the catalog table {database}.{table.name} is missing")
                continue
            missing = _list_missing(database, table, held[table.name])
            faults += [
                f"the catalog table {database}.{table.name} lacks the column {column.name}" for column in missing
            ]
    return faults


def _list_declared(database: str) -> tuple[Table, ...]:
    """List a database's tables; the staging database has only the six of sessions."""
    return list_published_tables() if database == DATABASE else list_tables()


def _list_partition_keys(database: str, table: Table) -> list[dict[str, str]]:
    run = [{"Name": "run", "Type": "string"}] if database == STAGING_DATABASE else []
    return [*run, {"Name": table.partition_column, "Type": "date"}]


def _read_tables(glue: Any, database: str) -> dict[str, dict[str, Any]]:
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=database)
    return {table["Name"]: table for page in pages for table in page["TableList"]}


def _list_missing(database: str, table: Table, held: Mapping[str, Any]) -> list[Column]:
    """List a table's columns that its definition in the catalog lacks; raises CatalogDiffersError for another type."""
    types = {column["Name"]: column["Type"] for column in held["StorageDescriptor"]["Columns"]}
    for column in table.partitioned_columns:
        if types.get(column.name, column.glue_type) != column.glue_type:
            raise CatalogDiffersError(
                f"{database}.{table.name}.{column.name} is {types[column.name]} in the catalog, not"
                f" {column.glue_type}: another program created that table; rename it or its database, then run it again"
            )
    return [column for column in table.partitioned_columns if column.name not in types]


def _add_columns(glue: Any, database: str, table: Table, held: Mapping[str, Any]) -> list[str]:
    """Add missing columns at the end; Parquet is read by name, so older files give NULL."""
    missing = _list_missing(database, table, held)
    if not missing:
        return []
    storage = held["StorageDescriptor"]
    columns = [*storage["Columns"], *({"Name": column.name, "Type": column.glue_type} for column in missing)]
    kept = {name: held[name] for name in _TABLE_INPUT if name in held}
    definition = {**kept, "StorageDescriptor": {**storage, "Columns": columns}}
    glue.update_table(DatabaseName=database, TableInput=definition)
    return [f"{database}.{table.name}.{column.name}" for column in missing]


def _create_database(glue: Any, name: str) -> list[str]:
    try:
        glue.create_database(DatabaseInput={"Name": name})
    except glue.exceptions.AlreadyExistsException:
        return []
    return [name]


def _create_table(glue: Any, database: str, table: Table, location: str) -> list[str]:
    definition = {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "parquet.compression": "SNAPPY"},
        "PartitionKeys": _list_partition_keys(database, table),
        "StorageDescriptor": _describe_storage(table, location),
    }
    try:
        glue.create_table(DatabaseName=database, TableInput=definition)
    except glue.exceptions.AlreadyExistsException:
        return []
    return [f"{database}.{table.name}"]


def _describe_storage(table: Table, location: str) -> dict[str, Any]:
    columns = [{"Name": column.name, "Type": column.glue_type} for column in table.partitioned_columns]
    return {"Columns": columns, "Location": location, "Compressed": True, **_PARQUET}


def register_partitions(glue: Any, database: str, table: Table, partitions: Iterable[Partition]) -> None:
    """Register partitions, replacing the location of those that exist already."""
    wanted = list(partitions)
    for start in range(0, len(wanted), BATCH):
        entries = [_describe_partition(table, partition) for partition in wanted[start : start + BATCH]]
        answer = glue.batch_create_partition(DatabaseName=database, TableName=table.name, PartitionInputList=entries)
        for error in answer.get("Errors", []):
            if error["ErrorDetail"]["ErrorCode"] != "AlreadyExistsException":
                raise PartitionNotRegisteredError(
                    f"{database}.{table.name} {error['PartitionValues']}: {error['ErrorDetail']['ErrorMessage']}"
                )
            entry = next(item for item in entries if item["Values"] == error["PartitionValues"])
            glue.update_partition(
                DatabaseName=database,
                TableName=table.name,
                PartitionValueList=error["PartitionValues"],
                PartitionInput=entry,
            )


def _describe_partition(table: Table, partition: Partition) -> dict[str, Any]:
    return {"Values": list(partition.values), "StorageDescriptor": _describe_storage(table, partition.location)}
