"""Adding a company's new CIK, where the provider's details have it and the name or the FIGI is the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from mag7.constituents.facts import Decided
from mag7.constituents.identities import Identity
from mag7.constituents.timeline import Timeline
from mag7.index.names import normalize_name
from mag7.sessions import is_session, next_session, previous_session

NEW_CIK = "rule: same company under a new CIK"


def add_new_ciks(timeline: Timeline, identities: Sequence[Identity], session: date) -> None:
    """Add the CIKs that identities of lines in the index have and that no company of the table has.

    The new CIK begins after the last session on which the details had the old one; the old one ends before the first
    session on which they had the new one. Without earlier details the new CIK begins when it was first seen: if both
    periods were open, no session would have a CIK.
    """
    for one in sorted(identities, key=lambda one: (one.day, one.symbol)):
        if one.cik is None or one.day > session or not is_session(one.day) or one.cik in timeline.ciks.owners:
            continue
        ticker = timeline.find_member(one.symbol, one.day)
        stay = timeline.line(ticker) if ticker is not None else None
        if ticker is None or stay is None or not _is_same(timeline, ticker, stay.company, one):
            continue
        known = timeline.ciks.all_of(stay.issuer)
        before = max((other.day for other in identities if other.cik in known and other.day < one.day), default=None)
        source = f"the provider's ticker details of {one.symbol}{' (simulated)' if one.simulated else ''}"
        timeline.add_cik(
            stay.issuer,
            one.cik,
            Decided(NEW_CIK, f"{stay.company}: CIK {one.cik} on {one.day}", source=source),
            first=one.day if before is None else next_session(before),
            ended=previous_session(one.day),
        )


def _is_same(timeline: Timeline, ticker: str, company: str, identity: Identity) -> bool:
    if identity.share_class_figi in timeline.figis.all_of(ticker):
        return True
    return normalize_name(identity.name) == normalize_name(company)
