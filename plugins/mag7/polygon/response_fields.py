"""The fields of a response body, read strictly: JSON with exact decimals, and each field of its type or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from mag7.errors import one_line
from mag7.polygon.errors import BodyInvalidError

_Value = TypeVar("_Value")

GOOD_STATUSES = frozenset({"OK", "DELAYED"})
"""DELAYED is the status of cheaper plans: the data is good."""

_SURROGATE = re.compile("[\ud800-\udfff]")

LARGEST_EXPONENT = 24
"""Numbers from 10^24 up or 10^-24 down are refused: no price, volume or market value comes near them."""


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
        raise BodyInvalidError(subject, f"the body is {name_json_type(content)}, not an object")
    return content


def check_status(content: Mapping[str, Any], subject: str) -> None:
    """Raise BodyInvalidError for a body whose status is not OK or DELAYED."""
    status = content.get("status", "OK")
    if not isinstance(status, str) or status not in GOOD_STATUSES:
        message = content.get("error") or content.get("message") or "no message"
        raise BodyInvalidError(subject, f"status is {show_value(status)}, not OK or DELAYED ({show_value(message)})")


class Fields:
    """One object of a body, read field by field; every refusal names the field and the value."""

    def __init__(self, content: Any, subject: str, place: str) -> None:
        self._subject = subject
        self.place = place
        if not isinstance(content, dict):
            what = "missing" if content is None else f"{name_json_type(content)}, not an object"
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
            self.refuse(name, f"is {name_json_type(value)}, not a string")
        if not value.isascii() and _SURROGATE.search(value):
            self.refuse(name, "holds half a surrogate pair, which is not text")
        return value or None

    def amount(self, name: str) -> Decimal | None:
        value = self._content.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.refuse(name, f"is {name_json_type(value)}, not a number")
        number = Decimal(value)
        if number and abs(number.adjusted()) >= LARGEST_EXPONENT:
            self.refuse(name, f"is {show_value(value)}, too large or too small to be true")
        if number < 0:
            self.refuse(name, f"is {show_value(value)}, less than zero")
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
            self.refuse(name, f"is {show_value(number)}, not a whole number")
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
            self.refuse(name, f"is {show_value(text)}, not a date")

    def cik(self, name: str) -> str | None:
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            self.refuse(name, f"is {show_value(text)}, not a CIK of at most 10 digits")
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
    return type(error).__name__ if not str(error) else show_value(str(error))


def name_json_type(value: Any) -> str:
    """Name the JSON type of a value as a message has it, such as "an object"."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def show_value(value: Any) -> str:
    """Show a value in a message: an object or array by its type, any other one shortened."""
    # Objects and arrays can be nested deeper than printing them can go.
    return name_json_type(value) if isinstance(value, dict | list) else one_line(str(value), 80)
