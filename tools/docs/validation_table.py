"""The table that compares every session with the offline market's truth, one row for each year.

`make validation-table` works all sessions out, which takes some ten minutes, and writes the table into the page on
accuracy; tests hold the page to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from mag7.index.facts import load_packaged_facts, pin_facts
from mag7.sessions import list_sessions
from mag7.tasks.document import compute_session
from sandbox.market_responses import NOW, open_market
from tools.docs.regions import DOCS, Region
from tools.docs.regions import render_table as lay_out
from tools.validation import Verdict, judge

FIRST, LAST = date(2020, 11, 30), NOW.date()
COLUMNS = ("sessions", "share off by, points", "unflagged cap off by, %", "flagged", "partial", "refused")


def list_validated() -> tuple[date, ...]:
    """List every session of the range."""
    return list_sessions(FIRST, LAST)


def render_table(verdicts: Iterable[Verdict]) -> str:
    """Lay out a row for each year."""
    years: dict[int, list[Verdict]] = {}
    for verdict in verdicts:
        years.setdefault(verdict.session.year, []).append(verdict)
    rows = (_row(year, found) for year, found in sorted(years.items()))
    return lay_out(("year", *COLUMNS), rows, f"l{'r' * len(COLUMNS)}")


def _row(year: int, verdicts: Sequence[Verdict]) -> list[str]:
    published = [verdict for verdict in verdicts if not verdict.refusals]
    return [
        f"{year}",
        f"{len(verdicts)}",
        f"{max((verdict.share_off for verdict in published), default=0):.3f}",
        f"{100 * max((verdict.unflagged_off for verdict in published), default=0):.3f}",
        *(f"{sum(verdict.quality == quality for verdict in published)}" for quality in ("flagged", "partial")),
        f"{len(verdicts) - len(published)}",
    ]


def render() -> str:
    """Work every session out and lay out the table."""
    return render_table(judge(compute_session(open_market(), session)) for session in list_validated())


REGION = Region(DOCS / "explanation" / "accuracy.md", "validation", "validation-table", render)


if __name__ == "__main__":
    pin_facts(load_packaged_facts())
    REGION.write()
