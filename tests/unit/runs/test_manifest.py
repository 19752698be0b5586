"""The manifest: inputs, results and how the run went, whatever its outcome; and the session before."""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.log import mask_secret

from mag7.lake.keys import document_key, run_manifest_key, session_manifest_key, staged_document_key
from mag7.lake.objects import ObjectStore
from mag7.market.document import decode_document
from mag7.paths import DATA
from mag7.runs.record import Asked, Built, Check, Checks, Corrections, Failure, Loaded, write_section
from mag7.sessions import previous_session
from mag7.tasks.run_reports import write_run_manifest
from tests.fuzz.documents import STORED
from tests.unit.tasks.conftest import DAY, RUN

RUN_ID = RUN.removeprefix("mag7_daily-")
OLDER: dict[str, Any] = {"versions": {"python": "3.11.9", "mag7": "0a1b"}, "rules": {}, "facts": {"splits.csv": "0"}}
OLDER_FORM = "of an older form: a rebuild, which makes no call, writes it in the new form"
BEFORE = previous_session(DAY)
GOOD = {
    "collect.collect_details_1": "success",
    "check_coverage": "success",
    "check.judge_checks": "success",
    "publish_sessions": "success",
    "load.reconcile": "success",
}
CALLS = {"asked": 3, "kept": 1, "failed": 0, "requests": 4, "bytes": 500}
ANSWERS = {"raw/polygon/a.jsonl.gz": b"answers of a", "raw/polygon/b.jsonl.gz": b"answers of b"}


def make_document(day: str = DAY.isoformat(), **changes: Any) -> dict[str, Any]:
    line = {**STORED["constituents"][0], "share_count_origin": "weighted", "flags": [], "answers": sorted(ANSWERS)}
    metrics = {
        "quality": "complete",
        "mag7_pct_of_sp500": 33.3,
        "line_sum_mag7_pct": 31.9,
        "companies_priced": 500,
        "coverage_pct": 100.0,
    }
    return {
        **STORED,
        "source": "simulated",
        "trading_date": day,
        "constituents": [line | changes],
        "seven_outside": [],
        "concentration_metrics": STORED["concentration_metrics"] | metrics,
        "sp500_details": STORED["sp500_details"] | {"failed_tickers": []},
    }


def publish(store: ObjectStore, day: date, **changes: Any) -> None:
    """Leave a session's document in the run's staging folder, and where it is read."""
    body = json.dumps(make_document(day.isoformat(), **changes)).encode()
    store.put(staged_document_key(RUN, day), body)
    store.put(document_key(day), body)


@pytest.fixture
def states() -> dict[str, str]:
    return dict(GOOD)


@pytest.fixture(autouse=True)
def context(monkeypatch: pytest.MonkeyPatch, states: dict[str, str]) -> dict[str, Any]:
    """What the task finds when it runs, as Airflow gives it."""
    finished = [{"task_id": "collect.collect_details", "duration": 2.5}, {"task_id": "summarise", "duration": 1.0}]
    ti = SimpleNamespace(
        dag_id="mag7_daily",
        task_id="write_run_manifest",
        get_task_states=lambda **_: {RUN_ID: states},
        get_task_breadcrumbs=lambda *_: finished,
    )
    run = SimpleNamespace(dag_id="mag7_daily", run_id=RUN_ID, start_date=datetime(2024, 12, 14, 5, tzinfo=UTC))
    found = {"ti": ti, "dag_run": run, "params": {"trading_date": DAY.isoformat()}}
    monkeypatch.setattr("airflow.sdk.get_current_context", lambda: found)
    return found


@pytest.fixture
def lake(store: ObjectStore) -> ObjectStore:
    """A run that went through, and what it rests on."""
    for key, body in ANSWERS.items():
        store.put(key, body)
    publish(store, DAY)
    write_section(store, RUN, Built(refused={DAY.isoformat(): []}))
    write_section(store, RUN, Checks(checks=[Check(name="keys_unique", passed=True)], refused={}))
    write_section(store, RUN, Loaded(rows={DAY.isoformat(): {"daily_trading": 7}}, splits=24))
    return store


def failure(task: str, message: str) -> Failure:
    return Failure(task=task, error="ValueError", message=message, ours=False)


def read(store: ObjectStore) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(store.get(run_manifest_key(RUN)))
    return manifest


