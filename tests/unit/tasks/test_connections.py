"""Where clients of AWS lead, through the provider's own hook."""

from __future__ import annotations

import boto3
from moto import mock_aws

from mag7.lake.objects import ObjectStore
from mag7.settings import read_settings
from mag7.tasks.connections import open_client, open_store, share_session


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


def test_services_on_one_session_are_those_opened_alone() -> None:
    shared = share_session()

    for service in ("s3", "glue", "redshift-data"):
        one, alone = shared(service), open_client(service)
        assert one.meta.service_model.service_name == service
        assert (one.meta.region_name, one.meta.endpoint_url) == (alone.meta.region_name, alone.meta.endpoint_url)
