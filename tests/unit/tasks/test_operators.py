"""A Glue run that fails shows its own error and the end of its log in the task's log."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.aws.links.glue import GlueJobRunDetailsLink
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk.exceptions import AirflowException

from mag7.tasks.operators import (
    TAIL,
    GlueRunFailedError,
    GlueRunOperator,
    GlueRunsCollidedError,
    GlueScriptRefusedError,
    WarehouseOperator,
)

RUN_ID = "jr_0123"


class FakeHook:
    """The hook as far as a failed run needs it."""

    def __init__(self, run: dict[str, Any]) -> None:
        self.conn = self
        self.run = run

    def get_job_run(self, **which: str) -> dict[str, Any]:
        assert which == {"JobName": "processing-pipeline", "RunId": RUN_ID}
        return {"JobRun": self.run}

    def get_job_runs(self, **which: str) -> dict[str, Any]:
        assert which == {"JobName": "processing-pipeline"}
        return {"JobRuns": []}


class FakeStateStore(dict[str, str]):
    """What Airflow keeps of a task instance between tries and clears."""

    def set(self, key: str, value: str) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def make_context(kept: FakeStateStore | None = None, clears: int = 0) -> Any:
    """The context of a task whose run was cleared a number of times."""
    return {"task_state_store": kept, "dag_run": SimpleNamespace(clear_number=clears)}


@pytest.fixture
def run_failing(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Execute the operator where the provider's own part fails, with a run or before there is one."""

    def run_failing(run: dict[str, Any] | None) -> None:
        operator = GlueRunOperator(
            task_id="processing_pipeline", job_name="processing-pipeline", script_args={"--staging": "s"}
        )

        def fail(self: GlueRunOperator, context: Any) -> None:
            self._job_run_id = RUN_ID if run else None
            raise AirflowException("the provider's words")

        monkeypatch.setattr(GlueJobOperator, "execute", fail)
        monkeypatch.setattr(GlueRunOperator, "hook", FakeHook(run or {}))
        operator.execute(make_context())

    return run_failing


def write_log(group: str, lines: list[str]) -> None:
    logs = boto3.client("logs", region_name="us-east-1")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=RUN_ID)
    now = int(time.time() * 1000)  # older events than two weeks are refused
    logs.put_log_events(
        logGroupName=group,
        logStreamName=RUN_ID,
        logEvents=[{"timestamp": now + number, "message": line} for number, line in enumerate(lines)],
    )


def test_the_error_is_the_jobs_own_and_says_what_to_do(run_failing: Any) -> None:
    with pytest.raises(GlueRunFailedError) as failed:
        run_failing({"JobRunState": "FAILED", "ErrorMessage": "column close is missing"})

    assert str(failed.value) == (
        "Glue job processing-pipeline, run jr_0123, ended FAILED: column close is missing."
        " Clear this task to run it again"
    )
    assert failed.value.transient
    assert str(failed.value.__cause__) == "the provider's words"


def test_a_run_without_an_error_message_points_to_the_log(run_failing: Any) -> None:
    with pytest.raises(GlueRunFailedError, match=r"ended TIMEOUT: it gave no error message, see the log above"):
        run_failing({"JobRunState": "TIMEOUT"})


def test_the_last_lines_of_both_logs_are_shown(run_failing: Any, caplog: pytest.LogCaptureFixture) -> None:
    write_log("/aws-glue/jobs/output", [f"step {number}" for number in range(TAIL + 5)])
    write_log("/aws-glue/jobs/error", ["Traceback", "ValueError: close\n"])
    with caplog.at_level(logging.INFO, logger="mag7"), pytest.raises(GlueRunFailedError):
        run_failing({"JobRunState": "FAILED"})

    output, error = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert output.splitlines()[1:] == [f"step {number}" for number in range(5, TAIL + 5)]
    assert error.splitlines() == ["last lines of /aws-glue/jobs/error, run jr_0123:", "Traceback", "ValueError: close"]


def test_a_log_that_does_not_exist_hides_nothing(run_failing: Any, caplog: pytest.LogCaptureFixture) -> None:
    write_log("/aws-glue/jobs/error", ["what happened"])
    with caplog.at_level(logging.INFO, logger="mag7"), pytest.raises(GlueRunFailedError, match="FAILED"):
        run_failing({"JobRunState": "FAILED"})

    said = [record.getMessage() for record in caplog.records if record.name.startswith("mag7")]
    assert said[0].startswith("the log of run jr_0123 in /aws-glue/jobs/output cannot be read")
    assert said[1].endswith("what happened")


def test_what_the_script_refused_is_not_tried_again(run_failing: Any) -> None:
    with pytest.raises(GlueScriptRefusedError, match="Clear build_market_data") as refused:
        run_failing({"JobRunState": "FAILED", "ErrorMessage": "DocumentInvalidError: no companies"})

    assert not refused.value.transient


