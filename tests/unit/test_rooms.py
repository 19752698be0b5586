"""The rules of the house, read from the imports: which room stands on which, and who may know what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "plugins" / "mag7"

ROOMS = ("sessions", "lake", "polygon", "warehouse", "index", "constituents", "market", "runs", "tasks")
"""From the ground up: a room may import those before it, and itself."""

GROUND = {"errors", "paths"}
"""What every room may import; they import none of the library but each other."""

AIRFLOW_EDGE = {"tasks", "timetables"}
SETTINGS_EDGE = {"tasks"}
PURE = ("sessions", "index", "constituents", "market")
OUTSIDE_PURE = {"airflow", "boto3", "botocore", "polygon", "urllib3", "requests", "httpx", "aiohttp", "socket", "ssl"}
OUTSIDE_PURE |= {"http", "http.client", "urllib.request", "ftplib", "asyncio", "sqlite3", "duckdb", "pyspark", "moto"}
POLYGON_FOR_MARKET = {"mag7.polygon.bodies", "mag7.polygon.answers", "mag7.polygon.errors"}


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


def room_of(module: str) -> str | None:
    """The room that a module of the library belongs to; None for a module of somebody else."""
    parts = module.split(".")
    return parts[1] if parts[0] == "mag7" and len(parts) > 1 else None


def is_or_below(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def modules(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Every Python file below a folder, named as the folder's parent sees it, and what it imports."""
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(folder.parent).as_posix(), list_imports(path.read_text(encoding="utf-8"))


def list_breaches(room: str, imports: set[str]) -> list[str]:
    """The imports that a file of a room may not have."""
    allowed = {*GROUND, *(ROOMS[: ROOMS.index(room) + 1] if room in ROOMS else ())}
    if room in SETTINGS_EDGE:
        allowed.add("settings")
    if room == "timetables":
        allowed.add("sessions")
    breaches = [module for module in imports if (found := room_of(module)) and found not in allowed]
    if room == "market":
        breaches += [
            module
            for module in imports
            if room_of(module) in {"polygon", "lake", "warehouse"} and module not in POLYGON_FOR_MARKET
        ]
    if room not in AIRFLOW_EDGE:
        breaches += [module for module in imports if is_or_below(module, "airflow")]
    if room in PURE:
        breaches += [module for module in imports if any(is_or_below(module, name) for name in OUTSIDE_PURE)]
    return sorted(set(breaches))


LIBRARY_FILES = [
    (name, imports, Path(name).parts[1].removesuffix(".py"))
    for name, imports in modules(LIBRARY)
    if name != "mag7/__init__.py"
]


@pytest.mark.parametrize(("name", "imports", "room"), LIBRARY_FILES, ids=[name for name, _, _ in LIBRARY_FILES])
def test_a_file_imports_only_rooms_below_its_own(name: str, imports: set[str], room: str) -> None:
    assert room in {*ROOMS, *GROUND, "settings", "timetables"}, f"{name}: a new room needs its place in ROOMS"
    assert list_breaches(room, imports) == []


@pytest.mark.parametrize(
    ("room", "source", "breach"),
    [
        ("lake", "from mag7.polygon.answers import Answer", "mag7.polygon.answers"),
        ("polygon", "def late():\n    import mag7.index.seven", "mag7.index.seven"),
        ("warehouse", "from mag7.market import caps", "mag7.market.caps"),
        ("index", "from urllib.request import urlopen", "urllib.request"),
        ("market", "from mag7.polygon.client import PolygonClient", "mag7.polygon.client"),
        ("market", "from mag7.lake.objects import ObjectStore", "mag7.lake.objects"),
        ("market", "import boto3", "boto3"),
        ("sessions", "if TYPE_CHECKING:\n    from airflow.sdk import Context", "airflow.sdk"),
        ("polygon", "from mag7.settings import read_settings", "mag7.settings"),
        ("lake", "import airflow.sdk", "airflow.sdk"),
        ("settings", "from mag7.lake.keys import DATABASE", "mag7.lake.keys"),
        ("timetables", "from mag7.tasks.session import resolve_session", "mag7.tasks.session"),
    ],
)
def test_a_breach_of_the_order_is_seen(room: str, source: str, breach: str) -> None:
    assert list_breaches(room, list_imports(source)) == [breach]


@pytest.mark.parametrize(
    ("folder", "strangers"),
    [
        ("dags", {"sandbox", "bench", "tests", "moto", "duckdb"}),
        ("plugins", {"sandbox", "bench", "tests", "moto", "duckdb", "dags"}),
        ("include/glue", {"mag7", "sandbox", "airflow", "bench", "tests", "boto3"}),
    ],
)
def test_the_product_knows_nothing_of_what_stands_in_for_it(folder: str, strangers: set[str]) -> None:
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
    names = [name.removesuffix(".py").replace("/", ".") for name, _, room in LIBRARY_FILES if room in PURE]
    names = [name for name in names if not name.endswith("__init__")]
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
