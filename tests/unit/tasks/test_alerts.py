"""One message a run: what it says, where it goes, and that nothing about it changes how a run ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.sns import SnsHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret
from botocore.exceptions import ClientError, EndpointConnectionError

from mag7.lake.objects import ObjectStore
from mag7.settings import SettingInvalidError, read_alert_topic, read_settings
from mag7.tasks.alerts import compose_alert, measure_delay, repeat_command, send_alert
from mag7.tasks.check import CHECKS
from mag7.tasks.document import COVERAGE
from mag7.tasks.ending import Ending
from mag7.tasks.refusals import SessionRefusedError
from mag7.tasks.reports import FAILURE, read_report, report_failure, write_report
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
NO_NVDA = {"task": "check_coverage", "error": "SessionRefusedError", "message": "no NVDA", "ours": True}


def ending(**changes: Any) -> Ending:
    values: dict[str, Any] = {"dag_id": "mag7_daily", "run_id": RUN_ID, "states": GOOD, "sessions": [DAY]}
    return Ending(**{**values, "reports": {SUMMARY: {"sessions": [SESSION]}}, **changes})


def body(**changes: Any) -> str:
    alert = compose_alert(ending(**changes))
    assert alert is not None
    return alert.body


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
        assert len(inbox()) == 1
        assert "MAG7_BUCKET is not set" in caplog.text

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
    def test_a_refusal_is_logged_and_changes_nothing(
        self, window: Any, monkeypatch: pytest.MonkeyPatch, refusal: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise refusal

        monkeypatch.setattr(SnsHook, "publish_to_target", refuse)

        assert send_alert(window) is not None
        assert f"the alert could not be sent: {refusal}" in caplog.text


def test_a_failure_report_holds_no_masked_secret(store: ObjectStore) -> None:
    mask_secret("hunter2-hunter2")
    ti = SimpleNamespace(dag_id="mag7_daily", task_id="load.load_tables")
    # pragma: allowlist nextline secret - an invented one
    error = SessionRefusedError("postgresql://dev:hunter2-hunter2@warehouse is not there")
    report_failure({"ti": ti, "dag_run": SimpleNamespace(run_id=RUN_ID), "exception": error})  # type: ignore[typeddict-item]

    assert read_report(store, RUN, FAILURE)["message"] == "postgresql://dev:***@warehouse is not there"
