"""Bad input: one clear message that says what to do, as the log's last word too, and nothing that is read changes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from mag7.lake.objects import ObjectStore
from mag7.lake.scripts import digest_scripts, script_prefix
from mag7.sessions import last_closed_session, next_session
from sandbox.demo import SUMMARY_FILE
from sandbox.processes import run_server
from sandbox.stack import ROOT
from tests.e2e.conftest import GOLDEN_DAY, clean_environment
from tests.e2e.house import KEY, House, Run, run_demo
from tools.stack_reader import BUCKET, Published

#: A session of which no answer is kept, so that the provider has to be asked.
UNASKED = "2024-12-10"
GROUPED = f"/v2/aggs/grouped/locale/us/market/stocks/{UNASKED}?adjusted=false&include_otc=false: "
WRONG_KEY = "e2e-wrong-key-77aa01c3"


@pytest.fixture(scope="module")
def before(house: House) -> Published:
    """What is published before any bad input."""
    return house.published()


def assert_refused(run: Run, day: str, reason: str, *, task_id: str, house: House, before: Published) -> None:
    """One task failed, once, with this reason, which the summary, the print and the log's end give; all else stays."""
    assert run.code == 1
    assert run.summary.pop("seconds") >= 0
    assert run.summary == {"trading_date": day, "refused": reason}
    assert f"REFUSED {day}: {reason}\n\nNothing that anyone reads has changed." in run.printed
    states = run.states()
    assert [task for task, found in states.items() if "failed" in found] == [task_id]
    assert states["report_refusals"] == {"upstream_failed"}
    assert states["write_run_manifest"] == states["send_alert"] == {"success"}
    assert run.last_word(task_id).split("[mag7.tasks.ending]")[0].rstrip().endswith(f"failed: {reason}")
    assert house.published() == before


class TestDates:
    @pytest.mark.parametrize(
        ("day", "reason"),
        [
            ("2024-12-25", "2024-12-25 is no XNYS session (Christmas); ask for 2024-12-24 or 2024-12-26"),
            pytest.param(
                *("2024-12-14", "2024-12-14 is no XNYS session (a Saturday); ask for 2024-12-13 or 2024-12-16"),
                marks=pytest.mark.slow,
            ),
            pytest.param(
                *("2020-11-27", "2020-11-27 is before 2020-11-30, the first session covered; ask for a later one"),
                marks=pytest.mark.slow,
            ),
        ],
        ids=["holiday", "weekend", "before the first session"],
    )
    def test_that_cannot_be_had_are_refused(self, house: House, before: Published, day: str, reason: str) -> None:
        run = house.demo("--date", day)

        assert_refused(run, day, reason, task_id="resolve_session", house=house, before=before)

    @pytest.mark.slow
    def test_in_the_future_are_refused(self, house: House, before: Published) -> None:
        now = datetime.now(UTC)
        day = next_session(now.date(), 3)

        run = house.demo("--date", day.isoformat())

        reason = str(run.summary["refused"])
        assert reason == f"{day} lies ahead; the last closed session is {last_closed_session(now)}"
        assert_refused(run, day.isoformat(), reason, task_id="resolve_session", house=house, before=before)

    def test_a_run_without_a_task_is_no_success(self, house: House, before: Published) -> None:
        run = house.demo("--date", "1999-12-31")

        assert run.code == 1
        assert not any(task.state for task in run.tasks)
        assert str(run.summary["refused"]).startswith("no task ran for 1999-12-31: ")
        assert "ask for a session from 2020-11-30 on" in str(run.summary["refused"])
        assert house.published() == before

    def test_nonsense_is_not_a_date_and_the_last_summary_stays(self, house: House) -> None:
        (house.home / SUMMARY_FILE).write_text('{"of": "an earlier run"}')
        run = house.demo("--date", "nonsense")

        assert (run.code, run.tasks, run.summary) == (1, [], {"of": "an earlier run"})
        assert (
            run.printed
            == f"demo: DATE=nonsense is not a date: write it as {GOLDEN_DAY}, or latest for the last closed session\n"
        )


