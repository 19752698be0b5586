"""``pytest``, or an editor, runs the tests without make: what they start finds the checkout all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sandbox.stack import ROOT


def test_what_a_test_starts_finds_the_checkout(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", "import mag7, sandbox, tests"], cwd=tmp_path, check=True, timeout=60)


def test_it_does_so_where_nobody_sets_the_path() -> None:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"{__file__}::test_what_a_test_starts_finds_the_checkout"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 passed" in ended.stdout, ended.stdout
