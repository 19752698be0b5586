"""The local stack: the AWS sandbox and the offline market, with one locked state folder for each source."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mag7.polygon.errors import PolygonError
from mag7.polygon.source import SIMULATED, name_declared_source
from mag7.settings import SettingInvalidError
from sandbox.processes import run_server

AIRFLOW = "airflow"
OFFER = "offer.json"
ROOT = Path(__file__).resolve().parents[1]
REGION = "us-west-2"
AWS_KEY = "sandbox"
AWS_SECRET = "any-secret"  # noqa: S105 - the sandbox takes any  # pragma: allowlist secret
"""Not a word that logs contain: Airflow masks it wherever it occurs."""

RETRY_SECONDS = "2"
"""A person waits for a demonstration: the delay before a retry is at most this."""


class FolderInUseError(Exception):
    """Another command uses the same state folder."""


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
        """The folder of Airflow's database and logs for this source."""
        return self.folder / AIRFLOW

    def environment(self) -> dict[str, str]:
        """Return the environment in which Airflow uses this stack and nothing else."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
        return (
            inherited
            | {
                "AIRFLOW_HOME": str(self.airflow_home),
                "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
                "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
                # `airflow dags test` has no scheduler: a DAG that it triggers must not be paused.
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": RETRY_SECONDS,
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.airflow_home / 'airflow.db'}",
                "AIRFLOW__LOGGING__NAMESPACE_LEVELS": _QUIET,
                "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
                "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(describe_connection(self.aws_url, REGION)),
                "AWS_ENDPOINT_URL": self.aws_url,
                "AWS_ACCESS_KEY_ID": AWS_KEY,
                "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
                "AWS_DEFAULT_REGION": REGION,
                "POLYGON_BASE_URL": self.polygon_url,
                "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
            }
            | self._market_environment()
        )

    def _market_environment(self) -> dict[str, str]:
        """Return the market's settings; the offline market accepts any key and has no rate limit."""
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


def describe_connection(endpoint: str, region: str) -> dict[str, object]:
    """Describe Airflow's connection to a sandbox."""
    extra = {"region_name": region, "endpoint_url": endpoint}
    return {"conn_type": "aws", "login": AWS_KEY, "password": AWS_SECRET, "extra": extra}


def name_source(environ: Mapping[str, str]) -> str:
    """Name the source of the responses: "simulated" for the offline market, else the client's name.

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
def run_stack(
    home: Path, environ: Mapping[str, str], *, aws_options: Sequence[str] = (), airflow: str | None = AIRFLOW
) -> Iterator[Stack]:
    """Run the stack for the source that the environment names, or use the stack that another command offers.

    ``aws_options`` are further options of the AWS sandbox. With POLYGON_BASE_URL set, responses come from there and the
    offline market is not started; AWS is still the sandbox. The stack's folder below ``home`` is locked, and so is the
    Airflow that the command uses; ``airflow`` is None for a command that only reads. Raises FolderInUseError.
    """
    source = name_source(environ)
    folder = home / re.sub(r"[^A-Za-z0-9._-]+", "-", source)
    folder.mkdir(parents=True, exist_ok=True)
    base = environ.get("POLYGON_BASE_URL", "").strip()
    with ExitStack() as held:
        if airflow is not None:
            _lock(folder, f"{airflow}.lock", held)
        try:
            _lock(folder, "lock", held)
        except FolderInUseError:
            aws_url, market_url = _read_offer(folder)
        else:
            (folder / OFFER).unlink(missing_ok=True)
            aws_url, market_url = _start_servers(folder, held, aws_options, market=not base)
        yield Stack(folder, source, aws_url, base or market_url, simulated=not base)


def _start_servers(folder: Path, held: ExitStack, aws_options: Sequence[str], *, market: bool) -> tuple[str, str]:
    """Start the servers until ``held`` ends; returns the URLs of AWS and of the market, empty without a market."""
    logs, options = folder / "servers", ["--port", "0", "--state", str(folder / "aws"), *aws_options]
    aws = held.enter_context(run_server("sandbox.aws", options, logs, ROOT))
    if not market:
        return aws.url, ""
    # No delay after the close: the last closed session can run at once.
    options = ["--port", "0", "--release-minutes", "0"]
    return aws.url, held.enter_context(run_server("sandbox.polygon", options, logs, ROOT)).url


@contextmanager
def offer_stack(stack: Stack) -> Iterator[None]:
    """Let other commands use a stack until the block ends; short commands do not offer theirs."""
    offer = stack.folder / OFFER
    offer.write_text(json.dumps([stack.aws_url, stack.polygon_url]))
    try:
        yield
    finally:
        offer.unlink(missing_ok=True)


def _read_offer(folder: Path) -> tuple[str, str]:
    with suppress(FileNotFoundError):
        aws_url, market_url = json.loads((folder / OFFER).read_text())
        return aws_url, market_url
    raise _in_use(folder)


def _lock(folder: Path, name: str, held: ExitStack) -> None:
    lock = held.enter_context((folder / name).open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(folder) from None


def _in_use(folder: Path) -> FolderInUseError:
    return FolderInUseError(f"another command is using {folder}: wait until it ends")
