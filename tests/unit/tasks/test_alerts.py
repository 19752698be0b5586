"""One message a run: what it says, where it goes, and that it goes out whatever the run failed of."""

from __future__ import annotations

import json
import shlex
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
from mag7.settings import SettingInvalidError, read_alert_topic, read_settings
from mag7.tasks.alerts import (
    AlertNotSentError,
    compose_alert,
    measure_delay,
    repeat_command,
    send_alert,
    trigger_command,
)
from mag7.tasks.backfill import RANGE
from mag7.tasks.check import CHECKS
from mag7.tasks.document import COVERAGE
from mag7.tasks.ending import Ending
from mag7.tasks.refusals import SessionRefusedError
from mag7.tasks.reports import FAILURE, read_report, report_failure, write_report
from mag7.tasks.retries import PassingFaultsPolicy
from mag7.tasks.summary import SUMMARY
from tests.unit.tasks.conftest import RUN

RUN_ID = RUN.removeprefix("mag7_daily-")
DAY = "2024-12-13"
GOOD = {"resolve_session": "success", "publish_sessions": "success", "load.reconcile": "success"}
SESSION = {
    "trading_date": DAY,
    "quality": "complete",
    "companies": 500,
    "coverage_pct": 100.0,
    "failed_collections": [],
}
PARTIAL = {
    **SESSION,
    "quality": "partial",
    "companies": 499,
    "coverage_pct": 99.9,
    "failed_collections": [{"ticker": "XYZ", "reason": "HTTP 500 after 5 tries"}],
}
ASKED: dict[str, Any] = {"asked": [DAY], "complete": [], "refused": {}}
NO_NVDA = {"task": "check_coverage", "error": "SessionRefusedError", "message": "no NVDA", "ours": True}


def ending(**changes: Any) -> Ending:
    values: dict[str, Any] = {"dag_id": "mag7_daily", "run_id": RUN_ID, "states": GOOD, "sessions": [DAY]}
    return Ending(**{**values, "reports": {SUMMARY: {"sessions": [SESSION]}}, **changes})


def body(**changes: Any) -> str:
    alert = compose_alert(ending(**changes))
    assert alert is not None
    return alert.body


def list_steps(**changes: Any) -> list[str]:
    """What a message says that there is to do, below what is kept."""
    lines = body(**changes).splitlines()
    return lines[next(place for place, line in enumerate(lines) if line.startswith("Kept: ")) + 1 :]


CLEAR = f"To repeat it: airflow dags clear mag7_daily --run-id {RUN_ID} --yes"
ASK_AGAIN = (
    f"If an answer is wrong, ask again for {DAY}:"
    """ airflow dags trigger mag7_daily --conf '{"trading_date": "2024-12-13", "collect_again": true}'"""
)


