"""The facts that this process works with: pinned once by whoever starts the work, and read by everything below.

A DAG run pins one version in its first task, and each of its tasks pins that version before it does anything. Without a
pin nothing is read: a run must not fall back on tables that it did not name.
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
    """Something reads facts before a version of them is pinned."""


def pinned_facts() -> IndexFacts:
    """Return the facts in use; raises FactsNotPinnedError where none are pinned."""
    if not _pinned:
        raise FactsNotPinnedError(
            "no version of the facts is pinned: call mag7.index.facts.pin_facts, or in a task use mag7.tasks.facts"
        )
    return _pinned[-1]


def find_pinned() -> IndexFacts | None:
    """Return the facts in use; None where none are pinned."""
    return _pinned[-1] if _pinned else None


def pin(facts: IndexFacts) -> None:
    """Make facts the ones in use, for the rest of the process."""
    if _pinned != [facts]:
        _pinned[:] = [facts]
        _forget()


@contextmanager
def pinned(facts: IndexFacts) -> Iterator[IndexFacts]:
    """Use facts inside a block, and afterwards those from before."""
    before = list(_pinned)
    _pinned[:] = [facts]
    _forget()
    try:
        yield facts
    finally:
        _pinned[:] = before
        _forget()


def cached_by_facts(maxsize: int) -> Callable[[_Function], _Function]:
    """Keep what a function makes of the pinned facts until others are pinned."""

    def decorate(function: _Function) -> _Function:
        kept = lru_cache(maxsize=maxsize)(function)
        _caches.append(kept.cache_clear)
        return cast("_Function", kept)

    return decorate


def _forget() -> None:
    for clear in _caches:
        clear()
