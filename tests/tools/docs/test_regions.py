"""A command writes its part of a page and leaves the rest alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.docs.regions import MarkersMissingError, Region, render_table

REGION = Region(Path("page.md"), "things", "docs-reference", lambda: "new")
BEGIN, END = REGION.first_line, REGION.last_line


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}", f"{BEGIN}\n{END}\n{END}"])
def test_a_page_without_its_markers_is_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")

    with pytest.raises(MarkersMissingError, match="once each"):
        Region(page, "things", "docs-reference", lambda: "new").write()

    assert page.read_text(encoding="utf-8") == text


def test_only_the_region_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n", encoding="utf-8")
    region = Region(page, "things", "docs-reference", lambda: "new")

    region.write()

    assert region.read() == "new"
    assert page.read_text(encoding="utf-8") == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"


def test_a_cell_cannot_break_its_row() -> None:
    assert render_table(("a", "b"), [("1|2", "3")], "lr") == "| a | b |\n|---|--:|\n| 1\\|2 | 3 |"
