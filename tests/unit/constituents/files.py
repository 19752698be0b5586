"""Funds' files in their forms, written by tests: IVV as CSV and JSON, SPY as a workbook (all simulated)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from mag7.index.holdings import FUND

NAMES = ("AAPL", "MSFT", "BRK.B", *(f"Q{chr(65 + one // 26)}{chr(65 + one % 26)}" for one in range(500)))
"""503 symbols as the market data API writes them."""

DAY = date(2026, 8, 20)
COLUMNS = ("Ticker", "Name", "Sector", "Asset Class", "Market Value", "Weight (%)", "Quantity", "Price", "Exchange")
WORKBOOK_COLUMNS = ("Name", "Ticker", "Identifier", "SEDOL", "Weight", "Sector", "Shares Held", "Local Currency")
LEGAL = "The content contained herein is owned by somebody."


def write_csv(
    symbols: Iterable[str] = NAMES, told: str = "Aug 20, 2026", *, fund: str = FUND, legal: str | None = LEGAL
) -> bytes:
    text = io.StringIO()
    text.write(f'\ufeff{fund}\nFund Holdings as of,"{told}"\nStock,"-"\n\u00a0\n')
    write = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow
    text.write(",".join(COLUMNS) + "\n")
    held = list(symbols)
    for symbol in held:
        weight = f"{99.6 / max(len(held), 1):.4f}"
        write([symbol.replace(".", ""), f"{symbol} INC", "Energy", "Equity", "1,000.00", weight, "10", "100", "NYSE"])
    write(["XTSLA", "CASH FUND", "Cash and/or Derivatives", "Money Market", "4.00", "0.10", "4.00", "1.00", "-"])
    write(
        ["HOLX", "HOLOGIC INC", "Health Care", "Equity", "28.00", "0.00", "28.00", "0.01", "NO MARKET (E.G. UNLISTED)"]
    )
    write(["ESU6", "S&P500 EMINI", "Cash and/or Derivatives", "Futures", "0.00", "0.00", "5", "7,662.50", "-"])
    if legal is not None:
        text.write("\u00a0\n")
        write([legal])
    return text.getvalue().encode()


def make_json(symbols: Iterable[str] = NAMES, as_of: object = 20260820) -> dict[str, Any]:
    held = list(symbols)
    rows = [(one.replace(".", ""), f"{one} INC", "Equity", "NYSE", 99.6 / len(held), f"{one:>9}", None) for one in held]
    rows.append(("HOLX", "HOLOGIC INC", "Equity", "NO MARKET (E.G. UNLISTED)", 0, "436CVR021", "US436CVR0216"))
    rows.append(("SGAFT", "CASH COLLATERAL USD", "Cash Collateral and Margins", "-", 0.0159, None, None))
    rows.append(("ESU6", "S&P500 EMINI SEP 26", "Futures", "Index And Options Market", 0, None, None))
    names = ("ticker", "issueName", "assetClass", "exchange", "holdingPercent", "cusip", "isin")
    columns: dict[str, Any] = {
        name: {"value": list(values)} for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }
    columns["asOfDate"] = {"value": as_of}
    holdings = {"containersByNameMap": {"all": {"dataPointsByNameMap": columns}}}
    return {"componentsByNameMap": {"holdings": holdings}}


def write_json(symbols: Iterable[str] = NAMES, as_of: object = 20260820) -> bytes:
    return json.dumps(make_json(symbols, as_of)).encode()


def write_workbook(
    symbols: Iterable[str] = NAMES,
    told: str = "As of 20-Aug-2026",
    *,
    head: Sequence[Sequence[str]] = (("Fund Name:", "SPDR® S&P 500® ETF Trust"), ("Ticker Symbol:", "SPY")),
    columns: Sequence[str] = WORKBOOK_COLUMNS,
    after: Sequence[Sequence[Any]] = ((), ("Past performance is no guarantee of future results.",)),
) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    for row in (*head, ("Holdings:", told), (), columns):
        sheet.append(list(row))
    held = list(symbols)
    for number, symbol in enumerate(held):
        sheet.append([f"{symbol} INC", symbol, f"{number:09d}", "-", 99.6 / max(len(held), 1), "-", 10, "USD"])
    sheet.append(["US DOLLAR", "-", "CASH_USD", "-", 0.05, "-", 305_000_000, "USD"])
    sheet.append(["CONTRA HOLOGIC INCORPO", "2602335D", "436CVR021", "-", 3e-6, "-", 2_578_626, "USD"])
    for row in after:
        sheet.append(list(row))
    raw = io.BytesIO()
    book.save(raw)
    return raw.getvalue()