class TestMessage:
    @pytest.mark.parametrize("quality", ["complete", "flagged"])
    def test_a_run_that_ended_well_says_nothing(self, quality: str) -> None:
        assert compose_alert(ending(reports={SUMMARY: {"sessions": [{**SESSION, "quality": quality}]}})) is None

    def test_a_failure_says_what_failed_what_is_kept_and_how_to_repeat_it(self) -> None:
        states = {"check_coverage": "failed", "publish_sessions": "upstream_failed"}
        alert = compose_alert(ending(states=states, reports={FAILURE: NO_NVDA}), f"s3://lake/staging/{RUN}/reports/")

        assert alert is not None
        assert alert.subject == "mag7_daily failed for 2024-12-13"
        assert alert.lines == (
            f"DAG mag7_daily, run {RUN_ID}",
            "Failed: check_coverage: check_coverage says no NVDA",
            "Kept: every answer that was fetched is kept; nothing was published, readers see what they saw before",
            f"Reports: s3://lake/staging/{RUN}/reports/",
            f"To repeat it: airflow dags clear mag7_daily --run-id {RUN_ID} --yes",
        )

    def test_a_task_whose_error_nobody_reported_points_to_its_log(self) -> None:
        states = {"collect.collect_details_3": "failed", "collect.collect_details_7": "failed"}

        assert "Failed: collect.collect_details, see its log" in body(states=states, reports={}).splitlines()

    def test_a_refused_session_is_told_beside_those_that_were_published(self) -> None:
        text = body(
            states={**GOOD, "report_refusals": "failed"},
            sessions=["2024-12-12", DAY],
            reports={COVERAGE: {"2024-12-12": []}, CHECKS: {"refused": {DAY: ["NVDA is 38.67 % of the index"]}}},
        )

        assert "2024-12-13 refused: NVDA is 38.67 % of the index" in text.splitlines()
        assert "is kept; published in the lake and the warehouse: 2024-12-12\n" in text

    @pytest.mark.parametrize(
        ("states", "kept"),
        [
            (
                {"publish_sessions": "failed"},
                "publishing broke off: until it is repeated, readers may see part of 2024",
            ),
            ({"publish_sessions": "success", "load.load_tables": "failed"}, "published in the lake only: 2024-12-13"),
            ({"resolve_session": "failed"}, "nothing was published"),
        ],
    )
    def test_what_readers_see_is_said(self, states: dict[str, str], kept: str) -> None:
        assert kept in body(states={"another": "failed", **states})

    def test_coverage_that_is_not_whole_is_a_warning(self) -> None:
        alert = compose_alert(ending(reports={SUMMARY: {"sessions": [PARTIAL]}}))

        assert alert is not None
        assert alert.subject == "mag7_daily published 2024-12-13 with warnings"
        assert (
            "2024-12-13 is partial: 499 companies priced, coverage by cap 99.90 %, not priced:"
            " XYZ (HTTP 500 after 5 tries)"
        ) in alert.lines

    def test_a_manifest_that_was_not_written_is_a_warning_and_no_failure_of_the_run(self) -> None:
        alert = compose_alert(ending(states=GOOD | {"write_run_manifest": "failed"}))

        assert alert is not None
        assert alert.subject == "mag7_daily published 2024-12-13 with warnings"
        assert "The run's manifest was not written" in alert.body

    def test_a_late_session_is_a_warning(self) -> None:
        assert "Late: it ended 7.5 hours after it was due" in body(late=timedelta(hours=7.5)).splitlines()

    def test_a_long_window_is_named_by_its_ends(self) -> None:
        alert = compose_alert(ending(sessions=["2024-11-01", "2024-11-04", "2024-11-05"], late=timedelta(hours=9)))

        assert alert is not None
        assert "2024-11-01 to 2024-11-05" in alert.subject

    def test_what_services_cannot_take_is_left_out(self) -> None:
        message = f"é\nSubject: forged {'x' * 100_000}"
        alert = compose_alert(
            ending(dag_id="däg\n" * 50, states={"x": "failed"}, reports={FAILURE: {**NO_NVDA, "message": message}})
        )

        assert alert is not None
        assert alert.subject.isascii()
        assert alert.subject.isprintable()
        assert len(alert.subject) <= 100
        assert len(alert.body.encode()) < 256_000
        assert not any(line.startswith("Subject") for line in alert.body.splitlines())

    def test_a_secret_that_airflow_masks_is_not_in_it(self) -> None:
        mask_secret("hunter2-hunter2")
        alert = compose_alert(
            ending(
                states={"x": "failed"}, reports={FAILURE: {**NO_NVDA, "message": "password hunter2-hunter2 refused"}}
            )
        )

        assert alert is not None
        assert "password *** refused" in alert.body

    def test_a_run_id_cannot_add_a_command(self) -> None:
        assert (
            repeat_command("mag7_daily", "x; rm -rf ~") == "airflow dags clear mag7_daily --run-id 'x; rm -rf ~' --yes"
        )


