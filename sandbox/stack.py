"""The local stack: the AWS sandbox and the offline market, with their state in one locked folder a source."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mag7.polygon.errors import PolygonError
from mag7.polygon.source import SIMULATED, name_declared_source
from mag7.settings import SettingInvalidError
from sandbox.processes import run_server

ROOT = Path(__file__).resolve().parents[1]
REGION = "us-west-2"
AWS_SECRET = "any-secret"  # noqa: S105 - the sandbox takes any  # pragma: allowlist secret
"""No word of its own: Airflow masks it wherever it stands in a log."""

RETRY_SECONDS = "2"
"""Somebody sits and waits for a demonstration: longer waits between a task's tries are cut to this."""


class FolderInUseError(Exception):
    """Another command works on the same state folder."""


@dataclass(frozen=True)
class Stack:
    """A running stack: its folder, its source's name, and the addresses of its servers."""

    folder: Path
    source: str
    aws_url: str
    polygon_url: str
    simulated: bool

    @property
    def airflow_home(self) -> Path:
        """Where Airflow keeps its database and logs for this source."""
        return self.folder / "airflow"

    def environment(self) -> dict[str, str]:
        """Give the environment in which Airflow talks to this stack and to nothing else."""
        connection = {
            "conn_type": "aws",
            "login": "sandbox",
            "password": AWS_SECRET,
            "extra": {"region_name": REGION, "endpoint_url": self.aws_url},
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
        return (
            inherited
            | {
                "AIRFLOW_HOME": str(self.airflow_home),
                "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
                "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
                # `airflow dags test` has no scheduler: what it triggers must not be refused for being paused.
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": RETRY_SECONDS,
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.airflow_home / 'airflow.db'}",
                "AIRFLOW__LOGGING__NAMESPACE_LEVELS": _QUIET,
                "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
                "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
                "AWS_ENDPOINT_URL": self.aws_url,
                "AWS_ACCESS_KEY_ID": "sandbox",
                "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
                "AWS_DEFAULT_REGION": REGION,
                "POLYGON_BASE_URL": self.polygon_url,
                "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
            }
            | self._market_environment()
        )

    def _market_environment(self) -> dict[str, str]:
        """The offline market takes any key and as many calls as one likes."""
        if not self.simulated:
            return {}
        return {
            "POLYGON_API_KEY": "offline-market",
            "POLYGON_CALLS_PER_MINUTE": "0",
            "POLYGON_SOURCE": SIMULATED,
            "MAG7_IVV_URL": f"{self.polygon_url}/funds/ivv.csv?asOfDate={{date}}",
            "MAG7_SPY_URL": f"{self.polygon_url}/funds/spy.xlsx",
            "MAG7_CHANGES_URL": f"{self.polygon_url}/funds/changes.json",
            "MAG7_TERMS_READ": "ivv,spy,changes",
        }


_QUIET = " ".join(
    f"{name}=WARNING"
    for name in (
        "airflow.sdk",
        "airflow.models",
        "airflow.task",
        "airflow.dag_processing",
        "airflow.serialization",
        "airflow.providers",
        "botocore",
    )
)


def name_source(environ: Mapping[str, str]) -> str:
    """Name where answers will come from: "simulated" for the offline market, else as the client names it.

    Raises SettingInvalidError for an address or a name that the client would refuse.
    """
    base = environ.get("POLYGON_BASE_URL", "").strip()
    if not base:
        return SIMULATED
    try:
        return name_declared_source(base, environ.get("POLYGON_SOURCE"))
    except PolygonError as error:
        raise SettingInvalidError(str(error)) from None


@contextmanager
def run_stack(home: Path, environ: Mapping[str, str], *, aws_options: Sequence[str] = ()) -> Iterator[Stack]:
    """Run the stack for the source that the environment asks for; its folder below ``home`` is locked meanwhile.

    ``aws_options`` are further options of the AWS sandbox. With POLYGON_BASE_URL set the offline market is not
    started: answers come from there, AWS stays the sandbox.
    """
    source = name_source(environ)
    folder = home / re.sub(r"[^A-Za-z0-9._-]+", "-", source)
    folder.mkdir(parents=True, exist_ok=True)
    base = environ.get("POLYGON_BASE_URL", "").strip()
    with (
        _locked(folder),
        run_server(
            "sandbox.aws", ["--port", "0", "--state", str(folder / "aws"), *aws_options], folder / "servers", ROOT
        ) as aws,
    ):
        if base:
            yield Stack(folder, source, aws.url, base, simulated=False)
            return
        # No delay after the close: the last closed session can be run at once.
        options = ["--port", "0", "--release-minutes", "0"]
        with run_server("sandbox.polygon", options, folder / "servers", ROOT) as market:
            yield Stack(folder, source, aws.url, market.url, simulated=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUseError(
                f"another command is using {folder}: wait until it ends,"
                " or give this one a folder of its own with --home"
            ) from None
        yield
