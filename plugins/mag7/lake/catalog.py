"""The Glue Data Catalog: databases and tables for Athena, and the partitions that make sessions visible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mag7.errors import Mag7Error
from mag7.lake.keys import DATABASE, STAGING_DATABASE
from mag7.lake.tables import Table, list_tables

BATCH = 100
"""Partitions a BatchCreatePartition or BatchDeletePartition call may name: 100 and 25 are the service's limits."""
DELETE_BATCH = 25

_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
_PARTITION_KEYS = {
    DATABASE: [{"Name": "trading_date", "Type": "date"}],
    STAGING_DATABASE: [{"Name": "run", "Type": "string"}, {"Name": "trading_date", "Type": "date"}],
}


class PartitionNotRegisteredError(Mag7Error):
    """The catalog refused a partition."""


@dataclass(frozen=True)
class Partition:
    """A partition to register: its values in the order of the table's keys, and the s3:// folder that it reads."""

    values: tuple[str, ...]
    location: str


def create_catalog(glue: Any, bucket: str) -> list[str]:
    """Create what is missing of the two databases and their six tables each; returns the names of what was made."""
    made = []
    for database in (DATABASE, STAGING_DATABASE):
        made += _create_database(glue, database)
        root = f"s3://{bucket}/{'processed' if database == DATABASE else 'staging'}"
        for table in list_tables():
            made += _create_table(glue, database, table, f"{root}/{table.name}/")
    return made


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
        "PartitionKeys": _PARTITION_KEYS[database],
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
    """Make partitions visible, replacing the location of those that exist already."""
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


def drop_partitions(glue: Any, database: str, values_by_table: Mapping[str, Iterable[tuple[str, ...]]]) -> None:
    """Make partitions invisible; one that does not exist is no error."""
    for table, all_values in values_by_table.items():
        values = [{"Values": list(item)} for item in all_values]
        for start in range(0, len(values), DELETE_BATCH):
            glue.batch_delete_partition(
                DatabaseName=database, TableName=table, PartitionsToDelete=values[start : start + DELETE_BATCH]
            )
