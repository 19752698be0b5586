"""Finding the last session for which the list of members is confirmed on an evening."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from mag7.constituents.building import Change
from mag7.constituents.comparing import Proof
from mag7.constituents.questions import Item
from mag7.constituents.readings import Reading
from mag7.constituents.statements import Statement
from mag7.sessions import previous_session


@dataclass(frozen=True)
class Confirmed:
    """The last confirmed session, and the reasons why later ones are not confirmed."""

    through: date
    reasons: tuple[str, ...]


def find_confirmed(
    before: date,
    session: date,
    *,
    readings: Sequence[Reading],
    proofs: Mapping[Change, Proof],
    waiting: Iterable[Statement],
    differences: Iterable[Item],
) -> Confirmed:
    """Find the last session for which the list is confirmed on the evening of a session.

    Files that agree with the list confirm it through their session. Files of the session before confirm this session,
    too, where no change is stated for it. A stated change that no file shows yet stops confirmation before its date; a
    difference stops it before the first session on which it may have arisen.
    """
    newest = max((one.as_of for one in readings), default=None)
    if newest is None or newest <= previous_session(before):
        return Confirmed(before, (f"there is no fund's file since {before}",) if session > before else ())
    reach = session if newest >= previous_session(session) else newest
    limits = {session: ""} | _limits(proofs, waiting, differences, newest)
    limit = min(limits)
    reasons = [why for day, why in sorted(limits.items()) if why and day < session]
    if reach < session:
        reasons.append(f"the newest file is as of {newest}")
    return Confirmed(max(before, min(limit, reach)), tuple(reasons))


def _limits(
    proofs: Mapping[Change, Proof], waiting: Iterable[Statement], differences: Iterable[Item], newest: date
) -> dict[date, str]:
    held: list[tuple[date, str]] = []
    for change, proof in proofs.items():
        if not proof.shown:
            held.append((change.effective, f"{change.statement.subject}: no file shows it yet"))
    # A file of a later session that agrees with the list shows that a waiting statement did not come true.
    held += [(one.effective, f"{one.subject}: waits for files") for one in waiting if one.effective >= newest]
    held += [(one.earliest, f"{one.subject}: files and list differ") for one in differences]
    limits: dict[date, str] = {}
    for day, why in held:
        eve = previous_session(day)
        limits[eve] = f"{limits[eve]}; {why}" if eve in limits else why
    return limits
