"""Reading SPY's holdings from the workbook of the newest session.

Rows 1 to 3 name the fund and the date, row 5 names the columns, then come the lines and legal text. Cash has the ticker
"-"; the contra line of an acquired company has a ticker of digits that ends with D.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from mag7.constituents.readings import (
    SPY,
    HeldLine,
    Reading,
    ReadingError,
    check_body,
    check_lines,
    check_session,
    digest,
    to_decimal,
)
from mag7.index.holdings import SIMULATED_FOOTER
from mag7.index.symbols import normalize_symbol

NEXT_STEP: Final = "nothing was read from it: put SPY's daily holdings workbook into the inbox, or correct the address"
LABELS: Final = ("Fund Name:", "Ticker Symbol:", "Holdings:")
COLUMNS: Final = ("Name", "Ticker", "Identifier", "Weight")
AS_OF: Final = re.compile(r"As of (\d{1,2}-[A-Z][a-z]{2}-\d{4})")
NOT_LISTED: Final = re.compile(r"-|CASH_\w+|\d+D|ES[HMUZ]\d{1,2}")
"""Tickers that are not lines of the index: cash, contra lines of acquired companies, index futures."""
CUSIP: Final = re.compile(r"[0-9A-Z]{9}")
LARGEST_UNPACKED: Final = 100_000_000
MOST_ROWS: Final = 5_000
WIDTH: Final = 12


def read_spy(body: bytes, source: str, *, session: date | None = None) -> Reading:
    """Read SPY's holdings from a workbook's bytes.

    ``source`` names the file in messages; ``session`` is the session that was requested. Raises ReadingError.
    """
    check_body(source, body, NEXT_STEP)
    rows = _read_rows(body, source)
    as_of = _check_head(rows, source)
    places = _find_columns(rows, source)
    lines: list[HeldLine] = []
    weights: dict[str, Decimal] = {}
    for row in _take_table(rows[5:], places["Ticker"], source):
        ticker = str(row[places["Ticker"]]).strip()
        weight = to_decimal(row[places["Weight"]])
        if weight is None:
            raise ReadingError(source, f"a weight for {ticker}", repr(row[places["Weight"]]), NEXT_STEP)
        if NOT_LISTED.fullmatch(ticker):
            continue
        identifier = str(row[places["Identifier"]] or "")
        cusip = identifier if CUSIP.fullmatch(identifier) else None
        lines.append(HeldLine(normalize_symbol(ticker), str(row[places["Name"]] or ""), cusip))
        weights[lines[-1].symbol] = weight
    check_session(source, as_of, session, NEXT_STEP)
    check_lines(source, lines, weights.values(), NEXT_STEP)
    simulated = any(SIMULATED_FOOTER in str(row[0] or "").casefold() for row in rows if row)
    return Reading(SPY, source, digest(body), as_of, tuple(lines), simulated, weights)


def _read_rows(body: bytes, source: str) -> list[Sequence[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            unpacked = sum(part.file_size for part in packed.infolist())
        rows = _load_rows(body) if unpacked <= LARGEST_UNPACKED else []
    except Exception as wrong:  # openpyxl raises errors of many kinds for a damaged file
        raise ReadingError(source, "a whole workbook (xlsx)", f"{type(wrong).__name__}: {wrong}", NEXT_STEP) from None
    if unpacked > LARGEST_UNPACKED:
        raise ReadingError(source, f"at most {LARGEST_UNPACKED} bytes unpacked", f"{unpacked}", NEXT_STEP)
    return rows


def _load_rows(body: bytes) -> list[Sequence[Any]]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(body), read_only=True, data_only=True)
    sheet = book.worksheets[0]
    # A row without its last cells is shorter.
    rows = [(*row, *[None] * WIDTH)[:WIDTH] for row in sheet.iter_rows(max_row=MOST_ROWS, values_only=True)]
    book.close()
    return list(rows)


def _check_head(rows: Sequence[Sequence[Any]], source: str) -> date:
    head = [[str(cell or "").strip() for cell in row[:2]] for row in rows[:3]]
    if [row[0] for row in head if row] != list(LABELS):
        raise ReadingError(source, f"the rows {' '.join(LABELS)}", f"{head}", NEXT_STEP)
    name, ticker, as_of = (row[1] for row in head)
    if ticker != SPY or "S&P 500" not in name:
        raise ReadingError(source, "the fund SPY", f"{ticker} ({name})", NEXT_STEP)
    found = AS_OF.fullmatch(as_of)
    if found is None:
        raise ReadingError(source, "'As of 18-Nov-2025'", repr(as_of), NEXT_STEP)
    try:
        return datetime.strptime(found[1], "%d-%b-%Y").date()  # noqa: DTZ007  a day has no zone
    except ValueError:
        raise ReadingError(source, "'As of 18-Nov-2025'", repr(as_of), NEXT_STEP) from None


def _find_columns(rows: Sequence[Sequence[Any]], source: str) -> Mapping[str, int]:
    header = [str(cell or "").strip() for cell in rows[4]] if len(rows) > 4 else []
    missing = [name for name in COLUMNS if header.count(name) != 1]
    if missing:
        raise ReadingError(source, f"one column {missing[0]} in row 5", ", ".join(header) or "nothing", NEXT_STEP)
    return {name: header.index(name) for name in COLUMNS}


def _take_table(rows: Sequence[Sequence[Any]], ticker: int, source: str) -> Sequence[Sequence[Any]]:
    """Take the rows up to the first one without a ticker; a later row with a ticker is an error."""
    end = next((place for place, row in enumerate(rows) if row[ticker] in {None, ""}), len(rows))
    late = next((row for row in rows[end:] if row[ticker] not in {None, ""}), None)
    if late is not None:
        raise ReadingError(source, "a ticker in every row of the table", f"none before {late[ticker]!r}", NEXT_STEP)
    return rows[:end]
