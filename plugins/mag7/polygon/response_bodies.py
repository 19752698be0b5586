"""Parse the provider's response bodies strictly: a value of the wrong type or day is an error, never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from mag7.polygon.bars import DailyBar, leave_out_impossible
from mag7.polygon.errors import BodyInvalidError
from mag7.polygon.response_fields import Fields, check_status, name_json_type, parse_object, show_value

NEW_YORK = ZoneInfo("America/New_York")

LEAST_OF_SESSION = 100
"""A response in which fewer than one in this many tickers is of the session is another day's as a whole. Otherwise
bars of another day are left out by ticker, however many they are: this module does not know which tickers are needed,
the index is a twentieth of the market, and a session that lacks bars of its lines is refused for its coverage."""

LARGEST_VOLUME = 10**15
"""A volume of this many shares or more is not believed; what is less fits into 64 bits."""


@dataclass(frozen=True)
class TickerDetails:
    """What the provider says of a ticker on a date; everything but the ticker can be missing.

    ``market_cap`` is in ``currency``; the counts are shares: ``weighted_shares_outstanding`` as if every class were
    converted into this one, ``share_class_shares_outstanding`` of this class alone. ``unusable`` gives, by
    the provider's field name, the reason why a field counts as missing although it is there; ``kind`` is the
    provider's type (CS, ETF ...).
    """

    ticker: str
    name: str | None
    kind: str | None
    cik: str | None
    share_class_figi: str | None
    currency: str | None
    description: str | None
    market_cap: Decimal | None
    weighted_shares_outstanding: int | None
    share_class_shares_outstanding: int | None
    unusable: Mapping[str, str] = field(default_factory=dict)


def parse_ticker_details(body: str, symbol: str) -> TickerDetails:
    """Parse ticker details; a malformed field that does not identify the company counts as missing.

    Raises BodyInvalidError naming the field where the response is about another ticker or its CIK is malformed.
    """
    subject = f"ticker details of {symbol}"
    content = parse_object(body, subject)
    check_status(content, subject)
    fields = Fields(content.get("results"), subject, "results")
    ticker = fields.text("ticker")
    if ticker != symbol:
        fields.refuse("ticker", f"is {show_value(ticker)}, not {symbol}: a response for another ticker")
    unusable: dict[str, str] = {}
    return TickerDetails(
        ticker=symbol,
        name=fields.tolerate("name", fields.text, unusable),
        kind=fields.tolerate("type", fields.text, unusable),
        cik=fields.cik("cik"),
        share_class_figi=fields.tolerate("share_class_figi", fields.text, unusable),
        currency=fields.tolerate("currency_name", fields.text, unusable),
        description=fields.tolerate("description", fields.text, unusable),
        market_cap=fields.tolerate("market_cap", fields.positive, unusable),
        weighted_shares_outstanding=fields.tolerate("weighted_shares_outstanding", fields.count, unusable),
        share_class_shares_outstanding=fields.tolerate("share_class_shares_outstanding", fields.count, unusable),
        unusable=unusable,
    )


@dataclass(frozen=True, slots=True)
class ListedSplit:
    """A split as the provider lists it: ``split_from`` shares became ``split_to`` before trading on the date."""

    ticker: str
    execution_date: date
    split_from: Decimal
    split_to: Decimal


@dataclass(frozen=True)
class SplitPage:
    """One page of the provider's list of splits, and why some tickers' entries cannot be used."""

    splits: tuple[ListedSplit, ...]
    unusable: Mapping[str, str]


def parse_splits(body: str) -> SplitPage:
    """Parse a page of the list of splits; a malformed entry makes only its ticker unusable.

    A page may be empty. Raises BodyInvalidError for a body without a list, or an entry without a ticker.
    """
    subject = "list of splits"
    content = parse_object(body, subject)
    check_status(content, subject)
    results = content.get("results")
    if not isinstance(results, list):
        raise BodyInvalidError(subject, f"results is {name_json_type(results)}, not an array")
    splits: list[ListedSplit] = []
    unusable: dict[str, str] = {}
    for position, result in enumerate(results):
        fields = Fields(result, subject, f"results[{position}]")
        ticker = fields.required("ticker", fields.text)
        fields.place = f"{fields.place} ({show_value(ticker)})"
        try:
            day = fields.required("execution_date", fields.day)
            split_from, split_to = fields.price("split_from"), fields.price("split_to")
        except BodyInvalidError as invalid:
            unusable[ticker] = invalid.reason
        else:
            splits.append(ListedSplit(ticker, day, split_from, split_to))
    return SplitPage(tuple(splits), unusable)


@dataclass(frozen=True)
class GroupedDaily:
    """Every ticker's bar of one session, and why some tickers' bars cannot be used: by ticker, both."""

    bars: Mapping[str, DailyBar]
    unusable: Mapping[str, str]


def parse_grouped_daily(body: str, session: date) -> GroupedDaily:
    """Parse every ticker's bar of one session.

    The response holds the whole market, and a bar that cannot be used makes only its ticker unusable: one without a
    close or a time; one of another day (the New York date; the provider stamps the end of the window) where the ticker
    has no other; two of the session that differ. In any other bar only the values that cannot be true are left out.
    Raises BodyInvalidError for a body without results (a holiday, or a day not released yet) or without one usable bar,
    for adjusted prices, for an entry without a ticker, and for a response that is another day's as a whole
    (LEAST_OF_SESSION).
    """
    subject = f"grouped daily of {session.isoformat()}"
    content = parse_object(body, subject)
    check_status(content, subject)
    if content.get("adjusted") is not False:
        adjusted = show_value(content.get("adjusted"))
        raise BodyInvalidError(subject, f"adjusted is {adjusted}, not false: prices must be as traded")
    results = content.get("results")
    if not isinstance(results, list | None):
        raise BodyInvalidError(subject, f"results is {name_json_type(results)}, not an array")
    if not results:
        raise BodyInvalidError(subject, "no results: the provider has no bar for this session")
    return _parse_bars(results, subject, session)


def _parse_bars(results: list[Any], subject: str, session: date) -> GroupedDaily:
    bars: dict[str, DailyBar] = {}
    unusable: dict[str, str] = {}
    elsewhen: dict[str, str] = {}
    days = _Days(session)
    for position, result in enumerate(results):
        fields = Fields(result, subject, f"results[{position}]")
        ticker = fields.text("T")
        if not ticker:
            fields.refuse("T", "is missing")
        fields.place = f"{fields.place} ({show_value(ticker)})"
        try:
            moment = fields.required("t", fields.whole)
            days.check(fields, moment)
        except BodyInvalidError as invalid:
            elsewhen.setdefault(ticker, invalid.reason)
            continue
        try:
            bar = _parse_bar(fields, ticker, moment)
            if not _is_same(bar, bars.setdefault(ticker, bar)):
                fields.refuse("T", f"is {show_value(ticker)}, a second bar of one ticker that differs")
        except BodyInvalidError as invalid:
            unusable.setdefault(ticker, invalid.reason)
    bars = {ticker: bar for ticker, bar in bars.items() if ticker not in unusable}
    of_session = len(bars) + len(unusable)
    missing = {ticker: reason for ticker, reason in elsewhen.items() if ticker not in bars and ticker not in unusable}
    if days.stale and LEAST_OF_SESSION * of_session < of_session + len(missing):
        raise BodyInvalidError(subject, f"{days.stale} of {len(results)} bars are of another day: {days.example}")
    unusable |= missing
    if not bars:
        raise BodyInvalidError(subject, next(iter(unusable.values())))
    return GroupedDaily(bars, unusable)


def _parse_bar(fields: Fields, ticker: str, moment: int) -> DailyBar:
    """Parse a bar of the session; raises BodyInvalidError where its close is not a price."""
    malformed: dict[str, str] = {}
    volume = fields.tolerate("v", fields.positive, malformed)
    bar = DailyBar(
        ticker=ticker,
        open=fields.tolerate("o", fields.positive, malformed),
        high=fields.tolerate("h", fields.positive, malformed),
        low=fields.tolerate("l", fields.positive, malformed),
        close=fields.price("c"),
        volume=volume if volume is None or volume < LARGEST_VOLUME else None,
        # The provider gives zero where it has none.
        vwap=fields.tolerate("vw", fields.amount, malformed) or None,
        timestamp_ms=moment,
        inconsistent=bool(malformed),
    )
    return leave_out_impossible(bar)


def _is_same(bar: DailyBar, other: DailyBar) -> bool:
    return bar is other or replace(bar, timestamp_ms=other.timestamp_ms) == other


class _Days:
    """Checks that bars are the session's, each time once, and counts those of another day."""

    def __init__(self, session: date) -> None:
        self._session = session
        self._right: set[int] = set()
        self.stale = 0
        self.example = ""

    def check(self, fields: Fields, milliseconds: int) -> None:
        if milliseconds in self._right:
            return
        try:
            moment = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
        except (ValueError, OverflowError, OSError):
            fields.refuse("t", f"is {milliseconds}, not a time in milliseconds")
        day = moment.astimezone(NEW_YORK).date()
        if day != self._session:
            self.stale += 1
            what = f"is {milliseconds}, that is {day} in New York, not {self._session}"
            self.example = self.example or f"{fields.place}.t {what}"
            fields.refuse("t", what)
        self._right.add(milliseconds)
