"""For every test: an Airflow home of its own, never the user's, and property tests without deadlines."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from mag7.index.facts import load_packaged_facts, pin_facts

# Hypothesis fails an example after 200 ms and slow generation after seconds, which a busy machine exceeds.
settings.register_profile("no_clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no_clock")

if "AIRFLOW_HOME" not in os.environ:
    # Airflow reads it at import, so it must be set before a test module is imported.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

# pytest's own setting is for this process; processes that tests start find the checkout by this, also without make.
ROOT = Path(__file__).resolve().parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])

# Tests use the checkout's facts unless they pin others; test modules read them during import.
pin_facts(load_packaged_facts())

END_TO_END = "tests/e2e/"


class FileScheduling(LoadScopeScheduling):
    """Keeps each file's tests in one process, and all end-to-end tests, which share a house."""

    def _split_scope(self, nodeid: str) -> str:
        return END_TO_END if nodeid.startswith(END_TO_END) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    """Schedule by file: pytest 9 has no place for the groups that pytest-xdist 3.8 writes into an item's id."""
    return FileScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the end-to-end tests, which take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(END_TO_END))
