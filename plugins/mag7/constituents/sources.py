"""Which evidence of an evening may be used, and why the rest may not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from mag7.constituents.announcements import Announcement
from mag7.constituents.decision import Evidence
from mag7.constituents.identities import Identity
from mag7.constituents.readings import Reading
from mag7.constituents.statements import Statement, decided_by_answers, group_announcements
from mag7.constituents.timeline import Timeline
from mag7.sessions import is_session, previous_session

LEAST_OVERLAP: Final = 0.8
"""Part of the list that a file must show: another fund of as many lines shows less."""

LOOK_BACK: Final = 10
"""Sessions before the confirmed one from which on a statement may still date what files show."""


@dataclass(frozen=True)
class Usable:
    """The readings by fund and in order, the statements by date, the identities; and why other evidence is left out."""

    readings: dict[str, list[Reading]]
    statements: tuple[Statement, ...]
    identities: tuple[Identity, ...]
    refused: tuple[str, ...]
    simulated: bool


def select(evidence: Evidence, timeline: Timeline, confirmed: date, session: date, *, simulated: bool) -> Usable:
    """Select the evidence that may be used; ``simulated`` says whether simulated evidence may."""
    refused: list[str] = []
    readings = [one for one in evidence.readings if _is_allowed(one, refused, one.source, simulated=simulated)]
    announcements = [
        one for one in evidence.announcements if _is_allowed(one, refused, one.source, simulated=simulated)
    ]
    identities = [one for one in evidence.identities if simulated or not one.simulated]
    if len(identities) < len(evidence.identities):
        refused.append("ticker details: simulated ones do not belong into this lake; they are not used")
    by_fund = _order(_check_readings(readings, timeline, session, refused))
    statements = [*_recent(announcements, confirmed, refused), *decided_by_answers(evidence.answers)]
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
            refused.append(f"{one.source}: holdings as of {one.as_of}, no session up to {session}; it is not used")
            continue
        misfit = find_misfit(one, timeline)
        if misfit is not None:
            refused.append(misfit)
            continue
        yield one


def find_misfit(one: Reading, timeline: Timeline) -> str | None:
    """Return why a file may be another fund's: it shows too little of the list; None where it fits."""
    ours = {symbol for day in (one.as_of, previous_session(one.as_of)) for symbol in timeline.members(day).values()}
    shown = len(ours & one.symbols)
    if shown >= LEAST_OVERLAP * len(timeline.members(one.as_of)):
        return None
    return (
        f"{one.source}: only {shown} of its {len(one.lines)} lines are in the index as known, so it may be another "
        f"fund's; put the file of {one.fund} into the inbox"
    )


def _order(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """The readings by fund, one a session: of several the last one given."""
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
