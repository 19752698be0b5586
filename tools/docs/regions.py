"""The parts of a page that a command writes: the text between two comment lines, and nothing else of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


class MarkersMissingError(LookupError):
    """A page does not have a region's two comment lines, once each and in order."""


@dataclass(frozen=True)
class Region:
    """A part of a page: its page, its subject, the make target that writes it, and the function that renders it."""

    page: Path
    subject: str
    command: str
    render: Callable[[], str]

    @property
    def first_line(self) -> str:
        """The comment line before it."""
        return f"<!-- {self.subject}: written by `make {self.command}`, held by a test -->"

    @property
    def last_line(self) -> str:
        """The comment line after it."""
        return f"<!-- end of {self.subject} -->"

    def split(self, text: str) -> tuple[str, str, str]:
        """Split a page's text into the text before the region, the region, and the text after it.

        Raises MarkersMissingError.
        """
        before, first, rest = text.partition(self.first_line)
        content, last, after = rest.partition(self.last_line)
        if not first or not last or self.first_line in rest or self.last_line in after:
            raise MarkersMissingError(
                f"{self.page.name} needs the lines {self.first_line} and {self.last_line}, once each and in this order"
            )
        return before + first, content.strip("\n"), last + after

    def read(self) -> str:
        """Return the region's text in the page."""
        return self.split(self.page.read_text(encoding="utf-8"))[1]

    def write(self) -> None:
        """Render the region into its page."""
        before, _, after = self.split(self.page.read_text(encoding="utf-8"))
        self.page.write_text(f"{before}\n\n{self.render()}\n\n{after}", encoding="utf-8")


def render_table(header: Iterable[str], rows: Iterable[Iterable[str]], align: str | None = None) -> str:
    """Lay out a Markdown table; ``align`` has a letter for each column, l or r (default: all left)."""
    names = list(header)
    rule = ["--:" if letter == "r" else "---" for letter in align or "l" * len(names)]
    cells = [names, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    head, *body = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([head, f"|{'|'.join(rule)}|", *body])
