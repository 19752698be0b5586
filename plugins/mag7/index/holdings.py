"""Reading iShares holdings files, in the forms that they had over the years, also when saved again by a spreadsheet.

These vary: a byte order mark, no-break spaces, line ends, the preamble, quoted thousands, ``Shares`` for ``Quantity``,
``Notional Weight`` or ``Market Weight`` for ``Weight (%)``, an extra ``Type`` column, date formats.

These do not: the table is followed by the fund's legal text, which every download has (a spreadsheet keeps it), and
every row has a value in each column. So a truncated file, or a row whose name has an unquoted comma, is refused instead
of losing lines.

Only equity lines are read: the cash fund XTSLA is not Tesla, and the future ESZ4 is not a share.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from mag7.errors import Mag7Error, one_line
from mag7.index.symbols import normalize_symbol

FUND: Final = "iShares Core S&P 500 ETF"
LEAST_LINES: Final = 490
LEAST_WEIGHT: Final = Decimal(95)
MOST_WEIGHT: Final = Decimal(101)
LARGEST: Final = Decimal("1e24")
"""A number this large is not a price, quantity or value."""
NO_BREAK_SPACE: Final = "\u00a0"
SIMULATED_FOOTER: Final = "simulated by the offline market"
"""How the text after the table begins in a file of the offline market, in lower case."""
FOOTERS: Final = ("the content contained herein", "holdings subject to change", SIMULATED_FOOTER)
"""How the legal text after the table begins, in lower case."""
UNLISTED: Final = "NO MARKET"
NO_VALUE: Final = frozenset({"", "-", "--"})
AS_OF: Final = re.compile(r"(fund )?holdings as of", re.IGNORECASE)
# The files are American: the month comes first in a date with slashes.
DATE_FORMS: Final = ("%b %d, %Y", "%B %d, %Y", "%Y-%m-%d", "%d-%b-%Y", "%d-%b-%y", "%m/%d/%Y", "%m/%d/%y", "%Y%m%d")
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "symbol": ("Ticker",),
    "name": ("Name",),
    "sector": ("Sector",),
    "asset_class": ("Asset Class",),
    "market_value": ("Market Value",),
    "weight": ("Weight (%)", "Market Weight", "Notional Weight"),
    "quantity": ("Quantity", "Shares"),
    "price": ("Price",),
    "exchange": ("Exchange",),
}
NUMBERS: Final = ("market_value", "weight", "quantity", "price")
# The fund abbreviates one sector's name.
SECTORS: Final[Mapping[str, str]] = {"Communication": "Communication Services"}


class HoldingsError(Mag7Error):
    """A holdings file cannot be used; the message has what was expected, what was found and the next step."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        self._given = path, expected, found
        super().__init__(
            f"{path.name} cannot be used: expected {one_line(expected)}, found {one_line(found)}; download the "
            f"detailed holdings of {FUND} (IVV) as CSV again and use the file unchanged"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by values."""
        return type(self), self._given


class HoldingsFormError(HoldingsError):
    """A file is not a holdings file of a known form."""


class WrongFundError(HoldingsError):
    """A file holds another fund."""


class NoHoldingsError(HoldingsError):
    """A file has the right form but no holdings, as the fund returns for days without data."""


@dataclass(frozen=True)
class HoldingsLine:
    """An equity line of the fund: symbol as the provider writes it, weight in per cent, values in USD."""

    symbol: str
    name: str
    sector: str
    exchange: str
    quantity: Decimal
    price: Decimal
    market_value: Decimal
    weight: Decimal


@dataclass(frozen=True)
class Holdings:
    """The equity lines of a holdings file, in file order, and its date. ``simulated``: the offline market's file."""

    as_of: date
    lines: tuple[HoldingsLine, ...]
    simulated: bool = False


def read_holdings(path: Path, *, as_of: date | None = None, least_lines: int = LEAST_LINES) -> Holdings:
    """Read the equity lines of a holdings file; see ``parse_holdings``."""
    return parse_holdings(path.read_bytes(), path, as_of=as_of, least_lines=least_lines)


def parse_holdings(body: bytes, path: Path, *, as_of: date | None = None, least_lines: int = LEAST_LINES) -> Holdings:
    """Read the equity lines from a holdings file's bytes; ``path`` only names it in errors.

    ``as_of`` is the date of a file without a preamble; where the file has a date, the two must agree. Raises
    HoldingsFormError, WrongFundError or NoHoldingsError.
    """
    rows = _read_cells(path, body)
    start = next((place for place, row in enumerate(rows) if {"Ticker", "Name"} <= set(row)), None)
    if start is None:
        first = ",".join(rows[0])[:60] if rows else ""
        raise HoldingsFormError(path, "a header line with Ticker and Name", f"none (the file begins with {first!r})")
    preamble = rows[:start]
    _check_fund(path, preamble)
    day = _find_day(path, preamble, as_of)
    reader = _LineReader(path, rows[start])
    table = reader.take_table(rows[start + 1 :])
    lines = tuple(reader.parse(row) for row in table if reader.is_listed_equity(row))
    _check_lines(path, lines, least_lines)
    simulated = any(SIMULATED_FOOTER in row[0].casefold() for row in rows[start + 1 :])
    return Holdings(day, lines, simulated)


class _LineReader:
    """Finds a file's columns by any of their known names, and reads its lines."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self._path = path
        self._width = len(header)
        # A spreadsheet pads every row to the width of the widest, so the header's last names can be empty.
        self._named = max(place for place, name in enumerate(header, 1) if name)
        self._places = {column: self._find(header, names) for column, names in COLUMNS.items()}

    def _find(self, header: Sequence[str], names: Sequence[str]) -> int:
        for name in names:
            if header.count(name) > 1:
                raise HoldingsFormError(self._path, f"one column {name}", f"the columns {', '.join(header)}")
            if name in header:
                return header.index(name)
        raise HoldingsFormError(self._path, f"a column {' or '.join(names)}", f"the columns {', '.join(header)}")

    def take_table(self, rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
        """Take the rows up to the legal text, each of which must have the header's columns."""
        end = next((place for place, row in enumerate(rows) if _is_footer(row)), None)
        if end is None:
            last = f"a file that ends with {','.join(rows[-1])!r}" if rows else "a file that ends with the header"
            raise HoldingsFormError(self._path, "the fund's legal text after the table", last)
        for row in rows[:end]:
            self._check_row(row)
        weight = self._places["weight"]
        late = next((row for row in rows[end:] if len(row) == self._width and _read_number(row[weight])), None)
        if late is not None:
            raise HoldingsFormError(self._path, "no row of the table after the legal text", ",".join(late))
        return rows[:end]

    def _check_row(self, row: Sequence[str]) -> None:
        if len(row) != self._width or any(row[self._named :]):
            expected = f"{self._named} values in every row of the table"
            raise HoldingsFormError(self._path, expected, f"{len(row)} in {','.join(row)}")
        # Every value must be in its column before the asset class is used.
        text = {column: row[place] for column, place in self._places.items()}
        wrong = [column for column in NUMBERS if text[column] not in NO_VALUE and _read_number(text[column]) is None]
        if _read_number(text["asset_class"]) is not None:
            wrong.append("asset_class")
        if wrong:
            raise HoldingsFormError(self._path, f"a {wrong[0]} for {text['symbol']}", repr(text[wrong[0]]))

    def is_listed_equity(self, row: Sequence[str]) -> bool:
        """Return whether a row is a share that trades; rights left from a takeover are listed as unlisted equity."""
        return row[self._places["asset_class"]] == "Equity" and not row[self._places["exchange"]].startswith(UNLISTED)

    def parse(self, row: Sequence[str]) -> HoldingsLine:
        """Read an equity row."""
        text = {column: row[place] for column, place in self._places.items()}
        if text["symbol"] in NO_VALUE:
            raise HoldingsFormError(self._path, "a ticker in every equity line", f"none for {text['name']!r}")
        return HoldingsLine(
            symbol=normalize_symbol(text["symbol"]),
            name=text["name"],
            sector=SECTORS.get(text["sector"], text["sector"]),
            exchange=text["exchange"],
            quantity=self._number(text, "quantity"),
            price=self._number(text, "price"),
            market_value=self._number(text, "market_value"),
            weight=self._number(text, "weight"),
        )

    def _number(self, text: Mapping[str, str], column: str) -> Decimal:
        number = _read_number(text[column])
        if number is None or number < 0:
            raise HoldingsFormError(self._path, f"a {column} for {text['symbol']}", repr(text[column]))
        return number


def _read_number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.replace(",", "").strip("$% "))
    except InvalidOperation:
        return None
    return number if number.is_finite() and -LARGEST < number < LARGEST else None


