"""The market's own fact tables: real closes, index levels, splits, share counts and listing dates."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"

#: The seven's main lines under today's symbols.
SEVEN = ("AAPL", "MSFT", "GOOGL", "AMZN", "NVDA", "META", "TSLA")

#: The session on which every line's close is a fact.
ANCHOR_SESSION = date(2024, 12, 6)

#: The session of the golden record, and the sum of the 503 lines' market caps that was collected on it.
GOLDEN_SESSION = date(2024, 12, 13)
GOLDEN_LINE_SUM = Decimal("56560392349612.24")


@dataclass(frozen=True)
class Split:
    """A stock split; prices are multiplied by ``split_from / split_to`` from its execution date on."""

    symbol: str
    execution_date: date
    split_from: int
    split_to: int

    @property
    def factor(self) -> float:
        """The number of shares that one share becomes."""
        return self.split_to / self.split_from


@dataclass(frozen=True)
class Bar:
    """A daily bar as recorded."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV table whose leading comment lines start with a hash sign."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


@cache
def closes() -> dict[str, dict[date, int]]:
    """Real unadjusted closes in cents, by symbol and session."""
    table: dict[str, dict[date, int]] = {}
    for row in read_table(DATA / "closes.csv"):
        cents = int(Decimal(row["close"]) * 100)
        table.setdefault(row["symbol"], {})[date.fromisoformat(row["session"])] = cents
    return table


@cache
def index_levels() -> dict[date, float]:
    """Real closing levels of the S&P 500 by session."""
    return {date.fromisoformat(r["session"]): float(r["level"]) for r in read_table(DATA / "index_levels.csv")}


@cache
def share_counts() -> dict[str, dict[date, int]]:
    """Whole-company share counts of the seven on the split basis of their dates."""
    table: dict[str, dict[date, int]] = {}
    for row in read_table(DATA / "share_counts.csv"):
        table.setdefault(row["symbol"], {})[date.fromisoformat(row["as_of"])] = int(row["shares"])
    return table


@cache
def splits() -> tuple[Split, ...]:
    """Every split that the market knows, oldest first."""
    rows = (
        Split(r["symbol"], date.fromisoformat(r["execution_date"]), int(r["split_from"]), int(r["split_to"]))
        for r in read_table(DATA / "splits.csv")
    )
    return tuple(sorted(rows, key=lambda split: (split.execution_date, split.symbol)))


@cache
def golden_bars() -> dict[str, Bar]:
    """The recorded bars of the seven on the golden session."""
    fields = ("open", "high", "low", "close", "volume", "vwap")
    return {r["symbol"]: Bar(*(float(r[f]) for f in fields)) for r in read_table(DATA / "golden_bars.csv")}


@cache
def listings() -> dict[str, tuple[date | None, date | None]]:
    """Return the first and last session of lines that were not listed all the time."""
    return {
        r["symbol"]: (parse_date(r["listed_from"]), parse_date(r["listed_to"]))
        for r in read_table(DATA / "listings.csv")
    }


@cache
def spin_offs() -> dict[str, tuple[str, float]]:
    """Return, by the key of a spun-off line, its parent's key and the part of the price that the parent kept."""
    return {r["child"]: (r["parent"], float(r["kept"])) for r in read_table(DATA / "spin_offs.csv")}


@cache
def count_jumps() -> tuple[tuple[str, date, float], ...]:
    """Return the keys whose share count moved without a split, with the session and the factor."""
    rows = read_table(DATA / "count_jumps.csv")
    return tuple((r["key"], date.fromisoformat(r["first_session"]), float(r["factor"])) for r in rows)


def parse_date(text: str) -> date | None:
    """Read an ISO date; an empty cell is None."""
    return date.fromisoformat(text) if text else None
