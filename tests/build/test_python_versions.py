"""The Python versions that the project runs on are the same wherever they are named."""

from __future__ import annotations

import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sandbox.stack import ROOT

VERSIONS = ["3.11", "3.12", "3.13"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def test_the_project_allows_these() -> None:
    allowed = SpecifierSet(PROJECT["project"]["requires-python"])
    assert [version for minor in range(8, 20) if allowed.contains(version := f"3.{minor}")] == VERSIONS


def test_checks_and_the_lock_begin_with_the_lowest() -> None:
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{VERSIONS[0].replace('.', '')}"
    assert PROJECT["tool"]["mypy"]["python_version"] == VERSIONS[0]
    assert f"--universal --python-version {VERSIONS[0]} " in MAKEFILE


def test_ci_runs_the_tests_on_each_of_them() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python-version"] == VERSIONS


def test_the_lock_has_one_version_of_each_package_for_each_of_them() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if re.match(r"\w", line)]
    requirements = [Requirement(line) for line in lines]
    assert len(requirements) > 150
    for version in VERSIONS:
        environment = {"python_version": version, "python_full_version": f"{version}.1", "sys_platform": "linux"}
        names = [item.name for item in requirements if item.marker is None or item.marker.evaluate(environment)]
        assert len(names) == len(set(names))
        assert {"apache-airflow", "pandas", "pyspark", "pyarrow", "duckdb", "pytest", "uv"} <= set(names)
    assert all(str(item.specifier).startswith("==") for item in requirements)
