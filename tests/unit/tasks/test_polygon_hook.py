"""Where the API key comes from, that it is masked, and the client that is opened with it."""

from __future__ import annotations

import json
import logging
import pickle

import pytest
from airflow.sdk._shared.secrets_masker import redact

from mag7.tasks.polygon_hook import KeyNotFoundError, PolygonHook

CONNECTION = "AIRFLOW_CONN_POLYGON_DEFAULT"
KEY = "a-key/with+every=thing"


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The secrets that Airflow was given to mask."""
    found: list[str] = []
    monkeypatch.setattr("mag7.tasks.polygon_hook.mask_secret", found.append)
    return found


def set_key(monkeypatch: pytest.MonkeyPatch, *, connection: str | None = None, variable: str | None = None) -> None:
    monkeypatch.delenv("POLYGON_API_KEY")
    if connection is not None:
        monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "http", "password": connection}))
    if variable is not None:
        monkeypatch.setenv("POLYGON_API_KEY", variable)


@pytest.mark.parametrize(
    ("connection", "variable", "key"),
    [(KEY, None, KEY), (KEY, "another", KEY), (None, KEY, KEY), ("", KEY, KEY), (None, f" {KEY}\n", KEY)],
)
def test_the_key_is_the_connections_else_the_environments(
    monkeypatch: pytest.MonkeyPatch, masked: list[str], connection: str | None, variable: str | None, key: str
) -> None:
    set_key(monkeypatch, connection=connection, variable=variable)

    assert PolygonHook().find_api_key() == key
    assert masked == [key]


@pytest.mark.parametrize(("connection", "variable"), [(None, None), ("", None), (None, "  "), ("", "")])
def test_without_a_key_one_line_says_where_to_put_it(
    monkeypatch: pytest.MonkeyPatch, connection: str | None, variable: str | None
) -> None:
    set_key(monkeypatch, connection=connection, variable=variable)

    with pytest.raises(KeyNotFoundError) as missing:
        PolygonHook().find_api_key()
    message = str(missing.value)
    assert "polygon_default" in message
    assert "POLYGON_API_KEY" in message
    assert "\n" not in message
    assert not missing.value.transient


def test_the_key_is_masked_by_airflow_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    set_key(monkeypatch, connection=KEY)
    PolygonHook().find_api_key()

    assert KEY not in str(redact(f"the header is Bearer {KEY}, sent"))


def test_the_client_follows_the_settings_and_does_not_show_the_key(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_key(monkeypatch, variable=KEY)
    monkeypatch.setenv("POLYGON_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("POLYGON_SOURCE", "replay")
    monkeypatch.setenv("POLYGON_TRIES", "3")
    monkeypatch.setenv("POLYGON_CALLS_PER_MINUTE", "242.4")
    monkeypatch.setenv("MAG7_POLYGON_SLOTS", "4")
    with caplog.at_level(logging.DEBUG):
        client = PolygonHook().get_conn()

    assert (client.source, client.tries) == ("replay", 3)
    assert client.limiter.interval == pytest.approx(1.0)
    assert KEY not in f"{client!r} {client.__dict__} {caplog.text}"
    client.close()


def test_tasks_of_one_process_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_BASE_URL", "http://127.0.0.1:9")
    clients = [PolygonHook().get_conn() for _ in range(2)]

    assert clients[0].limiter is clients[1].limiter
    for client in clients:
        client.close()


def test_another_key_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_BASE_URL", "http://127.0.0.1:9")
    first = PolygonHook().get_conn()
    set_key(monkeypatch, variable=KEY)
    second = PolygonHook().get_conn()

    assert first.limiter is not second.limiter
    for client in (first, second):
        client.close()


@pytest.mark.parametrize(("slots", "interval"), [(None, 4.04), ("1", 1.01), ("8", 8.08)])
def test_a_task_calls_at_the_limit_divided_by_the_slots_whatever_was_said_of_hosts(
    monkeypatch: pytest.MonkeyPatch, slots: str | None, interval: float
) -> None:
    monkeypatch.setenv("POLYGON_CALLS_PER_MINUTE", "60")
    monkeypatch.setenv("MAG7_WORKER_HOSTS", "1")
    if slots is not None:
        monkeypatch.setenv("MAG7_POLYGON_SLOTS", slots)
    client = PolygonHook().get_conn()

    assert client.limiter.interval == pytest.approx(interval)
    client.close()


def test_no_limit_where_it_is_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_CALLS_PER_MINUTE", "0")
    client = PolygonHook().get_conn()

    assert client.limiter.interval == 0
    client.close()


def test_another_connection_may_hold_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_A_SECOND_KEY", json.dumps({"conn_type": "http", "password": KEY}))

    assert PolygonHook("a_second_key").find_api_key() == KEY


def test_the_error_travels_between_processes() -> None:
    assert str(pickle.loads(pickle.dumps(KeyNotFoundError("other")))) == str(KeyNotFoundError("other"))  # noqa: S301