class TestProvider:
    def test_a_wrong_key_is_named_as_such_and_shown_nowhere(self, house: House, before: Published) -> None:
        folder = house.home / "strict-market"
        with run_server("sandbox.polygon", ["--port", "0", "--key", "another-key"], folder, ROOT) as market:
            change = {"POLYGON_BASE_URL": market.url, "POLYGON_API_KEY": WRONG_KEY}
            run = house.demo("--date", UNASKED, change=change)

        reason = str(run.summary["refused"])
        assert reason.startswith(f"{GROUPED}HTTP 401 ")
        assert reason.endswith(
            "; set the Airflow connection polygon_default or POLYGON_API_KEY to a key that the provider accepts"
        )
        assert_refused(run, UNASKED, reason, task_id="collect.collect_closes", house=house, before=before)
        assert house.list_leaks(WRONG_KEY) == []

    @pytest.mark.slow
    def test_a_plan_without_access(self, house: House, before: Published) -> None:
        denied = {"POLYGON_API_KEY": "denied-plan"}  # pragma: allowlist secret - the sandbox's word for a poor plan
        run = house.demo("--date", UNASKED, change=denied)

        reason = str(run.summary["refused"])
        assert reason.startswith(f'{GROUPED}HTTP 403 "You are not entitled to this data.')
        assert reason.endswith("; choose a date that the key's plan includes, or a plan that includes the date")
        assert_refused(run, UNASKED, reason, task_id="collect.collect_closes", house=house, before=before)
        assert house.count_calls()["total"] == 1

    @pytest.mark.slow
    def test_an_address_where_nothing_answers(self, house: House, before: Published) -> None:
        address = f"127.0.0.1:{find_closed_port()}"

        run = house.demo("--date", UNASKED, change={"POLYGON_BASE_URL": f"http://{address}", "POLYGON_TRIES": "2"})

        reason = (
            f"{GROUPED}{address} cannot be connected to (connection refused or no route) after 2 tries;"
            f" check the network and POLYGON_BASE_URL (now http://{address})"
        )
        assert_refused(run, UNASKED, reason, task_id="collect.collect_closes", house=house, before=before)


class TestSettings:
    def test_no_key(self, house: House, before: Published) -> None:
        run = house.demo("--date", UNASKED, leave_out=("POLYGON_API_KEY",))

        reason = (
            "no market data API key: put it into the password of the Airflow connection 'polygon_default', or set the"
            " environment variable POLYGON_API_KEY"
        )
        assert_refused(run, UNASKED, reason, task_id="resolve_session", house=house, before=before)
        assert house.count_calls()["total"] == 0

    @pytest.mark.slow
    def test_no_lake(self, house: House, before: Published) -> None:
        run = house.demo("--date", UNASKED, leave_out=("AWS_ENDPOINT_URL", "MAG7_BUCKET"))

        said = run.last_word("resolve_session")
        assert run.code == 1
        assert run.states()["resolve_session"] == {"failed"}
        assert (
            "failed: the environment variable MAG7_BUCKET is not set: name the lake's bucket,"
            " or set AWS_ENDPOINT_URL to use a sandbox"
        ) in said
        assert "resolve_session failed without leaving a report" in str(run.summary["refused"])
        assert "Failed to run task callback" not in run.log
        assert house.published() == before

    def test_a_setting_that_is_no_number(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAG7_BATCHES", "many")

        run = house.demo("--date", UNASKED)

        assert (run.code, run.tasks) == (1, [])
        assert run.printed.splitlines()[-1].startswith(
            "demo: the environment variable MAG7_BATCHES is 'many', but must be"
        )
        assert "Traceback" not in run.printed


def test_a_second_command_on_the_same_folder_waits_its_turn(house: House, before: Published) -> None:
    ended = run_demo(house.home, environment=clean_environment())

    assert ended.returncode == 1
    assert ended.stderr == f"demo: another command is using {house.stack.folder}: wait until it ends\n"
    assert house.published() == before


@pytest.mark.slow
def test_a_glue_run_that_fails_shows_its_error_and_log(house: House, before: Published) -> None:
    script = f"{script_prefix(digest_scripts())}processing_pipeline.py"
    store = ObjectStore(house.client("s3"), BUCKET)

    with changed_object(
        store, script, b"print('half way')\nraise ValueError('no such column: closing_price')\n"
    ) as change:
        run = house.demo("--date", GOLDEN_DAY, first=change)

    shown = "\n".join(run.task_log("transform.processing_pipeline"))
    reason = str(run.summary["refused"])
    assert run.code == 1
    assert reason.startswith("Glue job processing-pipeline, run ")
    assert "ended FAILED: ValueError: no such column: closing_price. Clear this task to run it again" in reason
    assert reason in run.last_word("transform.processing_pipeline")
    assert "last lines of /aws-glue/jobs/output" in shown
    assert "half way" in shown
    assert "Traceback (most recent call last)" in shown
    assert run.states()["transform.register_staging"] == {"upstream_failed"}
    assert house.published() == before


def test_no_key_is_seen_anywhere(house: House, neighbour: object) -> None:
    assert house.list_leaks(KEY) == []


def find_closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def changed_object(store: ObjectStore, key: str, body: bytes) -> Iterator[object]:
    """Hand on a function that replaces an object; afterwards it is what it was."""
    whole = store.get(key)
    try:
        yield lambda: store.put(key, body)
    finally:
        store.put(key, whole)
