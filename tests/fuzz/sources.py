"""Funds' files and announcements, damaged: IVV as CSV and JSON, SPY's workbook, lists and pages of changes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import strategies as st

from mag7.constituents.announcements import read_announcements
from mag7.constituents.ishares import read_ivv
from mag7.constituents.readings import SYMBOL, Reading
from mag7.constituents.spdr import read_spy
from mag7.sessions import is_session
from tests.fuzz.hostile import TEXTS, broken, byte_bodies, to_bytes
from tests.fuzz.tables import Table, files
from tests.fuzz.tiers import Fuzzed, ours_or_value
from tests.unit.constituents.files import NAMES, make_json, write_csv, write_workbook

NAME = "inbox/file"
WORKBOOK = write_workbook()
"""One for all cases: its parts carry the time at which it was written."""
CHANGES: Table = [
    ["effective_date", "added", "removed", "announced_on", "source", "kind"],
    ["2026-09-21", "BE", "TAP", "2026-09-04", "a release", ""],
    ["2026-10-06", "SKYD", "PSKY", "", "", "rename"],
]
PAGE = (
    "<!DOCTYPE html><html><body><table><tr><th>Effective date</th><th>Added</th><th>Removed</th></tr>"
    "<tr><td>2026-09-21</td><td>BE</td><td>TAP</td></tr></table></body></html>"
)


@st.composite
def columns(draw: Callable[..., Any]) -> dict[str, Any]:
    """IVV's document with a value, a column or a level that is something else."""
    document = make_json()
    points = document["componentsByNameMap"]["holdings"]["containersByNameMap"]["all"]["dataPointsByNameMap"]
    odd = st.one_of(TEXTS, st.none(), st.integers(), st.floats(), st.booleans(), st.just([]), st.just({}))
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(sorted(points)))
        values = points[name].get("value") if isinstance(points[name], dict) else None
        if isinstance(values, list) and values and draw(st.booleans()):
            values[draw(st.integers(0, len(values) - 1))] = draw(odd)
        elif draw(st.booleans()):
            points[name] = draw(odd)
        else:
            points[name] = {"value": draw(odd)}
    return document


@st.composite
def workbooks(draw: Callable[..., Any]) -> bytes:
    """SPY's workbook with bytes or one of its parts changed."""
    whole = WORKBOOK
    if draw(st.booleans()):
        place = draw(st.integers(0, len(whole) - 1))
        return whole[:place] + draw(st.binary(max_size=4)) + whole[place + draw(st.integers(0, 4)) :]
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(packed, "w") as new:
        names = old.namelist()
        chosen = draw(st.sampled_from(names))
        for name in names:
            body = old.read(name)
            if name == chosen:
                place = draw(st.integers(0, len(body)))
                body = draw(st.sampled_from((body, body[:place], b"", body[:place] + b"<x/>" + body[place:])))
            new.writestr(name, body)
    return packed.getvalue()


def check_reading(reading: Reading | None) -> None:
    """Whatever came in, a reading is a whole list of symbols of a session, or it is none."""
    if reading is None:
        return
    assert is_session(reading.as_of)
    assert 490 <= len(reading.lines) == len(reading.symbols) <= 515
    assert all(SYMBOL.fullmatch(symbol) for symbol in reading.symbols)
    assert len(reading.symbols & set(NAMES)) >= 490


def check_ivv(body: bytes) -> None:
    check_reading(ours_or_value(lambda: read_ivv(body, NAME), NAME))


def check_spy(body: bytes) -> None:
    check_reading(ours_or_value(lambda: read_spy(body, NAME), NAME))


def check_changes(body: bytes) -> None:
    found = ours_or_value(lambda: read_announcements(body, NAME), NAME)
    for one in found or ():
        assert is_session(one.effective)
        assert SYMBOL.fullmatch(one.symbol)
        assert one.new_symbol is None or SYMBOL.fullmatch(one.new_symbol)
        assert type(one.announced_on) in {date, type(None)}


def _damaged(body: bytes) -> st.SearchStrategy[bytes]:
    """A file as it is, cut off, or with some of its bytes replaced."""
    places, more = st.integers(0, len(body)), st.one_of(st.just(b""), st.binary(max_size=4))
    replaced = st.tuples(places, more, st.integers(0, 4)).map(
        lambda one: body[: one[0]] + one[1] + body[sum(one[::2]) :]
    )
    return st.one_of(st.just(body), replaced, places.map(lambda place: body[:place]))


TARGETS = (
    Fuzzed("sources.ivv_csv", st.one_of(_damaged(write_csv()), byte_bodies(TEXTS)), check_ivv, short=15, long=300),
    Fuzzed(
        "sources.ivv_json",
        st.one_of(columns().map(json.dumps).map(to_bytes), broken(st.just(json.dumps(make_json()))).map(to_bytes)),
        check_ivv,
        short=15,
        long=300,
    ),
    Fuzzed("sources.spy", workbooks(), check_spy, short=10, long=150),
    Fuzzed(
        "sources.announcements",
        st.one_of(files(CHANGES), _damaged(PAGE.encode()), byte_bodies(TEXTS)),
        check_changes,
        short=30,
        long=800,
    ),
)
