"""How far a run is: calls and sessions done and left, and when it will be over, in the tasks' logs and the run's note.

Tasks of one run cannot see each other but in the lake: each keeps a small object there, and reads the others'.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from mag7.errors import Mag7Error
from mag7.lake.keys import progress_prefix
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.tasks.run_note import write_note

log = logging.getLogger(__name__)

TELL_SECONDS = 10.0
"""A task says how far it is this often at most."""

CLOSES = "closes"
"""The step of the task that asks for closes."""


def name_part(part: int) -> str:
    """Name the step of a part of the search for counts, which are counted from 1."""
    return f"counts-{part:03d}"


@dataclass(frozen=True)
class Step:
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
    """Keeps one task's step, and says how far the whole run is; ``sessions`` is how many it is for."""

    def __init__(self, store: ObjectStore, run: str, sessions: int, name: str) -> None:
        self._store = store
        self._run = run
        self._sessions = sessions
        self._key = f"{progress_prefix(run)}{name}.json"
        self._began = time.time()
        self._said = 0.0
        self._before: int | None = None
        self._noted = True

    def expect(self, left: int) -> None:
        """Note how many calls a task that has not begun will take about."""
        self._write(Step(left=left))

    def tell(self, *, calls: int = 0, left: int = 0, sessions: int = 0, unbuilt: int = 0) -> None:
        """Note how far this task is; say how far the run is, unless that was just said and there is more to come.

        What cannot be written or read is a line in the log: no task fails, or waits long, to say how far it is.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        if (left or unbuilt) and time.time() - self._said < TELL_SECONDS:
            return
        try:
            sentence = self._describe(calls, left, sessions, unbuilt)
        except (Mag7Error, BotoCoreError, ClientError) as fault:
            log.warning("how far the run is cannot be told: %s", fault)
        else:
            log.info("%s", sentence)
            # Where the run has no note, or Airflow does not answer, that would cost seconds each time.
            self._noted = self._noted and write_note(sentence)
        self._said = time.time()

    def _describe(self, calls: int, left: int, sessions: int, unbuilt: int) -> str:
        now = time.time()
        if self._before is None:
            self._before = self._read().calls
        self._write(Step(self._before + calls, self._before, left, sessions, unbuilt, self._began, now))
        return describe_steps(read_steps(self._store, self._run), self._sessions, now)

    def _read(self) -> Step:
        """Read how far an attempt of this task came that was ended."""
        found = self._store.find(self._key)
        return Step() if found is None else Step(**json.loads(found.body))

    def _write(self, step: Step) -> None:
        self._store.put(self._key, json.dumps(asdict(step)).encode(), "application/json")


def read_steps(store: ObjectStore, run: str) -> list[Step]:
    """Read how far each task of a run is."""
    steps = []
    for stored in store.list(progress_prefix(run)):
        try:
            steps.append(Step(**json.loads(store.get(stored.key))))
        except ObjectMissingError:
            # The run was started again just now.
            continue
    return steps


def clear_progress(store: ObjectStore, run: str) -> None:
    """Forget how far an earlier attempt of the same run was."""
    store.delete([stored.key for stored in store.list(progress_prefix(run))])


def describe_steps(steps: Iterable[Step], sessions: int, now: float) -> str:
    """Say in one sentence what is done, what is left, and when it will be over at this rate; ``now`` as in Step.

    The rate is that of the tasks under way, as the others wait for their places.
    """
    known = list(steps)
    calls, left = sum(step.calls for step in known), sum(step.left for step in known)
    built = sum(step.sessions for step in known)
    sentence = f"{built} of {sessions} sessions built, {sessions - built} left; {calls} calls done, about {left} left"
    if left:
        rate = sum(step.rate(step.calls - step.before) for step in known if step.left)
        return sentence + _foretell("collected", left, rate, now)
    rate = sum(step.rate(step.sessions) for step in known if step.unbuilt)
    return sentence + _foretell("built", sessions - built, rate, now)


def _foretell(done: str, left: int, rate: float, now: float) -> str:
    if not left or not rate:
        return ""
    today = datetime.fromtimestamp(now, UTC)
    over = today + timedelta(seconds=left / rate)
    day = "" if over.date() == today.date() else f"{over:%Y-%m-%d} "
    return f": {done} at {day}{over:%H:%M:%S} UTC at this rate"
