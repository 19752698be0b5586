"""Print in one line why `docker compose up` cannot work: Docker missing or too old, a variable, a port in use.

Usage: python3 -m sandbox.docker_check

Needs nothing but Python's standard library, so that it runs before anything is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

DOCKER, COMPOSE = (20, 10), (2, 20)
COMMAND_SECONDS = 60.0


class DockerNotReadyError(Exception):
    """The stack cannot be started here; the message says why and what to do."""


def main() -> int:
    """Check, and print the first thing that is wrong; returns the exit code."""
    try:
        check_versions()
        check_ports(read_stack())
    except DockerNotReadyError as error:
        print(f"docker: {error}", file=sys.stderr)
        return 1
    return 0


def check_versions() -> None:
    """Raise DockerNotReadyError where Docker or Compose is missing, not running or too old."""
    if shutil.which("docker") is None:
        raise DockerNotReadyError("Docker is not installed: install it, or use `make ui`, which needs none")
    engine = _ask("docker", "version", "--format", "{{.Server.Version}}")
    compose = _ask("docker", "compose", "version", "--short")
    for name, found, wanted in (("Docker", engine, DOCKER), ("Docker Compose", compose, COMPOSE)):
        if read_version(found) < wanted:
            least = ".".join(map(str, wanted))
            raise DockerNotReadyError(f"{name} {found} is too old: {least} or newer is needed, or use `make ui`")


def read_version(text: str) -> tuple[int, int]:
    """Read the first two numbers of a version, such as v2.26.1-4; raises DockerNotReadyError without them."""
    found = re.search(r"(\d+)\.(\d+)", text)
    if not found:
        raise DockerNotReadyError(f"cannot read the version {text!r}")
    return int(found[1]), int(found[2])


def read_stack() -> dict[str, Any]:
    """Read the configuration that Compose resolves; raises DockerNotReadyError with Compose's message."""
    stack: dict[str, Any] = json.loads(_ask("docker", "compose", "config", "--format", "json"))
    return stack


def check_ports(stack: Mapping[str, Any]) -> None:
    """Raise DockerNotReadyError where another process listens on a port that the stack publishes."""
    own = _list_own_ports()
    for service, address, port in list_ports(stack):
        if port not in own and is_taken(address, port):
            raise DockerNotReadyError(
                f"port {port} of {address}, which {service} needs, is in use: end what listens there,"
                " or choose another port in .env (see .env.example)"
            )


def list_ports(stack: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """List the ports that a stack publishes: service, address, port."""
    for name, service in stack["services"].items():
        for port in service.get("ports", []):
            yield name, port.get("host_ip", "0.0.0.0"), int(port["published"])  # noqa: S104  # nosec B104 # Compose's


def is_taken(address: str, port: int) -> bool:
    """Whether a port cannot be listened on."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def _list_own_ports() -> set[int]:
    """List the ports that this stack's own containers publish: starting it again is allowed."""
    running = _ask("docker", "compose", "ps", "--format", "{{.Ports}}")
    return {int(port) for port in re.findall(r":(\d+)->", running)}


def _ask(*command: str) -> str:
    asked = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if asked.returncode:
        said = (asked.stderr or asked.stdout).strip().splitlines()
        raise DockerNotReadyError(f"`{' '.join(command[:3])}` failed: {said[-1] if said else 'it said nothing'}")
    return asked.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
