"""What a document read back from the lake must hold to be compared with a new one and explained.

Documents of older schema versions pass: what came later may be absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

Shape = Any
"""A test of a value; an object's shapes by key (a key that ends in ? may be absent); [shape]: an array of such."""


def find_fault(content: object) -> str | None:
    """Say why a value is no document, None where it is one."""
    return _find_fault(content, _DOCUMENT, "the document")


def _find_fault(value: object, shape: Shape, place: str) -> str | None:
    if callable(shape):
        return None if shape(value) else f"{place} is not as a document has it"
    if isinstance(shape, list):
        return _find_fault_in_array(value, shape[0], place)
    return _find_fault_in_object(value, shape, place)


def _find_fault_in_array(value: object, shape: Shape, place: str) -> str | None:
    if not isinstance(value, list):
        return f"{place} is no array"
    faults = (_find_fault(item, shape, f"{place}[{position}]") for position, item in enumerate(value))
    return next(filter(None, faults), None)


def _find_fault_in_object(value: object, shape: Mapping[str, Shape], place: str) -> str | None:
    if not isinstance(value, dict):
        return f"{place} is no object"
    for name, inner in shape.items():
        key = name.removesuffix("?")
        if key in value:
            fault = _find_fault(value[key], inner, f"{place}.{key}")
        else:
            fault = f"{place} has no {key}" if name == key else None
        if fault:
            return fault
    return None


def _text(value: object) -> bool:
    return isinstance(value, str)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _number(value: object) -> bool:
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


def _day(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _scalar(value: object) -> bool:
    return value is None or _text(value) or _flag(value) or _number(value)


def _or_none(shape: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or shape(value)


def _scalars(value: object) -> bool:
    """An object whose values are scalars, but for what has a shape of its own."""
    return isinstance(value, dict) and all(_scalar(item) for item in value.values())


def _companies(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(company, dict)
        and _scalars(company.get("trading_data"))
        and _find_fault(company["trading_data"], _BAR, "") is None
        and _scalars({name: item for name, item in company.items() if name != "trading_data"})
        for company in value.values()
    )


def _line(value: object) -> bool:
    """A line: its figures are there where it has a cap; what has no shape here is a scalar."""
    if _find_fault(value, _LINE, "") is not None or not isinstance(value, Mapping):
        return False
    others = {name: item for name, item in value.items() if name not in _LINE and f"{name}?" not in _LINE}
    priced = value["market_cap"] is not None
    return _scalars(others) and (not priced or (value["close"] is not None and value["share_count"] is not None))


_SPLIT = {
    "ticker": _text,
    "execution_date": _day,
    "split_from": _number,
    "split_to": _number,
    "source": _text,
    "issuer?": _text,
}
_BAR = {
    "close_price": _number,
    **dict.fromkeys(("open_price", "high_price", "low_price", "volume", "vwap"), _or_none(_number)),
}
_LINE: dict[str, Shape] = {
    "ticker": _text,
    "symbol": _text,
    "company": _text,
    "main_line": _flag,
    "close": _or_none(_number),
    "share_count": _or_none(_number),
    "share_count_origin": _or_none(_text),
    "split_factor?": _or_none(_number),
    "splits_applied?": [_SPLIT],
    "market_cap": _or_none(_number),
    "counted": _flag,
    "provider_market_cap": _or_none(_number),
    "flags": [_text],
    "answers": [_text],
}
_DOCUMENT: dict[str, Shape] = {
    "source": _text,
    "trading_date": _day,
    "facts?": {"version": _text, "name": _text, "source": _text, "members_confirmed_through": _day},
    "companies": _companies,
    "concentration_metrics": _scalars,
    "sp500_details": {"failed_tickers": [{"ticker": _text, "reason": _text}]},
    "constituents": [_line],
    "coverage?": {"unpriced": [{"issuer": _text, "assumed_market_cap": _or_none(_number), "basis": _text}]},
    "seven_outside?": [_line],
    "splits?": [_SPLIT],
    "contested_splits?": [_SPLIT | {"reason": _text}],
}
