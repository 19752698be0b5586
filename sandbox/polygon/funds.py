"""The funds' files and the page of announced changes, on the market's own server and without a key.

``GET /funds/ivv.csv?asOfDate=YYYYMMDD`` returns status 200 and a file without holdings for a day that has none (yet),
like the real server. ``GET /funds/spy.xlsx`` has the newest session only. ``GET /funds/changes`` and ``changes.json``
are the page. The files of a session are published at 07:00 of the next day.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from sandbox.polygon import fund_files, replies
from sandbox.polygon.announced import list_changes
from sandbox.polygon.holdings import IVV, SPY, list_held, list_other
from sandbox.polygon.market import Market, load_market
from sandbox.polygon.replies import RefusedError, Reply, Request
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings

#: Faults of a source: an earlier file, a part of a file, another fund's file, too few lines.
FAULTS = ("yesterday", "half_file", "other_fund", "few_lines")
_OUT_AT = time(7)
_TITLES = {IVV: "iShares Core S&P 500 ETF", SPY: "SPDR® S&P 500® ETF Trust"}
_OTHER = {IVV: ("iShares Core S&P Mid-Cap ETF", "IJH"), SPY: ("SPDR® S&P MIDCAP 400® ETF Trust", "MDY")}
_KINDS: Mapping[str, str] = {
    "/funds/ivv.csv": "text/csv;charset=UTF-8",
    "/funds/spy.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "/funds/changes": "text/html;charset=UTF-8",
    "/funds/changes.json": "application/json",
}


def answer_funds(request: Request, settings: Settings, fault: str = "") -> Reply | None:
    """Return the reply to a path of the funds; None for any other path."""
    kind = _KINDS.get(request.path)
    if kind is None:
        return None
    endpoint = request.path.strip("/").replace("/", "_").replace(".", "_")
    try:
        body = _write(request, settings, fault)
    except RefusedError as refused:
        return refused.reply(request, endpoint)
    return Reply(200, body[: len(body) // 2] if fault == "half_file" else body, endpoint, {"Content-Type": kind})


def _write(request: Request, settings: Settings, fault: str) -> bytes:
    market = load_market(settings.clock.today())
    if request.path.startswith("/funds/changes"):
        return _write_changes(market, settings.clock, page=not request.path.endswith("json"))
    newest = _find_newest(market, settings.clock)
    if request.path == "/funds/spy.xlsx":
        return _write_spy(market, newest - (fault == "yesterday"), fault)
    row = newest if (text := request.query.get("asOfDate")) is None else market.session_row(_read_day(text))
    if row is None or row > newest:
        return fund_files.write_csv(_TITLES[IVV], None, ())
    return _write_ivv(market, row - (fault == "yesterday"), fault)


def _find_newest(market: Market, clock: Clock) -> int:
    """Return the row of the last session whose files are published."""
    row = market.row(clock.today()) or 0
    while clock.read() < datetime.combine(market.days[row] + timedelta(days=1), _OUT_AT, NEW_YORK):
        row -= 1
    return row


def _read_day(text: str) -> date:
    if len(text) == 8 and text.isdecimal():
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return replies.read_day(text, "asOfDate")


@lru_cache(maxsize=32)
def _write_ivv(market: Market, row: int, fault: str) -> bytes:
    held, title = list_held(market, IVV, row), _TITLES[IVV]
    if fault == "other_fund":
        held, title = list_other(market, IVV, row), _OTHER[IVV][0]
    return fund_files.write_csv(title, market.days[row], held[:480] if fault == "few_lines" else held)


@lru_cache(maxsize=32)
def _write_spy(market: Market, row: int, fault: str) -> bytes:
    held, title, ticker = list_held(market, SPY, row), _TITLES[SPY], SPY
    if fault == "other_fund":
        held, (title, ticker) = list_other(market, SPY, row), _OTHER[SPY]
    return fund_files.write_workbook(title, ticker, market.days[row], held[:480] if fault == "few_lines" else held)


def _write_changes(market: Market, clock: Clock, *, page: bool) -> bytes:
    """List what has been announced by today, newest first."""
    rows = [change.as_row() for change in reversed(list_changes(market)) if change.announced <= clock.today()]
    if not page:
        return replies.to_json({"source": "simulated", "note": fund_files.SIMULATED, "changes": rows})
    cells = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row.values()) + "</tr>\n" for row in rows
    )
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in rows[0]) if rows else ""
    title = "Announced changes of the index"
    text = (
        f"<!DOCTYPE html>\n<html><head><title>{title} (simulated)</title></head><body><h1>{title}</h1>\n"
        f"<p>{fund_files.SIMULATED}</p>\n<table>\n<tr>{head}</tr>\n{cells}</table></body></html>\n"
    )
    return text.encode()