class TestNextSteps:
    """A command that leaves everything as it is would be a dead end."""

    def test_a_partial_session_of_a_daily_run_is_repeated_by_clearing_it(self) -> None:
        assert list_steps(reports={SUMMARY: {"sessions": [PARTIAL]}}) == [CLEAR, ASK_AGAIN]

    def test_a_backfill_takes_a_partial_session_for_complete_so_it_is_triggered_to_repeat_it(self) -> None:
        days = ["2024-12-10", "2024-12-11", "2024-12-12", DAY]
        sessions = [
            {**session, "trading_date": day}
            for session, day in zip([SESSION, PARTIAL, SESSION, PARTIAL], days, strict=True)
        ]
        reports = {RANGE: {**ASKED, "asked": days}, SUMMARY: {"sessions": sessions}}

        assert list_steps(dag_id="mag7_backfill", sessions=days, reports=reports) == [
            "To repeat what is partial: airflow dags trigger mag7_backfill --conf"
            """ '{"start_date": "2024-12-11", "end_date": "2024-12-13", "repeat": true}'""",
            "If an answer is wrong, ask again for 2024-12-11 (likewise 1 more): airflow dags trigger mag7_daily --conf"
            """ '{"trading_date": "2024-12-11", "collect_again": true}'""",
        ]

    def test_what_a_backfill_refused_is_repeated_by_clearing_it_and_what_is_partial_is_not(self) -> None:
        reports = {
            RANGE: ASKED,
            CHECKS: {"refused": {"2024-12-12": ["no NVDA"]}},
            SUMMARY: {"sessions": [PARTIAL]},
        }
        steps = list_steps(states={**GOOD, "report_refusals": "failed"}, reports=reports)

        assert [step.partition(":")[0] for step in steps] == [
            "To repeat it",
            "To repeat what is partial",
            "If an answer is wrong, ask again for 2024-12-12 (likewise 1 more)",
        ]

    def test_a_refusal_may_rest_on_a_kept_answer_that_only_another_run_asks_for_again(self) -> None:
        states = {"check_coverage": "failed"}

        assert list_steps(states=states, reports={COVERAGE: {DAY: ["no NVDA"]}}) == [CLEAR, ASK_AGAIN]

    def test_of_a_session_that_was_never_asked_about_no_answer_is_wrong(self) -> None:
        states, reports = {"resolve_window": "failed"}, {RANGE: {**ASKED, "refused": {DAY: ["its lines are unknown"]}}}

        assert list_steps(states=states, reports=reports) == [CLEAR]

    def test_a_failed_task_is_no_doubt_about_an_answer(self) -> None:
        assert list_steps(states={"load.load_tables": "failed"}, reports={}) == [CLEAR]

    @pytest.mark.parametrize(
        "changes", [{"states": GOOD | {"write_run_manifest": "failed"}}, {"late": timedelta(hours=9)}], ids=str
    )
    def test_a_run_whose_sessions_are_whole_is_not_to_be_repeated(self, changes: dict[str, Any]) -> None:
        assert list_steps(**changes) == []

    def test_a_param_cannot_add_a_command(self) -> None:
        params = {"trading_date": "2024'; rm -rf ~ #", "collect_again": True}

        words = shlex.split(trigger_command("mag7_daily; id", params), comments=True)
        assert words[:-1] == ["airflow", "dags", "trigger", "mag7_daily; id", "--conf"]
        assert json.loads(words[-1]) == params


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
        write_report(store, RUN, FAILURE, NO_NVDA)
        write_report(store, RUN, COVERAGE, {DAY: ["no NVDA"]})

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
        write_report(store, RUN, FAILURE, NO_NVDA)

        assert send_alert(window) is not None
        assert "Failed: check_coverage: check_coverage says no NVDA" in caplog.text
        assert "MAG7_ALERT_TOPIC is not set" in caplog.text

    def test_nothing_is_sent_of_a_run_that_ended_well(
        self, store: ObjectStore, inbox: Any, window: Any, states: dict[str, str]
    ) -> None:
        states.clear()
        states.update(GOOD)
        write_report(store, RUN, SUMMARY, {"sessions": [SESSION]})

        assert send_alert(window) is None
        assert inbox() == []

    def test_a_run_without_session_or_lake_is_told_all_the_same(
        self, inbox: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.delenv("MAG7_BUCKET")

        assert send_alert(None) == "mag7_daily failed for no session"
        (message,) = inbox()
        assert "MAG7_BUCKET is not set" in message["Message"]
        assert "MAG7_BUCKET is not set" in caplog.text

    def test_a_bucket_that_is_not_there_does_not_keep_the_run_from_being_told(
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
        assert not any(line.startswith("Reports: ") for line in lines)

    @pytest.mark.parametrize("fault", LAKE_FAULTS, ids=lambda error: type(error).__name__)
    @pytest.mark.parametrize("place", ["mag7.tasks.alerts.open_store", "mag7.lake.objects.ObjectStore.find"])
    def test_whatever_refuses_the_lake_is_told_with_the_states(
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

    def test_a_good_run_whose_reports_cannot_be_read_may_hide_a_partial_session(
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
            "Kept: every answer that reached the lake is kept; published in the lake and the warehouse: those of its"
            " sessions that were not refused"
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
            "the alert 'mag7_daily failed for 2024-12-13' could not be sent, its text stands above in this log:"
            f" {refusal}. "
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


def test_a_failure_report_holds_no_masked_secret(store: ObjectStore) -> None:
    mask_secret("hunter2-hunter2")
    ti = SimpleNamespace(dag_id="mag7_daily", task_id="load.load_tables")
    # pragma: allowlist nextline secret - an invented one
    error = SessionRefusedError("postgresql://dev:hunter2-hunter2@warehouse is not there")
    report_failure({"ti": ti, "dag_run": SimpleNamespace(run_id=RUN_ID), "exception": error})  # type: ignore[typeddict-item]

    assert read_report(store, RUN, FAILURE)["message"] == "postgresql://dev:***@warehouse is not there"
