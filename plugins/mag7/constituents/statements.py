"""What is stated about a line, by whom: announcements of several sources brought together, and decisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from mag7.constituents.announcements import Action, Announcement
from mag7.constituents.facts import Decided
from mag7.constituents.questions import Answer, Item, Verdict

SAME_CHANGE: Final = timedelta(days=10)
"""Dates of one change that sources state differently lie no further apart than this."""

STATED: Final = "rule: stated"
BOTH_FUNDS: Final = "rule: both funds in two successive files"
SAME_COMPANY: Final = "rule: same company under a new symbol"


@dataclass(frozen=True)
class Statement:
    """A change of one line with its effective date, and who states or decided it.

    ``forced`` is a decision, by a person or by a rule from the files: it applies whoever states it.
    """

    action: Action
    symbol: str
    new_symbol: str | None
    effective: date
    sources: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()
    digests: tuple[str, ...] = ()
    simulated: bool = False
    forced: Decided | None = None

    @property
    def subject(self) -> str:
        """What the statement is about, for messages."""
        renamed = f" {self.new_symbol}" if self.new_symbol else ""
        return f"{self.symbol} {self.action.value}{renamed} {self.effective}"

    @property
    def is_enough(self) -> bool:
        """Return whether it applies from its date before files confirm it: two sources, a person, or a decision."""
        return self.forced is not None or bool(self.persons) or len(self.sources) >= 2

    @property
    def decided(self) -> Decided:
        """Who decided the rows that come of it."""
        if self.forced is not None:
            return self.forced
        by = ", ".join(f"person: {name}" for name in sorted(self.persons)) or STATED
        names = ", ".join(sorted(self.sources))
        return Decided(by, f"{self.subject}, stated by {names}", self.digests, names)


def group_announcements(announcements: Iterable[Announcement]) -> tuple[Statement, ...]:
    """Bring announcements of one change together, by effective date.

    Where sources date a change differently, the date of most sources counts, of equally many the later one. Of one
    source a newer announcement replaces an older one whose date was still to come.
    """
    by_line: defaultdict[tuple[Action, str, str], list[Announcement]] = defaultdict(list)
    for one in sorted(set(announcements), key=_order):
        by_line[one.action, one.symbol, one.new_symbol or ""].append(one)
    found = [_merge(group) for mine in by_line.values() for group in _split(_without_replaced(mine))]
    return tuple(sorted(found, key=lambda one: (one.effective, one.action, one.symbol)))


def decided_by_answers(answers: Iterable[Answer]) -> tuple[Statement, ...]:
    """Return the changes that persons accepted; one that a later answer takes back is none."""
    accepted = _accepted(answers)
    return tuple(
        one for place, one in enumerate(accepted) if not any(_takes_back(later, one) for later in accepted[place + 1 :])
    )


def _takes_back(later: Statement, one: Statement) -> bool:
    return later.symbol == one.symbol and later.action != one.action and later.effective <= one.effective


def _accepted(answers: Iterable[Answer]) -> tuple[Statement, ...]:
    return tuple(
        from_item(
            item, Decided(f"person: {answer.person}", f"accepted in question {answer.question.id}"), answer.effective
        )
        for answer in answers
        if answer.verdict is Verdict.ACCEPTED
        for item in answer.question.items
    )


def from_item(item: Item, decided: Decided, effective: date | None = None) -> Statement:
    """Make a decision of an item; ``effective`` replaces its date."""
    return Statement(item.action, item.symbol, None, effective or item.effective, forced=decided)


def _order(one: Announcement) -> tuple[str, ...]:
    return str(one.effective), one.source, str(one.announced_on), one.sha256, one.person or ""


def _without_replaced(mine: Sequence[Announcement]) -> list[Announcement]:
    return [one for one in mine if not any(_replaces(other, one) for other in mine)]


def _replaces(newer: Announcement, older: Announcement) -> bool:
    if newer.source != older.source or newer.announced_on is None or older.announced_on is None:
        return False
    still_to_come = older.effective > newer.announced_on
    return newer.announced_on > older.announced_on and newer.effective != older.effective and still_to_come


def _split(mine: Sequence[Announcement]) -> list[list[Announcement]]:
    groups: list[list[Announcement]] = []
    for one in mine:
        if groups and one.effective - groups[-1][-1].effective <= SAME_CHANGE:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _merge(group: Sequence[Announcement]) -> Statement:
    stated: defaultdict[date, set[str]] = defaultdict(set)
    for one in group:
        stated[one.effective].add(one.source)
    effective = max(stated, key=lambda day: (len(stated[day]), day))
    return Statement(
        group[0].action,
        group[0].symbol,
        group[0].new_symbol,
        effective,
        frozenset(one.source for one in group),
        frozenset(one.person for one in group if one.person),
        tuple(sorted({one.sha256 for one in group})),
        any(one.simulated for one in group),
    )
