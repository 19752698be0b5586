"""The only module that uses moto's internals: its S3 store, Glue catalog and jobs, workgroups and logs.

Nothing in moto is replaced. The engines implement their own API calls and use these functions for the state in moto.
tests/sandbox/aws/test_backends.py fails when a new moto changes what this module relies on.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.athena.models import athena_backends
from moto.glue.models import glue_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends

from sandbox.aws.api import ApiError

ACCOUNT = "123456789012"


class Gate:
    """A lock: requests change moto's state side by side, and a save sees it while nothing changes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold while reading or changing moto's state; never take it twice in one thread."""
        with self._changed:
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until no request holds the lock, and keep requests out."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0)
            yield


def split_uri(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/key`; raise ApiError for anything else."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ApiError("InvalidRequestException", f"{uri!r} is not an s3://bucket/key location")
    return bucket, key


@dataclass(frozen=True)
class S3Object:
    """A listed object: size in bytes, etag without quotes, modified in milliseconds since 1970."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: int

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class S3Store:
    """The S3 objects in moto, without HTTP."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @property
    def _backend(self) -> Any:
        return s3_backends[ACCOUNT]["aws"]

    def list_buckets(self) -> list[str]:
        """List the names of all buckets."""
        return list(self._backend.buckets)

    def find(self, bucket: str, key: str) -> S3Object | None:
        """Describe one object, None when there is none."""
        holder = self._backend.buckets.get(bucket)
        found = holder.keys.get(key) if holder else None
        try:
            return _describe(bucket, key, found) if found is not None else None
        except ValueError:
            # Deleted meanwhile: moto has closed its buffer.
            return None

    def list(self, bucket: str, prefix: str) -> list[S3Object]:
        """List the objects whose key starts with prefix, sorted by key."""
        holder = self._backend.buckets.get(bucket)
        if holder is None:
            return []
        # Other requests store and delete meanwhile: copy the keys at once and leave out what is deleted by its turn.
        # moto's own items() raises KeyError for it.
        with self._gate.shared():
            keys = sorted(key for key in list(holder.keys) if key.startswith(prefix))
            return [found for key in keys if (found := self.find(bucket, key)) is not None]

    def read(self, bucket: str, key: str) -> bytes | None:
        """Read an object's bytes, None when there is none."""
        holder = self._backend.buckets.get(bucket)
        while (found := holder.keys.get(key) if holder else None) is not None:
            try:
                return bytes(found.value)
            except ValueError:
                # Replaced or deleted meanwhile: moto has closed its buffer.
                continue
        return None

    def write(self, bucket: str, key: str, body: bytes) -> None:
        """Store an object."""
        if bucket not in self._backend.buckets:
            raise ApiError("NoSuchBucket", f"The specified bucket {bucket} does not exist")
        with self._gate.shared():
            stored = self._backend.put_object(bucket, key, body)
            # Computed at once: moto does it on first use, which moves the position of a reader.
            _ = stored.etag

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object."""
        with self._gate.shared():
            self._backend.delete_object(bucket, key)


def _describe(bucket: str, key: str, found: Any) -> S3Object:
    modified = int(found.last_modified.timestamp() * 1000)
    return S3Object(bucket, key, int(found.size), str(found.etag).strip('"'), modified)


def find_table(region: str, database: str, name: str) -> dict[str, Any] | None:
    """Describe a catalog table as GetTable does, None when it or its database is missing."""
    holder = glue_backends[ACCOUNT][region].databases.get(database)
    table = holder.tables.get(name) if holder else None
    return dict(table.as_dict()) if table is not None else None


def list_partitions(region: str, database: str, name: str) -> list[dict[str, Any]]:
    """List the registered partitions of a catalog table."""
    table = glue_backends[ACCOUNT][region].get_table(database, name)
    return [partition.as_dict() for partition in list(table.partitions.values())]


def get_job(region: str, name: str) -> Any:
    """Fetch moto's Glue job object; raise EntityNotFoundException when there is none."""
    job = glue_backends[ACCOUNT][region].jobs.get(name)
    if job is None:
        raise ApiError("EntityNotFoundException", f"Job {name} not found.")
    return job


def find_workgroup(region: str, name: str) -> dict[str, Any] | None:
    """Fetch an Athena workgroup's configuration, None when there is no such workgroup."""
    group = athena_backends[ACCOUNT][region].work_groups.get(name)
    return dict(group.configuration) if group is not None else None


def put_log(region: str, group: str, stream: str, lines: list[str], at_ms: int) -> None:
    """Append lines to a CloudWatch Logs stream; creates group and stream when they are missing."""
    logs = logs_backends[ACCOUNT][region]
    logs.ensure_log_group(group)
    logs.ensure_log_stream(group, stream)
    logs.put_log_events(group, stream, [{"timestamp": at_ms, "message": line} for line in lines if line])
