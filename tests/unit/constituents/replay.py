"""Funds' files, announcements and ticker details made from the index's own table, which the rules must find again.

Nothing here is a fund's file: readings are made of the table (simulated), with the habits of the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256

from mag7.constituents.announcements import Action, Announcement
from mag7.constituents.decision import Decision, ProposalInputs
from mag7.constituents.facts import Facts, cut_at
from mag7.constituents.identities import Identity, Wanted
from mag7.constituents.propose import propose
from mag7.constituents.questions import Answer
from mag7.constituents.readings import IVV, SPY, HeldLine, Reading
from mag7.index.facts import load_packaged_facts
from mag7.sessions import list_sessions, next_session, previous_session

START = date(2025, 7, 17)
END = date(2026, 10, 6)
"""The table's last session when these tests were written; later rows are not used."""

SOURCES = ("a list of changes", "another list")


@lru_cache(1)
def truth() -> Facts:
    """The table as it is known, up to END."""
    return cut_at(Facts.of(load_packaged_facts()), END)


@lru_cache(8)
def as_of(day: date = START) -> Facts:
    """The table as it was on a day, without later changes."""
    return cut_at(truth(), day)


def members(facts: Facts, day: date) -> frozenset[tuple[str, str]]:
    """The lines of a session by symbol and company."""
    found = set()
    for stay in facts.membership.stays:
        if stay.covers(day):
            periods = facts.symbols.get(stay.ticker, ())
            found.add((next((one.symbol for one in periods if one.covers(day)), stay.ticker), stay.issuer))
    return frozenset(found)


def symbol_on(ticker: str, day: date) -> str:
    """The true symbol of a line on a day."""
    return next((one.symbol for one in truth().symbols.get(ticker, ()) if one.covers(day)), ticker)


def symbols(day: date) -> frozenset[str]:
    """The true symbols of a session."""
    return frozenset(symbol for symbol, _ in members(truth(), day))


def make_reading(fund: str, day: date, held: Iterable[str], *, cusips: dict[str, str] | None = None) -> Reading:
    """A fund's file of a session with these symbols, all of one weight (simulated)."""
    lines = tuple(HeldLine(symbol, f"{symbol} INC", (cusips or {}).get(symbol)) for symbol in sorted(held))
    digest = sha256(f"{fund} {day} {[line.symbol for line in lines]}".encode()).hexdigest()
    weights = {line.symbol: Decimal("0.02") for line in lines}
    return Reading(fund, f"{fund} {day}", digest, day, lines, weights=weights)


def read_exactly(fund: str, day: date) -> Reading:
    """A fund's file that shows exactly the index of its session."""
    return make_reading(fund, day, symbols(day))


def read_with_habits(fund: str, day: date) -> Reading:
    """A file as a fund makes it: IVV is sometimes a session off the index, SPY lacks a line that was acquired."""
    shift = 0 if fund == SPY else (0, 1, -1)[day.toordinal() % 3]
    shown = day if shift == 0 else next_session(day) if shift == 1 else previous_session(day)
    held = set(symbols(min(shown, END)))
    if fund == SPY and date(2026, 2, 4) <= day <= date(2026, 2, 6):
        held.discard("DAY")
    if fund == SPY and day == date(2025, 10, 30):
        held = held - {"SOLS"} | {"SOLSV"}
    return make_reading(fund, day, held)


def list_announcements(sources: Sequence[str] = SOURCES, *, days_before: int = 5) -> tuple[Announcement, ...]:
    """Every change between START and END as sources state it, some days before it happens."""
    found = []
    for effective, action, symbol, new in _list_changes():
        announced = date.fromordinal(effective.toordinal() - days_before)
        found += [
            Announcement(effective, action, symbol, new, announced, source, sha256(source.encode()).hexdigest())
            for source in sources
        ]
    return tuple(found)


def _list_changes() -> Iterator[tuple[date, Action, str, str | None]]:
    for day in list_sessions(next_session(START), END):
        eve = previous_session(day)
        before = {stay.ticker: symbol_on(stay.ticker, eve) for stay in truth().membership.on(eve)}
        after = {stay.ticker: symbol_on(stay.ticker, day) for stay in truth().membership.on(day)}
        yield from ((day, Action.JOINS, after[ticker], None) for ticker in after.keys() - before.keys())
        yield from ((day, Action.LEAVES, before[ticker], None) for ticker in before.keys() - after.keys())
        same = before.keys() & after.keys()
        yield from ((day, Action.RENAMED, before[x], after[x]) for x in same if before[x] != after[x])


def tell(wanted: Iterable[Wanted]) -> tuple[Identity, ...]:
    """What the provider says of symbols: the company that has the symbol on that day, in the index or not."""
    return tuple(_tell(one.symbol, one.day) for one in wanted)


@lru_cache(4096)
def _tell(symbol: str, day: date) -> Identity:
    stays = [stay for stay in truth().membership.stays if symbol_on(stay.ticker, day) == symbol]
    stays.sort(key=lambda stay: (not stay.covers(day), stay.member_to is not None, stay.ticker))
    if not stays:
        return Identity(symbol, day, known=False)
    stay = stays[0]
    return Identity(symbol, day, True, stay.company, truth().ciks.on(stay.issuer, day))


def decide(
    facts: Facts,
    session: date,
    readings: Sequence[Reading] = (),
    announcements: Sequence[Announcement] = (),
    *,
    answers: Sequence[Answer] = (),
    identities: Sequence[Identity] = (),
    ask: Callable[[Iterable[Wanted]], tuple[Identity, ...]] = tell,
    simulated: bool = False,
) -> Decision:
    """Propose, ask the provider for what is wanted, and propose again, as a run does."""
    inputs = ProposalInputs(readings, announcements, identities, answers)
    decision = propose(facts, inputs, session, simulated=simulated)
    for _ in range(3):
        if not decision.wanted:
            break
        inputs = replace(inputs, identities=(*inputs.identities, *ask(decision.wanted)))
        decision = propose(facts, inputs, session, simulated=simulated)
    return decision


def run_daily(
    facts: Facts,
    last: date,
    read: Callable[[str, date], Reading] = read_with_habits,
    announcements: Sequence[Announcement] = (),
    *,
    funds: Sequence[str] = (IVV, SPY),
) -> Iterator[Decision]:
    """Decide on the evening of every session after the confirmed one, with the files of the session before."""
    readings: list[Reading] = []
    for session in list_sessions(next_session(facts.confirmed_through), last):
        eve = previous_session(session)
        readings = [*readings[-4 * len(funds) :], *(read(fund, eve) for fund in funds)]
        known = [one for one in announcements if one.announced_on is None or one.announced_on <= session]
        decision = decide(facts, session, readings, known)
        facts = decision.facts
        yield decision
