"""Locks: of several runs that need the same responses, one fetches them while the others wait.

A lock only saves calls. A run that waits for a lock without progress takes it over, and then the responses of both are
stored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mag7.lake.objects import ObjectStore, Version

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 180.0
"""Seconds without progress after which a lock is taken over, as its owner was killed; responses are stored at least
once a minute."""

POLL_SECONDS = 1.0


class Locks:
    """The locks of one owner: objects of the lake's bucket that are written only where there is none."""

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
        """Hold a lock inside the block, waiting for its owner; a lock that this owner has already is taken up again.

        ``watch`` returns something that changes while the owner makes progress.
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
                # Just released, or another write is in progress.
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
        owner = found.body.decode(errors="replace")
        log.warning("lock %s of %s makes no progress: taken over", self._store.uri(key), owner)
        return self._store.replace(key, self._owner, found)

    def _release(self, key: str) -> None:
        found = self._store.find(key)
        if found is not None and found.body == self._owner:
            self._store.delete([key])
