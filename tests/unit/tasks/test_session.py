"""Which session a run is for, and what is checked before any call or write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from mag7.index.facts import digest_tables, load_packaged_facts, name_version, read_packaged_tables
from mag7.index.membership import MembershipUnknownError
from mag7.lake.fact_log import FactEntry, FactLog
from mag7.lake.keys import document_key
from mag7.lake.objects import ObjectStore
from mag7.market.explain import LineUnknownError
from mag7.runs.record import Failure, write_section
from mag7.session_calendar import OVERRIDES, NotASessionError
from mag7.sessions import SessionNotClosedError, SessionTooEarlyError
from mag7.settings import SettingMissingError
from mag7.tasks.polygon_hook import KeyNotFoundError
from mag7.tasks.request import Request, read_request, request_params
from mag7.tasks.session import NothingStoredError, resolve_session, skip_closed_day
from mag7.tasks.window import list_window, make_window

pytestmark = pytest.mark.usefixtures("aws")

FIRST = date(2020, 11, 30)


@dataclass
class Run:
    """What a task sees of its DAG run."""

    logical_date: datetime | None
    run_after: datetime = datetime(2025, 1, 10, 12, tzinfo=UTC)
    dag_id: str = "mag7_daily"
    run_id: str = "manual__2024-12-13T00:00:00+00:00"
    run_type: str = "manual"


def asked(day: str) -> Run:
    return Run(datetime.fromisoformat(day).replace(tzinfo=UTC))


def request(**params: Any) -> Request:
    """A run's request with everything not named left as the form has it."""
    return read_request({**{name: param.value for name, param in request_params().items()}, **params}, "manual")


def test_a_date_is_its_session() -> None:
    window = resolve_session(asked("2024-12-13"), FIRST, request())

    assert window == {
        "run": "mag7_daily-manual__2024-12-13T0000000000-acee8169",
        "sessions": ["2024-12-13"],
        "facts": f"00000001-{load_packaged_facts().version}",
    }


def test_the_session_that_the_form_asks_for_wins_over_the_logical_date() -> None:
    assert resolve_session(Run(None), FIRST, request(trading_date="2024-12-12"))["sessions"] == ["2024-12-12"]
    assert resolve_session(asked("2024-12-13"), FIRST, request(trading_date="2024-12-12"))["sessions"] == ["2024-12-12"]
    with pytest.raises(NotASessionError, match="2024-12-24"):
        resolve_session(Run(None), FIRST, request(trading_date="2024-12-25"))


def test_a_session_of_unknown_membership_is_refused_before_anything_is_asked() -> None:
    late = Run(None, run_after=datetime(2027, 3, 20, 12, tzinfo=UTC))
    with pytest.raises(MembershipUnknownError):
        resolve_session(late, FIRST, request(trading_date="2027-03-19"))


class TestClosedAtShortNotice:
    DAY = datetime(2024, 12, 13, tzinfo=UTC)

    @pytest.fixture
    def closed(self, store: ObjectStore) -> None:
        """A version of the facts in which 2024-12-13 turned out to be closed."""
        tables = read_packaged_tables()
        tables[OVERRIDES] = tables[OVERRIDES].replace(
            b"2025-01-09", b"2024-12-13,closed,,2024-12-13,a notice\n2025-01-09"
        )
        digests = digest_tables(tables)
        FactLog(store).append(
            FactEntry(2, name_version(digests), "public sources", datetime.now(UTC), "a test", None, digests), tables
        )

    @pytest.mark.usefixtures("closed")
    def test_its_scheduled_run_is_skipped(self) -> None:
        with pytest.raises(AirflowSkipException, match=r"2024-12-13 turned out not to be a session"), skip_closed_day():
            resolve_session(Run(self.DAY, run_type="scheduled"), FIRST, request())

    @pytest.mark.usefixtures("closed")
    def test_asked_for_by_hand_it_is_refused_with_its_neighbours(self) -> None:
        with pytest.raises(NotASessionError, match=r"closed at short notice, a notice.*2024-12-12 or 2024-12-16"):
            resolve_session(Run(self.DAY), FIRST, request())

    def test_the_run_pins_the_newest_version(self, store: ObjectStore) -> None:
        assert resolve_session(Run(self.DAY), FIRST, request())["facts"] == FactLog(store).newest().name


