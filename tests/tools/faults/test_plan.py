"""The draw of the fault harness: the same for a seed, every kind, enough in the sequences that really run."""

from __future__ import annotations

from collections import Counter

import pytest

from sandbox.aws.faults import Faults
from sandbox.fault_rules import read_rules
from sandbox.polygon.faults import Fault
from tools.faults.__main__ import LEAST_FAULTS, LEAST_KILLS, SEQUENCES
from tools.faults.flows import FLOWS
from tools.faults.plan import (
    AWS,
    CLOUD,
    FAILURE,
    KILL,
    KINDS,
    MARKET,
    MUST_BE_KILLED,
    PROVIDER,
    STARTS,
    SUCCESS,
    Disturbance,
    draw_sequences,
    list_places,
)

FITTING = 15
"""The least number of sequences that `make faults` runs in its time."""

DRAWN = draw_sequences(1, SEQUENCES, tuple(FLOWS))
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])


def draw_fitting(seed: int, count: int = FITTING) -> list[Disturbance]:
    return draw_sequences(seed, SEQUENCES, tuple(FLOWS))[:count]


def test_a_seed_draws_the_same_and_another_one_something_else() -> None:
    assert draw_sequences(1, SEQUENCES, tuple(FLOWS)) == DRAWN != draw_sequences(2, SEQUENCES, tuple(FLOWS))


@SEEDS
def test_what_fits_into_the_time_holds_enough_of_everything(seed: int) -> None:
    drawn = draw_fitting(seed)

    assert sum(fault.rule["count"] for sequence in drawn for fault in sequence.faults) > 1.2 * LEAST_FAULTS
    assert sum(len(sequence.kills) for sequence in drawn) >= LEAST_KILLS
    assert {sequence.flow for sequence in drawn} == set(FLOWS)
    assert {sequence.older for sequence in drawn} == {True, False}


@SEEDS
def test_every_kind_of_fault_is_soon_drawn_several_times(seed: int) -> None:
    names = Counter(fault.name for sequence in draw_fitting(seed, 12) for fault in sequence.faults)

    assert len(KINDS) == 27
    assert min(names[kind] for kind in KINDS) >= 3
    assert set(names) == set(KINDS)


@SEEDS
def test_kills_are_spread_over_the_whole_run_of_each_flow(seed: int) -> None:
    for flow, starts in STARTS.items():
        places = [kill.place for sequence in draw_fitting(seed, 16) if sequence.flow == flow for kill in sequence.kills]
        order = [list_places(flow).index(place) for place in places]

        quarters = Counter(4 * number // sum(starts.values()) for number in order)
        assert min(quarters[quarter] for quarter in range(4)) >= 3
        stages = Counter(place.stage for place in places)
        assert min(stages[stage] for stage in MUST_BE_KILLED) >= 1


@SEEDS
def test_kills_reach_what_readers_see_several_times(seed: int) -> None:
    stages = Counter(kill.place.stage for sequence in draw_fitting(seed, 12) for kill in sequence.kills)

    assert min(stages[stage] for stage in MUST_BE_KILLED) >= 4


@SEEDS
def test_a_task_is_cleared_in_every_second_sequence_and_at_different_points(seed: int) -> None:
    clears = [sequence.clear for sequence in draw_fitting(seed) if sequence.clear is not None]

    assert len(clears) >= FITTING / 2
    assert {clear.after for clear in clears} == {KILL, FAILURE, SUCCESS}
    assert all(clear.times <= 3 and 0 <= clear.share < 1 for clear in clears)


def test_every_rule_is_one_that_its_server_takes() -> None:
    faults = [fault for sequence in DRAWN for fault in sequence.faults]

    market = read_rules(Fault, [dict(fault.rule) for fault in faults if fault.server == MARKET])
    aws = Faults().set_rules([dict(fault.rule) for fault in faults if fault.server == AWS])

    assert len(market) + aws == len(faults)
    assert len(PROVIDER) + len(CLOUD) >= 24
