"""Each generated page is what its generator makes of the code today, and leaves nothing out."""

from __future__ import annotations

import ast
import re

import pytest

from mag7.lake.checks import list_checks
from mag7.lake.tables import list_published_tables
from mag7.paths import PACKAGE
from tests.dags.conftest import DAG_IDS
from tools.docs.reference import COMMAND, list_dags, list_regions, list_settings, render_checks, render_tables
from tools.docs.regions import DOCS, Region

FLAG = re.compile(r"[a-z]+(_[a-z]+)+")


@pytest.mark.parametrize("region", list_regions(), ids=lambda region: f"{region.page.stem}-{region.subject}")
def test_a_page_is_what_its_generator_makes(region: Region) -> None:
    assert region.read() == region.render(), f"refresh it with `make {COMMAND}`"


def test_every_dag_has_a_page() -> None:
    assert list_dags() == sorted(DAG_IDS)


def test_every_check_and_column_is_listed() -> None:
    checks, tables = render_checks(), render_tables()

    assert [name for name in list_checks() if f"| `{name}` |" not in checks] == []
    for table in list_published_tables():
        section = tables.partition(f"## {table.name}\n")[2].partition("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [column.name for column in table.columns]


def test_the_bounds_of_a_setting_are_told() -> None:
    settings = {variable: (default, bounds) for variable, default, bounds, _ in list_settings()}

    assert settings["MAG7_MEMBERSHIP_MAX_AGE_DAYS"] == ("120", "0 to 366")
    assert settings["POLYGON_CALLS_PER_MINUTE"][0] == "5,400"
    assert settings["POLYGON_BASE_URL"][1] == ""


def list_declared_flags() -> set[str]:
    """Read the flags out of the code: constants that are only a flag's name, and literals in a flags tuple."""
    found = set()
    for path in (*(PACKAGE / "market").glob("*.py"), PACKAGE / "polygon" / "bars.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and FLAG.fullmatch(value.value):
                found.add(value.value)
    return found


def test_the_page_of_flags_names_flags_of_the_code_and_no_others() -> None:
    """Constants that are no flags stand in the schema of the document; all others must have a row."""
    page = (DOCS / "reference" / "flags.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    literals = "".join(
        path.read_text(encoding="utf-8")
        for path in (*(PACKAGE / "market").glob("*.py"), PACKAGE / "polygon" / "bars.py")
    )
    origins = {"behind_market_cap", "weighted_without_market_cap", "share_class"}

    assert [flag for flag in listed if f'"{flag}"' not in literals] == []
    assert list_declared_flags() - origins - {"look_back"} <= listed
    assert len(listed) >= 18
