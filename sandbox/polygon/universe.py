"""The lines that the simulated market lists: their companies, their symbols over time and when they traded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from sandbox.polygon import facts

INDEX_TABLES = Path(__file__).parents[2] / "include" / "data"
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(9999, 12, 31)

#: Lines that are the second share class of a company whose other class is in the index too.
_SECOND_LINES = {"GOOG": "GOOGL", "FOX": "FOXA", "NWS": "NWSA"}


@dataclass(frozen=True)
class Span:
    """A stretch of days, both ends included, with the symbol that holds in it where there is one."""

    first: date
    last: date
    symbol: str = ""

    def holds(self, day: date) -> bool:
        """Whether the day lies in the span."""
        return self.first <= day <= self.last


@dataclass(frozen=True)
class Line:
    """A listed share class; ``key`` is today's symbol, ``main`` the key of its company's main line."""

    key: str
    company: str
    cik: str | None
    sector: str
    main: str
    symbols: tuple[Span, ...]
    member: tuple[Span, ...]
    listed: Span

    def symbol_on(self, day: date) -> str:
        """The symbol under which the line trades on a day."""
        return next((span.symbol for span in self.symbols if span.holds(day)), self.key)

    def is_member(self, day: date) -> bool:
        """Whether the line is in the index on a day."""
        return any(span.holds(day) for span in self.member)


def read_lines(tables: Path = INDEX_TABLES) -> tuple[Line, ...]:
    """Read the lines from the project's index tables; without them, the lines of the anchor session serve."""
    membership = tables / "index_membership.csv"
    if not membership.exists():
        lines = [_bare_line(symbol) for symbol in sorted(facts.closes())]
    else:
        lines = _member_lines(facts.read_table(membership), _read_symbols(tables / "symbol_history.csv"))
    return tuple(sorted((_with_listing(line) for line in lines), key=lambda line: line.key))


def _bare_line(symbol: str) -> Line:
    symbols: tuple[Span, ...] = ()
    if symbol == "META":
        symbols = _join_spans([(FIRST_DAY, "FB"), (date(2022, 6, 9), "META")])
    listed_from, _ = facts.listings().get(symbol, (None, None))
    first = date(2020, 12, 21) if symbol == "TSLA" else listed_from or FIRST_DAY
    main = _SECOND_LINES.get(symbol, symbol)
    return Line(symbol, symbol, None, "", main, symbols, (Span(first, LAST_DAY),), Span(FIRST_DAY, LAST_DAY))


def _read_symbols(path: Path) -> dict[str, tuple[Span, ...]]:
    """Symbols of renamed lines; each holds until the day before the next begins, weekends included."""
    starts: dict[str, list[tuple[date, str]]] = {}
    for row in facts.read_table(path) if path.exists() else []:
        first = facts.parse_date(row["first_session"]) or FIRST_DAY
        starts.setdefault(row["ticker"], []).append((first, row["symbol"]))
    return {ticker: _join_spans(sorted(rows)) for ticker, rows in starts.items()}


def _join_spans(starts: list[tuple[date, str]]) -> tuple[Span, ...]:
    ends = [first - timedelta(days=1) for first, _ in starts[1:]] + [LAST_DAY]
    return tuple(Span(first, last, symbol) for (first, symbol), last in zip(starts, ends, strict=True))


def _member_lines(rows: list[dict[str, str]], symbols: dict[str, tuple[Span, ...]]) -> list[Line]:
    lines: dict[str, Line] = {}
    issuers: dict[str, str] = {}
    for row in rows:
        key = row["ticker"]
        issuers[key] = row["issuer"]
        span = Span(facts.parse_date(row["member_from"]) or FIRST_DAY, facts.parse_date(row["member_to"]) or LAST_DAY)
        known = lines.get(key)
        if known is not None:
            lines[key] = replace(known, member=(*known.member, span))
            continue
        main = key if row["main_line"].lower() in {"true", "1", "yes"} else ""
        listed = Span(FIRST_DAY, LAST_DAY)
        cik = row["cik"] or None
        lines[key] = Line(key, row["company"], cik, row["sector"], main, symbols.get(key, ()), (span,), listed)
    mains = {issuers[key]: key for key, line in lines.items() if line.main}
    return [line if line.main else replace(line, main=mains[issuers[key]]) for key, line in lines.items()]


def _with_listing(line: Line) -> Line:
    first, last = facts.listings().get(line.key, (None, None))
    start = min(first or FIRST_DAY, *(span.first for span in line.member))
    end = max(last or LAST_DAY, *(span.last for span in line.member))
    return replace(line, listed=Span(start, end))
