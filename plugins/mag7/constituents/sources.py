"""Selecting the inputs of an evening that may be used, with the reasons why others may not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from mag7.constituents.announcements import Announcement
from mag7.constituents.decision import ProposalInputs
from mag7.constituents.identities import Identity
from mag7.constituents.readings import Reading
from mag7.constituents.statements import Statement, decided_by_answers, group_announcements
from mag7.constituents.timeline import Timeline
from mag7.sessions import is_session, previous_session

LEAST_OVERLAP: Final = 0.8
"""Smallest part of the list that a file must show: another fund's file shows less."""

LOOK_BACK: Final = 10
"""Sessions before the confirmed one within which a statement may still date a change that files show."""


@dataclass(frozen=True)
class Usable:
    """Readings by fund and in order, statements by date, identities; and the reasons why other inputs were refused."""

    readings: dict[str, list[Reading]]
    statements: tuple[Statement, ...]
    identities: tuple[Identity, ...]
    refused: tuple[str, ...]
    simulated: bool


def select(inputs: ProposalInputs, timeline: Timeline, confirmed: date, session: date, *, simulated: bool) -> Usable:
    """Select the inputs that may be used; ``simulated`` says whether simulated inputs may."""
    refused: list[str] = []
    readings = [one for one in inputs.readings if _is_allowed(one, refused, one.source, simulated=simulated)]
    announcements = [one for one in inputs.announcements if _is_allowed(one, refused, one.source, simulated=simulated)]
    identities = [one for one in inputs.identities if simulated or not one.simulated]
    if len(identities) < len(inputs.identities):
        refused.append("ticker details: simulated ones do not belong in this lake; they are not used")
    by_fund = _order(_check_readings(readings, timeline, session, refused))
    statements = [*_recent(announcements, confirmed, refused), *decided_by_answers(inputs.answers)]
    used: list[Reading | Announcement | Identity] = [one for mine in by_fund.values() for one in mine]
    used += [*announcements, *identities]
    return Usable(
        by_fund, tuple(statements), tuple(identities), tuple(dict.fromkeys(refused)), any(one.simulated for one in used)
    )


def _is_allowed(one: Reading | Announcement, refused: list[str], source: str, *, simulated: bool) -> bool:
    if one.simulated and not simulated:
        refused.append(f"{source}: simulated by the offline market, and this lake holds real facts; it is not used")
        return False
    return True


def _check_readings(
    readings: Iterable[Reading], timeline: Timeline, session: date, refused: list[str]
) -> Iterable[Reading]:
    for one in readings:
        if not is_session(one.as_of) or one.as_of > session:
            refused.append(
                f"{one.source}: holdings as of {one.as_of}, which is not a session up to {session}; it is not used"
            )
            continue
        misfit = find_misfit(one, timeline)
        if misfit is not None:
            refused.append(misfit)
            continue
        yield one


def find_misfit(one: Reading, timeline: Timeline) -> str | None:
    """Return why a file may be another fund's, where it shows too little of the list; None where it fits."""
    ours = {symbol for day in (one.as_of, previous_session(one.as_of)) for symbol in timeline.members(day).values()}
    shown = len(ours & one.symbols)
    if shown >= LEAST_OVERLAP * len(timeline.members(one.as_of)):
        return None
    return (
        f"{one.source}: only {shown} of its {len(one.lines)} lines are in the index as known, so it may be another "
        f"fund's; put the file of {one.fund} into the inbox"
    )


def _order(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Return the readings by fund, one a session: the last given of several."""
    newest = {(one.fund, one.as_of): one for one in readings}
    found: defaultdict[str, list[Reading]] = defaultdict(list)
    for (fund, _), one in sorted(newest.items()):
        found[fund].append(one)
    return dict(found)


def _recent(announcements: Iterable[Announcement], confirmed: date, refused: list[str]) -> Iterable[Statement]:
    since = previous_session(confirmed, LOOK_BACK)
    recent = []
    for one in announcements:
        if not is_session(one.effective):
            refused.append(f"{one.source}: {one.symbol} {one.action.value} on {one.effective}, which is not a session")
        elif one.effective >= since:
            recent.append(one)
    return group_announcements(recent)
