"""The note of a DAG run, which Airflow's page shows: written through its REST API, as tasks have no other way to it."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

log = logging.getLogger(__name__)

API_CONNECTION = "airflow_api"
"""A connection to Airflow's own API: host with schema and port, login and password of a user who may edit DAG runs."""

ANSWER_SECONDS = 5.0
LONGEST_NOTE = 1000


def write_note(text: str) -> bool:
    """Write the note of the run that this task belongs to; returns whether that was done.

    Without the connection there is none, and where the API refuses, the log says so: no run fails for its note.
    """
    from airflow.sdk import BaseHook, get_current_context
    from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

    try:
        connection = BaseHook.get_connection(API_CONNECTION)
    except AirflowNotFoundException:
        return False
    except AirflowException as unreadable:
        log.warning("the run's note was not written: the connection %s cannot be read: %s", API_CONNECTION, unreadable)
        return False
    run = get_current_context()["dag_run"]
    path = f"/api/v2/dags/{quote(run.dag_id, safe='')}/dagRuns/{quote(run.run_id, safe='')}"
    base = f"{connection.schema or 'http'}://{connection.host}:{connection.port or 8080}"
    return _patch(base, path, {"username": connection.login, "password": connection.password}, text[:LONGEST_NOTE])


def _patch(base: str, path: str, user: dict[str, Any], text: str) -> bool:
    import httpx

    try:
        with httpx.Client(base_url=base, timeout=ANSWER_SECONDS) as client:
            token = client.post("/auth/token", json=user).raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            client.patch(f"{path}?update_mask=note", json={"note": text}, headers=headers).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        log.warning("the run's note was not written: %s from %s", type(error).__name__, base)
        return False
    return True
