"""Objects of the lake's bucket: read, write, list, copy and delete, always as the bucket's expected owner."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mag7.errors import Mag7Error

OVERTAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
"""Error codes of S3 for a conditional write whose condition does not hold, or that meets another write."""


class ObjectMissingError(Mag7Error):
    """An object that a step needs is not in the bucket."""


@dataclass(frozen=True)
class StoredObject:
    """One listed object: its key and its size in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class Version:
    """What an object held when it was read, and its ETag, the ``mark``."""

    body: bytes
    mark: str


class ObjectStore:
    """The lake's bucket behind a few verbs.

    ``client`` is a boto3 S3 client (typed Any: boto3 ships no types). ``owner`` is the account id that must own
    the bucket, sent as ExpectedBucketOwner with every request; None where an endpoint override stands in for AWS.
    """

    def __init__(self, client: Any, bucket: str, owner: str | None = None) -> None:
        self._client = client
        self.bucket = bucket
        self._owner: dict[str, str] = {"ExpectedBucketOwner": owner} if owner else {}

    def uri(self, key: str) -> str:
        """Return the s3:// address of a key."""
        return f"s3://{self.bucket}/{key}"

    def get(self, key: str) -> bytes:
        """Return an object's bytes; raises ObjectMissingError where there is none."""
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key, **self._owner)
        except self._client.exceptions.NoSuchKey as missing:
            raise ObjectMissingError(f"{self.uri(key)} does not exist; run the task that writes it again") from missing
        body: bytes = answer["Body"].read()
        return body

    def find(self, key: str) -> Version | None:
        """Return the current state of an object; None where there is none."""
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key, **self._owner)
        except self._client.exceptions.NoSuchKey:
            return None
        return Version(answer["Body"].read(), answer["ETag"])

    def size(self, key: str) -> int:
        """Return an object's size in bytes; raises ObjectMissingError where there is none."""
        for stored in self.list(key):
            if stored.key == key:
                return stored.size
        raise ObjectMissingError(f"{self.uri(key)} does not exist; run the task that writes it again")

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object, replacing an existing one."""
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type, **self._owner)

    def replace(self, key: str, body: bytes, before: Version | None) -> bool:
        """Write an object if it still is what was read ``before``, None meaning that there was none.

        Returns False, and writes nothing, where another writer changed or deleted it meanwhile.
        """
        condition = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before.mark}
        try:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, **condition, **self._owner)
        except self._client.exceptions.ClientError as refused:
            if refused.response["Error"]["Code"] not in OVERTAKEN:
                raise
            return False
        return True

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield every object below a prefix, in key order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, **self._owner)
        for page in pages:
            for entry in page.get("Contents", []):
                yield StoredObject(entry["Key"], entry["Size"])

    def copy(self, source: str, target: str) -> None:
        """Copy one object inside the bucket (a server-side copy; objects here are far below its 5 GB limit)."""
        owners = {**self._owner, "ExpectedSourceBucketOwner": self._owner["ExpectedBucketOwner"]} if self._owner else {}
        self._client.copy_object(
            Bucket=self.bucket, Key=target, CopySource={"Bucket": self.bucket, "Key": source}, **owners
        )

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects by key; a key without an object is not an error."""
        for key in keys:
            self._client.delete_object(Bucket=self.bucket, Key=key, **self._owner)


def parse_object(body: bytes) -> dict[str, Any] | None:
    """Parse a JSON object that a task has written; None where it is not one."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