class TestStrangers:
    """Runs of the same job beside the one that the task knows."""

    BEGUN = datetime(2024, 12, 14, 5, tzinfo=UTC)

    def run(self, run_id: str, *, ended: int | None = None, state: str = "SUCCEEDED", staging: str = "s") -> Any:
        """A run that ended ``ended`` seconds after the task's run began."""
        more = {} if ended is None else {"CompletedOn": self.BEGUN + timedelta(seconds=ended)}
        return {
            "Id": run_id,
            "JobRunState": state,
            "StartedOn": self.BEGUN,
            "Arguments": {"--staging": staging},
            **more,
        }

    def execute(
        self,
        monkeypatch: pytest.MonkeyPatch,
        before: Sequence[Any] = (),
        meanwhile: Sequence[Any] = (),
        clears: int = 1,
    ) -> list[str]:
        """Execute the operator: runs that it finds, and those that come while its own runs; returns what it stopped.

        Try 1 of the first clear knows the run ``jr_known``.
        """
        runs = {run["Id"]: run for run in before}
        stopped: list[str] = []

        def stop(JobName: str, JobRunIds: list[str]) -> None:  # noqa: N803 - boto3's names
            stopped.extend(JobRunIds)
            for run_id in JobRunIds:
                runs[run_id]["JobRunState"] = "STOPPED"

        def run(*_: Any) -> str:
            runs.update({run["Id"]: run for run in (self.run(RUN_ID, ended=60), *meanwhile)})
            return RUN_ID

        conn = SimpleNamespace(
            get_job_runs=lambda JobName: {"JobRuns": list(runs.values())},  # noqa: N803
            get_job_run=lambda JobName, RunId: {"JobRun": runs[RunId]},  # noqa: N803
            batch_stop_job_run=stop,
        )
        monkeypatch.setattr(GlueJobOperator, "execute", run)
        monkeypatch.setattr(GlueRunOperator, "hook", SimpleNamespace(conn=conn))
        operator = GlueRunOperator(
            task_id="processing_pipeline", job_name="processing-pipeline", script_args={"--staging": "s"}
        )
        kept = FakeStateStore(glue_job_run_id_1="jr_known")
        self.refused = ""
        try:
            assert operator.execute(make_context(kept, clears)) == RUN_ID
        except GlueRunsCollidedError as collided:
            assert collided.transient
            self.refused = str(collided)
        return stopped

    def test_that_still_write_into_the_same_folder_are_ended_and_the_task_tried_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.execute(monkeypatch, meanwhile=[self.run("jr_lost", state="RUNNING")]) == ["jr_lost"]
        assert "jr_lost wrote to the same folder" in self.refused

    def test_that_wrote_while_it_ran_have_it_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.execute(monkeypatch, meanwhile=[self.run("jr_lost", ended=30)]) == ["jr_lost"]
        assert "jr_lost wrote to the same folder" in self.refused

    def test_of_before_or_of_another_folder_are_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        others = self.run("jr_before", ended=-5), self.run("jr_other", state="RUNNING", staging="t")

        assert self.execute(monkeypatch, others) == []
        assert self.refused == ""

    def test_of_a_killed_task_that_was_cleared_are_ended_before_it_starts_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running = self.run("jr_known", state="RUNNING")

        assert self.execute(monkeypatch, [running], clears=2) == ["jr_known"]
        assert self.refused == ""

    def test_of_an_earlier_try_are_gone_on_with(self, monkeypatch: pytest.MonkeyPatch) -> None:
        running = self.run("jr_known", state="RUNNING", staging="s")
        monkeypatch.setattr(GlueRunOperator, "_refuse_company", lambda *_: None)

        assert self.execute(monkeypatch, [running]) == []


