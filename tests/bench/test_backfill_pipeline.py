"""The benchmark of the backfill: how tasks become stages, and that no session is lost silently."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from bench.backfill_pipeline import (
    Backfill,
    BackfillFailedError,
    Month,
    end_of_months,
    find_stage,
    summarise,
    time_stages,
)
from mag7.lake.tables import list_tables
from sandbox.airflow_home import TaskRun
from sandbox.tally import SessionRows

SESSIONS = ("2022-01-03", "2022-01-04")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def make_task(name: str, start: float, end: float | None) -> TaskRun:
    stop = None if end is None else BEGAN + timedelta(seconds=end)
    return TaskRun(name, -1, "success", BEGAN + timedelta(seconds=start), stop)


def make_backfill(loaded: tuple[str, ...], failure: str | None = None) -> Backfill:
    rows = tuple(SessionRows(table.name, day, 7, 0) for table in list_tables() for day in loaded)
    tasks = (make_task("collect.collect_closes", 0, 2), make_task("build_market_data", 2, 5))
    month = Month("2022-01", "failed" if failure else "success", 2, 5.0, tasks, failure)
    return Backfill(10.0, 3.0, 2, 1_008, (month,), SESSIONS, rows)


@pytest.mark.parametrize(
    ("task", "stage"),
    [
        ("collect.collect_counts", "collect"),
        ("build_market_data", "build"),
        ("check_coverage", "build"),
        ("check.run_check", "check"),
        ("publish_splits", "publish"),
        ("load.load_tables", "load"),
        ("resolve_window", "other"),
    ],
)
def test_a_task_belongs_to_its_group_or_is_named(task: str, stage: str) -> None:
    assert find_stage(task) == stage


def test_wall_time_counts_overlapping_tasks_once() -> None:
    tasks = [
        make_task("collect.a", 0, 10),
        make_task("collect.b", 2, 5),
        make_task("collect.c", 20, 21),
        make_task("collect.d", 30, None),
    ]
    spent = time_stages(tasks)["collect"]
    assert (spent.wall, spent.tasks) == (11.0, 14.0)


@pytest.mark.parametrize(
    ("first", "months", "last"),
    [
        (date(2022, 1, 1), 12, date(2022, 12, 31)),
        (date(2020, 11, 30), 1, date(2020, 11, 30)),
        (date(2024, 2, 1), 1, date(2024, 2, 29)),
    ],
)
def test_months_end_on_their_last_day(first: date, months: int, last: date) -> None:
    assert end_of_months(first, months) == last


def test_figures_of_a_whole_backfill() -> None:
    figures = summarise(make_backfill(SESSIONS))
    assert (figures["backfill_loaded"], figures["backfill_refused"], figures["backfill_duplicates"]) == (2, [], 0)
    assert figures["backfill_rows_a_session"]["company_details"] == [7, 7]
    assert figures["backfill_seconds_a_session"] == 5.0


def test_a_refused_session_is_accounted_for_by_its_name() -> None:
    figures = summarise(make_backfill(SESSIONS[:1], "2022-01-04 refused: NVDA is missing. 2022-01-03 published"))
    assert figures["backfill_refused"] == ["2022-01-04"]


def test_a_session_that_nobody_speaks_of_is_an_error() -> None:
    with pytest.raises(BackfillFailedError, match="not accounted for: 2022-01-04"):
        summarise(make_backfill(SESSIONS[:1]))
