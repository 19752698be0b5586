"""The table of include/data/README.md: every session held against the offline market's truth, a row a year.

`make validation-table` works all sessions out and writes it, in some ten minutes; tests hold the file to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from mag7.index.facts import load_packaged_facts, pin_facts
from mag7.paths import DATA
from mag7.sessions import list_sessions
from mag7.tasks.document import compute_session
from tests.market_answers import NOW, open_market
from tests.readme_table import split_marked
from tests.validation import Verdict, judge

README = Path(DATA) / "README.md"
REFRESH = "make validation-table"
BEGIN = f"<!-- validation: written by `{REFRESH}`, held by a test -->"
END = "<!-- end of validation -->"
FIRST, LAST = date(2020, 11, 30), NOW.date()
COLUMNS = ("sessions", "share off by, points", "unflagged cap off by, %", "flagged", "partial", "refused")


def list_validated() -> tuple[date, ...]:
    """List every session of the range."""
    return list_sessions(FIRST, LAST)


def render_table(verdicts: Iterable[Verdict]) -> str:
    """Lay out a row a year."""
    years: dict[int, list[Verdict]] = {}
    for verdict in verdicts:
        years.setdefault(verdict.session.year, []).append(verdict)
    rows = [f"| year | {' | '.join(COLUMNS)} |", f"|---|{'--:|' * len(COLUMNS)}"]
    return "\n".join([*rows, *(_row(year, found) for year, found in sorted(years.items()))])


def _row(year: int, verdicts: Sequence[Verdict]) -> str:
    published = [verdict for verdict in verdicts if not verdict.refusals]
    cells = [
        f"{len(verdicts)}",
        f"{max((verdict.share_off for verdict in published), default=0):.3f}",
        f"{100 * max((verdict.unflagged_off for verdict in published), default=0):.3f}",
        *(f"{sum(verdict.quality == quality for verdict in published)}" for quality in ("flagged", "partial")),
        f"{len(verdicts) - len(published)}",
    ]
    return f"| {year} | {' | '.join(cells)} |"


def split_readme(text: str) -> tuple[str, str, str]:
    """Cut the file into what stands before its table, the table, and what stands after; raises MarkersMissingError."""
    return split_marked(text, str(README), BEGIN, END)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or with --write put it into the file."""
    pin_facts(load_packaged_facts())
    table = render_table(judge(compute_session(open_market(), session)) for session in list_validated())
    if "--write" not in (sys.argv[1:] if arguments is None else arguments):
        print(table)
        return 0
    before, _, after = split_readme(README.read_text(encoding="utf-8"))
    README.write_text(f"{before}\n\n{table}\n\n{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
