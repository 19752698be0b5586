"""Prepare Airflow so that its services can start: keys, user, database, pool, connections.

Usage: python -m sandbox.initialize --keys FOLDER

docker-compose runs it before the other services start; `make ui` calls the same functions. It can be repeated: keys
stay, connections are overwritten from the environment. Where AWS_ENDPOINT_URL names a sandbox that lacks something, it
runs mag7_setup; for a real account you trigger that DAG.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mag7.errors import Mag7Error
from mag7.settings import read_settings
from sandbox.airflow_home import AirflowCommandError, import_entries, migrate_database
from sandbox.provision import ProvisioningError
from sandbox.setup import set_up_sandbox
from sandbox.stack import REGION, describe_connection
from sandbox.trigger import DEVELOPMENT_PASSWORD, PASSWORD_VARIABLE, USER

FERNET_KEY = "fernet.key"
JWT_SECRET = "jwt.secret"  # noqa: S105  # pragma: allowlist secret - a file's name
PASSWORDS = "passwords.json"  # pragma: allowlist secret - a file's name
KEY_VARIABLE = "POLYGON_API_KEY"


class KeyMissingError(Exception):
    """There is no key for the market data API."""


def make_keys(folder: Path, password: str) -> None:
    """Write the keys that Airflow's processes share, unless they exist, and the password of the only user."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, key in (
        (FERNET_KEY, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()),
        (JWT_SECRET, secrets.token_urlsafe(48)),
    ):
        if not (folder / name).exists():
            _write_private(folder / name, key)
    _write_private(folder / PASSWORDS, json.dumps({USER: password}))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def describe_connections(environ: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Describe the connections that the DAGs use; the sandbox takes any key, an account its own credentials.

    Raises KeyMissingError where there is no API key.
    """
    region, endpoint = environ.get("AWS_DEFAULT_REGION") or REGION, environ.get("AWS_ENDPOINT_URL", "").strip()
    key = environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise KeyMissingError(
            f"the environment variable {KEY_VARIABLE} is not set: give the market data provider's key"
        )
    account: dict[str, object] = {"conn_type": "aws", "extra": {"region_name": region}}
    aws = describe_connection(endpoint, region) if endpoint else account
    polygon: dict[str, object] = {"conn_type": "http", "password": key}
    return {"aws_default": aws, "polygon_default": polygon}


def prepare_database(environ: Mapping[str, str]) -> None:
    """Migrate Airflow's database, and write the pool and the connections into it; raises AirflowCommandError."""
    connections = describe_connections(environ)
    migrate_database(environ)
    import_entries(environ, "connections", connections, "--overwrite")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare everything and print a line for each step, or one for the step that fails; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.initialize", description="Prepare Airflow's services.")
    parser.add_argument("--keys", type=Path, required=True, help="folder of the keys that the services share")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings()
        make_keys(options.keys, os.environ.get(PASSWORD_VARIABLE) or DEVELOPMENT_PASSWORD)
        prepare_database(os.environ)
        print("Airflow's database, pool and connections are there", flush=True)
        logs = Path(os.environ.get("AIRFLOW_HOME") or tempfile.gettempdir()) / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        if settings.sandboxed and set_up_sandbox(os.environ, logs / "mag7_setup.log"):
            print("mag7_setup has set the sandbox up", flush=True)
    except (Mag7Error, KeyMissingError, ProvisioningError, AirflowCommandError, OSError) as error:
        print(f"initialize: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