def test_a_trigger_without_a_date_takes_the_last_closed_session() -> None:
    # 2025-01-09 was a day of mourning: closed at short notice.
    assert resolve_session(Run(None), FIRST, request())["sessions"] == ["2025-01-08"]


@pytest.mark.parametrize(
    ("day", "error", "said"),
    [
        ("2024-12-25", NotASessionError, "2024-12-24 or 2024-12-26"),
        ("2024-12-14", NotASessionError, "2024-12-13 or 2024-12-16"),
        ("2025-01-10", SessionNotClosedError, "2025-01-08"),
        ("2020-11-27", SessionTooEarlyError, "2020-11-30"),
    ],
)
def test_a_date_that_cannot_be_is_refused_by_name(day: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        resolve_session(asked(day), FIRST, request())


@pytest.mark.parametrize("variable", ["MAG7_BUCKET", "MAG7_BUCKET_OWNER", "MAG7_COPY_ROLE"])
def test_a_missing_setting_stops_the_run_at_its_first_task(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv(variable)

    with pytest.raises(SettingMissingError, match=variable):
        resolve_session(asked("2024-12-13"), FIRST, request())


def test_a_missing_key_stops_the_run_at_its_first_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYGON_API_KEY")

    with pytest.raises(KeyNotFoundError, match="polygon_default"):
        resolve_session(asked("2024-12-13"), FIRST, request())


def test_an_earlier_attempts_reports_of_the_same_run_are_gone_others_stay(store: ObjectStore) -> None:
    window = resolve_session(asked("2024-12-13"), FIRST, request())
    for run in (window["run"], "mag7_daily-another"):
        write_section(store, run, Failure(task="check_coverage", error="E", message="old", ours=True))
    resolve_session(asked("2024-12-13"), FIRST, request())

    assert [stored.key for stored in store.list("staging/")] == ["staging/mag7_daily-another/record/failure.json"]


@pytest.mark.parametrize("run_id", ["x' OR 1=1 --", "../../raw", "a/b\nc", "Ünïcode 🚀"])
def test_a_run_id_becomes_one_harmless_segment(run_id: str) -> None:
    run = asked("2024-12-13")
    run.run_id = run_id
    segment = resolve_session(run, FIRST, request())["run"]

    assert segment.startswith("mag7_daily-")
    assert set(segment) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert segment.split("/") == [segment]


class TestRebuild:
    def test_takes_the_published_sessions_of_its_stretch_and_needs_no_key(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("POLYGON_API_KEY")
        for day in (date(2024, 12, 6), date(2024, 12, 10), date(2024, 12, 13)):
            store.put(document_key(day), b"{}")
        stretch = request(rebuild=True, trading_date="2024-12-09", through="2024-12-13")

        assert resolve_session(Run(None), FIRST, stretch)["sessions"] == ["2024-12-10", "2024-12-13"]

    def test_of_nothing_published_is_refused(self, store: ObjectStore) -> None:
        with pytest.raises(NothingStoredError, match="2024-12-12 to 2024-12-13"):
            resolve_session(Run(None), FIRST, request(rebuild=True, trading_date="2024-12-12", through="2024-12-13"))

    @pytest.mark.parametrize(
        ("day", "error"), [("2024-12-25", NotASessionError), ("2025-01-10", SessionNotClosedError)]
    )
    def test_ends_on_a_session_that_has_closed(self, day: str, error: type[Exception]) -> None:
        with pytest.raises(error):
            resolve_session(Run(None), FIRST, request(rebuild=True, trading_date="2024-12-12", through=day))


class TestExplain:
    @pytest.mark.parametrize("name", ["NVDA", "nvda", "BRK.B", "FB"])
    def test_a_line_of_the_session_may_be_asked_about(self, name: str) -> None:
        resolve_session(asked("2022-06-08"), FIRST, request(explain=name))

    def test_anything_else_is_refused_before_anything_is_asked(self) -> None:
        with pytest.raises(LineUnknownError, match="ZZZ, which is not a line of the index on 2024-12-13"):
            resolve_session(asked("2024-12-13"), FIRST, request(explain="ZZZ"))


def test_a_window_passes_between_tasks_as_text() -> None:
    days = [date(2024, 12, 12), date(2024, 12, 13)]
    window = make_window("run", days)

    assert window == {"run": "run", "sessions": ["2024-12-12", "2024-12-13"], "facts": ""}
    assert list_window(window) == days
