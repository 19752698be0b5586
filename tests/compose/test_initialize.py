"""What Airflow's services find when they start."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from sandbox.initialize import FERNET_KEY, JWT_SECRET, PASSWORDS, KeyMissingError, describe_connections, main, make_keys


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", "first")
    made = {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()}
    assert set(made) == {FERNET_KEY, JWT_SECRET, PASSWORDS}
    assert Fernet(made[FERNET_KEY]).decrypt(Fernet(made[FERNET_KEY]).encrypt(b"secret")) == b"secret"
    assert len(made[JWT_SECRET]) >= 64
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "keys").iterdir())
    make_keys(tmp_path / "keys", "second")
    again = {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()}
    assert {name: key for name, key in again.items() if name != PASSWORDS} == {
        name: key for name, key in made.items() if name != PASSWORDS
    }
    assert json.loads(again[PASSWORDS]) == {"admin": "second"}


def test_two_stacks_have_different_keys(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_keys(tmp_path / name, "same")
    for name in (FERNET_KEY, JWT_SECRET):
        assert (tmp_path / "one" / name).read_text() != (tmp_path / "two" / name).read_text()
    assert len(base64.urlsafe_b64decode((tmp_path / "one" / FERNET_KEY).read_text())) == 32


def test_connections_of_the_sandbox_name_its_address() -> None:
    made = describe_connections({"AWS_ENDPOINT_URL": "http://aws-sandbox:4566", "POLYGON_API_KEY": "any"})
    assert made["aws_default"]["extra"] == {"region_name": "us-west-2", "endpoint_url": "http://aws-sandbox:4566"}
    assert made["polygon_default"]["password"] == "any"


def test_connection_of_an_account_holds_no_credentials_and_no_address() -> None:
    environment = {"AWS_ENDPOINT_URL": "", "AWS_DEFAULT_REGION": "eu-west-1", "POLYGON_API_KEY": "key"}
    assert describe_connections(environment)["aws_default"] == {
        "conn_type": "aws",
        "extra": {"region_name": "eu-west-1"},
    }


def test_no_task_is_given_a_password_of_airflow() -> None:
    environment = {
        "POLYGON_API_KEY": "any",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://airflow-api-server:8080/execution/",
        "MAG7_UI_PASSWORD": "changed",  # pragma: allowlist secret
    }
    made = describe_connections(environment)

    assert set(made) == {"aws_default", "polygon_default"}
    assert "changed" not in json.dumps(made)


def test_missing_key_is_named() -> None:
    with pytest.raises(KeyMissingError, match="POLYGON_API_KEY is not set"):
        describe_connections({"AWS_ENDPOINT_URL": "http://aws-sandbox:4566"})


def test_missing_setting_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ENDPOINT_URL", "MAG7_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    assert main(["--keys", str(tmp_path / "keys")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "MAG7_BUCKET is not set" in said[0]
    assert not (tmp_path / "keys").exists()
