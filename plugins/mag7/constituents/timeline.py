"""The tables, with changes applied one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from types import MappingProxyType

from mag7.constituents.facts import Decided, FactRow, Facts, Table, make_identifiers, to_columns
from mag7.index.identifiers import IdentifierPeriod, Identifiers
from mag7.index.membership import Membership, ShareClasses, check_rows
from mag7.index.symbols import SymbolPeriod
from mag7.index.tables import Row
from mag7.sessions import previous_session


class Timeline:
    """Stays, symbols and identifiers by line and company, and the decision behind each changed row."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._stays: dict[str, tuple[Membership, ...]] = {}
        for stay in facts.membership.stays:
            self._stays[stay.ticker] = (*self._stays.get(stay.ticker, ()), stay)
        self._symbols = dict(facts.symbols)
        self._ciks, self._figis = facts.ciks, facts.figis
        self._members: dict[date, Mapping[str, str]] = {}
        self._tickers: dict[date, Mapping[str, str]] = {}
        self.decided: dict[FactRow, Decided] = {}

    @property
    def ciks(self) -> Identifiers:
        """The CIKs by issuer key."""
        return self._ciks

    @property
    def figis(self) -> Identifiers:
        """The share-class FIGIs by ticker."""
        return self._figis

    def members(self, session: date) -> Mapping[str, str]:
        """Return the lines in the index on a session, with their symbols then."""
        if session not in self._members:
            self._members[session] = MappingProxyType(
                {
                    ticker: self.symbol(ticker, session)
                    for ticker, stays in self._stays.items()
                    if any(stay.covers(session) for stay in stays)
                }
            )
        return self._members[session]

    def find_member(self, symbol: str, session: date) -> str | None:
        """Return the line in the index that has a symbol on a session."""
        return self.tickers(session).get(symbol)

    def tickers(self, session: date) -> Mapping[str, str]:
        """Return the lines in the index on a session by their symbols."""
        if session not in self._tickers:
            by_symbol = {symbol: ticker for ticker, symbol in self.members(session).items()}
            self._tickers[session] = MappingProxyType(by_symbol)
        return self._tickers[session]

    def _forget(self) -> None:
        self._members.clear()
        self._tickers.clear()

    def symbol(self, ticker: str, session: date) -> str:
        """Return a line's symbol on a session."""
        return next((one.symbol for one in self._symbols.get(ticker, ()) if one.covers(session)), ticker)

    def line(self, ticker: str) -> Membership | None:
        """Return the newest stay of a line; None where it never was in the index."""
        stays = self._stays.get(ticker)
        return stays[-1] if stays else None

    def lines_of(self, issuer: str) -> tuple[str, ...]:
        """Return the lines that a company ever had in the index."""
        return tuple(ticker for ticker, stays in self._stays.items() if stays[0].issuer == issuer)

    def issuers(self) -> frozenset[str]:
        """Return the keys of all companies."""
        return frozenset(stays[0].issuer for stays in self._stays.values())

    def join(self, stay: Membership, symbol: str, decided: Decided) -> None:
        """Add a stay under a symbol; if the company now has several classes, its other lines are changed, too."""
        known = self._stays.get(stay.ticker, ())
        self._stays[stay.ticker] = tuple(sorted((*known, stay), key=lambda one: one.member_from))
        self.decided[stay] = decided
        if stay.share_classes is ShareClasses.SEVERAL:
            for ticker in self.lines_of(stay.issuer):
                self._stays[ticker] = tuple(self._with_classes(one, decided) for one in self._stays[ticker])
        if not known and symbol != stay.ticker:
            period = SymbolPeriod(stay.ticker, symbol, None, None)
            self._symbols[stay.ticker] = (period,)
            self.decided[period] = decided
        elif self.symbol(stay.ticker, stay.member_from) != symbol:
            self.rename(stay.ticker, symbol, stay.member_from, decided)
        self._forget()

    def _with_classes(self, stay: Membership, decided: Decided) -> Membership:
        if stay.share_classes is ShareClasses.SEVERAL:
            return stay
        changed = replace(stay, share_classes=ShareClasses.SEVERAL)
        self.decided[changed] = decided
        return changed

    def leave(self, ticker: str, effective: date, decided: Decided) -> None:
        """End the stay that covers the session before a date; remove later stays of the line."""
        eve, kept = previous_session(effective), []
        for stay in self._stays[ticker]:
            if stay.covers(eve):
                ended = replace(stay, member_to=eve)
                self.decided[ended] = decided
                kept.append(ended)
            elif stay.member_from < effective:
                kept.append(stay)
        if kept:
            self._stays[ticker] = tuple(kept)
        else:
            del self._stays[ticker]
        self._forget()

    def stay(self, ticker: str, effective: date, decided: Decided) -> None:
        """Continue a stay that ended on the session before a date."""
        eve = previous_session(effective)
        kept = []
        for stay in self._stays[ticker]:
            kept.append(replace(stay, member_to=None) if stay.covers(eve) else stay)
            if kept[-1] != stay:
                self.decided[kept[-1]] = decided
        self._stays[ticker] = tuple(kept)
        self._forget()

    def rename(self, ticker: str, symbol: str, effective: date, decided: Decided) -> None:
        """Rename a line from a date on."""
        periods = self._symbols.get(ticker) or (SymbolPeriod(ticker, ticker, None, None),)
        kept = []
        for period in periods:
            if period.first is not None and period.first >= effective:
                continue
            late = period.last is None or period.last >= effective
            one = replace(period, last=previous_session(effective)) if late else period
            if one not in self._symbols.get(ticker, ()):
                self.decided[one] = decided
            kept.append(one)
        new = SymbolPeriod(ticker, symbol, effective, None)
        self.decided[new] = decided
        self._symbols[ticker] = (*kept, new)
        self._forget()

    def add_cik(
        self, issuer: str, cik: str, decided: Decided, *, first: date | None = None, ended: date | None = None
    ) -> None:
        """Add a CIK of a company from a session on; ``ended`` is the last session of the CIK that it replaces."""
        periods = self._ciks.periods.get(issuer, ())
        if ended is not None:
            periods = tuple(replace(one, last=ended) if one.last is None else one for one in periods)
        self._ciks = self._add(self._ciks, periods, IdentifierPeriod(issuer, cik, first, None), decided)

    def add_figi(self, ticker: str, figi: str, decided: Decided) -> None:
        """Add a share-class FIGI of a line."""
        periods = self._figis.periods.get(ticker, ())
        self._figis = self._add(self._figis, periods, IdentifierPeriod(ticker, figi, None, None), decided)

    def _add(
        self, old: Identifiers, periods: Iterable[IdentifierPeriod], new: IdentifierPeriod, decided: Decided
    ) -> Identifiers:
        mine = (*periods, new)
        self.decided |= {one: decided for one in mine if one not in old.periods.get(new.owner, ())}
        by_owner = {**old.periods, new.owner: mine}
        return make_identifiers(one for all_of_one in by_owner.values() for one in all_of_one)

    def to_facts(self, last_session: date) -> Facts:
        """Return the tables, confirmed through a session; raises FactTableInvalidError where they are invalid."""
        stays = [stay for mine in self._stays.values() for stay in mine]
        stays.sort(key=lambda stay: (stay.ticker, stay.member_from))
        checked = check_rows(
            Row(f"the row of {stay.ticker} from {stay.member_from}", to_columns(Table.MEMBERSHIP, stay))
            for stay in stays
        )
        membership = replace(self._facts.membership, stays=checked, last_session=last_session)
        return Facts(membership, MappingProxyType(dict(sorted(self._symbols.items()))), self._ciks, self._figis)
