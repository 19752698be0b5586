"""``make ui``: Airflow's web interface on the local sandbox; ctrl-C ends every process that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

from mag7.settings import read_settings
from sandbox.airflow_home import AirflowCommandError, airflow_command, prepare_airflow
from sandbox.processes import ServerNotReadyError
from sandbox.provision import ProvisioningError, provision_sandbox
from sandbox.stack import REGION, ROOT, FolderInUseError, Stack, run_stack

USER, PASSWORD = "admin", "admin"
STOP_SECONDS = 30.0
SQLITE_PARALLELISM = "2"


def main() -> int:
    """Start the stack and Airflow's standalone mode, and wait until it ends or is interrupted."""
    try:
        with run_stack(ROOT / ".sandbox", os.environ) as stack:
            provision_sandbox(read_settings(stack.environment()), REGION)
            prepare_airflow(stack)
            return _serve(stack)
    except (FolderInUseError, ServerNotReadyError, ProvisioningError, AirflowCommandError) as error:
        print(f"ui: {error}", file=sys.stderr)
        return 1


def _serve(stack: Stack) -> int:
    passwords = stack.airflow_home / "passwords.json"
    passwords.write_text(json.dumps({USER: PASSWORD}))
    environment = stack.environment() | {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__PARALLELISM": SQLITE_PARALLELISM,
        "AIRFLOW__API__HOST": "127.0.0.1",
    }
    print(f"Airflow: http://127.0.0.1:8080, user {USER}, password {PASSWORD}; ready in half a minute; ctrl-C ends it")
    # A session of its own: standalone's children are signalled as one group, none is left on its port.
    process = subprocess.Popen(airflow_command("standalone"), cwd=ROOT, env=environment, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _stop_group(process)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
