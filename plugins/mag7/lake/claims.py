"""Claims: one of several runs that need the same thing fetches it, and the others wait until it is there.

A claim saves work, nothing rests on it: whoever waits for one that does not move takes it over, and answers that two
have fetched are both kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mag7.lake.objects import ObjectStore, Version

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 180.0
"""A claim whose work shows no progress for so long is taken over: its owner was killed. Answers are stored once a
minute at least."""

POLL_SECONDS = 1.0


class Claims:
    """Claims of one owner, objects of the lake's bucket that are written only where there is none."""

    def __init__(
        self,
        store: ObjectStore,
        owner: str,
        *,
        patience: float = PATIENCE_SECONDS,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._owner = owner.encode()
        self._patience = patience
        self._wait = wait

    @contextmanager
    def hold(self, key: str, watch: Callable[[], object]) -> Iterator[None]:
        """Hold a claim inside the block, waiting for whoever has it; a claim of this owner's own is taken up again.

        ``watch`` gives something that changes while the work goes on.
        """
        self._take(key, watch)
        try:
            yield
        finally:
            self._release(key)

    def _take(self, key: str, watch: Callable[[], object]) -> None:
        seen: object = None
        waited = 0.0
        while not self._try(key):
            found = self._store.find(key)
            if found is None:
                # Released just now, or another's write is under way.
                self._wait(POLL_SECONDS)
                continue
            state = (found.mark, watch())
            if state != seen:
                seen, waited = state, 0.0
            elif waited >= self._patience and self._take_over(key, found):
                return
            self._wait(POLL_SECONDS)
            waited += POLL_SECONDS

    def _try(self, key: str) -> bool:
        if self._store.replace(key, self._owner, None):
            return True
        found = self._store.find(key)
        return found is not None and found.body == self._owner

    def _take_over(self, key: str, found: Version) -> bool:
        log.warning("%s of %s does not move: taken over", self._store.uri(key), found.body.decode(errors="replace"))
        return self._store.replace(key, self._owner, found)

    def _release(self, key: str) -> None:
        found = self._store.find(key)
        if found is not None and found.body == self._owner:
            self._store.delete([key])
