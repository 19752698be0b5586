"""Comparing a fund's file with the list of members: lines in both, lines that the file lacks, and strangers.

A fund trades at the close of the session before a change, of its date, or a session later, and shows some new symbols a
session late. So a file agrees with the list where each of its lines is in the index on its session or an adjacent one,
and it has every line that is in the index on all three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from mag7.constituents.announcements import Action
from mag7.constituents.building import Change
from mag7.constituents.readings import SPY, HeldLine, Reading
from mag7.constituents.timeline import Timeline
from mag7.sessions import next_session, previous_session

GONE_EARLY: Final = 10
"""Sessions before it leaves the index on which a line that was acquired may be missing in a fund's file."""

Judge = Callable[[Timeline, str, HeldLine, Reading], bool]
"""Returns whether a line of a file is another company's than the line that has its symbol in our tables."""


@dataclass(frozen=True)
class Shown:
    """What a file shows: its lines by our tickers, strangers (lines not in the index), and missing lines."""

    reading: Reading
    lines: Mapping[str, HeldLine]
    strangers: Mapping[str, HeldLine]
    missing: frozenset[str]


def compare(timeline: Timeline, reading: Reading, is_other: Judge) -> Shown:
    """Compare a file with the list of its session and of the two adjacent ones."""
    day = reading.as_of
    days = (day, previous_session(day), next_session(day))
    near = [timeline.members(one) for one in days]
    by_symbol = [timeline.tickers(one) for one in days]
    lines: dict[str, HeldLine] = {}
    strangers: dict[str, HeldLine] = {}
    for line in reading.lines:
        ticker = by_symbol[0].get(line.symbol)
        if ticker is None or ticker in lines:
            tickers = (found.get(line.symbol) for found in by_symbol[1:])
            ticker = next((one for one in tickers if one is not None and one not in lines), None)
        if ticker is None or is_other(timeline, ticker, line, reading):
            strangers[line.symbol] = line
        else:
            lines[ticker] = line
    _take_when_issued(by_symbol, lines, strangers)
    soon = timeline.members(next_session(day, GONE_EARLY))
    missing = frozenset(ticker for ticker in near[0] if ticker in near[1] and ticker in near[2] and ticker in soon)
    return Shown(reading, lines, strangers, missing - lines.keys())


def _take_when_issued(
    by_symbol: Iterable[Mapping[str, str]], lines: dict[str, HeldLine], strangers: dict[str, HeldLine]
) -> None:
    """Match a spin-off's line that is in a file under its when-issued symbol, which has a V at its end."""
    for symbol in [symbol for symbol in strangers if len(symbol) > 2 and symbol.endswith("V")]:
        found = (members.get(symbol[:-1]) for members in by_symbol)
        ticker = next((one for one in found if one is not None and one not in lines), None)
        if ticker is not None:
            lines[ticker] = strangers.pop(symbol)


def has_effect(change: Change, shown: Shown) -> bool:
    """Return whether a file, of the change's date or later, shows the change."""
    if change.action is Action.LEAVES:
        return change.ticker not in shown.lines and change.symbol not in shown.strangers
    line = shown.lines.get(change.ticker)
    return line is not None and (change.action is Action.JOINS or line.symbol == change.symbol)


@dataclass(frozen=True)
class Proof:
    """What the files prove about a change.

    ``shown``: by a file of its date or later. ``denied``: by a file of a later session. ``early``: shown by a file of
    the session before its date.
    """

    shown: bool = False
    denied: bool = False
    early: bool = False


def prove(changes: Iterable[Change], files: Iterable[Shown]) -> dict[Change, Proof]:
    """Find what the files prove about each change; a proven change also proves earlier changes of its line."""
    by_line: defaultdict[str, list[Change]] = defaultdict(list)
    for change in sorted(changes, key=lambda one: one.effective):
        by_line[change.ticker].append(change)
    shown = sorted(files, key=lambda one: one.reading.as_of)
    return {change: proof for mine in by_line.values() for change, proof in _prove_line(mine, shown)}


def _prove_line(mine: list[Change], files: list[Shown]) -> list[tuple[Change, Proof]]:
    found: list[tuple[Change, Proof]] = []
    until = date.max
    later = Proof()
    for change in reversed(mine):
        during = [one for one in files if change.effective <= one.reading.as_of < until]
        effect = any(has_effect(change, one) for one in during)
        late = any(one.reading.as_of > change.effective and not has_effect(change, one) for one in during)
        eve = previous_session(change.effective)
        early = any(one.reading.as_of == eve and has_effect(change, one) for one in files)
        later = Proof(effect or later.shown, (late or later.denied) and not effect, early)
        found.append((change, later))
        until = change.effective
    return found


@dataclass(frozen=True)
class Sighting:
    """Since when one fund's files show a difference.

    ``first`` is the session of the first file of an unbroken series up to the newest, ``before`` that of the file
    before it, ``times`` the length of the series, ``digests`` the SHA-256 of its first two files.
    """

    first: date
    before: date | None
    times: int
    digests: tuple[str, ...] = ()


def find_sightings(files: Mapping[str, list[Shown]], shows: Callable[[Shown], bool]) -> dict[str, Sighting]:
    """Find the funds whose newest file shows a difference, and since when they show it."""
    found = {}
    for fund, mine in files.items():
        times = 0
        for one in reversed(mine):
            if not shows(one):
                break
            times += 1
        if times:
            before = mine[-times - 1].reading.as_of if times < len(mine) else None
            digests = tuple(one.reading.sha256 for one in mine[-times:][:2])
            found[fund] = Sighting(mine[-times].reading.as_of, before, times, digests)
    return found


def date_difference(
    sightings: Mapping[str, Sighting], confirmed: date, *, leaves: bool = False
) -> tuple[date, date, date]:
    """Return the first and last possible session of a difference, and the best estimate.

    SPY shows a change on its date; another fund may also show it a session before or after. A line that ``leaves`` may
    disappear from a file early where it was acquired, but does not stay longer: so the fund that has it longest counts.
    """
    last = max(sightings, key=lambda fund: (sightings[fund].first, fund))
    shown_until = sightings[last].before or previous_session(sightings[last].first)
    if leaves and any(one.first < shown_until for one in sightings.values()):
        sightings = {last: sightings[last]}
    earliest = [
        next_session(one.before if one.before is not None else confirmed)
        if fund == SPY or one.before is None
        else one.before
        for fund, one in sightings.items()
    ]
    latest = [one.first if fund == SPY else next_session(one.first) for fund, one in sightings.items()]
    low, high = max(earliest), min(latest)
    first = sightings[SPY].first if SPY in sightings else min(one.first for one in sightings.values())
    low, high = min(low, high), max(low, high)
    return low, high, min(max(first, low), high)
