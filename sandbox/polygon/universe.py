"""The lines that the simulated market lists: their companies, symbols and CIKs over time, and when they traded.

The truth is in this package's own tables. It never reads the product's tables: an error in one of them shows as a
difference from this market.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from sandbox.polygon import facts

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(9999, 12, 31)


@dataclass(frozen=True)
class Span:
    """A range of days, both ends included, with the symbol or CIK that is valid in it, if any."""

    first: date
    last: date
    value: str = ""

    def holds(self, day: date) -> bool:
        """Return whether the day is in the span."""
        return self.first <= day <= self.last


@dataclass(frozen=True)
class Line:
    """A listed share class; ``key`` is its newest symbol in the tables, ``main`` the key of its company's main line.

    ``drawn_as`` names its random numbers. A spun-off line has a ``parent``, which keeps the part ``kept`` of its price
    on the child's first day.
    """

    key: str
    company: str
    sector: str
    main: str
    member: tuple[Span, ...]
    listed: Span
    drawn_as: str
    symbols: tuple[Span, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    ciks: tuple[Span, ...] = ()
    parent: str = ""
    kept: float = 1.0

    def symbol_on(self, day: date) -> str:
        """Return the line's symbol on a day."""
        return _find(self.symbols, day) or self.key

    def name_under(self, symbol: str) -> str:
        """Return the company's name while the line had a symbol."""
        return dict(self.names).get(symbol, self.company)

    def cik_on(self, day: date) -> str | None:
        """Return the company's CIK on a day; None where it is unknown."""
        return _find(self.ciks, day)

    def is_member(self, day: date) -> bool:
        """Return whether the line is in the index on a day, with or without a close."""
        return any(span.holds(day) for span in self.member)


def _find(spans: tuple[Span, ...], day: date) -> str | None:
    return next((span.value for span in spans if span.holds(day)), None)


def read_lines(tables: Path = facts.DATA) -> tuple[Line, ...]:
    """Read the lines from the market's tables, by key."""
    stays: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in facts.read_table(tables / "lines.csv"):
        stays[row["key"]].append(row)
    renamed = facts.read_table(tables / "symbols.csv")
    names: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in renamed:
        if row["company"]:
            names[row["key"]].append((row["symbol"], row["company"]))
    symbols = _read_spans(renamed, "key", "symbol")
    ciks = _read_spans(facts.read_table(tables / "ciks.csv"), "company", "cik")
    lines = (_make_line(key, rows) for key, rows in sorted(stays.items()))
    return tuple(
        replace(
            line,
            symbols=symbols.get(line.key, ()),
            names=tuple(names.get(line.key, ())),
            ciks=ciks.get(line.main, ()),
        )
        for line in lines
    )


def _read_spans(rows: list[dict[str, str]], key: str, value: str) -> dict[str, tuple[Span, ...]]:
    found: dict[str, list[Span]] = defaultdict(list)
    for row in rows:
        found[row[key]].append(_span(row["first_day"], row["last_day"], row[value]))
    return {name: tuple(spans) for name, spans in found.items()}


def _span(first: str, last: str, value: str = "") -> Span:
    return Span(facts.parse_date(first) or FIRST_DAY, facts.parse_date(last) or LAST_DAY, value)


def _make_line(key: str, rows: list[dict[str, str]]) -> Line:
    last = rows[-1]
    member = tuple(_span(row["member_from"], row["member_to"]) for row in rows)
    listed = _find_listing(key, member, facts.parse_date(last["last_close"]))
    parent, kept = facts.spin_offs().get(key, ("", 1.0))
    return Line(
        key,
        last["company"],
        last["sector"],
        last["main"],
        member,
        listed,
        last["drawn_as"] or key,
        parent=parent,
        kept=kept,
    )


def _find_listing(key: str, member: tuple[Span, ...], last_close: date | None) -> Span:
    """Return when a line trades: at least as long as it is in the index, unless its last close is earlier."""
    first, last = facts.listings().get(key, (None, None))
    start = min(first or FIRST_DAY, *(span.first for span in member))
    return Span(start, last_close or max(last or LAST_DAY, *(span.last for span in member)))
