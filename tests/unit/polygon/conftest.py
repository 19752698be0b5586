from __future__ import annotations

from collections.abc import Iterator

import pytest

from mag7.polygon.answers import AnswerStore
from tests.unit.polygon.local_provider import FakeClock, LocalProvider, MemoryObjects, serve


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with serve() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def store(objects: MemoryObjects) -> AnswerStore:
    return AnswerStore(objects)  # type: ignore[arg-type]
