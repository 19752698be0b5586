"""A parser under fuzz: what it is given, what must hold of each case, and how many cases each tier runs."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mag7.errors import LONGEST_MESSAGE, Mag7Error

_Value = TypeVar("_Value")

SHORT, LONG = "short", "long"


@dataclass
class Ran:
    """How many cases a run tried, and what came of them."""

    cases: int = 0
    taken: int = 0
    refused: int = 0


_ran: ContextVar[Ran] = ContextVar("ran")


@dataclass(frozen=True)
class Fuzzed:
    """One parser: ``check`` raises AssertionError, or what the parser should not, for a case that breaks a rule."""

    name: str
    cases: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    short: int = 25
    long: int = 700
    refuses: bool = True

    def run(self, tier: str) -> Ran:
        """Run a tier's cases; returns how many were really run, and how many of them a parser took and refused.

        The short tier is the same on every run. The long one is new each time, and repeated by FUZZ_SEED, which a
        failure names.
        """
        wanted = self.short if tier == SHORT else self.long
        number = 0 if tier == SHORT else int(os.environ.get("FUZZ_SEED") or random.randrange(2**32))
        ran = Ran()
        token = _ran.set(ran)

        @seed(number)
        @settings(
            max_examples=wanted, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
        )
        @given(self.cases)
        def check_one(case: Any) -> None:
            ran.cases += 1
            self.check(case)

        try:
            check_one()
        except BaseException as failed:
            failed.add_note(f"{self.name}, {tier} tier, FUZZ_SEED={number}")
            raise
        finally:
            _ran.reset(token)
        return ran


def ours_or_value(parse: Callable[[], _Value], *subjects: str) -> _Value | None:
    """Return what a parser returns, None where it refuses: by an error of ours, in one line that names the subject."""
    try:
        value = parse()
    except Mag7Error as refused:
        note_refused()
        check_line(str(refused), *subjects)
        return None
    note_taken()
    return value


def note_taken() -> None:
    """Count a case of which something was made."""
    _ran.get().taken += 1


def note_refused() -> None:
    """Count a case that was refused."""
    _ran.get().refused += 1


def check_line(line: str, *subjects: str) -> None:
    """A message is one line that can be written to a log, of bounded length, and names one of the subjects."""
    assert line.splitlines() == [line], f"not one line: {line!r}"
    line.encode()
    assert len(line) <= LONGEST_MESSAGE, f"{len(line)} letters: {line[:200]}"
    assert any(subject in line for subject in subjects), f"{line!r} names none of {subjects}"
