"""Set the sandbox up with mag7_setup, as an operator would on AWS, where something is missing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from mag7.errors import Mag7Error
from mag7.settings import read_settings
from mag7.tasks.setup import Place, list_gaps
from sandbox.airflow_home import airflow_command
from sandbox.provision import ProvisioningError, open_sandbox, provision_infrastructure
from sandbox.stack import REGION, ROOT

DAG = "mag7_setup"
SETUP_SECONDS = 300.0
_FAILURE = re.compile(r"\b\w+ failed: (.*)")


def set_up_sandbox(environment: Mapping[str, str], log: Path) -> bool:
    """Provision the infrastructure, then run mag7_setup where the sandbox lacks what this checkout needs.

    The sandbox itself is checked, as in each daily run: a note of an earlier setup could be wrong. Airflow must be
    prepared; its output goes to ``log``. Returns whether the DAG ran; raises ProvisioningError with the setup's message
    where something is still missing.
    """
    settings, region = read_settings(environment), environment.get("AWS_DEFAULT_REGION") or REGION
    provision_infrastructure(settings, region)
    place = open_sandbox(settings, region)
    if not _list_gaps(place):
        return False
    ended = _run_setup(environment, log)
    if gaps := _list_gaps(place):
        reasons = _FAILURE.findall(log.read_text(errors="replace"))
        why = reasons[0] if reasons else f"{ended}; {'; '.join(gaps)}"
        raise ProvisioningError(f"{DAG} did not set the sandbox up: {why} (its log: {log})")
    return True


def _run_setup(environment: Mapping[str, str], log: Path) -> str:
    """Run the DAG for today, because its date has no meaning; returns how it ended."""
    command = airflow_command("dags", "test", DAG, datetime.now(UTC).date().isoformat())
    with log.open("wb") as output:
        try:
            finished = subprocess.run(
                command,
                cwd=ROOT,
                env=dict(environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SETUP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it did not end within {SETUP_SECONDS:.0f} s"
    return f"it ended with code {finished.returncode}"


def _list_gaps(place: Place) -> list[str]:
    """List what is missing; raises ProvisioningError for a state that the setup cannot fix, such as a newer schema."""
    try:
        return list_gaps(place)
    except Mag7Error as error:
        raise ProvisioningError(str(error)) from error