def keep_before(store: ObjectStore, body: bytes | None = None, **changes: Any) -> None:
    """Leave a manifest of the session before, all but ``changes`` like this one's."""
    mine = json.loads(store.get(session_manifest_key(DAY)))
    for name, value in changes.pop("session", {}).items():
        (mine["session"] if name == "rows" else mine["session"]["profile"])[name] = value
    store.put(session_manifest_key(BEFORE), body or json.dumps(mine | changes).encode())


class TestManifest:
    def test_names_what_went_in_by_its_digest(self, lake: ObjectStore, window: Any) -> None:
        assert write_run_manifest(window, [CALLS]) == f"s3://lake/manifests/runs/{RUN}.json"
        manifest = read(lake)

        assert manifest["inputs"] == {key: hashlib.sha256(body).hexdigest() for key, body in ANSWERS.items()}
        splits = (DATA / "splits.csv").read_bytes()
        assert manifest["facts"]["splits.csv"] == hashlib.sha256(splits).hexdigest()
        assert {"python", "apache-airflow", "pyarrow", "glue_scripts", "mag7", "sql"} <= set(manifest["versions"])
        assert manifest["rules"]["minimum_cap_pct"] == "99.5"

    def test_says_what_came_out(self, lake: ObjectStore, window: Any) -> None:
        write_run_manifest(window, [])
        manifest = read(lake)

        assert manifest["checks"] == [{"name": "keys_unique", "passed": True}]
        assert (manifest["splits_loaded"], manifest["failed_tasks"], manifest["failure"]) == (24, [], None)
        session = manifest["sessions"][DAY.isoformat()]
        assert (session["state"], session["rows"]) == ("loaded", {"daily_trading": 7})
        profile = session["profile"]
        assert (profile["origins"], profile["flags"], profile["quality"]) == ({"weighted": 1}, {}, "complete")
        assert (session["compared_with"], session["departures"]) == (None, None)

    def test_says_how_it_went(self, lake: ObjectStore, window: Any) -> None:
        write_run_manifest(window, [CALLS, None, [CALLS, CALLS]])
        run = read(lake)["run"]

        assert run["calls"] == {name: 3 * count for name, count in CALLS.items()}
        assert run["seconds_by_stage"] == {"collect": 2.5, "summarise": 1.0}
        assert run["params"] == {"trading_date": DAY.isoformat()}
        assert run["uncounted"] == []
        assert (run["dag_id"], run["run_id"], run["folder"]) == ("mag7_daily", RUN_ID, RUN)
        assert run["began"] == "2024-12-14T05:00:00Z" < run["ended"]

    def test_a_second_time_differs_in_its_part_run_only(self, lake: ObjectStore, window: Any) -> None:
        manifests = []
        for counts in ([CALLS], []):
            write_run_manifest(window, counts)
            manifests.append(read(lake))
        parts = [manifest.pop("run") for manifest in manifests]

        assert manifests[0] == manifests[1]
        assert parts[0] != parts[1]

    def test_a_response_that_is_gone_has_no_digest(self, lake: ObjectStore, window: Any) -> None:
        gone, *_ = sorted(ANSWERS)
        lake.delete([gone])
        write_run_manifest(window, [])

        assert read(lake)["inputs"][gone] is None

    def test_holds_no_secret(
        self, lake: ObjectStore, window: Any, states: dict[str, str], context: dict[str, Any]
    ) -> None:
        mask_secret("hunter2-of-the-tests")
        context["params"]["explain"] = "hunter2-of-the-tests"
        write_section(lake, RUN, failure("check_coverage", "refused with hunter2-of-the-tests"))
        states["check_coverage"] = "failed"
        write_run_manifest(window, [])

        manifest = lake.get(run_manifest_key(RUN)).decode()
        assert "hunter2" not in manifest
        assert manifest.count("***") == 2

    def test_without_settings_there_is_nowhere_to_write_it(
        self, window: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.delenv("MAG7_BUCKET")
        with caplog.at_level(logging.ERROR):
            assert write_run_manifest(window, []) is None

        assert "MAG7_BUCKET" in caplog.text


class TestIdleRun:
    """Of a run every session of which is complete."""

    def test_cleared_it_keeps_what_it_was_made_of(self, lake: ObjectStore, window: Any, states: dict[str, str]) -> None:
        write_section(lake, RUN, failure("summarise", "killed"))
        states["summarise"] = "failed"
        write_run_manifest(window, [])
        made_of = read(lake)
        states |= dict.fromkeys([*states, "resolve_window"], "skipped")

        assert write_run_manifest(None, []) == lake.uri(run_manifest_key(RUN))
        ended = read(lake)
        assert (made_of.pop("failed_tasks"), made_of.pop("failure")["task"]) == (["summarise"], "summarise")
        assert (ended.pop("failed_tasks"), ended.pop("failure")) == ([], None)
        assert made_of["run"].pop("ended") < ended["run"].pop("ended")
        assert ended == made_of

    @pytest.mark.parametrize("body", [b"{", b"[]", b'{"run": 1}'])
    def test_what_is_no_manifest_is_replaced(self, store: ObjectStore, states: dict[str, str], body: bytes) -> None:
        states |= dict.fromkeys([*states, "resolve_window"], "skipped")
        store.put(run_manifest_key(RUN), body)

        write_run_manifest(None, [])

        assert read(store)["run"]["run_id"] == RUN_ID

    def test_a_manifest_of_an_older_form_stays_and_is_said_to_be_one(
        self, store: ObjectStore, states: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        states |= dict.fromkeys([*states, "resolve_window"], "skipped")
        body = json.dumps({"manifest_version": 1, **OLDER, "run": {"run_id": RUN_ID}, "sessions": {}}).encode()
        store.put(run_manifest_key(RUN), body)

        assert write_run_manifest(None, []) == store.uri(run_manifest_key(RUN))
        assert store.get(run_manifest_key(RUN)) == body
        assert f"{store.uri(run_manifest_key(RUN))} is {OLDER_FORM}" in caplog.messages

    def test_it_says_which_were_complete(self, store: ObjectStore, states: dict[str, str]) -> None:
        states |= dict.fromkeys([*states, "resolve_window"], "skipped")
        write_section(store, RUN, Asked(asked=["2024-12-13"], complete=["2024-12-13"]))

        write_run_manifest(None, [])

        assert read(store)["complete"] == ["2024-12-13"]


class TestFailedRun:
    def test_a_run_without_sessions_leaves_one(self, store: ObjectStore, states: dict[str, str]) -> None:
        states.clear()
        states |= {"resolve_session": "failed", "collect.collect_closes": "upstream_failed", "send_alert": "failed"}
        write_run_manifest(None, [None, None])
        manifest = read(store)

        assert (manifest["sessions"], manifest["checks"], manifest["splits_loaded"]) == ({}, [], None)
        assert manifest["failed_tasks"] == ["resolve_session"]
        assert manifest["run"]["uncounted"] == ["collect.collect_closes"]

    def test_an_earlier_attempts_record_is_not_this_ones(
        self, lake: ObjectStore, window: Any, states: dict[str, str]
    ) -> None:
        """The checks refused the session; fixed and cleared from the build on, the run failed in Glue."""
        write_section(lake, RUN, Checks(checks=[], refused={DAY.isoformat(): ["doubled"]}))
        write_section(lake, RUN, failure("check.judge_checks", "doubled"))
        states |= dict.fromkeys(("check.judge_checks", "publish_sessions", "load.reconcile"), "upstream_failed")
        states["transform.processing_pipeline"] = "failed"
        write_run_manifest(window, [])
        manifest = read(lake)

        assert (manifest["checks"], manifest["splits_loaded"], manifest["failure"]) == ([], None, None)
        session = manifest["sessions"][DAY.isoformat()]
        assert session["state"] == "built"
        assert not {"reasons", "rows"} & set(session)

    def test_a_corrected_session_is_there_though_it_was_not_built(
        self, store: ObjectStore, window: Any, states: dict[str, str]
    ) -> None:
        states.clear()
        states |= {"add_corrected": "success", "build_market_data": "failed"}
        write_section(store, RUN, Corrections(edits={BEFORE.isoformat(): ["AAPL close 1 -> 2"]}))
        write_run_manifest(window, [])

        assert read(store)["sessions"] == {
            BEFORE.isoformat(): {"state": "not built"},
            DAY.isoformat(): {"state": "not built"},
        }

    @pytest.mark.parametrize(
        ("changes", "state"),
        [
            ({"load.reconcile": "upstream_failed"}, "published"),
            ({"publish_sessions": "failed", "load.reconcile": "upstream_failed"}, "partly published"),
            ({"publish_sessions": "upstream_failed", "load.reconcile": "upstream_failed"}, "built"),
        ],
    )
    def test_a_session_is_what_became_of_it(
        self, lake: ObjectStore, window: Any, states: dict[str, str], changes: dict[str, str], state: str
    ) -> None:
        states |= changes
        write_run_manifest(window, [])
        session = read(lake)["sessions"][DAY.isoformat()]

        assert session["state"] == state
        assert "rows" not in session

    def test_a_refused_session_says_why_and_is_not_stored_as_published(self, lake: ObjectStore, window: Any) -> None:
        write_section(lake, RUN, Built(refused={DAY.isoformat(): ["NVDA is missing"]}))
        write_run_manifest(window, [])
        session = read(lake)["sessions"][DAY.isoformat()]

        assert (session["state"], session["reasons"]) == ("refused", ["NVDA is missing"])
        assert lake.find(session_manifest_key(DAY)) is None

    def test_a_session_that_was_never_built_is_said_to_be(self, store: ObjectStore, window: Any, states: dict) -> None:
        states.clear()
        write_run_manifest(window, [])

        assert read(store)["sessions"] == {DAY.isoformat(): {"state": "not built"}}


class TestComparison:
    def compare(self, store: ObjectStore, window: Any) -> dict[str, Any]:
        write_run_manifest(window, [])
        session: dict[str, Any] = read(store)["sessions"][DAY.isoformat()]
        return session

    def test_with_the_manifest_of_the_session_before(
        self, lake: ObjectStore, window: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_run_manifest(window, [])
        keep_before(lake, session={"rows": {"daily_trading": 6}}, facts={"splits.csv": "0"})
        with caplog.at_level(logging.INFO):
            session = self.compare(lake, window)

        assert session["compared_with"] == BEFORE.isoformat()
        assert session["departures"][0] == "rows daily_trading: 7, before 6"
        assert any(departure.startswith("table splits.csv: ") for departure in session["departures"])
        assert "2024-12-13 compared with the session before: rows daily_trading: 7, before 6" in caplog.text

    def test_with_what_is_published_of_it_where_it_has_none(
        self, lake: ObjectStore, window: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = json.dumps(make_document(BEFORE.isoformat(), flags=["frozen_count"])).encode()
        before = decode_document(body, "published")
        monkeypatch.setattr("mag7.tasks.run_reports.read_published", lambda _, day: {BEFORE: before}.get(day))

        session = self.compare(lake, window)
        assert (session["compared_with"], session["departures"]) == (
            BEFORE.isoformat(),
            ["flags frozen_count: 0, before 1"],
        )

    def test_within_the_run_where_it_published_both(self, lake: ObjectStore, window: Any) -> None:
        write_run_manifest(window, [])
        keep_before(lake, session={"source": "of an older run"})
        publish(lake, BEFORE)

        session = self.compare(lake, {"run": RUN, "sessions": [BEFORE.isoformat(), DAY.isoformat()], "facts": ""})
        assert session["compared_with"] == BEFORE.isoformat()
        assert not [departure for departure in session["departures"] if departure.startswith("source")]

    def test_what_another_run_published_since_is_left_to_that(self, lake: ObjectStore, window: Any) -> None:
        write_run_manifest(window, [])
        kept = lake.get(session_manifest_key(DAY))
        lake.put(document_key(DAY), json.dumps(make_document(flags=["frozen_count"])).encode())
        lake.put(staged_document_key(RUN, DAY), json.dumps(make_document(flags=["look_back"])).encode())

        assert "compared_with" not in self.compare(lake, window)
        assert lake.get(session_manifest_key(DAY)) == kept

    @pytest.mark.parametrize(
        "body",
        [b"{", b"[]", b'{"versions": 1}', b'{"versions": {}, "rules": {}, "facts": {}, "session": {}}'],
    )
    def test_what_is_no_manifest_is_not_compared(
        self, lake: ObjectStore, window: Any, body: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_run_manifest(window, [])
        keep_before(lake, body)

        assert self.compare(lake, window)["compared_with"] is None
        assert "is no manifest" in caplog.text

    def test_of_one_of_an_older_form_the_document_is_compared(
        self, lake: ObjectStore, window: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        body = json.dumps(make_document(BEFORE.isoformat(), flags=["frozen_count"])).encode()
        before = decode_document(body, "published")
        monkeypatch.setattr("mag7.tasks.run_reports.read_published", lambda _, day: {BEFORE: before}.get(day))
        older = {"manifest": "s3://lake/manifests/runs/x.json", **OLDER, "session": {"state": "loaded", "source": "x"}}
        lake.put(session_manifest_key(BEFORE), json.dumps(older).encode())
        session = self.compare(lake, window)

        assert session["departures"] == ["flags frozen_count: 0, before 1"]
        said = [record for record in caplog.records if record.levelname == "WARNING"]
        assert [record.getMessage() for record in said] == [f"{lake.uri(session_manifest_key(BEFORE))} is {OLDER_FORM}"]
        assert said[0].exc_info is None
