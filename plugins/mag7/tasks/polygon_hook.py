"""The Airflow hook of the market data provider: its key from a connection, its client from the settings."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from mag7.errors import Mag7Error
from mag7.polygon.client import PolygonClient
from mag7.polygon.rate import RateLimiter, name_bucket, shared_limiter
from mag7.settings import Settings, read_settings

KEY_VARIABLE = "POLYGON_API_KEY"


class KeyNotFoundError(Mag7Error):
    """Neither the Airflow connection nor the environment holds an API key."""

    def __init__(self, connection_id: str) -> None:
        self.connection_id = connection_id
        super().__init__(
            f"no market data API key: put it into the password of the Airflow connection {connection_id!r},"
            f" or set the environment variable {KEY_VARIABLE}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the connection's name."""
        return KeyNotFoundError, (self.connection_id,)


class PolygonHook(BaseHook):
    """Opens clients of the market data provider; the key is the connection's password, else POLYGON_API_KEY."""

    conn_name_attr = "polygon_conn_id"
    default_conn_name = "polygon_default"
    conn_type = "http"
    hook_name = "Polygon market data"

    def __init__(self, polygon_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.polygon_conn_id = polygon_conn_id

    def get_conn(self, settings: Settings | None = None) -> PolygonClient:
        """Open a client that uses one pool slot's part of the key's rate limit; raises KeyNotFoundError."""
        settings = settings or read_settings()
        key = self.find_api_key()
        return PolygonClient(
            settings.polygon_base_url,
            key,
            limiter=choose_limiter(settings, key),
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            tries=settings.tries,
            threads=settings.threads,
            source=settings.polygon_source or None,
        )

    def find_api_key(self) -> str:
        """Find the key and make Airflow mask it in every log; raises KeyNotFoundError."""
        key = (self._read_password() or "").strip() or os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise KeyNotFoundError(self.polygon_conn_id)
        mask_secret(key)
        return key

    def _read_password(self) -> str | None:
        try:
            return self.get_connection(self.polygon_conn_id).password
        except AirflowNotFoundException:
            return None


def choose_limiter(settings: Settings, key: str) -> RateLimiter:
    """Return the limiter of a task: the key's limit divided by the slots of the pool, on any executor."""
    share = settings.calls_per_minute / settings.slots or None
    return shared_limiter(name_bucket(settings.polygon_base_url, key), share)
