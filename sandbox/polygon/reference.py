"""Reference lists: tickers, splits and ticker events, in pages with a cursor."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sandbox.polygon import facts, replies
from sandbox.polygon.details import identify, invent_figi
from sandbox.polygon.draws import unit
from sandbox.polygon.market import Market, load_market
from sandbox.polygon.provider import find_line, is_fund
from sandbox.polygon.replies import Request
from sandbox.polygon.settings import Settings
from sandbox.polygon.universe import FIRST_DAY, Line

Row = dict[str, Any]

#: Wrong entries of the list of splits: entries that contradict or repeat each other, the first days of splits that
#: were then postponed, and a spin-off.
_ODD_SPLITS = (
    facts.Split("SHOP", date(2022, 6, 22), 1, 10),
    facts.Split("SHOP", date(2022, 6, 29), 1, 10),
    facts.Split("CSX", date(2021, 6, 29), 1, 3),
    facts.Split("ISRG", date(2021, 8, 3), 1, 3),
    facts.Split("CPRT", date(2022, 9, 2), 1, 2),
    facts.Split("GE", date(2023, 1, 4), 1000, 1281),
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda value, bound: bool(value == bound),
    ".gte": lambda value, bound: bool(value >= bound),
    ".gt": lambda value, bound: bool(value > bound),
    ".lte": lambda value, bound: bool(value <= bound),
    ".lt": lambda value, bound: bool(value < bound),
}


def _filter(rows: list[Row], query: Mapping[str, str], column: str) -> list[Row]:
    for suffix, holds in _COMPARE.items():
        bound = query.get(column + suffix)
        if bound:
            rows = [row for row in rows if holds(row.get(column, ""), bound)]
    return rows


def _open_cursor(request: Request) -> tuple[dict[str, str], int]:
    """A page's query and its start: a cursor has both."""
    cursor = request.query.get("cursor")
    if cursor is None:
        return dict(request.query), 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        query = dict(parse_qsl(text, strict_parsing=True))
        return query, int(query.pop("page_marker"))
    except (binascii.Error, ValueError, KeyError) as error:
        raise replies.bad_request(f"'{cursor}' is not a cursor of this list") from error


def _page(
    request: Request, rows: list[Row], query: dict[str, str], *, start: int, limit: int, counted: bool = False
) -> bytes:
    part = rows[start : start + limit]
    content: Row = {"results": part, "status": "OK", "request_id": request.request_id}
    if counted:
        content["count"] = len(part)
    if start + limit < len(rows):
        marked = urlencode({**query, "limit": limit, "page_marker": start + limit})
        cursor = base64.urlsafe_b64encode(marked.encode()).decode().rstrip("=")
        content["next_url"] = f"{request.base_url}{request.path}?cursor={cursor}"
    return replies.to_json(content)


def answer_tickers(request: Request, settings: Settings) -> bytes:
    """Return the symbols of a date; with ``active=false``, those that are no longer listed."""
    query, start = _open_cursor(request)
    limit = replies.read_limit(query, 100, 1000)
    day = replies.read_day(query["date"], "date") if "date" in query else settings.clock.today()
    if day > settings.clock.today():
        raise replies.outside_plan()
    active = query.get("active", "true").lower() != "false"
    market = load_market(settings.clock.today())
    rows = list(_list_tickers(market, day, active)) if query.get("market", "stocks") == "stocks" else []
    for column in ("ticker", "type", "cik", "primary_exchange"):
        rows = _filter(rows, query, {"primary_exchange": "exchange"}.get(column, column))
    if search := query.get("search", "").lower():
        rows = [row for row in rows if search in row["ticker"].lower() or search in row["name"].lower()]
    rows = sorted(rows, key=lambda row: str(row["ticker"]), reverse=query.get("order") == "desc")
    return _page(request, rows, query, start=start, limit=limit, counted=True)


@lru_cache(maxsize=32)
def _list_tickers(market: Market, day: date, active: bool) -> tuple[Row, ...]:
    stamp = {"last_updated_utc": f"{day}T00:00:00Z"}
    rows: list[Row] = []
    for line in market.lines:
        if active and line.listed.holds(day):
            rows.append(identify(line, line.symbol_on(day), line.cik_on(day)) | stamp)
        elif not active and line.listed.last < day:
            last = line.listed.last
            gone = {"active": False, "delisted_utc": f"{last}T00:00:00Z"}
            rows.append(identify(line, line.symbol_on(last), line.cik_on(last)) | stamp | gone)
    if active and is_fund("META", day):
        fund = {"ticker": "META", "name": "Simulated Metaverse ETF", "market": "stocks", "locale": "us"}
        rows.append(fund | {"primary_exchange": "ARCX", "type": "ETF", "active": True, "currency_name": "usd"} | stamp)
    return tuple(rows)


