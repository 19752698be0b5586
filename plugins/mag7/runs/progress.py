"""The progress of a run, in its tasks' logs: calls and sessions done and left, and when it will be done.

Tasks of one run see each other only through the lake: each stores its own step and reads the others'.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from mag7.errors import Mag7Error
from mag7.lake.objects import ObjectStore
from mag7.runs.record import Section, find_section, section_key, write_section

log = logging.getLogger(__name__)

TELL_SECONDS = 10.0
"""Seconds between two progress lines of a task at least."""

CLOSES = "closes"
"""The step of the task that fetches closes."""


def name_part(part: int) -> str:
    """Return the step of a part of the search for counts; parts are counted from 1."""
    return f"counts-{part:03d}"


class Step(Section):
    """The progress of one task: calls made and left, sessions built and left.

    ``before`` are the calls of its earlier tries. ``began`` and ``told`` are when this try began and last logged its
    progress (seconds since 1970), None for a task that is only expected.
    """

    calls: int = 0
    before: int = 0
    left: int = 0
    sessions: int = 0
    unbuilt: int = 0
    began: float | None = None
    told: float | None = None

    def rate(self, done: int) -> float:
        """Return this try's rate a second, with ``done`` so far; 0 where it is not known yet."""
        seconds = (self.told or 0.0) - (self.began or 0.0)
        return done / seconds if seconds > 0 else 0.0


class Progress:
    """Stores one task's step, and logs the progress of the whole run; ``sessions`` is how many sessions it has."""

    def __init__(self, store: ObjectStore, run: str, sessions: int, name: str) -> None:
        self._store, self._run, self._sessions, self._name = store, run, sessions, name
        self._began, self._said = time.time(), 0.0
        self._before: int | None = None

    def expect(self, left: int) -> None:
        """Note about how many calls a task that has not begun will make."""
        write_section(self._store, self._run, Step(left=left), self._name)

    def tell(self, *, calls: int = 0, left: int = 0, sessions: int = 0, unbuilt: int = 0) -> None:
        """Note this task's progress; log the run's progress unless it was just logged and there is more to come.

        A failed read or write is only logged: no task fails for its progress.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        now = time.time()
        if (left or unbuilt) and now - self._said < TELL_SECONDS:
            return
        try:
            before = self._count_before()
            step = Step(calls=before + calls, before=before, left=left, sessions=sessions, unbuilt=unbuilt)
            step = step.model_copy(update={"began": self._began, "told": now})
            write_section(self._store, self._run, step, self._name)
            log.info("%s", describe_steps(read_steps(self._store, self._run), self._sessions, now))
        except (Mag7Error, BotoCoreError, ClientError) as fault:
            log.warning("the progress of the run is not known: %s", fault)
        self._said = time.time()

    def _count_before(self) -> int:
        """Return the calls of earlier tries of this task."""
        if self._before is None:
            earlier = find_section(self._store, self._run, Step, self._name)
            self._before = earlier.calls if earlier else 0
        return self._before


def read_steps(store: ObjectStore, run: str) -> list[Step]:
    """Read the steps of a run's tasks; there are fewer just after the run was started again."""
    prefix = section_key(run, Step, "").removesuffix(".json") + "-"
    parts = [stored.key.removeprefix(prefix).removesuffix(".json") for stored in store.list(prefix)]
    return [step for part in parts if (step := find_section(store, run, Step, part))]


def describe_steps(steps: Iterable[Step], sessions: int, now: float) -> str:
    """Return one sentence about what is done, what is left, and when it will be done; ``now`` as in Step.

    The rate is that of the running tasks, as the others wait for slots.
    """
    known = list(steps)
    calls, left = sum(step.calls for step in known), sum(step.left for step in known)
    unbuilt = sessions - sum(step.sessions for step in known)
    sentence = (
        f"{sessions - unbuilt} of {sessions} sessions built, {unbuilt} left; {calls} calls done, about {left} left"
    )
    if left:
        rate, done = sum(step.rate(step.calls - step.before) for step in known if step.left), "collected"
    else:
        rate, left, done = sum(step.rate(step.sessions) for step in known if step.unbuilt), unbuilt, "built"
    if not left or not rate:
        return sentence
    today = datetime.fromtimestamp(now, UTC)
    over = today + timedelta(seconds=left / rate)
    day = "" if over.date() == today.date() else f"{over:%Y-%m-%d} "
    return f"{sentence}: {done} at {day}{over:%H:%M:%S} UTC at this rate"
