"""Statements: changes of lines, with who states them. They come from announcements of several sources and decisions."""

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
"""Announcements of a line whose dates are at most this far apart are about one change."""

STATED: Final = "rule: stated"
BOTH_FUNDS: Final = "rule: both funds in two successive files"
SAME_COMPANY: Final = "rule: same company under a new symbol"


@dataclass(frozen=True)
class Statement:
    """A change of one line with its effective date, and who stated or decided it.

    ``forced`` is a decision by a person, or by a rule from the files: it applies without further statements.
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
        """Return whether it applies before files confirm it: two sources or a person state it, or it was decided."""
        return self.forced is not None or bool(self.persons) or len(self.sources) >= 2

    @property
    def decided(self) -> Decided:
        """Who decided the rows that follow from it."""
        if self.forced is not None:
            return self.forced
        by = ", ".join(f"person: {name}" for name in sorted(self.persons)) or STATED
        names = ", ".join(sorted(self.sources))
        return Decided(by, f"{self.subject}, stated by {names}", self.digests, names)


def group_announcements(announcements: Iterable[Announcement]) -> tuple[Statement, ...]:
    """Merge the announcements of each change into a statement; returns statements by effective date.

    Where sources give different dates, the date of most sources counts, or the latest of several such dates. A newer
    announcement of a source replaces its older one whose date was still in the future.
    """
    by_line: defaultdict[tuple[Action, str, str], list[Announcement]] = defaultdict(list)
    for one in sorted(set(announcements), key=_order):
        by_line[one.action, one.symbol, one.new_symbol or ""].append(one)
    found = [_merge(group) for mine in by_line.values() for group in _split(_without_replaced(mine))]
    return tuple(sorted(found, key=lambda one: (one.effective, one.action, one.symbol)))


def decided_by_answers(answers: Iterable[Answer]) -> tuple[Statement, ...]:
    """Return the changes that persons accepted, without those that a later answer reverses."""
    accepted = _accepted(answers)
    return tuple(
        one for place, one in enumerate(accepted) if not any(_reverses(later, one) for later in accepted[place + 1 :])
    )


def _reverses(later: Statement, one: Statement) -> bool:
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
    """Make a decided statement of an item; ``effective`` replaces its date."""
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
