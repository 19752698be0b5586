"""Where the API key comes from, that it is masked, and the client that is opened with it."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import pytest
from airflow.sdk._shared.secrets_masker import redact

from mag7.polygon.errors import RateFileError
from mag7.tasks.polygon_hook import KeyNotFoundError, PolygonHook

CONNECTION = "AIRFLOW_CONN_POLYGON_DEFAULT"
KEY = "a-key/with+every=thing"


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The secrets that Airflow was told to mask."""
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


@pytest.mark.parametrize(("hosts", "interval"), [(None, 4.04), ("0", 4.04), ("1", 1.01), ("3", 3.03)])
def test_the_file_lifts_a_slots_part_only_where_hosts_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hosts: str | None, interval: float
) -> None:
    monkeypatch.setenv("POLYGON_CALLS_PER_MINUTE", "60")
    monkeypatch.setenv("MAG7_RATE_FOLDER", str(tmp_path / "rate"))
    if hosts is not None:
        monkeypatch.setenv("MAG7_WORKER_HOSTS", hosts)
    client = PolygonHook().get_conn()

    assert client.limiter.interval == pytest.approx(interval)
    assert (tmp_path / "rate").exists() == (hosts in {"1", "3"})
    client.close()


def test_the_file_is_shared_by_key_and_does_not_hold_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAG7_RATE_FOLDER", str(tmp_path))
    monkeypatch.setenv("MAG7_WORKER_HOSTS", "1")
    set_key(monkeypatch, variable=KEY)
    addresses = ["https://api.polygon.io", "https://api.massive.com/", "http://127.0.0.1:9"]
    for address in addresses:
        monkeypatch.setenv("POLYGON_BASE_URL", address)
        client = PolygonHook().get_conn()
        client.limiter.pause(0.001)
        client.close()

    files = list(tmp_path.iterdir())
    assert len(files) == 2, "the provider's two hosts count a key's calls together"
    for file in files:
        assert KEY not in file.name
        assert KEY.encode() not in file.read_bytes()


def test_a_folder_that_cannot_be_used_is_named_with_its_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("MAG7_RATE_FOLDER", str(tmp_path / "taken"))
    monkeypatch.setenv("MAG7_WORKER_HOSTS", "1")

    with pytest.raises(RateFileError, match="set MAG7_RATE_FOLDER") as refused:
        PolygonHook().get_conn()
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)  # noqa: S301


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
