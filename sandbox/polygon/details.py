"""Ticker details: /v3/reference/tickers/{ticker}."""

from __future__ import annotations

import json
import re
from datetime import date
from functools import lru_cache

from sandbox.polygon import replies
from sandbox.polygon.draws import unit
from sandbox.polygon.market import Market, load_market
from sandbox.polygon.provider import Figures, find_line, is_fund, tell_figures
from sandbox.polygon.replies import Request
from sandbox.polygon.sessions import Clock
from sandbox.polygon.settings import Settings
from sandbox.polygon.universe import FIRST_DAY, Line


def invent_figi(symbol: str, kind: str) -> str:
    """A FIGI-shaped identifier of the simulated market."""
    digits = "0123456789BCDFGHJKLMNPQRSTVWXYZ"  # pragma: allowlist secret - the letters of a FIGI
    number = int(unit("figi", kind, symbol) * 2**48)
    text = ""
    for _ in range(8):
        number, digit = divmod(number, len(digits))
        text += digits[digit]
    return f"BBG0{text}"


def answer_details(request: Request, settings: Settings, symbol: str) -> bytes:
    """Return the details of a symbol on a date; without a date, the latest."""
    market = load_market(settings.clock.today())
    day, row = _find_row(market, request.query.get("date"), settings.clock)
    line = find_line(market, symbol, day, details=True)
    if line is not None:
        row = min(row, market.row(line.listed.last) or 0)
        figures = tell_figures(market, line, row, evening=settings.evening)
        results = describe(line, symbol, line.cik_on(day), figures)
    elif is_fund(symbol, day):
        results = describe_fund(symbol)
    else:
        raise replies.ticker_not_found()
    body = f'{{"request_id":"{request.request_id}","results":{results},"status":"OK"}}'
    return body.encode()


def _find_row(market: Market, text: str | None, clock: Clock) -> tuple[date, int]:
    """The date asked for and the session whose close its details rest on."""
    today = clock.today()
    day = replies.read_day(text, "date") if text is not None else today
    row = market.row(day)
    if row is None or day > today:
        raise replies.outside_plan()
    if market.days[row] == today and not clock.has_closed(today):
        row -= 1
    return day, row


@lru_cache(maxsize=4096)
def _fixed_parts(line: Line, symbol: str, cik: str | None) -> tuple[str, str]:
    root, _, suffix = symbol.partition(".")
    name = line.name_under(symbol)
    front: dict[str, object] = identify(line, symbol, cik)
    back: dict[str, object] = {
        "phone_number": "(000) 000-0000",
        "address": {
            "address1": "1 SIMULATED STREET",
            "city": "NEW YORK",
            "state": "NY",
            "postal_code": "10000",
        },
        "description": f"{name} is a simulated company of the offline market; its figures are invented "
        "wherever they are not public facts.",
        "sic_code": f"{1000 + int(unit('sic', line.main) * 8000)}",
        "sic_description": f"SIMULATED {line.sector.upper() or 'INDUSTRY'}",
        "ticker_root": root,
    }
    if suffix:
        back["ticker_suffix"] = suffix
    slug = re.sub(r"[^a-z0-9]", "", symbol.lower())
    back |= {
        "homepage_url": f"https://{slug}.example.com",
        "total_employees": 1000 + int(unit("employees", line.main) * 150_000),
        "list_date": _list_date(line),
        "branding": {
            "logo_url": f"https://{slug}.example.com/logo.svg",
            "icon_url": f"https://{slug}.example.com/icon.png",
        },
        "round_lot": 100,
    }
    return json.dumps(front, separators=(",", ":"))[:-1], json.dumps(back, separators=(",", ":"))[1:-1]


def identify(line: Line, symbol: str, cik: str | None) -> dict[str, object]:
    """Return the fields that ticker details and the list of tickers share."""
    found: dict[str, object] = {
        "ticker": symbol,
        "name": line.name_under(symbol),
        "market": "stocks",
        "locale": "us",
        "primary_exchange": "XNAS" if unit("exchange", line.drawn_as) < 0.31 else "XNYS",
        "type": "CS",
        "active": True,
        "currency_name": "usd",
    }
    if cik:
        found["cik"] = cik
    return found | {
        "composite_figi": invent_figi(line.drawn_as, "composite"),
        "share_class_figi": invent_figi(line.drawn_as, "class"),
    }


def _list_date(line: Line) -> str:
    if line.listed.first != FIRST_DAY:
        return line.listed.first.isoformat()
    return date(1960 + int(unit("listed", line.main) * 58), 1, 15).isoformat()


def describe(line: Line, symbol: str, cik: str | None, figures: Figures) -> str:
    """Return the results object; a missing figure has no key."""
    front, back = _fixed_parts(line, symbol, cik)
    parts = [front]
    if figures.market_cap_cents is not None:
        parts.append(f'"market_cap":{_dollars(figures.market_cap_cents)}')
    parts.append(back)
    if figures.class_shares is not None:
        parts.append(f'"share_class_shares_outstanding":{figures.class_shares}')
    if figures.weighted_shares is not None:
        parts.append(f'"weighted_shares_outstanding":{figures.weighted_shares}')
    return ",".join(parts) + "}"


def _dollars(cents: int) -> str:
    whole, rest = divmod(cents, 100)
    return f"{whole}.{rest:02d}".rstrip("0") if rest else str(whole)


def describe_fund(symbol: str) -> str:
    """Return the other issuer's fund that traded as META: not a company, so without a market cap."""
    name = "Simulated Metaverse ETF"
    content = {
        "ticker": symbol,
        "name": name,
        "market": "stocks",
        "locale": "us",
        "primary_exchange": "ARCX",
        "type": "ETF",
        "active": True,
        "currency_name": "usd",
        "composite_figi": invent_figi("fund", "composite"),
        "share_class_figi": invent_figi("fund", "class"),
        "description": f"{name} is a simulated fund of the offline market.",
        "ticker_root": symbol,
        "list_date": "2020-06-30",
        "share_class_shares_outstanding": 28_400_000,
        "round_lot": 100,
    }
    return json.dumps(content, separators=(",", ":"))
