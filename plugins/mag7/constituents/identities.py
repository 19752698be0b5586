"""The companies behind symbols, by the provider's ticker details of a date, which the caller fetches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

NEAR_DAYS: Final = 31
"""Largest number of days between a date and the identity that is used for it."""


@dataclass(frozen=True)
class Identity:
    """The provider's details of a symbol on a day: name, CIK and share-class FIGI, each where it is given.

    ``known`` is False where the provider does not know the symbol on that day.
    """

    symbol: str
    day: date
    known: bool = True
    name: str | None = None
    cik: str | None = None
    share_class_figi: str | None = None
    simulated: bool = False


@dataclass(frozen=True, order=True)
class Wanted:
    """A symbol whose details on a day a decision needs: request them and propose again."""

    symbol: str
    day: date


class Identities:
    """All identities, by symbol and day."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        self._found: defaultdict[str, list[Identity]] = defaultdict(list)
        for identity in sorted(identities, key=lambda one: (one.symbol, one.day, one.known)):
            self._found[identity.symbol].append(identity)

    def find(self, symbol: str, day: date) -> Identity | None:
        """Return the identity nearest to a day, the later of two equally near ones; None where none is near."""
        if symbol not in self._found:
            return None
        near = [one for one in self._found[symbol] if abs(one.day - day).days <= NEAR_DAYS]
        return min(near, key=lambda one: (abs(one.day - day), -one.day.toordinal()), default=None)

    def find_until(self, symbol: str, day: date) -> Identity | None:
        """Return the newest near identity up to a day; a later one may be another company's."""
        found = self._found.get(symbol, ())
        return next((one for one in reversed(found) if 0 <= (day - one.day).days <= NEAR_DAYS), None)
