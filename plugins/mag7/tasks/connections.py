"""AWS through the Airflow connection aws_default: the lake's bucket, and clients of single services."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mag7.lake.objects import ObjectStore
from mag7.settings import Settings

AWS_CONNECTION = "aws_default"


def open_store(settings: Settings) -> ObjectStore:
    """Open the lake's bucket."""
    return ObjectStore(open_client("s3"), settings.bucket, settings.bucket_owner or None)


def open_client(service: str) -> Any:
    """Open a boto3 client of an AWS service."""
    return share_session()(service)


def share_session() -> Callable[[str], Any]:
    """Return ``open_client`` for several services, which reads AWS's endpoint data, the slow part, only once.

    The hook's own ``get_conn`` also walks the stack with its source files to set a header, which takes a quarter of the
    time in which a short task gets its client.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    hook: Any = AwsBaseHook(AWS_CONNECTION, client_type="s3")
    return partial(open_service, hook=hook, session=hook.get_session())


def open_service(service: str, hook: Any, session: Any) -> Any:
    """Open a boto3 client of an AWS service on a hook's session."""
    address = hook.conn_config.get_service_endpoint_url(service)
    return session.client(service, endpoint_url=address, config=hook.config, verify=hook.verify)