def answer_stock_splits(request: Request, settings: Settings) -> bytes:
    """Return the splits of the newer endpoint: ratios with fractions, kind, and the factor that adjusts old prices."""
    query, start = _open_cursor(request)
    limit = replies.read_limit(query, 100, 5000)
    for name, value in query.items():
        if name.startswith("execution_date"):
            replies.read_day(value, name)
    rows = [_describe_split(row, adjustment) for row, adjustment in _adjust(_list_splits(settings.clock.today()))]
    for column in ("execution_date", "ticker", "adjustment_type"):
        rows = _filter(rows, query, column)
    if symbols := query.get("ticker.any_of"):
        rows = [row for row in rows if row["ticker"] in symbols.split(",")]
    for column, _, order in reversed([part.partition(".") for part in query.get("sort", "").split(",") if part]):
        if column not in {"execution_date", "ticker"} or order not in {"", "asc", "desc"}:
            raise replies.bad_request(f"'{column}.{order}' is not a column to sort by")
        rows = sorted(rows, key=lambda row, column=column: str(row[column]), reverse=order != "asc")  # type: ignore[misc]
    return _page(request, rows, query, start=start, limit=limit)


def _adjust(rows: list[Row]) -> list[tuple[Row, float]]:
    """Yield each split with the product of its ratio and of those after it, newest first; repeated entries count."""
    adjustments: dict[str, float] = {}
    found = []
    for row in rows:
        symbol = str(row["ticker"])
        adjustments[symbol] = adjustments.get(symbol, 1.0) * row["split_from"] / row["split_to"]
        found.append((row, adjustments[symbol]))
    return found


def _describe_split(row: Row, adjustment: float) -> Row:
    kind = "forward_split" if row["split_to"] > row["split_from"] else "reverse_split"
    ratio = {"split_from": float(row["split_from"]), "split_to": float(row["split_to"])}
    return row | ratio | {"adjustment_type": kind, "historical_adjustment_factor": round(adjustment, 6)}


def answer_splits(request: Request, settings: Settings) -> bytes:
    """Return the splits of the older endpoint, newest first, under today's symbols."""
    query, start = _open_cursor(request)
    limit = replies.read_limit(query, 10, 1000)
    for name, value in query.items():
        if name.startswith("execution_date"):
            replies.read_day(value, name)
    rows = _list_splits(settings.clock.today())
    for column in ("execution_date", "ticker"):
        rows = _filter(rows, query, column)
    if reverse := query.get("reverse_split"):
        rows = [row for row in rows if (row["split_from"] > row["split_to"]) == (reverse.lower() == "true")]
    if query.get("order") == "asc":
        rows.reverse()
    return _page(request, rows, query, start=start, limit=limit)


def _list_splits(today: date) -> list[Row]:
    rows = [
        {
            "id": f"E{int(unit('split', split.symbol, str(split.execution_date), str(odd)) * 2**40):010x}",
            "execution_date": split.execution_date.isoformat(),
            "split_from": split.split_from,
            "split_to": split.split_to,
            "ticker": split.symbol,
        }
        for odd, entries in enumerate((facts.splits(), _ODD_SPLITS))
        for split in entries
        # Splits are announced some weeks before execution.
        if split.execution_date.toordinal() <= today.toordinal() + 30
    ]
    return sorted(rows, key=lambda row: (str(row["execution_date"]), str(row["ticker"])), reverse=True)


def answer_events(request: Request, settings: Settings, identifier: str) -> bytes:
    """Return the changes of a company's symbol, newest first; the provider dates Meta's two days late."""
    today = settings.clock.today()
    market = load_market(today)
    line = find_line(market, identifier, today) or _find_figi(market, identifier)
    if line is None:
        raise replies.ticker_not_found()
    symbol = line.symbol_on(today)
    events = [
        {"ticker_change": {"ticker": span}, "type": "ticker_change", "date": day} for day, span in _changes(line, today)
    ]
    results: Row = {"name": line.name_under(symbol), "composite_figi": invent_figi(line.drawn_as, "composite")}
    if cik := line.cik_on(today):
        results["cik"] = cik
    content = {"results": results | {"events": events}, "status": "OK", "request_id": request.request_id}
    return replies.to_json(content)


def _find_figi(market: Market, identifier: str) -> Line | None:
    return next((line for line in market.lines if invent_figi(line.drawn_as, "composite") == identifier), None)


def _changes(line: Line, today: date) -> list[tuple[str, str]]:
    """List dates and symbols until today, newest first."""
    changes = [(span.first, span.value) for span in line.symbols if span.first <= today] or [(FIRST_DAY, line.key)]
    known = {(date(2022, 6, 9), "META"): date(2022, 6, 11), (FIRST_DAY, "FB"): date(2012, 5, 18)}
    invented = date(1990 + int(unit("listed", line.main) * 28), 1, 15)
    found = [(known.get((day, symbol), invented if day == FIRST_DAY else day), symbol) for day, symbol in changes]
    return [(day.isoformat(), symbol) for day, symbol in reversed(found)]
