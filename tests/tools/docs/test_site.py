"""The pages outside the site have true links, README is short, and the built site needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.docs.regions import DOCS, ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+?)(?: \{#([\w-]+)\})?$", re.MULTILINE)
OUTSIDE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "include" / "data" / "README.md"]
PAGES_OF_README = {
    "the rule by which a count is accepted": ("explanation/share-counts.md", "The rule by which a count is accepted"),
    "what happens on a holiday": ("explanation/holidays.md", "Holidays and early closes"),
    "how to add a check": ("how-to/add-check.md", "Add a check"),
    "how to add a table": ("how-to/add-table.md", "Add a table or a column"),
    "what to do when the alert says refused": ("how-to/on-call.md", '"... refused: ..."'),
}


def list_anchors(page: Path) -> set[str]:
    found = HEADING.findall(page.read_text(encoding="utf-8"))
    return {name or re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title, name in found}


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_outside_the_site_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        found = page.parent / path
        assert found.is_file(), target
        assert not anchor or anchor in list_anchors(found), target


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_page_that_is_named_in_code_marks_exists(page: Path) -> None:
    named = re.findall(r"`(docs/[\w/-]+\.\w+)`", page.read_text(encoding="utf-8"))

    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_readme_fits() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


@pytest.mark.parametrize("question", PAGES_OF_README)
def test_what_people_look_for_is_one_hop_from_readme(question: str) -> None:
    page, heading = PAGES_OF_README[question]

    assert f"(docs/{page}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert heading in [title for title, _ in HEADING.findall((DOCS / page).read_text(encoding="utf-8"))]


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert built.returncode == 0, built.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"?(?:https?:)?//[^\s\">]+", text)
        assert loaded == [], page.name
        # The theme would load its diagrams from another host.
        assert 'class="mermaid"' not in text
