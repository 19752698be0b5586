"""The funds' files in their real forms: a CSV file by date, and a workbook of the newest session.

The legal footer of each file states that its figures are simulated.
"""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import date, datetime, timedelta

from sandbox.polygon.draws import unit
from sandbox.polygon.holdings import Held

#: A file's legal text, which begins like the real one.
SIMULATED = (
    "The content contained herein is SIMULATED by the offline market: this is no file of a fund. Weights, quantities,"
    " prices and values are invented; only the list of lines follows public facts, and after the last change that is"
    " known it is invented, too."
)
_COLUMNS = (
    "Ticker", "Name", "Sector", "Asset Class", "Market Value", "Weight (%)", "Notional Value", "Quantity", "Price",
    "Location", "Exchange", "Currency", "FX Rate", "Market Currency", "Accrual Date",
)  # fmt: skip
_WORKBOOK_COLUMNS = (
    "Name", "Ticker", "Identifier", "SEDOL", "Weight", "Sector", "Shares Held", "Local Currency",
)  # fmt: skip
_SECTORS = {"Communication Services": "Communication"}
_CASH = (
    ("XTSLA", "SIMULATED CASH FUND", "Money Market", 63_600_000_000),
    ("USD", "USD CASH", "Cash", 55_900_000_000),
    ("UBFUT", "CASH COLLATERAL USD UBFUT", "Cash Collateral and Margins", 500_000_000),
)
_STAMP = (2000, 1, 1, 0, 0, 0)


def write_csv(title: str, day: date | None, held: tuple[Held, ...]) -> bytes:
    """Return the CSV file of a day; without a day, the file for a date without holdings."""
    text = io.StringIO()
    write = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow
    as_of = day.strftime("%b %d, %Y") if day else "-"
    outstanding = f"{600_000_000 + int(unit('outstanding', str(day)) * 400) * 1_000_000:,}.00" if day else "-"
    text.write(f'\ufeff{title}\nFund Holdings as of,"{as_of}"\nInception Date,"May 15, 2000"\n')
    text.write(f'Shares Outstanding,"{outstanding}"\nStock,"-"\nBond,"-"\nCash,"-"\nOther,"-"\n\u00a0\n')
    text.write(",".join(_COLUMNS) + "\n")
    if day:
        for one in held:
            write(_row(one))
        for row in _other_rows(day):
            write(row)
    text.write("\u00a0\n")
    write([SIMULATED])
    return text.getvalue().encode()


def _row(one: Held) -> list[str]:
    sector, value = one.line.sector, f"{one.value / 100:,.2f}"
    market = "NASDAQ" if unit("exchange", one.line.drawn_as) < 0.31 else "New York Stock Exchange Inc."
    return [
        one.symbol.replace(".", ""),
        one.line.name_under(one.symbol).upper() + (" CVR" if one.contra else ""),
        _SECTORS.get(sector, sector),
        "Equity",
        value,
        f"{one.weight:.2f}",
        value,
        f"{one.quantity:,}.00",
        f"{one.price / 100:,.2f}",
        "United States",
        "NO MARKET (E.G. UNLISTED)" if one.contra else market,
        "USD",
        "1.00",
        "USD",
        "-",
    ]


def _other_rows(day: date) -> list[list[str]]:
    """Return cash and a future, which are listed among the shares."""
    rows = []
    for symbol, name, kind, cents in _CASH:
        money = f"{cents / 100:,.2f}"
        price = "1.00" if kind == "Money Market" else "100.00"
        weight = "0.11" if cents > 50_000_000_000 else "0.00"
        place = ["United States", "-", "USD", "1.00", "USD", "-"]
        rows.append([symbol, name, "Cash and/or Derivatives", kind, money, weight, money, money, price, *place])
    month = (day.month + 2) // 3 * 3
    future = f"ES{'HMUZ'[month // 3 - 1]}{day.year % 10}"
    name = f"S&P500 EMINI {('MAR', 'JUN', 'SEP', 'DEC')[month // 3 - 1]} {day:%y}"
    figures = ["0.00", "0.00", "1,331,716,650.00", "4,367.00", "6,099.00"]
    place = ["-", "Index And Options Market", "USD", "1.00", "USD", "-"]
    rows.append([future, name, "Cash and/or Derivatives", "Futures", *figures, *place])
    return rows


def write_workbook(title: str, ticker: str, day: date, held: tuple[Held, ...]) -> bytes:
    """Return the workbook of a session; the bytes do not depend on the time of writing."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "holdings"
    for row in (["Fund Name:", title], ["Ticker Symbol:", ticker], ["Holdings:", f"As of {day:%d-%b-%Y}"], []):
        sheet.append(row)
    sheet.append(_WORKBOOK_COLUMNS)
    for one in held:
        name, number = one.line.name_under(one.symbol).upper(), int(unit("identifier", one.line.drawn_as) * 10**6)
        sheet.append([name, one.symbol, f"SIM{number:06d}", "-", round(one.weight, 6), "-", one.quantity, "USD"])
    sheet.append(["US DOLLAR", "-", "SIMUSD001", "-", 0.05, "-", 305_000_000, "USD"])
    sheet.append([])
    sheet.append([SIMULATED])
    book.properties.created = book.properties.modified = datetime.combine(day + timedelta(days=1), datetime.min.time())
    raw = io.BytesIO()
    book.save(raw)
    return _pack_again(raw.getvalue())


def _pack_again(content: bytes) -> bytes:
    """Remove the time of writing from a workbook's parts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name, _STAMP), old.read(name), zipfile.ZIP_DEFLATED)
    return packed.getvalue()
