"""For every test: an Airflow home of its own, never the user's, and property tests without deadlines."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep each file's tests in one of the processes, and all end-to-end tests, which share a house."""
    file = item.nodeid.partition("::")[0]
    item.add_marker(pytest.mark.xdist_group(END_TO_END if file.startswith(END_TO_END) else file))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the end-to-end tests, which take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(END_TO_END))
