"""How far a run is: calls and sessions done and left, and when it will be over, in the tasks' logs.

Tasks of one run cannot see each other but in the lake: each stores its step there, and reads the others'.
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
"""A task says how far it is this often at most."""

CLOSES = "closes"
"""The step of the task that asks for closes."""


def name_part(part: int) -> str:
    """Name the step of a part of the search for counts, which are counted from 1."""
    return f"counts-{part:03d}"


class Step(Section):
    """How far one task is: calls made and left, sessions built and not yet.

    ``before`` are the calls that earlier attempts of it made. ``began`` and ``told`` are when this attempt began and
    said so last (seconds since 1970), None for a task that is only expected.
    """

    calls: int = 0
    before: int = 0
    left: int = 0
    sessions: int = 0
    unbuilt: int = 0
    began: float | None = None
    told: float | None = None

    def rate(self, done: int) -> float:
        """Give what this attempt does a second, having ``done`` so much; 0 where that cannot be said yet."""
        seconds = (self.told or 0.0) - (self.began or 0.0)
        return done / seconds if seconds > 0 else 0.0


class Progress:
    """Stores one task's step, and says how far the whole run is; ``sessions`` is how many it is for."""

    def __init__(self, store: ObjectStore, run: str, sessions: int, name: str) -> None:
        self._store, self._run, self._sessions, self._name = store, run, sessions, name
        self._began, self._said = time.time(), 0.0
        self._before: int | None = None

    def expect(self, left: int) -> None:
        """Note how many calls a task that has not begun will take about."""
        write_section(self._store, self._run, Step(left=left), self._name)

    def tell(self, *, calls: int = 0, left: int = 0, sessions: int = 0, unbuilt: int = 0) -> None:
        """Note how far this task is; say how far the run is, unless that was just said and there is more to come.

        What cannot be written or read is a line in the log: no task fails to say how far it is.
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
            log.warning("how far the run is cannot be told: %s", fault)
        self._said = time.time()

    def _count_before(self) -> int:
        """Count the calls of an attempt of this task that was ended."""
        if self._before is None:
            earlier = find_section(self._store, self._run, Step, self._name)
            self._before = earlier.calls if earlier else 0
        return self._before


def read_steps(store: ObjectStore, run: str) -> list[Step]:
    """Read how far each task of a run is; where the run was started again just now, steps are gone."""
    prefix = section_key(run, Step, "").removesuffix(".json") + "-"
    parts = [stored.key.removeprefix(prefix).removesuffix(".json") for stored in store.list(prefix)]
    return [step for part in parts if (step := find_section(store, run, Step, part))]


def describe_steps(steps: Iterable[Step], sessions: int, now: float) -> str:
    """Say in one sentence what is done, what is left, and when it will be over at this rate; ``now`` as in Step.

    The rate is that of the tasks under way, as the others wait for their places.
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
