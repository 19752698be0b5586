"""The rules by which sources change the index's tables."""

from __future__ import annotations

from datetime import date

from mag7.constituents.decision import Decision, Evidence
from mag7.constituents.facts import Facts


def propose(facts: Facts, evidence: Evidence, session: date, *, simulated: bool = False) -> Decision:
    """Work out what the evidence of the evening of a session proves; see the module."""
    raise NotImplementedError
