"""Readings of funds' files: the lines that a fund held after a session. No weight, quantity or value is stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from mag7.errors import Mag7Error, one_line
from mag7.session_calendar import load_calendar

IVV: Final = "IVV"
SPY: Final = "SPY"
FEWEST_LINES: Final = 490
MOST_LINES: Final = 515
LEAST_WEIGHT: Final = Decimal(95)
MOST_WEIGHT: Final = Decimal(101)
SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9]{0,5}(\.[A-Z]{1,2})?")
LARGEST_FILE: Final = 50_000_000
"""Largest size in bytes: an IVV file has some 90,000, a product page of 2026 two million."""


class ReadingError(Mag7Error):
    """A source's file cannot be used; the message has the source, what was expected and found, and the next step."""

    def __init__(self, source: str, expected: str, found: str, next_step: str) -> None:
        self._given = source, expected, found, next_step
        super().__init__(f"{source}: expected {one_line(expected)}, found {one_line(found)}; {next_step}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by values."""
        return type(self), self._given


class NoFileYetError(ReadingError):
    """The source has no file for that session yet; a later run finds it."""


@dataclass(frozen=True)
class HeldLine:
    """A line that a fund held: its symbol as the provider writes it, the fund's name for it, its identifiers."""

    symbol: str
    name: str
    cusip: str | None = None
    isin: str | None = None

    def is_same_security(self, other: HeldLine) -> bool | None:
        """Return whether two lines share a security identifier; None where no kind is given for both."""
        pairs = [(self.cusip, other.cusip), (self.isin, other.isin)]
        known = [one == two for one, two in pairs if one and two]
        return any(known) if known else None


@dataclass(frozen=True)
class Reading:
    """The lines of a fund after a session, from one file.

    ``source`` is the file's name in messages, ``sha256`` the digest of its bytes. ``weights`` (per cent of the fund, by
    symbol) only show how large a difference is; they are not compared or stored.
    """

    fund: str
    source: str
    sha256: str
    as_of: date
    lines: tuple[HeldLine, ...]
    simulated: bool = False
    weights: dict[str, Decimal] = field(default_factory=dict, compare=False, repr=False)

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols of the lines."""
        return frozenset(line.symbol for line in self.lines)


def digest(body: bytes) -> str:
    """Return the SHA-256 of a file's bytes."""
    return sha256(body).hexdigest()


def check_body(source: str, body: bytes, next_step: str) -> None:
    """Refuse an empty file, a web page, and a file that is too large."""
    if len(body) > LARGEST_FILE:
        raise ReadingError(source, f"at most {LARGEST_FILE} bytes", f"{len(body)}", next_step)
    start = body[:200].decode("utf-8", errors="replace").lstrip("\ufeff \r\n\t")
    if not start:
        raise ReadingError(source, "a file with holdings", "an empty file", next_step)
    if re.match(r"<(!doctype|html|head|body)\b", start, re.IGNORECASE):
        raise ReadingError(source, "a file with holdings", f"a web page ({start[:60]!r})", next_step)


def check_session(source: str, as_of: date, asked: date | None, next_step: str) -> None:
    """Refuse a file whose date is not a session, or not the one that was requested."""
    if asked is not None and as_of != asked:
        raise ReadingError(source, f"holdings as of {asked}", f"holdings as of {as_of}", next_step)
    calendar = load_calendar()
    if calendar.find(as_of) is None:
        raise ReadingError(source, "holdings as of a session", calendar.explain(as_of), next_step)


def check_lines(source: str, lines: Sequence[HeldLine], weights: Iterable[Decimal], next_step: str) -> None:
    """Refuse a list that cannot be the index: too few or too many lines, a line twice, weights that do not add up."""
    if not FEWEST_LINES <= len(lines) <= MOST_LINES:
        raise ReadingError(source, f"{FEWEST_LINES} to {MOST_LINES} lines", f"{len(lines)}", next_step)
    repeated = [symbol for symbol, times in Counter(line.symbol for line in lines).items() if times > 1]
    if repeated:
        raise ReadingError(source, "each symbol once", f"{', '.join(sorted(repeated))} more than once", next_step)
    odd = [line.symbol for line in lines if not SYMBOL.fullmatch(line.symbol)]
    if odd:
        raise ReadingError(source, "symbols such as AAPL or BRK.B", ", ".join(map(repr, odd[:5])), next_step)
    total = sum(weights, Decimal(0))
    if not LEAST_WEIGHT <= total <= MOST_WEIGHT:
        expected = f"weights in per cent that add up to {LEAST_WEIGHT} to {MOST_WEIGHT}"
        raise ReadingError(source, expected, f"{total:.2f}", next_step)


def to_decimal(value: object) -> Decimal | None:
    """Return a cell's value as a finite number; None where it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value).replace(",", "").strip())
    except ArithmeticError:
        return None
    return number if number.is_finite() and abs(number) < Decimal("1e24") else None
