"""Reports of a run: its failures, and one alert that is sent whatever the run failed of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.sns import SnsHook
from airflow.sdk import RetryDecision
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret
from botocore.exceptions import ClientError, EndpointConnectionError, ProfileNotFound

from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.runs.record import Built, Failure, Summary, read_section, write_section
from mag7.runs.refusal import SessionRefusedError
from mag7.settings import SettingInvalidError, SettingMissingError, read_alert_topic, read_settings
from mag7.tasks.retries import PassingFaultsPolicy
from mag7.tasks.run_reports import AlertNotSentError, measure_delay, report_failure, send_alert, time_stages
from tests.unit.runs.test_alert import CLEAR, COMPLETE, DAY, GOOD, NO_NVDA
from tests.unit.tasks.conftest import RUN

RUN_ID = RUN.removeprefix("mag7_daily-")


def context_of(task_id: str, error: BaseException | None) -> Any:
    ti = SimpleNamespace(dag_id="mag7_daily", task_id=task_id)
    return {"ti": ti, "dag_run": SimpleNamespace(run_id=RUN_ID), "exception": error}


def test_a_failed_task_leaves_its_error(store: ObjectStore) -> None:
    report_failure(context_of("check.judge_checks", SessionRefusedError("NVDA is 38.67 % of the index")))

    assert read_section(store, RUN, Failure) == Failure(
        task="check.judge_checks", error="SessionRefusedError", message="NVDA is 38.67 % of the index", ours=True
    )


def test_the_newest_failure_is_what_the_run_stopped_at(store: ObjectStore) -> None:
    report_failure(context_of("collect.collect_details", SessionRefusedError("mended since")))
    report_failure(context_of("check_coverage", SessionRefusedError("no NVDA")))

    assert read_section(store, RUN, Failure).message == "no NVDA"


def test_a_task_that_tells_of_the_run_leaves_what_it_stopped_at(
    store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    report_failure(context_of("check_coverage", SessionRefusedError("no NVDA")))
    telling = context_of("write_run_manifest", ValueError("no bucket")) | {"task": SimpleNamespace(is_teardown=True)}
    report_failure(telling)

    assert read_section(store, RUN, Failure).message == "no NVDA"
    assert "write_run_manifest failed: no bucket" in caplog.messages


def test_the_error_is_said_even_where_the_lake_cannot_be_written(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(ObjectStore, "put", refuse)
    with pytest.raises(PermissionError):
        report_failure(context_of("check_coverage", SessionRefusedError("no NVDA")))

    assert "check_coverage failed: no NVDA" in caplog.messages


def test_an_error_that_is_not_ours_says_so(store: ObjectStore) -> None:
    report_failure(context_of("load.load_tables", ValueError("what pyarrow said")))
    report = read_section(store, RUN, Failure)

    assert (report.error, report.message, report.ours) == ("ValueError", "what pyarrow said", False)


def test_an_error_without_a_message_is_named_by_its_kind(store: ObjectStore) -> None:
    report_failure(context_of("load.load_tables", TimeoutError()))

    assert read_section(store, RUN, Failure).message == "TimeoutError"


def test_the_error_is_the_last_word_of_the_tasks_log(store: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
    report_failure(context_of("check_coverage", SessionRefusedError("no NVDA")))

    assert caplog.records[-1].getMessage() == "check_coverage failed: no NVDA"
    assert caplog.records[-1].levelname == "ERROR"


def test_a_setting_that_hides_the_lake_leaves_no_report_but_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MAG7_BUCKET")
    report_failure(context_of("resolve_session", SettingMissingError("MAG7_BUCKET is not set: name it")))

    assert "MAG7_BUCKET" in caplog.records[-1].getMessage()


class TestDelay:
    DUE = datetime(2024, 12, 14, 5, tzinfo=UTC)

    @pytest.mark.parametrize(("run_type", "hours", "late"), [("scheduled", 5.9, False), ("scheduled", 6.1, True)])
    def test_a_scheduled_run_is_late_after_some_hours(self, run_type: str, hours: float, late: bool) -> None:
        run: Any = SimpleNamespace(run_type=run_type, run_after=self.DUE)
        delay = measure_delay(run, self.DUE + timedelta(hours=hours), read_settings())

        assert (delay is not None) is late

    @pytest.mark.parametrize("run_type", ["manual", "backfill"])
    def test_nobody_waits_for_another_run(self, run_type: str) -> None:
        run: Any = SimpleNamespace(run_type=run_type, run_after=self.DUE)

        assert measure_delay(run, self.DUE + timedelta(days=30), read_settings()) is None


class TestTopic:
    @pytest.mark.parametrize("topic", ["alerts", "arn:aws:sns:x:123456789012:a.fifo", "arn:aws:sqs:x:123456789012:a"])
    def test_what_is_no_topic_is_refused_by_the_first_task(self, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAG7_ALERT_TOPIC", topic)
        with pytest.raises(SettingInvalidError, match=r"MAG7_ALERT_TOPIC is .*must be the ARN of a standard topic"):
            read_settings()

    def test_is_known_where_other_settings_are_missing(self) -> None:
        topic = "arn:aws-us-gov:sns:us-gov-west-1:123456789012:alerts"

        assert read_alert_topic({"MAG7_ALERT_TOPIC": topic}) == topic

    def test_the_sandbox_has_none(self) -> None:
        assert read_settings({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).alert_topic == ""


@pytest.fixture
def states() -> dict[str, str]:
    return {"check_coverage": "failed"}


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch, states: dict[str, str]) -> Any:
    """What send_alert finds when it runs, as Airflow gives it."""
    ti = SimpleNamespace(dag_id="mag7_daily", task_id="send_alert", get_task_states=lambda **_: {RUN_ID: states})
    run = SimpleNamespace(run_id=RUN_ID, run_type="manual", run_after=TestDelay.DUE)
    found = {"ti": ti, "dag_run": run}
    monkeypatch.setattr("airflow.sdk.get_current_context", lambda: found)
    return found


@pytest.fixture
def inbox(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A topic, and a queue that gets what is published to it."""
    sns, sqs = (boto3.client(name, region_name="us-east-1") for name in ("sns", "sqs"))
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    monkeypatch.setenv("MAG7_ALERT_TOPIC", topic)
    yield lambda: [
        json.loads(message["Body"])
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    ]


