"""What a fuzz case is made of: hostile scalars, JSON that our encoder may write and no serializer would, mutations."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

ANY_LETTER = st.characters(exclude_categories=())
"""Surrogates included, which hypothesis leaves out by itself: JSON can write half a pair."""

AWKWARD_TEXTS = (
    "",
    " ",
    "\n",
    "two\nlines",
    "next\u2028line",
    "\r\x0b\x0c\x1c\x85",
    "\ud800",
    "half \udfff pair",
    "\x00",
    "\x1b[31mred",
    "\u202eright to left",
    "'; DROP TABLE market_data.splits; --",
    "../../raw/polygon",
    "{{ ti.xcom_pull() }}",
    "NaN",
    "Infinity",
    "-0",
    "1e999999999",
    "0E+999999999",
    "1_000",
    "٣٤",
    "2024-12-13",
    "20241213",
    "2024-W50-5",
    "0001-01-01",
    "9999-12-31",
    "2024-02-30",
    "true",
    "AAPL",
    "GOOGL",
    "null",
)
LONG_TEXTS = st.sampled_from((("9", 400), ("9", 5000), ("x\n", 3000), ("x", 70_000))).map(
    lambda part: part[0] * part[1]
)
TEXTS = st.one_of(st.sampled_from(AWKWARD_TEXTS), st.text(ANY_LETTER, max_size=12), LONG_TEXTS)


@dataclass(frozen=True)
class Raw:
    """A piece of JSON text as it is, such as a number that no Python value prints as."""

    text: str


@dataclass(frozen=True)
class Repeated:
    """An object one of whose keys stands there twice."""

    content: dict[str, Any]
    key: str
    value: Any


RAW_NUMBERS = (
    "1e999999999",
    "-1e999999999",
    "0e999999999",
    "0.0e-999999999",
    "1e-400",
    "1e24",
    "1e23",
    "-0.0",
    "1.50",
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "1.",
    "+1",
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((0, -1, 1, 2**31, 2**63, -(2**63), 10**23, 10**24)),
    st.sampled_from((400, 4000, 5000)).map(lambda digits: Raw("9" * digits)),
    st.sampled_from((30, 2000)).map(lambda digits: Raw("0." + "3" * digits)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(RAW_NUMBERS).map(Raw),
    TEXTS,
)


def nest(depth: int, value: Any = None) -> Raw:
    """Write arrays inside one another, deeper than an interpreter's stack."""
    return Raw("[" * depth + encode(value) + "]" * depth)


def nest_objects(depth: int) -> Raw:
    """Write objects inside one another."""
    return Raw('{"a":' * depth + "1" + "}" * depth)


DEEP = st.one_of(
    st.sampled_from((50, 400, 900, 960, 990, 1100, 100_000)).map(nest),
    st.sampled_from((300, 900, 990, 20_000)).map(nest_objects),
)
VALUES = st.one_of(
    SCALARS,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
        max_leaves=6,
    ),
    DEEP,
)


def encode(value: Any) -> str:
    """Write JSON, and what is nearly JSON."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Repeated):
        pairs = [*value.content.items(), (value.key, value.value)]
        return "{" + ",".join(f"{json.dumps(key)}:{encode(item)}" for key, item in pairs) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(encode(item) for item in value) + "]"
    return json.dumps(value)


def list_spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document, as its container and the key or position in it."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from list_spots(value[key])


def mutated(example: Any, most: int = 3) -> st.SearchStrategy[Any]:
    """A valid document with up to ``most`` places replaced, removed, repeated, wrapped, added to or mixed up."""

    @st.composite
    def mutate(draw: Callable[..., Any]) -> Any:
        document = {"root": copy.deepcopy(example)}
        for _ in range(draw(st.integers(0, most))):
            spots = list(list_spots(document))
            if not spots:
                break
            container, key = draw(st.sampled_from(spots))
            _mutate(draw, container, key, spots)
        return document.get("root")

    return mutate()


def _mutate(draw: Callable[..., Any], container: Any, key: Any, spots: Sequence[tuple[Any, Any]]) -> None:
    value = container[key]
    match draw(st.sampled_from(("replace", "replace", "delete", "wrap", "text", "add", "repeat", "swap"))):
        case "replace":
            container[key] = draw(VALUES)
        case "delete":
            del container[key]
        case "wrap":
            container[key] = draw(st.sampled_from(([value], {"value": value}, [value, value], [], {})))
        case "text":
            container[key] = str(value)[:100] + draw(st.sampled_from(("", "\n", " ", "\ud83d")))
        case "add" if isinstance(value, list):
            value.append(draw(VALUES) if not value or draw(st.booleans()) else copy.deepcopy(value[0]))
        case "add" if isinstance(value, dict):
            value[draw(TEXTS)] = draw(VALUES)
        case "repeat" if isinstance(value, dict) and value:
            container[key] = Repeated(value, draw(st.sampled_from(sorted(value))), draw(SCALARS))
        case _:
            other, at = draw(st.sampled_from(list(spots)))
            with_value = other[at] if at in other or (isinstance(other, list) and at < len(other)) else None
            container[key] = copy.deepcopy(with_value)


def broken(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A text that is cut off somewhere, or has a few letters replaced."""

    @st.composite
    def breaks(draw: Callable[..., Any]) -> str:
        text = draw(texts)
        place = draw(st.integers(0, len(text)))
        return text[:place] + draw(TEXTS) + text[place + draw(st.integers(0, 5)) :]

    return breaks()


def json_bodies(*examples: Any) -> st.SearchStrategy[str]:
    """Bodies near some valid ones, other JSON, and text that is none."""
    near = st.one_of(*(mutated(example).map(encode) for example in examples))
    exact = st.sampled_from([encode(example) for example in examples])
    return st.one_of(near, near, near, near, broken(exact), VALUES.map(encode), TEXTS)


def to_bytes(text: str) -> bytes:
    """Encode a text, half pairs too, as bytes that a file may hold."""
    return text.encode("utf-8", "surrogatepass")


def byte_bodies(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Bodies as bytes: texts in several encodings, and what is no text."""
    return st.one_of(
        texts.map(to_bytes),
        texts.map(to_bytes),
        texts.map(lambda text: b"\xef\xbb\xbf" + to_bytes(text)),
        texts.map(lambda text: text.encode("utf-16", "replace")),
        texts.map(lambda text: text.encode("cp1252", "replace")),
        st.binary(max_size=60),
    )
