"""The progress of a run, as its tasks log it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.runs.progress import TELL_SECONDS, Progress, Step, describe_steps, read_steps
from mag7.runs.record import clear_record
from tests.unit.tasks.conftest import RUN

NOW = 1_733_140_800.0
"""2024-12-02 12:00 UTC."""


class Clock:
    """The time that the tasks see."""

    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("mag7.runs.progress.time", clock)
    return clock


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


class TestSentence:
    def test_it_says_what_is_done_and_left_and_when_it_will_be_over(self) -> None:
        steps = [
            Step(calls=100, left=200, began=NOW - 100, told=NOW),
            Step(calls=180, left=100, began=NOW - 60, told=NOW),
            Step(sessions=6, began=NOW - 10, told=NOW),
        ]

        assert describe_steps(steps, 21, NOW) == (
            "6 of 21 sessions built, 15 left; 280 calls done, about 300 left: collected at 12:01:15 UTC at this rate"
        )

    def test_tasks_that_are_only_expected_count_as_left(self) -> None:
        sentence = describe_steps([Step(left=500), Step(calls=10, left=20, began=NOW - 1, told=NOW)], 21, NOW)

        assert sentence.startswith(
            "0 of 21 sessions built, 21 left; 10 calls done, about 520 left: collected at 12:00:52"
        )

    def test_a_pause_before_this_attempt_is_not_a_slow_rate(self) -> None:
        # Killed after 100 calls in the evening, taken up ten seconds ago.
        step = Step(calls=120, before=100, left=40, began=NOW - 10, told=NOW)

        assert describe_steps([step], 21, NOW).endswith(
            "120 calls done, about 40 left: collected at 12:00:20 UTC at this rate"
        )

    def test_once_all_is_collected_it_says_when_the_sessions_will_be_built(self) -> None:
        steps = [
            Step(calls=100, began=NOW - 500, told=NOW - 400),
            Step(sessions=6, began=NOW - 90, told=NOW - 30),
            Step(sessions=2, unbuilt=4, began=NOW - 10, told=NOW),
        ]

        assert describe_steps(steps, 12, NOW) == (
            "8 of 12 sessions built, 4 left; 100 calls done, about 0 left: built at 12:00:20 UTC at this rate"
        )

    def test_another_day_is_named(self) -> None:
        step = Step(calls=60, left=4320, began=NOW - 1200, told=NOW)

        assert describe_steps([step], 21, NOW).endswith("collected at 2024-12-03 12:00:00 UTC at this rate")

    @pytest.mark.parametrize(
        "steps",
        [
            [],
            [Step(left=500)],
            [Step(left=500, began=NOW, told=NOW)],
            [Step(calls=7, began=NOW - 5, told=NOW)],
            [Step(sessions=6, began=NOW - 5, told=NOW)],
        ],
    )
    def test_without_a_rate_or_a_rest_it_foretells_nothing(self, steps: list[Step]) -> None:
        assert "UTC" not in describe_steps(steps, 21, NOW)


class TestTelling:
    def test_a_task_says_it_in_the_log(
        self, store: ObjectStore, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        progress = Progress(store, RUN, 21, "counts-01")
        clock.now += 2
        progress.tell(calls=4, left=6)

        assert caplog.messages == [
            "0 of 21 sessions built, 21 left; 4 calls done, about 6 left: collected at 12:00:05 UTC at this rate"
        ]

    def test_it_knows_of_the_other_tasks(self, store: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
        Progress(store, RUN, 21, "counts-02").expect(50)
        Progress(store, RUN, 21, "documents-2024-12-02").tell(sessions=6)
        Progress(store, f"{RUN}-2", 21, "counts-01").tell(calls=1000, left=1)
        Progress(store, RUN, 21, "counts-01").tell(calls=4)

        assert caplog.messages[-1].startswith("6 of 21 sessions built, 15 left; 4 calls done, about 50 left")

    def test_it_is_not_said_twice_within_a_few_seconds(
        self, store: ObjectStore, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        progress = Progress(store, RUN, 21, "counts-01")
        for second in range(25):
            clock.now = NOW + second
            progress.tell(calls=second, left=100 - second)

        assert len(caplog.messages) == 1 + 24 // TELL_SECONDS

    @pytest.mark.parametrize(
        "fault",
        [
            ObjectMissingError("progress/x"),
            EndpointConnectionError(endpoint_url="s3"),
            ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"),
        ],
        ids=lambda fault: type(fault).__name__,
    )
    def test_a_lake_that_refuses_fails_no_task(
        self,
        store: ObjectStore,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        fault: Exception,
    ) -> None:
        def refuse(*_: object) -> None:
            raise fault

        monkeypatch.setattr(store, "put", refuse)
        Progress(store, RUN, 21, "counts-01").tell(calls=4)

        assert caplog.messages == [f"the progress of the run is not known: {fault}"]

    def test_the_end_is_always_said(self, store: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
        progress = Progress(store, RUN, 21, "counts-01")
        progress.tell(calls=1, left=100)
        progress.tell(calls=101, left=0)

        assert caplog.messages[-1] == "0 of 21 sessions built, 21 left; 101 calls done, about 0 left"

    def test_a_task_that_is_tried_again_keeps_its_earlier_calls_apart(self, store: ObjectStore, clock: Clock) -> None:
        Progress(store, RUN, 21, "counts-01").expect(100)
        Progress(store, RUN, 21, "counts-01").tell(calls=30, left=70)
        clock.now += 500
        again = Progress(store, RUN, 21, "counts-01")
        again.tell(calls=0, left=70)
        clock.now += 500
        again.tell(calls=70, left=0)

        assert read_steps(store, RUN) == [Step(calls=100, before=30, left=0, began=NOW + 500, told=NOW + 1000)]

    def test_sessions_that_are_built_again_are_not_counted_twice(self, store: ObjectStore) -> None:
        for _ in range(2):
            Progress(store, RUN, 21, "documents-2024-12-02").tell(sessions=6)

        assert [step.sessions for step in read_steps(store, RUN)] == [6]

    def test_a_run_that_begins_again_forgets_it(self, store: ObjectStore) -> None:
        for run in (RUN, f"{RUN}-2"):
            Progress(store, run, 21, "counts-01").expect(100)
        clear_record(store, RUN)

        assert (read_steps(store, RUN), read_steps(store, f"{RUN}-2")) == ([], [Step(left=100)])
