"""What keeps the stack from starting is said in one line; Docker is played by a script."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compose.compose_file import ROOT

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def check(tmp_path: Path) -> Run:
    """Run the check beside a `docker` that gives the answers asked for."""

    def run(
        *, engine: str = "20.10.24", compose: str = "2.26.1", config: str = "", port: int = 0, own: str = ""
    ) -> object:
        stack = {"services": {"web": {"ports": [{"host_ip": "127.0.0.1", "published": str(port)}]}}}
        answer = f"echo '{json.dumps(stack)}'" if not config else f"echo '{config}' >&2; exit 15"
        script = tmp_path / "docker"
        script.write_text(
            f"""#!/bin/sh
            case "$*" in
              version*) echo "{engine}";;
              "compose version"*) echo "{compose}";;
              "compose config"*) {answer};;
              "compose ps"*) echo "{own}";;
            esac
            """
        )
        script.chmod(0o755)
        return subprocess.run(
            [sys.executable, "-m", "sandbox.docker_check"],
            env={"PATH": os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"]), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run  # type: ignore[return-value]


def says(run: subprocess.CompletedProcess[str], *words: str) -> bool:
    """Whether it ended with code 1 and one line that holds the words."""
    lines = run.stderr.splitlines()
    return run.returncode == 1 and len(lines) == 1 and all(word in lines[0] for word in words)


def test_says_nothing_where_all_is_well(check: Run) -> None:
    run = check()
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_names_an_old_docker(check: Run) -> None:
    assert says(check(engine="19.03.15"), "Docker 19.03.15 is too old", "20.10")


def test_names_an_old_compose(check: Run) -> None:
    assert says(check(compose="v2.19.1"), "Docker Compose v2.19.1 is too old", "2.20")


def test_takes_versions_with_letters(check: Run) -> None:
    assert check(engine="28.2.2-ce", compose="v2.40.0-desktop.1").returncode == 0


def test_hands_on_what_compose_says_of_a_missing_variable(check: Run) -> None:
    words = "required variable MAG7_BUCKET is missing a value: name the lake s bucket in .env"
    assert says(check(config=words), words)


def test_names_a_port_in_use_and_its_service(check: Run) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert says(check(port=port), f"port {port} of 127.0.0.1, which web needs, is in use", ".env")
        assert check(port=port, own=f"127.0.0.1:{port}->8080/tcp").returncode == 0


def test_says_that_there_is_no_docker(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "sandbox.docker_check"],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert says(run, "Docker is not installed", "make ui")
