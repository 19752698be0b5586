"""Locks: one of several runs works, the others wait, and nobody waits for one that was killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count

import pytest

from mag7.lake.locks import POLL_SECONDS, Locks
from mag7.lake.objects import ObjectStore
from tests.unit.polygon.local_provider import MemoryObjects

KEY = "claims/ticker_details/trading_date=2024-12-31/part-0-of-12"  # pragma: allowlist secret


def still() -> str:
    """A watch on work that makes no progress."""
    return "still"


class Waits:
    """Counts the waits of a run that polls, and does something at one of them."""

    def __init__(self, at: int = 1, then: Callable[[], object] = still, *, most: int = 10_000) -> None:
        self.count = 0
        self._at, self._then, self._most = at, then, most

    def __call__(self, seconds: float) -> None:
        assert seconds == POLL_SECONDS
        self.count += 1
        assert self.count <= self._most, "nobody may wait for ever"
        if self.count == self._at:
            self._then()


def owner_of(store: ObjectStore) -> str | None:
    found = store.find(KEY)
    return None if found is None else found.body.decode()


def never(seconds: float) -> None:
    raise AssertionError("there is nothing to wait for")


def test_a_free_lock_is_taken_at_once_and_released(store: ObjectStore) -> None:
    with Locks(store, "one", wait=never).hold(KEY, still):
        assert owner_of(store) == "one"
    assert owner_of(store) is None


def test_it_is_released_when_the_work_fails(store: ObjectStore) -> None:
    with pytest.raises(ZeroDivisionError), Locks(store, "one", wait=never).hold(KEY, still):
        raise ZeroDivisionError
    assert owner_of(store) is None


def test_it_is_written_only_where_there_is_none(store: ObjectStore) -> None:
    """Two that look at the same moment: the second write is refused, so one of them waits."""
    assert store.replace(KEY, b"one", None)
    assert not store.replace(KEY, b"two", None)
    assert owner_of(store) == "one"


def test_another_waits_until_it_is_released(store: ObjectStore) -> None:
    store.put(KEY, b"one")
    waits = Waits(7, lambda: store.delete([KEY]))
    with Locks(store, "two", wait=waits).hold(KEY, still):
        assert owner_of(store) == "two"
    assert waits.count == 7


def test_an_owner_whose_work_moves_is_waited_for_however_long(store: ObjectStore) -> None:
    store.put(KEY, b"one")
    moving = count()
    waits = Waits(60, lambda: store.delete([KEY]))
    with Locks(store, "two", patience=5, wait=waits).hold(KEY, lambda: next(moving)):
        assert owner_of(store) == "two"
    assert waits.count == 60


def test_an_owner_whose_work_stands_still_loses_it_after_the_patience(
    store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.put(KEY, b"killed run")
    waits = Waits(most=6)
    with Locks(store, "two", patience=5, wait=waits).hold(KEY, still):
        assert owner_of(store) == "two"
    assert waits.count == 5
    assert caplog.messages == [f"lock s3://{store.bucket}/{KEY} of killed run makes no progress: taken over"]


def test_patience_begins_again_with_each_move(store: ObjectStore) -> None:
    store.put(KEY, b"one")
    moves = ["a"] * 5 + ["b"] * 100
    waits = Waits(most=20)
    with Locks(store, "two", patience=5, wait=waits).hold(KEY, lambda: moves[waits.count]):
        pass
    assert waits.count == 5 + 5


def test_patience_begins_again_with_another_owner(store: ObjectStore) -> None:
    """Another run took it over first, and is waited for."""
    store.put(KEY, b"killed run")
    waits = Waits(4, lambda: store.put(KEY, b"three"), most=20)
    with Locks(store, "two", patience=5, wait=waits).hold(KEY, still):
        pass
    assert waits.count == 4 + 5


def test_whoever_is_slower_to_take_it_over_goes_on_waiting(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(KEY, b"killed run")
    replace = ObjectStore.replace
    overtaken: list[str] = []

    def be_slower(self: ObjectStore, key: str, body: bytes, before: object) -> bool:
        if before is not None and not overtaken:
            overtaken.append(key)
            store.put(KEY, b"three")
        return replace(self, key, body, before)  # type: ignore[arg-type]

    monkeypatch.setattr(ObjectStore, "replace", be_slower)
    waits = Waits(8, lambda: store.delete([KEY]), most=20)
    with Locks(store, "two", patience=5, wait=waits).hold(KEY, still):
        assert owner_of(store) == "two"
    assert waits.count == 8


def test_a_task_that_is_tried_again_takes_its_own_lock_up(store: ObjectStore) -> None:
    """Its first attempt was killed, and could release nothing."""
    store.put(KEY, b"one")
    with Locks(store, "one", wait=never).hold(KEY, still):
        assert owner_of(store) == "one"
    assert owner_of(store) is None


def test_a_lock_that_was_taken_over_is_not_released_by_its_former_owner(store: ObjectStore) -> None:
    with Locks(store, "one", wait=never).hold(KEY, still):
        store.put(KEY, b"two")
    assert owner_of(store) == "two"


def test_a_lock_that_is_gone_is_no_trouble(store: ObjectStore) -> None:
    with Locks(store, "one", wait=never).hold(KEY, still):
        store.delete([KEY])
    assert owner_of(store) is None


def test_two_are_never_inside_while_one_moves() -> None:
    """Threads over one store, each entering many times; whoever is inside moves on while the others look."""
    objects = MemoryObjects()
    moves = count()
    inside: list[str] = []
    met: list[tuple[str, ...]] = []
    entered: list[str] = []

    def work(owner: str) -> None:
        locks = Locks(objects, owner, wait=lambda seconds: time.sleep(0.0005))  # type: ignore[arg-type]
        for _ in range(15):
            with locks.hold(KEY, lambda: next(moves)):
                inside.append(owner)
                met.append(tuple(inside))
                time.sleep(0.001)
                inside.remove(owner)
                entered.append(owner)

    threads = [threading.Thread(target=work, args=(f"run {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [others for others in met if len(others) > 1] == []
    assert len(entered) == 60
    assert objects.bodies == {}
