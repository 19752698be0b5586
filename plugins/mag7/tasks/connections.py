"""AWS through the Airflow connection aws_default: the lake's bucket, and clients of single services."""

from __future__ import annotations

from typing import Any

from mag7.lake.objects import ObjectStore
from mag7.settings import Settings

AWS_CONNECTION = "aws_default"


def open_store(settings: Settings) -> ObjectStore:
    """Open the lake's bucket."""
    return ObjectStore(open_client("s3"), settings.bucket, settings.bucket_owner or None)


def open_client(service: str) -> Any:
    """Open a boto3 client of an AWS service."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    return AwsBaseHook(AWS_CONNECTION, client_type=service).get_conn()
