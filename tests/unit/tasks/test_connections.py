"""Where clients of AWS lead, through the provider's own hook."""

from __future__ import annotations

import boto3
from moto import mock_aws

from mag7.lake.objects import ObjectStore
from mag7.settings import read_settings
from mag7.tasks.connections import open_client, open_store


def test_the_lake_is_the_bucket_of_the_settings_behind_aws_default() -> None:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="lake")
        opened = open_store(read_settings())
        opened.put("a/key", b"here")

        assert opened.bucket == "lake"
        assert ObjectStore(client, "lake").get("a/key") == b"here"


def test_a_service_is_opened_behind_aws_default() -> None:
    client = open_client("athena")

    assert client.meta.service_model.service_name == "athena"
    assert client.meta.region_name == "us-east-1"
