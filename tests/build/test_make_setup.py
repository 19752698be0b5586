"""``make setup``: whichever Python a machine has, uv finds or brings one that the project allows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.stack import ROOT

FILES = ("Makefile", "pyproject.toml", "constraints.txt", "requirements.txt", "requirements-dev.txt")
NEEDED = ("make", "mkdir", "touch", "rm", "cat", "chmod", "cp", "sh")
UV = '#!/bin/sh\necho "uv $*" >> "$CALLS"\n[ "$1" != venv ] || exit "${NO_PYTHON:-0}"\n'
PYTHON = """#!/bin/sh
echo "${0##*/} $*" >> "$CALLS"
case "$*" in
  "-m venv .uv") [ -z "$NO_VENV" ] || exit 1; mkdir -p .uv/bin; cp "$0" .uv/bin/python ;;
  "-m pip install"*) cp "$FAKE_UV" .uv/bin/uv ;;
esac
"""


class Machine:
    """A checkout, and a machine whose only programs are those that it is given."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.bin, self.calls = folder / "checkout", folder / "bin", folder / "calls"
        self.checkout.mkdir()
        (self.checkout / ".venv").mkdir()
        self.bin.mkdir()
        self.uv = self._write(folder / "fake-uv", UV)
        for name in (*FILES, "requirements-sandbox.txt"):
            shutil.copy(ROOT / name, self.checkout)
        for name in NEEDED:
            found = shutil.which(name)
            assert found
            (self.bin / name).symlink_to(found)

    def install(self, name: str) -> None:
        """Put uv, or a Python, on the PATH."""
        self._write(self.bin / name, UV if name == "uv" else PYTHON)

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``make setup``."""
        paths = {"PATH": str(self.bin), "CALLS": str(self.calls), "FAKE_UV": str(self.uv)}
        return subprocess.run(
            ["make", "setup", *arguments],
            cwd=self.checkout,
            env=paths | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def list_calls(self) -> list[str]:
        """What uv and Python were asked for, one line a call."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def _write(self, path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o755)
        return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


INSTALLS = (
    "uv pip install --quiet --compile-bytecode --python .venv/bin/python -r requirements-dev.txt -c constraints.txt"
)


def test_uv_alone_is_enough(machine: Machine) -> None:
    machine.install("uv")

    assert machine.make().returncode == 0

    assert machine.list_calls() == ["uv venv --quiet --allow-existing .venv", INSTALLS]
    assert (machine.checkout / ".venv/installed").exists()
    assert not (machine.checkout / ".uv").exists()
    assert machine.make().returncode == 0
    assert len(machine.list_calls()) == 2, "a second setup has nothing to do"


def test_any_python_brings_uv(machine: Machine) -> None:
    machine.install("python3")

    assert machine.make().returncode == 0

    assert machine.list_calls() == [
        "python3 -m venv .uv",
        "python -m pip install --quiet --disable-pip-version-check uv -c constraints.txt",
        "uv venv --quiet --allow-existing .venv",
        INSTALLS,
    ]


def test_a_python_that_is_named_is_taken(machine: Machine) -> None:
    machine.install("python3.13")
    python = machine.bin / "python3.13"

    assert machine.make(f"PYTHON={python}").returncode == 0

    assert machine.list_calls()[0] == "python3.13 -m venv .uv"
    assert machine.list_calls()[2] == f"uv venv --quiet --allow-existing --python {python} .venv"


@pytest.mark.parametrize(
    ("installed", "environment", "says"),
    [
        ((), {}, "neither uv nor a Python 3 with venv is here: install uv, or on Debian python3-venv"),
        (("python3",), {"NO_VENV": "1"}, "neither uv nor a Python 3 with venv is here"),
        (("uv",), {"NO_PYTHON": "2"}, "install Python 3.11, 3.12 or 3.13, or name one with PYTHON=/path/to/python3"),
    ],
    ids=["nothing", "no venv", "no Python that fits"],
)
def test_what_is_missing_is_said_and_nothing_counts_as_installed(
    machine: Machine, installed: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    for name in installed:
        machine.install(name)

    ended = machine.make(**environment)

    assert ended.returncode == 2
    assert says in ended.stdout
    assert not (machine.checkout / ".venv/installed").exists()
    assert not (machine.checkout / ".uv/bin").exists()
    assert list((machine.checkout / ".venv").iterdir()) == []
