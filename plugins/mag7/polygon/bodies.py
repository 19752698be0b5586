"""Parse the provider's response bodies strictly: a value of the wrong type or day is an error, never a guess."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeVar
from zoneinfo import ZoneInfo

from mag7.errors import one_line
from mag7.polygon.bars import DailyBar as DailyBar  # noqa: PLC0414  the market room reads bars through this module
from mag7.polygon.bars import leave_out_impossible
from mag7.polygon.errors import BodyInvalidError

_Value = TypeVar("_Value")

NEW_YORK = ZoneInfo("America/New_York")
GOOD_STATUSES = frozenset({"OK", "DELAYED"})
"""DELAYED is the status of cheaper plans: the data is good."""

_SURROGATE = re.compile("[\ud800-\udfff]")

LEAST_OF_SESSION = 100
"""A response in which fewer than one in this many tickers is of the session is another day's as a whole. Otherwise
bars of another day are left out by ticker, however many they are: this module does not know which tickers are needed,
the index is a twentieth of the market, and a session that lacks bars of its lines is refused for its coverage."""

LARGEST_VOLUME = 10**15
"""A volume of this many shares or more is not believed; what is less fits into 64 bits."""

LARGEST_EXPONENT = 24
"""Numbers from 10^24 up or 10^-24 down are refused: no price, volume or market value comes near them."""


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


def parse_object(body: str, subject: str) -> dict[str, Any]:
    """Parse a body that must be a JSON object, decimals exact; raises BodyInvalidError."""
    if not body.strip():
        raise BodyInvalidError(subject, "the body is empty")
    try:
        content = json.loads(
            body, parse_float=_parse_decimal, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BodyInvalidError(subject, f"the body is not JSON that can be used ({_describe(error)})") from None
    if not isinstance(content, dict):
        raise BodyInvalidError(subject, f"the body is {_kind(content)}, not an object")
    return content


def parse_ticker_details(body: str, symbol: str) -> TickerDetails:
    """Parse ticker details; a malformed field that does not identify the company counts as missing.

    Raises BodyInvalidError naming the field where the response is about another ticker or its CIK is malformed.
    """
    subject = f"ticker details of {symbol}"
    content = parse_object(body, subject)
    _check_status(content, subject)
    fields = _Fields(content.get("results"), subject, "results")
    ticker = fields.text("ticker")
    if ticker != symbol:
        fields.refuse("ticker", f"is {_show(ticker)}, not {symbol}: a response for another ticker")
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
    _check_status(content, subject)
    results = content.get("results")
    if not isinstance(results, list):
        raise BodyInvalidError(subject, f"results is {_kind(results)}, not an array")
    splits: list[ListedSplit] = []
    unusable: dict[str, str] = {}
    for position, result in enumerate(results):
        fields = _Fields(result, subject, f"results[{position}]")
        ticker = fields.required("ticker", fields.text)
        fields.place = f"{fields.place} ({_show(ticker)})"
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
    _check_status(content, subject)
    if content.get("adjusted") is not False:
        adjusted = _show(content.get("adjusted"))
        raise BodyInvalidError(subject, f"adjusted is {adjusted}, not false: prices must be as traded")
    results = content.get("results")
    if not isinstance(results, list | None):
        raise BodyInvalidError(subject, f"results is {_kind(results)}, not an array")
    if not results:
        raise BodyInvalidError(subject, "no results: the provider has no bar for this session")
    return _parse_bars(results, subject, session)


def _parse_bars(results: list[Any], subject: str, session: date) -> GroupedDaily:
    bars: dict[str, DailyBar] = {}
    unusable: dict[str, str] = {}
    elsewhen: dict[str, str] = {}
    days = _Days(session)
    for position, result in enumerate(results):
        fields = _Fields(result, subject, f"results[{position}]")
        ticker = fields.text("T")
        if not ticker:
            fields.refuse("T", "is missing")
        fields.place = f"{fields.place} ({_show(ticker)})"
        try:
            moment = fields.required("t", fields.whole)
            days.check(fields, moment)
        except BodyInvalidError as invalid:
            elsewhen.setdefault(ticker, invalid.reason)
            continue
        try:
            bar = _parse_bar(fields, ticker, moment)
            if not _is_same(bar, bars.setdefault(ticker, bar)):
                fields.refuse("T", f"is {_show(ticker)}, a second bar of one ticker that differs")
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


def _parse_bar(fields: _Fields, ticker: str, moment: int) -> DailyBar:
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

    def check(self, fields: _Fields, milliseconds: int) -> None:
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


def _check_status(content: Mapping[str, Any], subject: str) -> None:
    status = content.get("status", "OK")
    if not isinstance(status, str) or status not in GOOD_STATUSES:
        message = content.get("error") or content.get("message") or "no message"
        raise BodyInvalidError(subject, f"status is {_show(status)}, not OK or DELAYED ({_show(message)})")


class _Fields:
    """One object of a body, read field by field; every refusal names the field and the value."""

    def __init__(self, content: Any, subject: str, place: str) -> None:
        self._subject = subject
        self.place = place
        if not isinstance(content, dict):
            what = "missing" if content is None else f"{_kind(content)}, not an object"
            raise BodyInvalidError(subject, f"{place} is {what}")
        self._content = content

    def refuse(self, name: str, what: str) -> NoReturn:
        raise BodyInvalidError(self._subject, f"{self.place}.{name} {what}")

    def required(self, name: str, read: Callable[[str], _Value | None]) -> _Value:
        value = read(name)
        if value is None:
            self.refuse(name, "is missing")
        return value

    def tolerate(self, name: str, read: Callable[[str], _Value | None], unusable: dict[str, str]) -> _Value | None:
        """Read a field; a malformed one is None, and its reason is noted."""
        try:
            return read(name)
        except BodyInvalidError as invalid:
            unusable[name] = invalid.reason.removeprefix(f"{self.place}.")
            return None

    def text(self, name: str) -> str | None:
        value = self._content.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(name, f"is {_kind(value)}, not a string")
        if not value.isascii() and _SURROGATE.search(value):
            self.refuse(name, "holds half a surrogate pair, which is not text")
        return value or None

    def amount(self, name: str) -> Decimal | None:
        value = self._content.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.refuse(name, f"is {_kind(value)}, not a number")
        number = Decimal(value)
        if number and abs(number.adjusted()) >= LARGEST_EXPONENT:
            self.refuse(name, f"is {_show(value)}, too large or too small to be true")
        if number < 0:
            self.refuse(name, f"is {_show(value)}, less than zero")
        # Zero with a large exponent would be written out when it is rounded.
        return number or Decimal(0)

    def positive(self, name: str) -> Decimal | None:
        number = self.amount(name)
        if number is not None and number <= 0:
            self.refuse(name, f"is {number}, not more than zero")
        return number

    def price(self, name: str) -> Decimal:
        return self.required(name, self.positive)

    def whole(self, name: str) -> int | None:
        number = self.amount(name)
        if number is None:
            return None
        if number != number.to_integral_value():
            self.refuse(name, f"is {_show(number)}, not a whole number")
        return int(number)

    def count(self, name: str) -> int | None:
        number = self.whole(name)
        if number == 0:
            self.refuse(name, "is 0, not a number of shares")
        return number

    def day(self, name: str) -> date | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return date.fromisoformat(text)
        except ValueError:
            self.refuse(name, f"is {_show(text)}, not a date")

    def cik(self, name: str) -> str | None:
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            self.refuse(name, f"is {_show(text)}, not a CIK of at most 10 digits")
        return text.zfill(10)


def _parse_decimal(text: str) -> Decimal:
    return Decimal(text)


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a field is there twice")
    return content


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _describe(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return type(error).__name__ if not str(error) else _show(str(error))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _show(value: Any) -> str:
    # Objects and arrays can be nested deeper than printing them can go.
    return _kind(value) if isinstance(value, dict | list) else one_line(str(value), 80)
