"""Clients made from Airflow connections: the lake's bucket, AWS services, and the provider of market data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mag7.errors import Mag7Error
from mag7.lake.objects import ObjectStore
from mag7.polygon.client import PolygonClient
from mag7.polygon.rate import shared_limiter
from mag7.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Connection

AWS_CONNECTION = "aws_default"
POLYGON_CONNECTION = "polygon_default"
KEY_VARIABLE = "POLYGON_API_KEY"


class KeyNotFoundError(Mag7Error):
    """Neither the Airflow connection nor the environment holds an API key."""

    def __init__(self) -> None:
        super().__init__(
            f"no market data API key: put it into the password of the Airflow connection {POLYGON_CONNECTION!r},"
            f" or set the environment variable {KEY_VARIABLE}"
        )


def open_store(settings: Settings) -> ObjectStore:
    """Open the lake's bucket through the Airflow connection aws_default."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    return ObjectStore(S3Hook(AWS_CONNECTION).get_conn(), settings.bucket, settings.bucket_owner or None)


def open_client(service: str) -> Any:
    """Open a boto3 client of an AWS service through the Airflow connection aws_default."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    return AwsBaseHook(AWS_CONNECTION, client_type=service).get_conn()


def open_polygon(settings: Settings) -> PolygonClient:
    """Open the provider's client; its limiter is shared by every thread of this process."""
    return PolygonClient(
        settings.polygon_base_url,
        find_api_key(),
        limiter=shared_limiter(settings.polygon_base_url, settings.calls_per_minute or None),
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        tries=settings.tries,
        threads=settings.threads,
        source=settings.polygon_source or None,
    )


def find_api_key() -> str:
    """Find the key in the Airflow connection, else in the environment; Airflow masks it in every log."""
    from airflow.sdk.log import mask_secret

    connection = _find_connection()
    key = (connection.password if connection else None) or os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise KeyNotFoundError
    mask_secret(key)
    return key


def _find_connection() -> Connection | None:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(POLYGON_CONNECTION)
    except AirflowNotFoundException:
        return None