class FakeDataApi:
    """A Data API that counts submissions and finishes them at once."""

    def __init__(self) -> None:
        self.conn = self
        self.submitted = 0

    def execute_query(self, **_: Any) -> Any:
        self.submitted += 1
        return SimpleNamespace(statement_id=f"s{self.submitted}", session_id=None)

    def describe_statement(self, Id: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        return {"Id": Id, "Status": "FINISHED"}

    def wait_for_results(self, statement_id: str, poll_interval: float) -> None:
        assert poll_interval > 0


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeDataApi:
    found = FakeDataApi()
    monkeypatch.setattr(WarehouseOperator, "hook", found)
    return found


def load(kept: FakeStateStore, clears: int) -> None:
    operator = WarehouseOperator(task_id="load_tables", sql="SELECT 1", poll_interval=1)
    operator.execute(make_context(kept, clears))


def test_a_cleared_load_is_loaded_again(api: FakeDataApi) -> None:
    kept = FakeStateStore()

    load(kept, clears=0)
    load(kept, clears=1)

    assert api.submitted == 2


def test_a_load_that_was_cleared_without_its_run_is_loaded_again(api: FakeDataApi) -> None:
    kept = FakeStateStore()

    load(kept, clears=0)
    load(kept, clears=0)

    assert api.submitted == 2


def test_a_load_that_was_killed_and_cleared_is_loaded_again_though_its_statement_ended_well(api: FakeDataApi) -> None:
    # Its input may have changed: what came before it may have been cleared, too.
    load(FakeStateStore(redshift_statement_id_0="s0"), clears=1)

    assert api.submitted == 1


def test_a_try_after_a_lost_worker_finds_its_statement(api: FakeDataApi) -> None:
    load(FakeStateStore(redshift_statement_id_3="s0"), clears=3)

    assert api.submitted == 0


class FakeGlue:
    """A Glue whose runs end at once; ``company`` is a run of a start without a response, beside the next one."""

    def __init__(self) -> None:
        self.conn, self.conn_region_name, self.conn_partition = self, "us-east-1", "aws"
        self.runs: dict[str, dict[str, Any]] = {}
        self.company = False

    def initialize_job(self, script_args: dict[str, str], _: object) -> dict[str, str]:
        run_id = f"jr_{len(self.runs)}"
        self.add(run_id, script_args)
        if self.company:
            self.company = False
            self.add("jr_unheard", script_args)
        return {"JobRunId": run_id}

    def add(self, run_id: str, script_args: dict[str, str]) -> None:
        begun = datetime(2024, 12, 14, 5, len(self.runs), tzinfo=UTC)
        self.runs[run_id] = {
            "Id": run_id,
            "JobRunState": "SUCCEEDED",
            "StartedOn": begun,
            "CompletedOn": begun + timedelta(seconds=50),
            "Arguments": script_args,
        }

    def job_completion(self, _: str, run_id: str, *__: object) -> dict[str, Any]:
        return self.runs[run_id]

    def get_job_state(self, _: str, run_id: str) -> str:
        return str(self.runs[run_id]["JobRunState"])

    def get_job_run(self, JobName: str, RunId: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert JobName == "processing-pipeline"
        return {"JobRun": self.runs[RunId]}

    def get_job_runs(self, JobName: str) -> dict[str, Any]:  # noqa: N803
        assert JobName == "processing-pipeline"
        return {"JobRuns": list(self.runs.values())}

    def batch_stop_job_run(self, **_: Any) -> None:
        pass


class TestGlueRunAgain:
    """The provider's own execute, over tries and clears."""

    @pytest.fixture
    def glue(self, monkeypatch: pytest.MonkeyPatch) -> FakeGlue:
        found = FakeGlue()
        monkeypatch.setattr(GlueRunOperator, "hook", found)
        monkeypatch.setattr(GlueJobRunDetailsLink, "persist", lambda **_: None)
        return found

    def execute(self, kept: FakeStateStore, clears: int = 0) -> str | None:
        operator = GlueRunOperator(
            task_id="processing_pipeline", job_name="processing-pipeline", script_args={"--staging": "s"}
        )
        ti = SimpleNamespace(try_number=1, xcom_push=lambda **_: None, stats_tags={})
        return operator.execute(make_context(kept, clears) | {"ti": ti})

    def test_a_try_after_a_lost_worker_finds_its_run(self, glue: FakeGlue) -> None:
        glue.add("jr_known", {"--staging": "s"})

        assert self.execute(FakeStateStore(glue_job_run_id_2="jr_known"), clears=2) == "jr_known"
        assert list(glue.runs) == ["jr_known"]

    def test_a_killed_task_that_was_cleared_starts_again_although_its_run_ended_well(self, glue: FakeGlue) -> None:
        glue.add("jr_known", {"--staging": "s"})

        assert self.execute(FakeStateStore(glue_job_run_id_2="jr_known"), clears=3) == "jr_1"

    @pytest.mark.parametrize("clears", [0, 1])
    def test_cleared_after_success_it_starts_again_whether_the_run_counts_that_or_not(
        self, glue: FakeGlue, clears: int
    ) -> None:
        kept = FakeStateStore()

        assert [self.execute(kept), self.execute(kept, clears)] == ["jr_0", "jr_1"]

    def test_a_try_after_a_collision_starts_again(self, glue: FakeGlue) -> None:
        glue.company, kept = True, FakeStateStore()
        with pytest.raises(GlueRunsCollidedError):
            self.execute(kept)

        assert self.execute(kept) == "jr_2"


def test_a_run_that_never_started_keeps_the_providers_error(run_failing: Any) -> None:
    with pytest.raises(AirflowException, match="the provider's words"):
        run_failing(None)
