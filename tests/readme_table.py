"""The README's table of the sessions on which the seven split or were renamed, from the offline market's answers.

`make readme-table` writes it; the test beside the differential ones holds the README to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mag7.index.facts import load_packaged_facts, pin_facts
from mag7.index.seven import SEVEN
from mag7.market.caps import PricedLine
from mag7.market.figures import SessionFigures
from tests.market_answers import NAMED, work_out

README = Path(__file__).parents[1] / "README.md"
REFRESH = "make readme-table"
BEGIN = f"<!-- sessions: written by `{REFRESH}`, held by a test -->"
END = "<!-- end of sessions -->"
TRILLION = 10**12


class MarkersMissingError(LookupError):
    """The README does not hold the two comment lines that the table stands between, once each and in order."""


def render_table(sessions: Iterable[SessionFigures]) -> str:
    """Lay out a row a session: caps in trillions of USD, shares of the index in per cent, flags of the seven."""
    names = [*SEVEN, "share", "by line sum"]
    rows = [f"| session | {' | '.join(names)} | flags |", f"|---|{'--:|' * len(names)}---|"]
    return "\n".join([*rows, *(_row(figures) for figures in sessions)])


def _row(figures: SessionFigures) -> str:
    concentration = figures.concentration
    members = {line.line.ticker for line in figures.lines}
    caps = [_show_cap(figures.seven[ticker], inside=ticker in members) for ticker in SEVEN]
    line_sum = concentration.line_sum_mag7_pct
    shares = [f"{concentration.mag7_pct_of_sp500:.2f}", "" if line_sum is None else f"{line_sum:.2f}"]
    return f"| {figures.session} | {' | '.join(caps + shares)} | {'; '.join(_say_flags(figures))} |"


def _show_cap(line: object, *, inside: bool) -> str:
    if not isinstance(line, PricedLine):
        return "failed"
    cap = f"{line.market_cap / TRILLION:.3f}"
    return cap if inside else f"({cap})"


def _say_flags(figures: SessionFigures) -> list[str]:
    """Say each flag once, with whom it concerns."""
    flagged: dict[str, list[str]] = {}
    for ticker, line in figures.seven.items():
        for flag in line.accepted.flags if isinstance(line, PricedLine) else ():
            flagged.setdefault(flag, []).append(ticker)
    everyone = len(figures.seven)
    return [f"{flag}: {'all' if len(who) == everyone else ', '.join(who)}" for flag, who in sorted(flagged.items())]


def split_readme(text: str) -> tuple[str, str, str]:
    """Cut a README into what stands before its table, the table, and what stands after; raises MarkersMissingError."""
    return split_marked(text, README.name, BEGIN, END)


def split_marked(text: str, name: str, first: str, last: str) -> tuple[str, str, str]:
    """Cut a text at its two comment lines; ``name`` is the file's in the MarkersMissingError."""
    before, begin, rest = text.partition(first)
    table, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise MarkersMissingError(f"{name} needs the lines {first} and {last}, once each and in this order")
    return before + begin, table.strip("\n"), end + after


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or with --write put it into the README."""
    pin_facts(load_packaged_facts())
    table = render_table(work_out(session) for session in NAMED)
    if "--write" not in (sys.argv[1:] if arguments is None else arguments):
        print(table)
        return 0
    before, _, after = split_readme(README.read_text(encoding="utf-8"))
    README.write_text(f"{before}\n\n{table}\n\n{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
