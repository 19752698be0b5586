"""Rules about imports beside those between the rooms, which import-linter holds (pyproject.toml)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "plugins" / "mag7"

PURE = ("sessions", "index", "constituents", "market")


def list_imports(source: str) -> set[str]:
    """Every module that a source imports, also inside functions and for the type checker only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            # `from mag7.tasks import check` imports the module mag7.tasks.check.
            found |= {
                f"{node.module}.{alias.name}" if is_package(node.module) else str(node.module) for alias in node.names
            }
    return found


def is_package(module: str | None) -> bool:
    return (ROOT / "plugins" / str(module).replace(".", "/") / "__init__.py").exists()


def modules(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Every Python file below a folder, named as the folder's parent sees it, and what it imports."""
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(folder.parent).as_posix(), list_imports(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("folder", "strangers"),
    [
        ("dags", {"sandbox", "bench", "tests", "tools", "moto", "duckdb"}),
        ("plugins", {"sandbox", "bench", "tests", "tools", "moto", "duckdb", "dags"}),
        ("include/glue", {"mag7", "sandbox", "airflow", "bench", "tests", "tools", "boto3"}),
        ("sandbox", {"tests", "tools", "bench"}),
        ("bench", {"tests", "tools"}),
        ("tools", {"tests"}),
    ],
)
def test_a_folder_imports_nothing_above_it(folder: str, strangers: set[str]) -> None:
    found = {
        f"{name} imports {module}"
        for name, imports in modules(ROOT / folder)
        for module in imports
        if module.partition(".")[0] in strangers
    }

    assert found == set()


def test_dags_import_the_library_and_airflow_only() -> None:
    third_party = {
        module.partition(".")[0] for _, imports in modules(ROOT / "dags") for module in imports
    } - sys.stdlib_module_names

    assert third_party <= {"airflow", "mag7", "pendulum"}


def test_pure_rooms_load_without_airflow_aws_or_a_socket() -> None:
    files = [path for room in PURE for path in [LIBRARY / f"{room}.py", *sorted((LIBRARY / room).rglob("*.py"))]]
    names = [
        ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        for path in files
        if path.exists() and path.name != "__init__.py"
    ]
    # pydantic brings _socket along with the email module, which reads the metadata of packages.
    imports = "; ".join(f"import {name}" for name in names)
    script = f"import sys, pydantic; known = set(sys.modules); {imports}; print(*set(sys.modules) - known)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(done.stdout.split())

    assert set(names) <= loaded
    assert (
        loaded & {"airflow", "boto3", "botocore", "urllib3", "requests", "http.client", "_socket", "ssl", "pandas"}
        == set()
    )


def test_nothing_of_the_library_reads_the_environment_but_its_edge() -> None:
    readers = {
        path.relative_to(LIBRARY).as_posix()
        for path in LIBRARY.rglob("*.py")
        if any(
            isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }

    assert readers == {"settings.py", "tasks/polygon_hook.py"}
