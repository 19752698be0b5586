"""The small reports that a run leaves in the lake."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mag7.lake.keys import report_key
from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.settings import SettingMissingError
from mag7.tasks.refusals import SessionRefusedError
from mag7.tasks.reports import (
    FAILURE,
    ReportDamagedError,
    clear_reports,
    drop_failure,
    read_report,
    read_report_if_any,
    report_failure,
    write_report,
)
from tests.unit.tasks.conftest import RUN

RUN_ID = RUN.removeprefix("mag7_daily-")


def context_of(task_id: str, error: BaseException | None) -> Any:
    ti = SimpleNamespace(dag_id="mag7_daily", task_id=task_id)
    return {"ti": ti, "dag_run": SimpleNamespace(run_id=RUN_ID), "exception": error}


def test_a_report_is_read_back_and_replaced(store: ObjectStore) -> None:
    write_report(store, RUN, "coverage", {"2024-12-13": []})
    write_report(store, RUN, "coverage", {"2024-12-13": ["no NVDA"]})

    assert read_report(store, RUN, "coverage") == {"2024-12-13": ["no NVDA"]}


def test_a_missing_report_is_named(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissingError, match=f"{RUN}/reports/coverage.json"):
        read_report(store, RUN, "coverage")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000], ids=["none", "cut", "list", "bytes", "deep"]
)
def test_a_damaged_report_is_named(store: ObjectStore, body: bytes) -> None:
    store.put(report_key(RUN, "checks"), body)

    for read in (read_report, read_report_if_any):
        with pytest.raises(ReportDamagedError, match=r"checks\.json is not a report of a run: clear the whole run"):
            read(store, RUN, "checks")


def test_clearing_takes_one_runs_reports_and_nothing_beside_them(store: ObjectStore) -> None:
    for name in ("coverage", "checks"):
        write_report(store, RUN, name, {})
    write_report(store, f"{RUN}-2", "coverage", {})
    store.put(f"staging/{RUN}/market_data/x.json", b"{}")
    clear_reports(store, RUN)

    assert [stored.key for stored in store.list("staging/")] == [
        f"staging/{RUN}-2/reports/coverage.json",
        f"staging/{RUN}/market_data/x.json",
    ]


def test_a_failed_task_leaves_its_error(store: ObjectStore) -> None:
    report_failure(context_of("check.judge_checks", SessionRefusedError("NVDA is 38.67 % of the index")))

    assert read_report(store, RUN, FAILURE) == {
        "task": "check.judge_checks",
        "error": "SessionRefusedError",
        "message": "NVDA is 38.67 % of the index",
        "ours": True,
    }


def test_the_newest_failure_is_what_the_run_stopped_at(store: ObjectStore) -> None:
    report_failure(context_of("collect.collect_details", SessionRefusedError("mended since")))
    report_failure(context_of("check_coverage", SessionRefusedError("no NVDA")))

    assert read_report(store, RUN, FAILURE)["message"] == "no NVDA"


def test_a_task_that_tells_of_the_run_leaves_what_it_stopped_at(
    store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    report_failure(context_of("check_coverage", SessionRefusedError("no NVDA")))
    telling = context_of("write_run_manifest", ValueError("no bucket")) | {"task": SimpleNamespace(is_teardown=True)}
    report_failure(telling)

    assert read_report(store, RUN, FAILURE)["message"] == "no NVDA"
    assert "write_run_manifest failed: no bucket" in caplog.messages


def test_a_run_that_was_mended_keeps_no_failure(store: ObjectStore) -> None:
    report_failure(context_of("check_coverage", SessionRefusedError("no NVDA")))
    drop_failure(store, RUN)

    with pytest.raises(ObjectMissingError):
        read_report(store, RUN, FAILURE)


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
    report = read_report(store, RUN, FAILURE)

    assert (report["error"], report["message"], report["ours"]) == ("ValueError", "what pyarrow said", False)


def test_an_error_without_a_message_is_named_by_its_kind(store: ObjectStore) -> None:
    report_failure(context_of("load.load_tables", TimeoutError()))

    assert read_report(store, RUN, FAILURE)["message"] == "TimeoutError"


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
