"""What comes out of proposing: the tables as they should be, and what is asked, missing or in doubt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mag7.constituents.announcements import Announcement
from mag7.constituents.facts import Facts, RowEdit
from mag7.constituents.identities import Identity, Wanted
from mag7.constituents.questions import Answer, Item, Question
from mag7.constituents.readings import Reading
from mag7.index.membership import Membership
from mag7.sessions import list_sessions


@dataclass(frozen=True)
class Evidence:
    """Everything that a decision of an evening rests on.

    ``readings``: the newest of each fund and session, with those of at least the three sessions before the confirmed
    one; ``announcements``: all that were ever read and have not been withdrawn; ``answers``: every answer of a person;
    ``identities``: what the provider said about symbols, at least what earlier decisions wanted.
    """

    readings: Sequence[Reading] = ()
    announcements: Sequence[Announcement] = ()
    identities: Sequence[Identity] = ()
    answers: Sequence[Answer] = ()


@dataclass(frozen=True)
class Decision:
    """What the evidence of an evening proves about the index.

    ``facts`` are the tables as they should be, ``edits`` the rows in which they differ from the given ones: none, where
    nothing changes. ``provisional`` changes apply from their date and are not confirmed yet. ``wanted`` details of
    symbols are missing for more: ask, and propose again. ``refused`` says which evidence was not used, and why;
    ``reasons`` what holds the confirmed session back. ``doubtful`` are the symbols about which files, statements and
    list differ, ``doubtful_pct`` their part of the fund, None where no file shows it.
    """

    session: date
    facts: Facts
    edits: tuple[RowEdit, ...]
    confirmed_before: date
    confirmed_through: date
    provisional: tuple[Item, ...]
    questions: tuple[Question, ...]
    wanted: tuple[Wanted, ...]
    refused: tuple[str, ...]
    reasons: tuple[str, ...]
    doubtful: tuple[str, ...]
    doubtful_pct: Decimal | None
    simulated: bool


def list_changed_sessions(before: Facts, after: Facts, first: date, last: date) -> tuple[date, ...]:
    """List the sessions on which two states name different lines, symbols or CIKs: those to build again."""
    tickers = _list_differing(before, after)
    old, new = (_keep(facts, tickers) for facts in (before, after))
    days = list_sessions(first, last) if tickers else ()
    return tuple(day for day in days if set(_describe(before, old, day)) != set(_describe(after, new, day)))


def _list_differing(before: Facts, after: Facts) -> frozenset[str]:
    """List the lines of which a stay, a symbol or a CIK differs: years of sessions are compared for these only."""
    stays = {*before.membership.stays} ^ {*after.membership.stays}
    symbols = _differ(before.symbols, after.symbols)
    issuers = _differ(before.ciks.periods, after.ciks.periods)
    both = (*before.membership.stays, *after.membership.stays)
    return frozenset({stay.ticker for stay in stays} | symbols | {one.ticker for one in both if one.issuer in issuers})


def _differ(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def _keep(facts: Facts, tickers: Collection[str]) -> tuple[Membership, ...]:
    return tuple(stay for stay in facts.membership.stays if stay.ticker in tickers)


def _describe(facts: Facts, stays: Iterable[Membership], session: date) -> Iterable[tuple[object, ...]]:
    for stay in stays:
        if stay.covers(session):
            symbol = next(
                (one.symbol for one in facts.symbols.get(stay.ticker, ()) if one.covers(session)), stay.ticker
            )
            classes = stay.share_classes, stay.main_line
            yield stay.ticker, symbol, stay.issuer, facts.ciks.on(stay.issuer, session), *classes
