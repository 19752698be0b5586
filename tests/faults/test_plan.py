"""What is drawn for the fault harness: the same from a seed, every kind, enough of it."""

from __future__ import annotations

from collections import Counter

from sandbox.aws.faults import Faults
from sandbox.fault_rules import read_rules
from sandbox.polygon.faults import Fault
from tests.faults.__main__ import LEAST_FAULTS, LEAST_KILLS, SEQUENCES
from tests.faults.house import FLOWS
from tests.faults.plan import AWS, CLOUD, MARKET, PROVIDER, draw_sequences

DRAWN = draw_sequences(1, SEQUENCES, tuple(FLOWS))


def test_a_seed_draws_the_same_and_another_one_something_else() -> None:
    assert draw_sequences(1, SEQUENCES, tuple(FLOWS)) == DRAWN != draw_sequences(2, SEQUENCES, tuple(FLOWS))


def test_a_whole_run_holds_enough_of_everything() -> None:
    faults = [fault for sequence in DRAWN for fault in sequence.faults]

    assert sum(fault.rule["count"] for fault in faults) > 2 * LEAST_FAULTS
    assert sum(len(sequence.kills) for sequence in DRAWN) >= LEAST_KILLS
    assert min(Counter(fault.name for fault in faults).values()) >= SEQUENCES * 3 // len(CLOUD) // 2
    assert {sequence.flow for sequence in DRAWN} == set(FLOWS)
    assert {sequence.older for sequence in DRAWN} == {True, False}
    assert any(sequence.cleared is not None for sequence in DRAWN)


def test_every_rule_is_one_that_its_server_takes() -> None:
    faults = [fault for sequence in DRAWN for fault in sequence.faults]

    market = read_rules(Fault, [dict(fault.rule) for fault in faults if fault.server == MARKET])
    aws = Faults().set_rules([dict(fault.rule) for fault in faults if fault.server == AWS])

    assert len(market) + aws == len(faults)
    assert len(PROVIDER) + len(CLOUD) >= 24
