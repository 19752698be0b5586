"""The calls that this project makes: each one's endpoint, the date it is about, and its path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

GROUPED_DAILY = "grouped_daily"
TICKER_DETAILS = "ticker_details"
SPLITS = "splits"
_DETAILS_PATH = "/v3/reference/tickers/"

CALLS_KEPT = 32_768
"""Calls for details that are cached, those of two months: they are looked up many times."""


@dataclass(frozen=True)
class Call:
    """One call: its endpoint's name in the lake, the date it is about, and the request's path and query."""

    endpoint: str
    trading_date: date
    path: str


def grouped_daily(day: date) -> Call:
    """Every ticker's unadjusted bar of a session."""
    path = f"/v2/aggs/grouped/locale/us/market/stocks/{day.isoformat()}?adjusted=false&include_otc=false"
    return Call(GROUPED_DAILY, day, path)


@lru_cache(maxsize=CALLS_KEPT)
def ticker_details(symbol: str, day: date) -> Call:
    """A ticker's details as of a date."""
    return Call(TICKER_DETAILS, day, f"{_DETAILS_PATH}{quote(symbol, safe='')}?date={day.isoformat()}")


def symbol_of(call: Call) -> str:
    """The symbol that a call for ticker details asks about."""
    return unquote(urlsplit(call.path).path.removeprefix(_DETAILS_PATH))


def list_of_stock_splits(first: date, session: date) -> Call:
    """The first page of every split executed since ``first``, announced ones included, as asked with a session."""
    query = f"execution_date.gte={first.isoformat()}&sort=execution_date.asc&limit=5000"
    return Call(SPLITS, session, f"/stocks/v1/splits?{query}")


def list_of_splits(first: date, session: date) -> Call:
    """The same list of the provider's older, deprecated endpoint."""
    query = f"execution_date.gte={first.isoformat()}&order=asc&sort=execution_date&limit=1000"
    return Call(SPLITS, session, f"/v3/reference/splits?{query}")
