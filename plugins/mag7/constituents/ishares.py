"""Reading IVV's holdings: the CSV file of a date or, since 2026, the JSON document behind the product page.

The JSON has the table by columns: ``componentsByNameMap.holdings.containersByNameMap.all.dataPointsByNameMap`` has a
``value`` list for each of ticker, issueName, assetClass, exchange, holdingPercent, cusip and isin, and a number for
asOfDate (20260820). Where there is no data, both are HTTP 200 responses with other content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from mag7.constituents.readings import (
    FEWEST_LINES,
    IVV,
    HeldLine,
    NoFileYetError,
    Reading,
    ReadingError,
    check_body,
    check_lines,
    check_session,
    digest,
    to_decimal,
)
from mag7.index.holdings import HoldingsError, NoHoldingsError, parse_holdings
from mag7.index.symbols import normalize_symbol

NEXT_STEP: Final = (
    "nothing was read from it: put IVV's detailed holdings of a newer session into the inbox, or correct the address"
)
TEXTS: Final = ("ticker", "issueName", "assetClass", "exchange")
IDENTIFIERS: Final = ("cusip", "isin")
WEIGHT: Final = "holdingPercent"
WAY: Final = ("componentsByNameMap", "holdings", "containersByNameMap", "all", "dataPointsByNameMap")
UNLISTED: Final = "NO MARKET"


def read_ivv(body: bytes, source: str, *, session: date | None = None) -> Reading:
    """Read IVV's holdings from a file's bytes, CSV or JSON.

    ``source`` names the file in messages; ``session`` is the session that was requested. Raises ReadingError;
    NoFileYetError where the file is the one for a session without data.
    """
    check_body(source, body, NEXT_STEP)
    if body.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{":
        return _read_json(body, source, session)
    return _read_csv(body, source, session)


def _read_csv(body: bytes, source: str, session: date | None) -> Reading:
    try:
        holdings = parse_holdings(body, Path(source.rpartition("/")[2] or source))
    except NoHoldingsError as none:
        raise NoFileYetError(source, "holdings of a session", str(none), "the next run asks again") from None
    except HoldingsError as wrong:
        raise ReadingError(source, "IVV's holdings", str(wrong), NEXT_STEP) from None
    lines = tuple(HeldLine(line.symbol, line.name) for line in holdings.lines)
    weights = {line.symbol: line.weight for line in holdings.lines}
    return _check(Reading(IVV, source, digest(body), holdings.as_of, lines, holdings.simulated, weights), session)


def _read_json(body: bytes, source: str, session: date | None) -> Reading:
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_float=Decimal)
    except (UnicodeDecodeError, ValueError, RecursionError) as wrong:
        raise ReadingError(source, "a JSON document", f"something else ({wrong})", NEXT_STEP) from None
    columns = _find_columns(document, source)
    as_of = _read_day(columns, source)
    table = {name: _column(columns, name, source) for name in (*TEXTS, WEIGHT, *IDENTIFIERS)}
    lengths = {name: len(values) for name, values in table.items() if values}
    if len(set(lengths.values())) != 1:
        raise ReadingError(source, "columns of one length", f"{lengths}", NEXT_STEP)
    lines: list[HeldLine] = []
    weights: dict[str, Decimal] = {}
    for place in range(lengths["ticker"]):
        row = {name: values[place] for name, values in table.items() if values}
        if not _is_listed_equity(row):
            continue
        line = HeldLine(
            normalize_symbol(str(row["ticker"] or "")),
            str(row["issueName"] or ""),
            *(_identifier(row.get(name)) for name in IDENTIFIERS),
        )
        weight = to_decimal(row[WEIGHT])
        if weight is None:
            raise ReadingError(source, f"a weight for {line.symbol}", repr(row[WEIGHT]), NEXT_STEP)
        lines.append(line)
        weights[line.symbol] = weight
    simulated = bool(document.get("simulated"))
    return _check(Reading(IVV, source, digest(body), as_of, tuple(lines), simulated, weights), session)


def _check(reading: Reading, session: date | None) -> Reading:
    check_session(reading.source, reading.as_of, session, NEXT_STEP)
    check_lines(reading.source, reading.lines, reading.weights.values(), NEXT_STEP)
    return reading


def _find_columns(document: Any, source: str) -> Mapping[str, Any]:
    found = document
    for step in WAY:
        found = found.get(step) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        shown = ", ".join(sorted(map(str, document))[:5]) if isinstance(document, Mapping) else type(document).__name__
        raise ReadingError(source, ".".join(WAY), f"a document with {shown or 'nothing'}", NEXT_STEP)
    return found


def _read_day(columns: Mapping[str, Any], source: str) -> date:
    given = columns.get("asOfDate")
    value = given.get("value") if isinstance(given, Mapping) else None
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None:
        raise NoFileYetError(source, "a value of asOfDate", "none", "the next run asks again")
    try:
        return datetime.strptime(str(value), "%Y%m%d").date()  # noqa: DTZ007  a day has no zone
    except ValueError:
        raise ReadingError(source, "an asOfDate such as 20260820", repr(value), NEXT_STEP) from None


def _column(columns: Mapping[str, Any], name: str, source: str) -> Sequence[Any]:
    given = columns.get(name)
    values = given.get("value") if isinstance(given, Mapping) else None
    if values is None and name in IDENTIFIERS:
        return ()
    if not isinstance(values, list):
        raise ReadingError(source, f"a list of values for {name}", repr(values)[:60], NEXT_STEP)
    if not values:
        raise NoFileYetError(source, f"at least {FEWEST_LINES} values for {name}", "none", "the next run asks again")
    return values


def _is_listed_equity(row: Mapping[str, Any]) -> bool:
    return row["assetClass"] == "Equity" and not str(row["exchange"] or "").startswith(UNLISTED)


def _identifier(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in {"", "-"} else None
