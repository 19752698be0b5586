"""The inputs of a proposal and its result: the tables as they should be, questions, missing inputs, and doubts."""

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
class ProposalInputs:
    """Everything that an evening's decision is worked out from.

    - ``readings``: the newest of each fund and session, from at least three sessions before the confirmed one on.
    - ``announcements``: all that were ever read and not withdrawn.
    - ``identities``: the provider's details of symbols, at least those that earlier decisions ``wanted``.
    - ``answers``: every answer of a person.
    """

    readings: Sequence[Reading] = ()
    announcements: Sequence[Announcement] = ()
    identities: Sequence[Identity] = ()
    answers: Sequence[Answer] = ()


@dataclass(frozen=True)
class Decision:
    """What an evening's inputs prove about the index.

    - ``facts``: the tables as they should be; ``edits``: the rows in which they differ from the given ones, empty where
      nothing changes.
    - ``provisional``: changes that apply from their date and are not confirmed yet.
    - ``questions``: for a person.
    - ``wanted``: details of symbols that are missing: request them, then propose again.
    - ``refused``: inputs that were not used, with the reason.
    - ``reasons``: what keeps later sessions from being confirmed.
    - ``doubtful``: symbols on which files, statements and list disagree; ``doubtful_pct``: their weight in the fund in
      per cent, None where no file shows it.
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
    """List the sessions on which two states have different lines, symbols or CIKs: those to build again."""
    tickers = _list_differing(before, after)
    old, new = (_keep(facts, tickers) for facts in (before, after))
    days = list_sessions(first, last) if tickers else ()
    return tuple(day for day in days if set(_describe(before, old, day)) != set(_describe(after, new, day)))


def _list_differing(before: Facts, after: Facts) -> frozenset[str]:
    """List the lines whose stays, symbols or CIKs differ: only these are compared over years of sessions."""
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
