"""Reading announced changes of the index: only symbols and dates are used.

A row has one of two forms, in CSV, in JSON (a list, or an object with a list ``changes``) and in a page's tables:

- a row a change: ``effective_date``, ``added``, ``removed``, ``announced_on``, ``source``, and ``kind`` where it is a
  rename (then ``removed`` is the former symbol and ``added`` the new one);
- a row an action: ``effective``, ``announced``, ``action`` (addition, deletion, symbol change), ``symbol``,
  ``new_symbol``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from html.parser import HTMLParser
from typing import Final

from mag7.constituents.readings import LARGEST_FILE, SYMBOL, ReadingError, digest
from mag7.index.holdings import SIMULATED_FOOTER
from mag7.index.symbols import normalize_symbol
from mag7.session_calendar import load_calendar

NEXT_STEP: Final = "nothing was read from it: correct the row, or take the file out of the inbox"
DATE_FORMS: Final = ("%Y-%m-%d", "%B %d, %Y", "%b %d, %Y", "%d-%b-%Y")
RENAMES: Final = frozenset({"rename", "symbol change"})


class Action(StrEnum):
    """What happens to a line before the market opens on the effective date."""

    JOINS = "joins"
    LEAVES = "leaves"
    RENAMED = "renamed"


ACTIONS: Final[Mapping[str, Action]] = {
    "addition": Action.JOINS,
    "deletion": Action.LEAVES,
    "symbol change": Action.RENAMED,
}


@dataclass(frozen=True)
class Announcement:
    """One source's statement about one line: from ``effective`` on it is in the index, out of it, or has a new symbol.

    Two announcements of one ``source`` count as one. ``person`` is the person who put it into the inbox or entered it,
    if any: such an announcement applies before files confirm it. A row of a file in the inbox may name its source.
    """

    effective: date
    action: Action
    symbol: str
    new_symbol: str | None
    announced_on: date | None
    source: str
    sha256: str
    person: str | None = None
    simulated: bool = False


def read_announcements(body: bytes, source: str, *, person: str | None = None) -> tuple[Announcement, ...]:
    """Read a list or a page of announced changes.

    ``source`` names the list in messages and is the source of its rows. Where a ``person`` provided the file, a row may
    name another source; a page counts as one source, whatever its rows say. Raises ReadingError, which names the row,
    for an effective date that is not a session, an invalid symbol, and a row of neither form.
    """
    if len(body) > LARGEST_FILE:
        raise ReadingError(source, f"at most {LARGEST_FILE} bytes", f"{len(body)}", NEXT_STEP)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise ReadingError(source, "text in UTF-8", f"something else ({wrong})", NEXT_STEP) from None
    simulated = SIMULATED_FOOTER in text.casefold()
    rows = list(_read_rows(text, source))
    if not rows:
        raise ReadingError(source, "a table of changes with effective dates", f"none in {text[:60]!r}", NEXT_STEP)
    sha256 = digest(body)
    parsed = [one for number, row in enumerate(rows, 1) for one in _parse(row, f"{source} row {number}")]
    return tuple(
        Announcement(
            effective,
            action,
            symbol,
            new,
            announced,
            stated_by if person and stated_by else source,
            sha256,
            person,
            simulated,
        )
        for effective, action, symbol, new, announced, stated_by in parsed
    )


_Parsed = tuple[date, Action, str, str | None, date | None, str]


def _read_rows(text: str, source: str) -> Iterator[Mapping[str, str]]:
    start = text.lstrip()[:1]
    if start == "<":
        tables = _Tables()
        tables.feed(text)
        yield from tables.found()
    elif start in {"{", "["}:
        yield from _read_json(text, source)
    else:
        try:
            reader = csv.DictReader(io.StringIO(text, newline=""))
            yield from ({_name(key): (value or "").strip() for key, value in row.items() if key} for row in reader)
        except csv.Error as wrong:
            raise ReadingError(source, "comma-separated text", f"something else ({wrong})", NEXT_STEP) from None


def _read_json(text: str, source: str) -> Iterator[Mapping[str, str]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise ReadingError(source, "a JSON document", f"something else ({wrong})", NEXT_STEP) from None
    rows = document.get("changes") if isinstance(document, Mapping) else document
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ReadingError(source, "a list of changes", type(rows).__name__, NEXT_STEP)
    for row in rows:
        yield {_name(str(key)): str(value).strip() if isinstance(value, str) else "" for key, value in row.items()}


def _name(column: str) -> str:
    return column.strip().casefold().replace(" ", "_")


def _parse(row: Mapping[str, str], place: str) -> Iterable[_Parsed]:
    if "action" in row and "effective" in row:
        return (_parse_action(row, place),)
    if "effective_date" in row and ("added" in row or "removed" in row):
        return _parse_change(row, place)
    expected = "the columns effective_date, added, removed, or effective, action, symbol"
    raise ReadingError(place, expected, ", ".join(row) or "none", NEXT_STEP)


def _parse_action(row: Mapping[str, str], place: str) -> _Parsed:
    action = ACTIONS.get(row["action"])
    if action is None:
        raise ReadingError(place, f"one of the actions {', '.join(ACTIONS)}", repr(row["action"]), NEXT_STEP)
    new = _symbol(row.get("new_symbol", ""), place) if action is Action.RENAMED else None
    announced = row.get("announced", "")
    return (
        _session(row["effective"], place),
        action,
        _symbol(row.get("symbol", ""), place),
        new,
        _day(announced, place) if announced else None,
        row.get("source", ""),
    )


def _parse_change(row: Mapping[str, str], place: str) -> Iterable[_Parsed]:
    effective = _session(row["effective_date"], place)
    added, removed, announced_on = row.get("added", ""), row.get("removed", ""), row.get("announced_on", "")
    announced, stated_by = _day(announced_on, place) if announced_on else None, row.get("source", "")
    if not added and not removed:
        raise ReadingError(place, "a symbol added or removed", "neither", NEXT_STEP)
    if row.get("kind", "") in RENAMES:
        yield effective, Action.RENAMED, _symbol(removed, place), _symbol(added, place), announced, stated_by
        return
    if added:
        yield effective, Action.JOINS, _symbol(added, place), None, announced, stated_by
    if removed:
        yield effective, Action.LEAVES, _symbol(removed, place), None, announced, stated_by


def _symbol(text: str, place: str) -> str:
    symbol = normalize_symbol(text)
    if not SYMBOL.fullmatch(symbol):
        raise ReadingError(place, "a symbol such as AAPL or BRK.B", repr(text), NEXT_STEP)
    return symbol


def _day(text: str, place: str) -> date:
    for form in DATE_FORMS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007  a day has no zone
        except ValueError:
            continue
    raise ReadingError(place, "a date such as 2026-12-21", repr(text), NEXT_STEP)


def _session(text: str, place: str) -> date:
    day, calendar = _day(text, place), load_calendar()
    if calendar.find(day) is None:
        raise ReadingError(place, "an effective date that is a session", calendar.explain(day), NEXT_STEP)
    return day


class _Tables(HTMLParser):
    """Collects the cells of a page's tables that have a column of effective dates; other text is ignored."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._rows: list[list[str]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell."""
        if tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag in {"td", "th"} and self._cell is not None and self._rows:
            self._rows[-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data: str) -> None:
        """Collect the text of a cell."""
        if self._cell is not None:
            self._cell.append(data)

    def found(self) -> Iterator[Mapping[str, str]]:
        """Yield the rows below a header with a column of effective dates, by column."""
        header: list[str] = []
        for cells in self._rows:
            names = [_name(cell) for cell in cells]
            if {"effective", "effective_date"} & set(names):
                header = names
            elif len(cells) == len(header):
                yield dict(zip(header, cells, strict=True))