def _is_footer(row: Sequence[str]) -> bool:
    return row[0].casefold().startswith(FOOTERS) and not any(row[1:])


def _read_cells(path: Path, body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        # A spreadsheet may save as Windows-1252, where the legal text's quotation marks are not UTF-8.
        text = body.decode("cp1252", errors="replace")
    rows = csv.reader(io.StringIO(text.replace(NO_BREAK_SPACE, " "), newline=""))
    try:
        return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as wrong:
        raise HoldingsFormError(path, "comma-separated text", f"something else ({wrong})") from None


def _check_fund(path: Path, preamble: Sequence[Sequence[str]]) -> None:
    if preamble and preamble[0][0] != FUND:
        raise WrongFundError(path, f"the fund {FUND}", f"{preamble[0][0]!r}")


def _find_day(path: Path, preamble: Sequence[Sequence[str]], as_of: date | None) -> date:
    stated = next((row[1] for row in preamble if len(row) > 1 and AS_OF.fullmatch(row[0])), None)
    if stated in NO_VALUE:
        raise NoHoldingsError(path, "holdings of a day", f"a file without data (holdings as of {stated!r})")
    day = as_of if stated is None else _parse_day(path, str(stated))
    if day is None:
        raise HoldingsFormError(path, "a line 'Fund Holdings as of', or the day given with the file", "neither")
    if as_of is not None and day != as_of:
        raise HoldingsFormError(path, f"holdings as of {as_of}", f"holdings as of {day}")
    return day


def _parse_day(path: Path, text: str) -> date:
    for form in DATE_FORMS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007  a day has no zone
        except ValueError:
            continue
    raise HoldingsFormError(path, "a date such as Dec 06, 2024 or 2024-12-06", repr(text))


def _check_lines(path: Path, lines: Sequence[HoldingsLine], least_lines: int) -> None:
    if not lines:
        raise NoHoldingsError(path, "equity lines", "none")
    if len(lines) < least_lines:
        raise WrongFundError(path, f"at least {least_lines} equity lines", f"{len(lines)}")
    repeated = [symbol for symbol, times in Counter(line.symbol for line in lines).items() if times > 1]
    if repeated:
        raise HoldingsFormError(path, "each ticker once", f"{', '.join(repeated)} more than once")
    weight = sum((line.weight for line in lines), Decimal(0))
    if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise HoldingsFormError(
            path, f"weights in per cent that add up to {LEAST_WEIGHT} to {MOST_WEIGHT}", f"{weight}"
        )
