"""An empty bucket and catalog, held by moto in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from mag7.lake.objects import ObjectStore

BUCKET = "lake"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.fixture
def store(aws: None) -> ObjectStore:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return ObjectStore(client, BUCKET)


@pytest.fixture
def glue(aws: None) -> Any:
    return boto3.client("glue")
