"""Daily bars: grouped by day, by ticker, previous close and open-close."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import cast

import numpy as np

from sandbox.polygon import facts, replies
from sandbox.polygon.draws import Floats, unit
from sandbox.polygon.market import Market, load_market
from sandbox.polygon.provider import find_line, fund_close_cents, is_fund
from sandbox.polygon.replies import Request
from sandbox.polygon.sessions import NEW_YORK, Clock, to_milliseconds
from sandbox.polygon.settings import Settings

_OPENING, _CLOSE = time(0), time(16)


@dataclass(frozen=True)
class DayBars:
    """Bars of every line on one session, unadjusted."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats
    trades: Floats


def _draw_noise(market: Market, day: date, figures: int) -> Floats:
    """Return normal numbers for each line of a session, which depend only on the line and the session.

    A counter is hashed (splitmix64), and two uniform numbers give a normal one (Box-Muller).
    """
    count = np.arange(2 * figures, dtype=np.uint64)[:, None] + np.uint64(day.toordinal() * 2 * figures)
    state = market.seeds + (count + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((state ^ (state >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    radius = np.sqrt(-2 * np.log1p(-uniform[:figures]))
    return cast("Floats", radius * np.cos(2 * np.pi * uniform[figures:]))


@lru_cache(maxsize=256)
def draw_bars(market: Market, row: int) -> DayBars:
    """Draw the bars of a session around its closes; those of the seven on the golden session are the recorded ones."""
    day = market.days[row]
    noise = _draw_noise(market, day, 5)
    close = market.cents[row] / 100
    opening = np.round(close * np.exp(noise[0] * 0.006), 2)
    high = np.round(np.maximum(opening, close) * np.exp(np.abs(noise[1]) * 0.005), 4)
    low = np.round(np.minimum(opening, close) * np.exp(-np.abs(noise[2]) * 0.005), 4)
    low = np.minimum(low, np.minimum(opening, close))
    high = np.maximum(high, np.maximum(opening, close))
    volume = np.maximum(market.counts[row] * 0.004 * np.exp(noise[3] * 0.4), 1000.0)
    # A third of all volumes are fractional, as they are at the provider.
    volume = np.where(noise[4] > 0.43, np.round(volume, 4), np.rint(volume))
    bars = DayBars(opening, high, low, close, volume, np.round((opening + high + low + 2 * close) / 5, 4), volume)
    if day == facts.GOLDEN_SESSION:
        for symbol, bar in facts.golden_bars().items():
            number = market.column[symbol]
            for name in ("open", "high", "low", "close", "volume", "vwap"):
                getattr(bars, name)[number] = getattr(bar, name)
    return DayBars(bars.open, bars.high, bars.low, bars.close, bars.volume, bars.vwap, np.floor(bars.volume / 95) + 1)


def _adjustment(market: Market, row: int, number: int, clock: Clock) -> float:
    """Shares of today's basis for one share of the session's."""
    latest = market.row(clock.today()) or 0
    return float(market.factors[max(latest, row), number] / market.factors[row, number])


def _number(value: float) -> float | int:
    """Return a whole number as int, so that it is written without a fraction."""
    return int(value) if value == int(value) else value


def _bar(market: Market, row: int, number: int, factor: float, stamp: int) -> dict[str, object]:
    bars = draw_bars(market, row)
    prices = {
        "o": bars.open[number],
        "c": bars.close[number],
        "h": bars.high[number],
        "l": bars.low[number],
    }
    return {
        "v": _number(round(float(bars.volume[number]) * factor, 4)),
        "vw": _number(round(float(bars.vwap[number]) / factor, 4)),
        **{key: _number(round(float(price) / factor, 4)) for key, price in prices.items()},
        "t": stamp,
        "n": int(bars.trades[number]),
    }


def _fund_bar(day: date, stamp: int) -> dict[str, object]:
    close = fund_close_cents(day) / 100
    prices = {"o": close, "c": close, "h": round(close + 0.08, 2), "l": round(close - 0.07, 2)}
    return {"v": 41250 + int(unit("fund volume", day.isoformat()) * 9000), "vw": close, **prices, "t": stamp, "n": 512}


def _is_adjusted(request: Request) -> bool:
    text = request.query.get("adjusted", "true").lower()
    if text not in {"true", "false"}:
        raise replies.bad_request(f"Could not parse the adjusted parameter: '{text}'. Use true or false")
    return text == "true"


def _refuse_early(market: Market, day: date, clock: Clock) -> None:
    """Refuse days outside the plan, and today's bars before their release."""
    if day > clock.today() or day < market.days[0]:
        raise replies.outside_plan()
    if day == clock.today() and market.session_row(day) is not None and not clock.has_released(day):
        raise replies.before_end_of_day()


@lru_cache(maxsize=64)
def _grouped_rows(market: Market, row: int, latest: int) -> tuple[dict[str, object], ...]:
    """Bars of all lines that traded on a session, on the split basis of the session ``latest``."""
    day = market.days[row]
    stamp = to_milliseconds(day, _CLOSE)
    factors = market.factors[latest] / market.factors[row]
    found: list[dict[str, object]] = [
        {"T": line.symbol_on(day)} | _bar(market, row, number, float(factors[number]), stamp)
        for number, line in enumerate(market.lines)
        if line.listed.holds(day)
    ]
    if is_fund("META", day):
        found.append({"T": "META"} | _fund_bar(day, stamp))
    return tuple(sorted(found, key=lambda bar: unit("grouped", str(bar["T"]))))


def answer_grouped(request: Request, settings: Settings, text: str) -> bytes:
    """Every line's bar of one day; a day without a session has no results."""
    market, day, adjusted = load_market(settings.clock.today()), replies.read_day(text, "date"), _is_adjusted(request)
    _refuse_early(market, day, settings.clock)
    row = market.session_row(day)
    if row is None:
        return _wrap({}, (), request, settings, adjusted=adjusted)
    latest = max(market.row(settings.clock.today()) or 0, row) if adjusted else row
    return _wrap({}, _grouped_rows(market, row, latest), request, settings, adjusted=adjusted)


def _wrap(
    front: dict[str, object],
    bars: tuple[dict[str, object], ...],
    request: Request,
    settings: Settings,
    *,
    adjusted: bool,
    next_url: str | None = None,
) -> bytes:
    content = {**front, "queryCount": len(bars), "resultsCount": len(bars), "adjusted": adjusted}
    if bars:
        content["results"] = bars
    content |= {"status": settings.status, "request_id": request.request_id}
    if bars:
        content["count"] = len(bars)
    if next_url:
        content["next_url"] = next_url
    return replies.to_json(content)


def _read_end(text: str, what: str) -> date:
    """Read an end of a range: a date or milliseconds."""
    if text.isdecimal() and len(text) > 10:
        return datetime.fromtimestamp(int(text) / 1000, NEW_YORK).date()
    return replies.read_day(text, what)


def _bars_between(symbol: str, first: date, last: date, clock: Clock, adjusted: bool) -> Iterator[dict[str, object]]:
    market = load_market(clock.today())
    for row in range(bisect_left(market.days, first), bisect_right(market.days, last)):
        day = market.days[row]
        stamp = to_milliseconds(day, _OPENING)
        line = find_line(market, symbol, day)
        if line is not None:
            number = market.column[line.key]
            yield _bar(market, row, number, _adjustment(market, row, number, clock) if adjusted else 1.0, stamp)
        elif is_fund(symbol, day):
            yield _fund_bar(day, stamp)


def answer_aggregates(request: Request, settings: Settings, symbol: str, *window: str) -> bytes:
    """Daily bars of one symbol in a range of days."""
    multiplier, timespan, start, end = window
    if (multiplier, timespan) != ("1", "day"):
        raise replies.bad_request(f"The offline market has bars of 1 day only, not of {multiplier} {timespan}")
    market, clock, adjusted = load_market(settings.clock.today()), settings.clock, _is_adjusted(request)
    first, last = _read_end(start, "from"), _read_end(end, "to")
    limit = replies.read_limit(request.query, 5000, 50_000)
    if first > last:
        raise replies.bad_request(f"The 'from' date {first} is after the 'to' date {last}")
    if first == last or first > clock.today() or last < market.days[0]:
        _refuse_early(market, last if last < market.days[0] else first, clock)
    today = clock.today()
    last = min(last, today if clock.has_released(today) else date.fromordinal(today.toordinal() - 1))
    bars = list(_bars_between(symbol, first, last, clock, adjusted))
    if request.query.get("sort") == "desc":
        bars.reverse()
    next_url = None
    if len(bars) > limit:
        next_url = _next_range(request, symbol, bars[limit], (first, last))
        bars = bars[:limit]
    return _wrap({"ticker": symbol}, tuple(bars), request, settings, adjusted=adjusted, next_url=next_url)


def _next_range(request: Request, symbol: str, bar: dict[str, object], ends: tuple[date, date]) -> str:
    turn = datetime.fromtimestamp(int(str(bar["t"])) / 1000, NEW_YORK).date()
    first, last = (ends[0], turn) if request.query.get("sort") == "desc" else (turn, ends[1])
    kept = {key: value for key, value in request.query.items() if key in {"adjusted", "sort", "limit"}}
    query = "&".join(f"{key}={value}" for key, value in kept.items())
    return f"{request.base_url}/v2/aggs/ticker/{symbol}/range/1/day/{first}/{last}?{query}"


def answer_previous(request: Request, settings: Settings, symbol: str) -> bytes:
    """The bar of the last session that the plan may see."""
    market, clock, adjusted = load_market(settings.clock.today()), settings.clock, _is_adjusted(request)
    row = market.row(clock.today()) or 0
    if not clock.has_released(market.days[row]):
        row -= 1
    day = market.days[row]
    bars = tuple({"T": symbol} | bar for bar in _bars_between(symbol, day, day, clock, adjusted))
    return _wrap({"ticker": symbol}, bars, request, settings, adjusted=adjusted)


def answer_open_close(request: Request, settings: Settings, symbol: str, text: str) -> bytes:
    """Open, close and both ends of extended trading on one day."""
    market, day, adjusted = load_market(settings.clock.today()), replies.read_day(text, "date"), _is_adjusted(request)
    _refuse_early(market, day, settings.clock)
    line, row = find_line(market, symbol, day), market.session_row(day)
    if row is None or line is None:
        raise replies.data_not_found()
    number = market.column[line.key]
    bar = _bar(market, row, number, _adjustment(market, row, number, settings.clock) if adjusted else 1.0, 0)
    content = {
        "status": "OK",
        "from": day.isoformat(),
        "symbol": symbol,
        "open": bar["o"],
        "high": bar["h"],
        "low": bar["l"],
        "close": bar["c"],
        "volume": bar["v"],
        "afterHours": bar["c"],
        "preMarket": bar["o"],
    }
    return replies.to_json(content)