LAKE_FAULTS = (
    ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "GetObject"),
    EndpointConnectionError(endpoint_url="https://s3.us-east-1.amazonaws.com"),
    ProfileNotFound(profile="lake"),
    ObjectMissingError("s3://lake/x does not exist"),
    AirflowNotFoundException("The conn_id `aws_default` isn't defined"),
)


def refuse_with(error: Exception) -> Any:
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse


@pytest.mark.usefixtures("context")
class TestSend:
    def test_one_message_goes_to_the_topic(self, store: ObjectStore, inbox: Any, window: Any) -> None:
        write_section(store, RUN, NO_NVDA)
        write_section(store, RUN, Built(refused={DAY: ["no NVDA"]}))

        assert send_alert(window) == "mag7_daily failed for 2024-12-13"
        (message,) = inbox()
        assert message["Subject"] == "mag7_daily failed for 2024-12-13"
        assert message["Message"].splitlines()[1:3] == [
            "2024-12-13 refused: no NVDA",
            "Failed: check_coverage: check_coverage says no NVDA",
        ]

    def test_without_a_topic_it_stands_in_the_log_only(
        self, store: ObjectStore, window: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_section(store, RUN, NO_NVDA)

        assert send_alert(window) is not None
        assert "Failed: check_coverage: check_coverage says no NVDA" in caplog.text
        assert "MAG7_ALERT_TOPIC is not set" in caplog.text

    def test_nothing_is_sent_of_a_run_that_ended_well(
        self, store: ObjectStore, inbox: Any, window: Any, states: dict[str, str]
    ) -> None:
        states.clear()
        states.update(GOOD)
        write_section(store, RUN, Summary(sessions={DAY: COMPLETE}))

        assert send_alert(window) is None
        assert inbox() == []

    def test_a_run_without_session_or_lake_is_reported_all_the_same(
        self, inbox: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.delenv("MAG7_BUCKET")

        assert send_alert(None) == "mag7_daily failed for no session"
        (message,) = inbox()
        assert "MAG7_BUCKET is not set" in message["Message"]
        assert "MAG7_BUCKET is not set" in caplog.text

    def test_a_bucket_that_is_not_there_does_not_keep_the_run_from_being_reported(
        self, store: ObjectStore, inbox: Any, window: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAG7_BUCKET", "mistyped")

        assert send_alert(window) == "mag7_daily failed for 2024-12-13"
        (message,) = inbox()
        lines = message["Message"].splitlines()
        assert "Failed: check_coverage, see its log" in lines
        assert CLEAR in lines
        (unread,) = [line for line in lines if "could not be read" in line]
        assert "NoSuchBucket" in unread
        assert not any(line.startswith("Record: ") for line in lines)

    @pytest.mark.parametrize("fault", LAKE_FAULTS, ids=lambda error: type(error).__name__)
    @pytest.mark.parametrize("place", ["mag7.tasks.run_reports.open_store", "mag7.lake.objects.ObjectStore.find"])
    def test_whatever_refuses_the_lake_is_reported_with_the_states(
        self, inbox: Any, monkeypatch: pytest.MonkeyPatch, fault: Exception, place: str
    ) -> None:
        monkeypatch.setattr(place, refuse_with(fault))

        assert send_alert({"run": RUN, "sessions": [DAY], "facts": ""}) == "mag7_daily failed for 2024-12-13"
        (message,) = inbox()
        assert str(fault) in message["Message"]

    def test_a_fault_of_our_own_is_not_taken_for_one_of_the_lake(
        self, store: ObjectStore, inbox: Any, window: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ObjectStore, "find", refuse_with(TypeError("a slip")))

        with pytest.raises(TypeError, match="a slip"):
            send_alert(window)
        assert inbox() == []

    def test_a_good_run_whose_record_cannot_be_read_may_hide_a_partial_session(
        self, store: ObjectStore, inbox: Any, window: Any, states: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        states.clear()
        states.update(GOOD)
        monkeypatch.setattr(ObjectStore, "find", refuse_with(LAKE_FAULTS[0]))

        assert send_alert(window) == "mag7_daily published 2024-12-13 with warnings"
        assert len(inbox()) == 1

    def test_what_is_not_known_to_be_published_is_not_said_to_be(
        self, store: ObjectStore, inbox: Any, states: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        states.clear()
        states.update(GOOD, report_refusals="failed")
        monkeypatch.setattr(ObjectStore, "find", refuse_with(LAKE_FAULTS[0]))

        send_alert({"run": RUN, "sessions": ["2024-12-12", DAY], "facts": ""})
        (message,) = inbox()
        assert (
            "State: every response that reached the lake is stored; published in the lake and the warehouse: those of"
            " its sessions that were not refused"
        ) in message["Message"].splitlines()

    @pytest.mark.parametrize(
        "refusal",
        [
            ClientError({"Error": {"Code": "AuthorizationError", "Message": "not allowed"}}, "Publish"),
            EndpointConnectionError(endpoint_url="https://sns.us-east-1.amazonaws.com"),
            AirflowNotFoundException("The conn_id `aws_default` isn't defined"),
        ],
        ids=lambda error: type(error).__name__,
    )
    @pytest.mark.usefixtures("store", "inbox")
    def test_a_topic_that_refuses_fails_the_task_which_is_tried_again(
        self, window: Any, monkeypatch: pytest.MonkeyPatch, refusal: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(SnsHook, "publish_to_target", refuse_with(refusal))

        with pytest.raises(AlertNotSentError) as failed:
            send_alert(window)
        assert str(failed.value).startswith(
            f"the alert 'mag7_daily failed for 2024-12-13' could not be sent; its text is in this log: {refusal}. "
        )
        assert str(failed.value).endswith("then clear send_alert")
        assert "Failed: check_coverage, see its log" in caplog.text
        assert PassingFaultsPolicy().evaluate(failed.value, 1, 2) == RetryDecision.default()

    def test_what_is_no_topic_fails_the_task(
        self, store: ObjectStore, window: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAG7_ALERT_TOPIC", "alerts")

        with pytest.raises(AlertNotSentError, match="MAG7_ALERT_TOPIC is 'alerts', but must be"):
            send_alert(window)


def test_a_recorded_failure_holds_no_masked_secret(store: ObjectStore) -> None:
    mask_secret("hunter2-hunter2")
    ti = SimpleNamespace(dag_id="mag7_daily", task_id="load.load_tables")
    # pragma: allowlist nextline secret - an invented one
    error = SessionRefusedError("postgresql://dev:hunter2-hunter2@warehouse is not there")
    report_failure({"ti": ti, "dag_run": SimpleNamespace(run_id=RUN_ID), "exception": error})  # type: ignore[typeddict-item]

    assert read_section(store, RUN, Failure).message == "postgresql://dev:***@warehouse is not there"


def test_seconds_of_tasks_add_up_by_group_or_task() -> None:
    finished = [
        {"task_id": "resolve_window", "duration": 1.26},
        {"task_id": "collect.collect_counts", "map_index": 0, "duration": 10.0},
        {"task_id": "collect.collect_counts", "map_index": 1, "duration": 20.04},
        {"task_id": "collect.collect_closes", "duration": None},
        {"task_id": "load.load_tables", "duration": 3},
    ]

    def take(tasks: list[dict[str, Any]]) -> Any:
        ti = SimpleNamespace(get_task_breadcrumbs=lambda *_: tasks)
        return time_stages({"ti": ti, "dag_run": SimpleNamespace(dag_id="d", run_id="r")})  # type: ignore[typeddict-item]

    assert take(finished) == {"resolve_window": 1.3, "collect": 30.0, "load": 3.0}
    assert take([]) == {}
