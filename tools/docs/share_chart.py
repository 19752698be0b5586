"""``make share-chart``: the chart of the seven's share at each month end.

Works out the month ends from the offline market's responses, writes docs/assets/share.csv, and draws
docs/assets/share.svg from it. The SVG has text, no script, no embedded font, and colours for light and dark pages.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

from mag7.index.facts import load_packaged_facts, pin_facts
from mag7.sessions import group_months, list_sessions, month_ends
from sandbox.market_responses import NOW, work_out
from tools.docs.regions import DOCS

TABLE, CHART = DOCS / "assets" / "share.csv", DOCS / "assets" / "share.svg"
FIRST = date(2020, 11, 30)
COUNTS_TRUE_SINCE = date(2021, 11, 1)
"""Share counts of earlier sessions are those of about that date."""

WIDTH, HEIGHT = 880, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 724, 76, 330
STEP = 5
"""Percent between two lines of the grid."""

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 600 }
.note { fill: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 }
.frozen { fill: #eaeef2 }
.company { fill: none; stroke: #0b62c4; stroke-width: 2.5 }
.line-sum { fill: none; stroke: #b35900; stroke-width: 1.5; stroke-dasharray: 5 4 }
text.by-company { fill: #0b62c4; font-weight: 600 }
text.by-line-sum { fill: #b35900 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #9da7b1 }
  .grid { stroke: #3d444d }
  .frozen { fill: #21262d }
  .company { stroke: #6cb6ff }
  .line-sum { stroke: #f0a35e }
  text.by-company { fill: #6cb6ff }
  text.by-line-sum { fill: #f0a35e }
}
"""


@dataclass(frozen=True)
class Point:
    """A month's last session: the seven's share by company and by line sum, in percent, and its source."""

    session: date
    share: float
    line_sum: float
    source: str


def list_month_ends() -> list[date]:
    """List the last session of each completed month."""
    months = group_months(list_sessions(FIRST, NOW.date()))
    return [days[-1] for days in months if days[-1] == month_ends(days[-1])[1]]


def work_out_point(session: date) -> Point:
    """Work one session out from the offline market's responses."""
    figures = work_out(session).concentration
    line_sum = figures.line_sum_mag7_pct
    if line_sum is None:
        raise ValueError(f"{session} has no line sum: a line failed in the offline market")
    return Point(session, round(float(figures.mag7_pct_of_sp500), 2), round(float(line_sum), 2), "simulated")


def write_table(points: Sequence[Point]) -> str:
    """Write the points as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["session", "share_pct", "line_sum_pct", "source"])
    writer.writerows([one.session, f"{one.share:.2f}", f"{one.line_sum:.2f}", one.source] for one in points)
    return out.getvalue()


def read_table(text: str) -> list[Point]:
    """Read the points back."""
    rows = csv.DictReader(io.StringIO(text))
    return [
        Point(date.fromisoformat(row["session"]), float(row["share_pct"]), float(row["line_sum_pct"]), row["source"])
        for row in rows
    ]


class _Frame:
    """The position of a session and a share in the picture."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.first, self.last = points[0].session.toordinal(), points[-1].session.toordinal()
        values = [value for one in points for value in (one.share, one.line_sum)]
        self.low = int(min(values) // STEP) * STEP
        self.high = int(-(-max(values) // STEP)) * STEP

    def x(self, day: date) -> float:
        return LEFT + (RIGHT - LEFT) * (day.toordinal() - self.first) / (self.last - self.first)

    def y(self, share: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (share - self.low) / (self.high - self.low)

    def path(self, points: Sequence[Point], name: str) -> str:
        return " ".join(f"{self.x(one.session):.1f},{self.y(getattr(one, name)):.1f}" for one in points)


def draw(points: Sequence[Point]) -> str:
    """Draw the points, oldest first, as an SVG."""
    frame, first, last = _Frame(points), points[0], points[-1]
    simulated = all(one.source == "simulated" for one in points)
    title = "The Magnificent 7's share of the S&P 500 at each month end"
    note = (
        "Simulated market: the seven's prices and share counts pass through recorded ones; all others are simulated."
        if simulated
        else "Source: " + ", ".join(sorted({one.source for one in points}))
    )
    described = f"{first.share:.1f} % on {first.session}, {last.share:.1f} % on {last.session}. {note}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(described)}</desc>',
        f"<style>{STYLE}</style>",
        _text(LEFT, 28, title, "title"),
        _text(LEFT, 50, note, "note"),
        *_draw_frozen(frame),
        *_draw_grid(frame, points),
        f'<polyline class="line-sum" points="{frame.path(points, "line_sum")}"/>',
        f'<polyline class="company" points="{frame.path(points, "share")}"/>',
        _text(RIGHT + 8, frame.y(last.share) - 6, f"{last.share:.1f} % by company", "by-company"),
        _text(RIGHT + 8, frame.y(last.line_sum) + 16, f"{last.line_sum:.1f} % by line sum", "by-line-sum"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _draw_frozen(frame: _Frame) -> list[str]:
    width = frame.x(COUNTS_TRUE_SINCE) - LEFT
    note = "Shaded: share counts are those of about November 2021, every figure is flagged."
    return [
        f'<rect class="frozen" x="{LEFT}" y="{TOP}" width="{width:.1f}" height="{BOTTOM - TOP}"/>',
        _text(LEFT, BOTTOM + 44, note, "note"),
    ]


def _draw_grid(frame: _Frame, points: Sequence[Point]) -> list[str]:
    parts = []
    for share in range(frame.low, frame.high + 1, STEP):
        y = frame.y(share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{share} %", "note", anchor="end"))
    years = range(points[0].session.year + 1, points[-1].session.year + 1)
    return parts + [_text(frame.x(date(year, 1, 1)), BOTTOM + 20, str(year), "note", anchor="middle") for year in years]


def _text(x: float, y: float, text: str, name: str, anchor: str = "start") -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def main() -> None:
    """Work the points out, write the table and draw the chart."""
    pin_facts(load_packaged_facts())
    points = [work_out_point(session) for session in list_month_ends()]
    TABLE.write_text(write_table(points), encoding="utf-8")
    CHART.write_text(draw(points), encoding="utf-8")


if __name__ == "__main__":
    main()
