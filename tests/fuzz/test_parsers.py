"""Whatever a parser of outside data is given, it returns a value that holds its promises, or an error of ours.

An error of ours is a Mag7Error in one line that names the subject. Nothing given is dropped without a word.
"""

from __future__ import annotations

import pytest

from tests.fuzz import answers, bodies, documents, runs, sources, tables
from tests.fuzz.tiers import LONG, SHORT, Fuzzed, Ran

TARGETS = (*bodies.TARGETS, *answers.TARGETS, *tables.TARGETS, *sources.TARGETS, *documents.TARGETS, *runs.TARGETS)
LEAST_CASES = 10_000

ran: dict[str, Ran] = {}


def ids(target: Fuzzed) -> str:
    return target.name


@pytest.mark.parametrize("target", TARGETS, ids=ids)
def test_a_few_cases(target: Fuzzed) -> None:
    assert target.run(SHORT).cases >= target.short


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=ids)
def test_many_cases(target: Fuzzed) -> None:
    ran[target.name] = target.run(LONG)

    assert ran[target.name].cases >= target.long
    # Cases of which none is good, or all are, would prove little.
    assert ran[target.name].taken >= target.long // 50
    assert ran[target.name].refused >= target.long // 50 or not target.refuses


@pytest.mark.slow
def test_ten_thousand_cases_were_really_run() -> None:
    done = sum((ran.get(target.name) or target.run(LONG)).cases for target in TARGETS)

    assert done >= LEAST_CASES
