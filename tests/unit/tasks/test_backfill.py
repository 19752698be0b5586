"""Which sessions a backfill's run is for, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.lake.keys import analytics_key, document_key, pending_key
from mag7.lake.objects import ObjectStore
from mag7.lake.tables import list_tables
from mag7.runs.progress import Progress, read_steps
from mag7.runs.record import Asked, Failure, read_section, write_section
from mag7.runs.refusal import SessionRefusedError
from mag7.session_calendar import NotASessionError
from mag7.sessions import SessionNotClosedError, SessionTooEarlyError, list_sessions
from mag7.settings import SettingMissingError
from mag7.tasks.backfill import PART_SESSIONS, divide_window, resolve_window
from mag7.tasks.polygon_hook import KeyNotFoundError
from mag7.tasks.request import RangeRequest
from mag7.tasks.session import StretchTooLongError
from mag7.tasks.window import Window, list_window, make_window

FIRST = date(2020, 11, 30)
MONTH = RangeRequest(None, None, repeat=False)
DECEMBER = list_sessions(date(2024, 12, 1), date(2024, 12, 31))


@dataclass
class Run:
    """What a task sees of its DAG run: by default one of 2025-01-10 at noon, when 2025-01-08 had closed last."""

    logical_date: datetime | None
    run_after: datetime = datetime(2025, 1, 10, 12, tzinfo=UTC)
    dag_id: str = "mag7_backfill"
    run_id: str = "scheduled__2024-12-01T00:00:00+00:00"


def of_month(day: str) -> Run:
    return Run(datetime.fromisoformat(day).replace(tzinfo=UTC))


def of_range(first: str, last: str, *, repeat: bool = False) -> RangeRequest:
    return RangeRequest(date.fromisoformat(first), date.fromisoformat(last), repeat)


def resolve(run: Run, request: RangeRequest = MONTH) -> list[date]:
    return list_window(resolve_window(run, FIRST, request))  # type: ignore[arg-type]


def complete(store: ObjectStore, *days: date) -> None:
    """Publish every file of some sessions."""
    for day in days:
        store.put(document_key(day), b"{}")
        for table in list_tables():
            store.put(analytics_key(table.name, day), b"parquet")


@pytest.mark.usefixtures("aws")
class TestMonth:
    @pytest.mark.parametrize("day", ["2024-12-01", "2024-12-13", "2024-12-25", "2024-12-31"])
    def test_a_date_is_its_month(self, day: str) -> None:
        assert resolve(of_month(day)) == list(DECEMBER)

    @pytest.mark.parametrize("day", ["2020-11-30", "2020-11-02"])
    def test_the_first_month_is_its_one_session(self, day: str) -> None:
        assert resolve(of_month(day)) == [FIRST]

    def test_a_trigger_without_a_date_takes_the_month_of_the_last_closed_session_up_to_that(self) -> None:
        # The 9th was a day of mourning, and the 10th has not closed.
        assert [day.day for day in resolve(Run(None))] == [2, 3, 6, 7, 8]

    def test_a_month_that_has_not_closed_is_taken_as_far_as_it_has(self) -> None:
        assert [day.day for day in resolve(of_month("2025-01-01"))] == [2, 3, 6, 7, 8]

    def test_a_month_ahead_is_refused(self) -> None:
        with pytest.raises(SessionNotClosedError, match=r"no session of February 2025 has closed.* 2025-01-08"):
            resolve(of_month("2025-02-01"))

    def test_a_month_of_which_no_session_has_closed_yet_is_refused(self) -> None:
        with pytest.raises(SessionNotClosedError, match="January 2025"):
            resolve(Run(datetime(2025, 1, 1, tzinfo=UTC), run_after=datetime(2025, 1, 2, 12, tzinfo=UTC)))

    def test_a_month_before_the_first_session_is_refused(self) -> None:
        with pytest.raises(SessionTooEarlyError, match="2020-11-30"):
            resolve(of_month("2020-10-15"))

    def test_a_month_of_unknown_membership_is_refused_before_anything_is_asked(self) -> None:
        with pytest.raises(SessionRefusedError, match=r"2027-03-01 refused: the index members .* are not known"):
            resolve(Run(datetime(2027, 3, 1, tzinfo=UTC), run_after=datetime(2027, 4, 20, tzinfo=UTC)))

    def test_of_a_month_of_which_it_is_known_in_part_the_rest_is_refused(self, store: ObjectStore) -> None:
        run: Any = Run(datetime(2027, 2, 1, tzinfo=UTC), run_after=datetime(2027, 4, 20, tzinfo=UTC))
        window = resolve_window(run, FIRST, RangeRequest(None, None, repeat=False))

        assert list_window(window)[-1] == date(2027, 2, 3)
        refused = read_section(store, window["run"], Asked).refused
        assert (min(refused), max(refused)) == ("2027-02-04", "2027-02-26")


@pytest.mark.usefixtures("aws")
class TestRange:
    def test_it_may_reach_over_months_and_wins_over_the_runs_date(self) -> None:
        assert resolve(of_month("2024-03-01"), of_range("2024-10-30", "2024-11-04")) == [
            date(2024, 10, 30),
            date(2024, 10, 31),
            date(2024, 11, 1),
            date(2024, 11, 4),
        ]

    def test_its_ends_need_not_be_sessions(self) -> None:
        assert resolve(Run(None), of_range("2024-12-21", "2024-12-25")) == [date(2024, 12, 23), date(2024, 12, 24)]
        # The weekend after the last closed session is in the future, and has no session.
        at = datetime(2024, 12, 13, 22, tzinfo=UTC)
        assert resolve(Run(None, run_after=at), of_range("2024-12-13", "2024-12-15")) == [date(2024, 12, 13)]

    @pytest.mark.parametrize(
        ("first", "last", "error", "said"),
        [
            ("2024-12-25", "2024-12-25", NotASessionError, "2024-12-24 or 2024-12-26"),
            ("2024-12-14", "2024-12-15", NotASessionError, "2024-12-13 or 2024-12-16"),
            ("2025-01-06", "2025-01-10", SessionNotClosedError, "2025-01-08"),
            ("2026-01-02", "2026-01-09", SessionNotClosedError, "2025-01-08"),
            ("2020-11-27", "2020-12-04", SessionTooEarlyError, "2020-11-30"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, first: str, last: str, error: type[Exception], said: str) -> None:
        with pytest.raises(error, match=said):
            resolve(Run(None), of_range(first, last))

    def test_more_sessions_than_a_statement_can_name_are_refused_with_what_to_ask_for(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mag7.tasks.backfill.LONGEST_STRETCH", 250)
        whole = list_sessions(date(2023, 12, 1), date(2024, 12, 13))
        with pytest.raises(StretchTooLongError, match=f"has 261 .* up to {whole[249]}, then"):
            resolve(Run(None), of_range("2023-12-01", "2024-12-13"))

        complete(store, *whole[:15])
        assert resolve(Run(None), of_range("2023-12-01", "2024-12-13")) == list(whole[15:])


def exactly(*days: str) -> RangeRequest:
    return RangeRequest(None, None, repeat=True, sessions=tuple(map(date.fromisoformat, days)))


@pytest.mark.usefixtures("aws")
class TestExactSessions:
    def test_they_are_built_whatever_lies_between_and_however_complete(self, store: ObjectStore) -> None:
        complete(store, *DECEMBER)

        assert resolve(of_month("2024-03-01"), exactly("2024-10-30", "2024-12-02", "2024-12-13")) == [
            date(2024, 10, 30),
            date(2024, 12, 2),
            date(2024, 12, 13),
        ]

    @pytest.mark.parametrize(
        ("day", "error", "said"),
        [
            ("2024-12-25", NotASessionError, "2024-12-24 or 2024-12-26"),
            ("2025-01-09", NotASessionError, "Carter"),
            ("2025-01-10", SessionNotClosedError, "2025-01-08"),
            ("2026-01-02", SessionNotClosedError, "2025-01-08"),
            ("2020-11-27", SessionTooEarlyError, "2020-11-30"),
        ],
    )
    def test_one_that_cannot_be_is_refused_by_name(self, day: str, error: type[Exception], said: str) -> None:
        with pytest.raises(error, match=said):
            resolve(Run(None), exactly("2024-12-13", day))

    def test_a_part_holds_sessions_of_one_month_with_gaps(self) -> None:
        sessions = [DECEMBER[0], DECEMBER[9], DECEMBER[20]]

        assert [part["sessions"] for part in divide_window(make_window("run", sessions))] == [
            [day.isoformat() for day in sessions]
        ]


@pytest.mark.usefixtures("aws")
class TestWhatIsComplete:
    def test_complete_sessions_are_left_out(self, store: ObjectStore) -> None:
        complete(store, *DECEMBER[:-2])

        assert resolve(of_month("2024-12-01")) == list(DECEMBER[-2:])

    def test_a_session_whose_load_is_pending_or_that_lacks_a_file_is_not_complete(self, store: ObjectStore) -> None:
        complete(store, *DECEMBER)
        store.put(pending_key(DECEMBER[3]), b"")
        store.delete([analytics_key(list_tables()[0].name, DECEMBER[5])])
        store.delete([document_key(DECEMBER[7])])

        assert resolve(of_month("2024-12-01")) == [DECEMBER[3], DECEMBER[5], DECEMBER[7]]

    def test_a_month_that_is_complete_leaves_nothing_to_do_says_so_and_needs_no_key(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        complete(store, *DECEMBER)
        monkeypatch.delenv("POLYGON_API_KEY")
        caplog.set_level("INFO")

        assert resolve(of_month("2024-12-01")) == []
        assert "2024-12-02 to 2024-12-31: 21 sessions, 21 complete, 0 refused, 0 to build" in caplog.text

    def test_repeated_they_are_built_again(self, store: ObjectStore) -> None:
        complete(store, *DECEMBER)

        assert resolve(of_month("2024-12-01"), RangeRequest(None, None, repeat=True)) == list(DECEMBER)
        repeated = of_range("2024-12-12", "2024-12-13", repeat=True)
        assert resolve(Run(None), repeated) == [date(2024, 12, 12), date(2024, 12, 13)]

    def test_the_run_records_what_it_was_asked_for_and_what_was_complete(self, store: ObjectStore) -> None:
        complete(store, date(2024, 12, 12))
        window = resolve_window(Run(None), FIRST, of_range("2024-12-12", "2024-12-13"))  # type: ignore[arg-type]

        assert read_section(store, window["run"], Asked) == Asked(
            asked=["2024-12-12", "2024-12-13"], complete=["2024-12-12"], refused={}
        )


@pytest.mark.usefixtures("aws")
class TestBeforeAnythingIsAsked:
    @pytest.mark.parametrize("variable", ["MAG7_BUCKET", "MAG7_BUCKET_OWNER", "MAG7_COPY_ROLE"])
    def test_a_missing_setting_stops_the_run(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.delenv(variable)

        with pytest.raises(SettingMissingError, match=variable):
            resolve(of_month("2024-12-01"))

    def test_a_missing_key_stops_the_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("POLYGON_API_KEY")

        with pytest.raises(KeyNotFoundError, match="polygon_default"):
            resolve(of_month("2024-12-01"))

    def test_an_earlier_attempts_record_and_progress_are_gone(self, store: ObjectStore) -> None:
        run = resolve_window(of_month("2024-12-01"), FIRST, MONTH)["run"]  # type: ignore[arg-type]
        write_section(store, run, Failure(task="check_coverage", error="E", message="old", ours=True))
        Progress(store, run, 21, "counts-01").expect(100)
        other = Progress(store, f"{run}-2", 21, "counts-01")
        other.expect(100)
        resolve(of_month("2024-12-01"))

        assert [stored.key for stored in store.list(f"staging/{run}/")] == [f"staging/{run}/record/asked.json"]
        assert len(read_steps(store, f"{run}-2")) == 1


class TestParts:
    @given(st.lists(st.dates(date(2021, 1, 1), date(2024, 12, 31)), unique=True, max_size=60).map(sorted))
    def test_they_are_the_window_in_order_each_of_a_few_sessions_of_one_month(self, sessions: list[date]) -> None:
        window = make_window("run", sessions)
        parts = divide_window(window)

        assert [day for part in parts for day in part["sessions"]] == window["sessions"]
        for part in parts:
            assert part["run"] == "run"
            assert 1 <= len(part["sessions"]) <= PART_SESSIONS
            assert len({day[:7] for day in part["sessions"]}) == 1

    def test_a_month_makes_four(self) -> None:
        window: Window = make_window("run", DECEMBER)

        assert [len(part["sessions"]) for part in divide_window(window)] == [6, 6, 6, 3]

    def test_they_are_as_few_as_their_size_allows(self) -> None:
        sessions = list_sessions(date(2024, 10, 28), date(2024, 12, 6))
        months: list[Any] = [list(days) for _, days in groupby(sessions, key=lambda day: day.month)]

        assert len(divide_window(make_window("run", sessions))) == sum(-(-len(days) // 6) for days in months)
