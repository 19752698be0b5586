"""The note of a run: written where the connection is there, and never a reason to fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from mag7.tasks.run_note import write_note

Handler = Callable[[httpx.Request], httpx.Response]
RUN_ID = "manual__2024-12-13T00:00:00+00:00"


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A connection to Airflow's API, and a task that runs."""
    # pragma: allowlist nextline secret - an invented one
    found = SimpleNamespace(schema="https", host="airflow.test", port=8443, login="writer", password="secret word")
    monkeypatch.setattr(BaseHook, "get_connection", lambda conn_id: {"airflow_api": found}[conn_id])
    run = SimpleNamespace(dag_id="mag7_backfill", run_id=RUN_ID)
    monkeypatch.setattr("airflow.sdk.get_current_context", lambda: {"dag_run": run})
    return found


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], None]:
    client = httpx.Client

    def use(handler: Handler) -> None:
        monkeypatch.setattr(httpx, "Client", partial(client, transport=httpx.MockTransport(handler)))

    return use


class Api:
    """Airflow's API as far as it is used; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any], str | None]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        authorization = request.headers.get("authorization")
        self.asked.append((request.method, str(request.url), json.loads(request.content), authorization))
        return httpx.Response(201, json={"access_token": "a-token"} if request.method == "POST" else {})


def test_the_note_of_the_tasks_own_run_is_written(
    connection: SimpleNamespace, answer: Callable[[Handler], None]
) -> None:
    api = Api()
    answer(api)

    assert write_note("half is done")
    assert api.asked == [
        (
            "POST",
            "https://airflow.test:8443/auth/token",
            {"username": "writer", "password": "secret word"},  # pragma: allowlist secret
            None,
        ),
        (
            "PATCH",
            "https://airflow.test:8443/api/v2/dags/mag7_backfill/dagRuns/"
            "manual__2024-12-13T00%3A00%3A00%2B00%3A00?update_mask=note",
            {"note": "half is done"},
            "Bearer a-token",
        ),
    ]


def test_a_connection_of_a_host_alone_is_taken_as_airflows_default(
    connection: SimpleNamespace, answer: Callable[[Handler], None]
) -> None:
    api = Api()
    answer(api)
    connection.schema, connection.port = None, None
    write_note("half is done")

    assert api.asked[0][1] == "http://airflow.test:8080/auth/token"


def test_a_note_is_no_longer_than_airflow_keeps(connection: SimpleNamespace, answer: Callable[[Handler], None]) -> None:
    api = Api()
    answer(api)
    write_note("x" * 5000)

    assert api.asked[1][2] == {"note": "x" * 1000}


def test_without_the_connection_there_is_no_note(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def miss(conn_id: str) -> None:
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", miss)

    assert not write_note("half is done")
    assert caplog.messages == []


def refuse_user(request: httpx.Request) -> httpx.Response:
    return httpx.Response(401, json={"detail": "Invalid credentials"})


def refuse_note(request: httpx.Request) -> httpx.Response:
    return httpx.Response(201, json={"access_token": "t"}) if request.method == "POST" else httpx.Response(403)


def answer_nothing(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectTimeout("no answer")


def answer_a_page(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text="<html>sign in</html>")


def answer_no_token(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={})


def answer_a_list(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=[])


@pytest.mark.parametrize(
    "handler", [refuse_user, refuse_note, answer_nothing, answer_a_page, answer_no_token, answer_a_list]
)
def test_no_run_fails_for_its_note(
    connection: SimpleNamespace,
    answer: Callable[[Handler], None],
    caplog: pytest.LogCaptureFixture,
    handler: Handler,
) -> None:
    answer(handler)

    assert not write_note("half is done")
    assert caplog.messages[-1].startswith("the run's note was not written: ")
    assert caplog.messages[-1].endswith("from https://airflow.test:8443")
    assert "secret word" not in caplog.text


@pytest.mark.parametrize("host", ["http://airflow.test", "air flow", "airflow.test:8080", "", None])
def test_nor_for_a_host_that_is_none(
    connection: SimpleNamespace, answer: Callable[[Handler], None], host: str | None
) -> None:
    answer(answer_nothing)
    connection.host = host

    assert not write_note("half is done")
