"""Airflow's PostgreSQL, started without a server install."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from sandbox import postgres
from sandbox.postgres import PostgresNotReadyError, Programs, find_programs, run_postgres
from tests.private_folders import open_to_others


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = open_to_others(tmp_path_factory.mktemp("postgres"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def connect(address: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(address.replace("+psycopg2", ""))


def test_keeps_its_rows_and_its_password_over_a_restart(folder: Path) -> None:
    with run_postgres(folder, find_programs()) as address:
        with connect(address) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.close()
    with run_postgres(folder, find_programs()) as address:
        with connect(address) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT answer FROM kept")
            assert cursor.fetchall() == [(42,)]
        connection.close()
    with pytest.raises(psycopg2.OperationalError):
        connect(address)


def test_lets_nobody_in_without_the_password(folder: Path) -> None:
    with run_postgres(folder, find_programs()) as address, pytest.raises(psycopg2.OperationalError):
        connect(address.replace(":" + (folder / "password").read_text(), ":wrong"))
    assert (folder / "password").stat().st_mode & 0o077 == 0


def test_broken_data_is_one_clear_line(folder: Path) -> None:
    with run_postgres(folder, find_programs()):
        pass
    (folder / "data" / "PG_VERSION").write_text("9\n")
    with (
        pytest.raises(PostgresNotReadyError, match="PostgreSQL ended at once") as raised,
        run_postgres(folder, find_programs()),
    ):
        pass
    assert "\n" not in str(raised.value)


def test_programs_that_fail_are_named(folder: Path) -> None:
    programs = folder / "bin"
    programs.mkdir()
    for name in ("initdb", "postgres"):
        (programs / name).write_text("#!/bin/sh\necho nothing works here >&2\nexit 1\n")
        (programs / name).chmod(0o755)
    with (
        pytest.raises(PostgresNotReadyError, match="initdb failed: nothing works here"),
        run_postgres(folder / "db", Programs(programs, None)),
    ):
        pass


def test_says_so_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_list_wheel_folders", list)
    monkeypatch.setattr(postgres, "_list_system_folders", list)
    with pytest.raises(PostgresNotReadyError, match="there is no PostgreSQL"):
        find_programs()
