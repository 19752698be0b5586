"""The table of the sessions on which the seven split or were renamed, from the offline market's responses.

`make session-table` writes it into the page on splits; a differential test holds the page to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mag7.index.facts import load_packaged_facts, pin_facts
from mag7.index.seven import SEVEN
from mag7.market.caps import PricedLine
from mag7.market.figures import SessionFigures
from sandbox.market_responses import NAMED, work_out
from tools.docs.regions import DOCS, Region
from tools.docs.regions import render_table as lay_out

TRILLION = 10**12


def render_table(sessions: Iterable[SessionFigures]) -> str:
    """Lay out a row for each session: caps in trillions of USD, shares of the index in percent, flags of the seven."""
    names = ("session", *SEVEN, "share", "by line sum", "flags")
    return lay_out(names, map(_row, sessions), f"l{'r' * (len(names) - 2)}l")


def _row(figures: SessionFigures) -> list[str]:
    concentration = figures.concentration
    members = {line.line.ticker for line in figures.lines}
    caps = [_show_cap(figures.seven[ticker], inside=ticker in members) for ticker in SEVEN]
    line_sum = concentration.line_sum_mag7_pct
    shares = [f"{concentration.mag7_pct_of_sp500:.2f}", "" if line_sum is None else f"{line_sum:.2f}"]
    return [f"{figures.session}", *caps, *shares, "; ".join(_say_flags(figures))]


def _show_cap(line: object, *, inside: bool) -> str:
    if not isinstance(line, PricedLine):
        return "failed"
    cap = f"{line.market_cap / TRILLION:.3f}"
    return cap if inside else f"({cap})"


def _say_flags(figures: SessionFigures) -> list[str]:
    """Name each flag once, with its companies."""
    flagged: dict[str, list[str]] = {}
    for ticker, line in figures.seven.items():
        for flag in line.accepted.flags if isinstance(line, PricedLine) else ():
            flagged.setdefault(flag, []).append(ticker)
    everyone = len(figures.seven)
    return [f"{flag}: {'all' if len(who) == everyone else ', '.join(who)}" for flag, who in sorted(flagged.items())]


def render() -> str:
    """Work the sessions out and lay out their table."""
    return render_table(work_out(session) for session in NAMED)


REGION = Region(DOCS / "explanation" / "splits.md", "sessions", "session-table", render)


if __name__ == "__main__":
    pin_facts(load_packaged_facts())
    REGION.write()
