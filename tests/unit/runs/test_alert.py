"""The alert of a run: what it says, and the next steps that it gives."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.log import mask_secret

from mag7.runs.alert import compose_alert, repeat_command, trigger_command
from mag7.runs.record import Asked, Built, Checks, Failure, RunRecord, Summary
from mag7.tasks.run_reports import hide_secrets
from tests.unit.tasks.conftest import RUN

RUN_ID = RUN.removeprefix("mag7_daily-")
DAY = "2024-12-13"
GOOD = {"resolve_session": "success", "publish_sessions": "success", "load.reconcile": "success"}
COMPLETE = {"quality": "complete", "companies_priced": 500, "coverage_pct": 100.0, "failed": {}}
PARTIAL = {
    "quality": "partial",
    "companies_priced": 499,
    "coverage_pct": 99.9,
    "failed": {"XYZ": "HTTP 500 after 5 tries"},
}
ONE_PARTIAL = {"summary": Summary(sessions={DAY: PARTIAL})}
ASKED = Asked(asked=[DAY])
NO_NVDA = Failure(task="check_coverage", error="SessionRefusedError", message="no NVDA", ours=True)


def make_record(**changes: Any) -> RunRecord:
    values = {"dag_id": "mag7_daily", "run_id": RUN_ID, "states": GOOD, "sessions": [DAY]}
    return RunRecord.model_validate({**values, "summary": Summary(sessions={DAY: COMPLETE}), **changes})


def compose(**changes: Any) -> Any:
    return compose_alert(make_record(**changes), hide_secrets)


def body(**changes: Any) -> str:
    alert = compose(**changes)
    assert alert is not None
    return alert.body


def list_steps(**changes: Any) -> list[str]:
    """The next steps of an alert, below what is stored."""
    lines = body(**changes).splitlines()
    return lines[next(place for place, line in enumerate(lines) if line.startswith("State: ")) + 1 :]


CLEAR = f"To repeat it: airflow dags clear mag7_daily --run-id {RUN_ID} --yes"
ASK_AGAIN = (
    f"If a response is wrong, ask again for {DAY}:"
    """ airflow dags trigger mag7_daily --conf '{"trading_date": "2024-12-13", "collect_again": true}'"""
)


class TestMessage:
    @pytest.mark.parametrize("quality", ["complete", "flagged"])
    def test_a_run_that_ended_well_says_nothing(self, quality: str) -> None:
        assert compose(summary=Summary(sessions={DAY: {**COMPLETE, "quality": quality}})) is None

    def test_a_failure_says_what_failed_what_is_stored_and_how_to_repeat_it(self) -> None:
        states = {"check_coverage": "failed", "publish_sessions": "upstream_failed"}
        record = make_record(states=states, failure=NO_NVDA)
        alert = compose_alert(record, hide_secrets, f"s3://lake/staging/{RUN}/record/")

        assert alert is not None
        assert alert.subject == "mag7_daily failed for 2024-12-13"
        assert alert.lines == (
            f"DAG mag7_daily, run {RUN_ID}",
            "Failed: check_coverage: check_coverage says no NVDA",
            "State: every response that was fetched is stored; nothing was published, readers see what they saw before",
            f"Record: s3://lake/staging/{RUN}/record/",
            f"To repeat it: airflow dags clear mag7_daily --run-id {RUN_ID} --yes",
        )

    def test_a_task_whose_error_nobody_recorded_points_to_its_log(self) -> None:
        states = {"collect.collect_details_3": "failed", "collect.collect_details_7": "failed"}

        assert "Failed: collect.collect_details, see its log" in body(states=states).splitlines()

    def test_a_refused_session_is_reported_beside_those_that_were_published(self) -> None:
        text = body(
            states={**GOOD, "report_refusals": "failed"},
            sessions=["2024-12-12", DAY],
            built=Built(refused={"2024-12-12": []}),
            checks=Checks(checks=[], refused={DAY: ["NVDA is 38.67 % of the index"]}),
        )

        assert "2024-12-13 refused: NVDA is 38.67 % of the index" in text.splitlines()
        assert "is stored; published in the lake and the warehouse: 2024-12-12\n" in text

    @pytest.mark.parametrize(
        ("states", "kept"),
        [
            (
                {"publish_sessions": "failed"},
                "publishing stopped halfway: until it is repeated, readers may see part of 2024",
            ),
            ({"publish_sessions": "success", "load.load_tables": "failed"}, "published in the lake only: 2024-12-13"),
            ({"resolve_session": "failed"}, "nothing was published"),
        ],
    )
    def test_what_readers_see_is_said(self, states: dict[str, str], kept: str) -> None:
        assert kept in body(states={"another": "failed", **states})

    def test_coverage_that_is_not_whole_is_a_warning(self) -> None:
        alert = compose(**ONE_PARTIAL)

        assert alert is not None
        assert alert.subject == "mag7_daily published 2024-12-13 with warnings"
        assert (
            "2024-12-13 is partial: 499 companies priced, coverage by cap 99.90 %, not priced:"
            " XYZ (HTTP 500 after 5 tries)"
        ) in alert.lines

    def test_a_manifest_that_was_not_written_is_a_warning_and_no_failure_of_the_run(self) -> None:
        alert = compose(states=GOOD | {"write_run_manifest": "failed"})

        assert alert is not None
        assert alert.subject == "mag7_daily published 2024-12-13 with warnings"
        assert "The run's manifest was not written" in alert.body

    def test_a_late_session_is_a_warning(self) -> None:
        assert "Late: it ended 7.5 hours after it was due" in body(late=timedelta(hours=7.5)).splitlines()

    def test_a_long_window_is_named_by_its_ends(self) -> None:
        alert = compose(sessions=["2024-11-01", "2024-11-04", "2024-11-05"], late=timedelta(hours=9))

        assert alert is not None
        assert "2024-11-01 to 2024-11-05" in alert.subject

    def test_what_services_cannot_take_is_left_out(self) -> None:
        message = f"é\nSubject: forged {'x' * 100_000}"
        failure = NO_NVDA.model_copy(update={"message": message})
        alert = compose(dag_id="däg\n" * 50, states={"x": "failed"}, failure=failure)

        assert alert is not None
        assert alert.subject.isascii()
        assert alert.subject.isprintable()
        assert len(alert.subject) <= 100
        assert len(alert.body.encode()) < 256_000
        assert not any(line.startswith("Subject") for line in alert.body.splitlines())

    def test_a_secret_that_airflow_masks_is_not_in_it(self) -> None:
        mask_secret("hunter2-hunter2")
        failure = NO_NVDA.model_copy(update={"message": "password hunter2-hunter2 refused"})
        alert = compose(states={"x": "failed"}, failure=failure)

        assert alert is not None
        assert "password *** refused" in alert.body

    def test_a_run_id_cannot_add_a_command(self) -> None:
        assert (
            repeat_command("mag7_daily", "x; rm -rf ~") == "airflow dags clear mag7_daily --run-id 'x; rm -rf ~' --yes"
        )


class TestNextSteps:
    """A command that leaves everything as it is would be a dead end."""

    def test_a_partial_session_of_a_daily_run_is_repeated_by_clearing_it(self) -> None:
        assert list_steps(**ONE_PARTIAL) == [CLEAR, ASK_AGAIN]

    def test_a_backfill_takes_a_partial_session_for_complete_so_it_is_triggered_to_repeat_it(self) -> None:
        days = ["2024-12-10", "2024-12-11", "2024-12-12", DAY]
        summary = Summary(sessions=dict(zip(days, [COMPLETE, PARTIAL, COMPLETE, PARTIAL], strict=True)))

        assert list_steps(dag_id="mag7_backfill", sessions=days, asked=Asked(asked=days), summary=summary) == [
            "To repeat what is partial: airflow dags trigger mag7_backfill --conf"
            """ '{"start_date": "2024-12-11", "end_date": "2024-12-13", "repeat": true}'""",
            "If a response is wrong, ask again for 2024-12-11 (likewise 1 more): airflow dags trigger mag7_daily --conf"
            """ '{"trading_date": "2024-12-11", "collect_again": true}'""",
        ]

    def test_what_a_backfill_refused_is_repeated_by_clearing_it_and_what_is_partial_is_not(self) -> None:
        checks = Checks(checks=[], refused={"2024-12-12": ["no NVDA"]})
        steps = list_steps(states={**GOOD, "report_refusals": "failed"}, asked=ASKED, checks=checks, **ONE_PARTIAL)

        assert [step.partition(":")[0] for step in steps] == [
            "To repeat it",
            "To repeat what is partial",
            "If a response is wrong, ask again for 2024-12-12 (likewise 1 more)",
        ]

    def test_a_refusal_may_rest_on_a_stored_response_that_only_another_run_asks_for_again(self) -> None:
        states = {"check_coverage": "failed"}

        assert list_steps(states=states, built=Built(refused={DAY: ["no NVDA"]})) == [CLEAR, ASK_AGAIN]

    def test_of_a_session_that_was_never_asked_about_no_response_is_wrong(self) -> None:
        asked = Asked(asked=[DAY], refused={DAY: ["its lines are unknown"]})

        assert list_steps(states={"resolve_window": "failed"}, asked=asked) == [CLEAR]

    def test_a_failed_task_is_no_doubt_about_a_response(self) -> None:
        assert list_steps(states={"load.load_tables": "failed"}) == [CLEAR]

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
