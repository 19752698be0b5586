"""The facts version that this process uses: pinned once at the start, and read by everything else.

A DAG run's first task chooses a version, and each of its tasks pins that version before it does anything else. Without
a pinned version, reading facts is an error: a run must not fall back on tables that it did not choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mag7.errors import Mag7Error

if TYPE_CHECKING:
    from mag7.index.facts import IndexFacts

_Function = TypeVar("_Function", bound=Callable[..., Any])

_pinned: list[IndexFacts] = []
_caches: list[Callable[[], None]] = []


class FactsNotPinnedError(Mag7Error):
    """Facts are read before a version is pinned."""


def pinned_facts() -> IndexFacts:
    """Return the pinned facts; raises FactsNotPinnedError where none are pinned."""
    if not _pinned:
        raise FactsNotPinnedError(
            "no version of the facts is pinned: call mag7.index.facts.pin_facts, or in a task use mag7.tasks.facts"
        )
    return _pinned[-1]


def find_pinned() -> IndexFacts | None:
    """Return the pinned facts; None where none are pinned."""
    return _pinned[-1] if _pinned else None


def pin(facts: IndexFacts) -> None:
    """Pin facts for the rest of the process."""
    if _pinned != [facts]:
        _pinned[:] = [facts]
        _forget()


@contextmanager
def pinned(facts: IndexFacts) -> Iterator[IndexFacts]:
    """Pin facts inside a block, and then restore those from before."""
    before = list(_pinned)
    _pinned[:] = [facts]
    _forget()
    try:
        yield facts
    finally:
        _pinned[:] = before
        _forget()


def cached_by_facts(maxsize: int) -> Callable[[_Function], _Function]:
    """Cache a function's results until other facts are pinned."""

    def decorate(function: _Function) -> _Function:
        cached = lru_cache(maxsize=maxsize)(function)
        _caches.append(cached.cache_clear)
        return cast("_Function", cached)

    return decorate


def _forget() -> None:
    for clear in _caches:
        clear()
