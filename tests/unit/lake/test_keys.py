from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.lake import keys


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (keys.document_key(date(2024, 12, 13)), "raw/magnificent7/trading_date=2024-12-13/market_data.json"),
        (keys.processed_key("t", date(2024, 12, 13)), "processed/t/trading_date=2024-12-13/data.parquet"),
        (keys.analytics_key("t", date(2024, 12, 13)), "analytics/t/2024-12-13.parquet"),
        (keys.split_day_key(date(2024, 6, 10)), "processed/splits/execution_date=2024-06-10/data.parquet"),
        (keys.staged_splits_key("r"), "staging/r/analytics/splits/splits.parquet"),
        # pragma: allowlist nextline secret - a prefix
        (keys.answers_prefix("splits", date(2024, 1, 2)), "raw/polygon/splits/trading_date=2024-01-02/"),
        (
            keys.run_segment("mag7_daily", "manual__2024-12-13T00:00:00+00:00"),
            "mag7_daily-manual__2024-12-13T0000000000-acee8169",
        ),
    ],
)
def test_keys_are_those_of_the_lake(key: str, expected: str):
    assert key == expected


@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)), st.dates(date(2020, 1, 1), date(2030, 12, 31)))
def test_a_months_prefix_is_that_of_its_days_and_of_no_other(month: date, day: date):
    same = (month.year, month.month) == (day.year, day.month)

    assert keys.document_key(day).startswith(keys.document_month_prefix(month)) is same
    assert keys.analytics_key("t", day).startswith(keys.analytics_month_prefix("t", month)) is same
    assert keys.answers_prefix("splits", day).startswith(keys.answers_month_prefix("splits", month)) is same
    assert keys.answers_date(f"{keys.answers_prefix('splits', day)}object.jsonl.gz") == day


def test_marks_of_pending_sessions_lie_below_their_prefix():
    assert keys.pending_key(date(2024, 12, 13)) == "pending/trading_date=2024-12-13"
    assert keys.pending_key(date(2024, 12, 13)).startswith(keys.pending_prefix())


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_runs_never_share_a_segment(first: str, second: str):
    assert (keys.run_segment("d", first) == keys.run_segment("d", second)) == (first == second)


@given(st.text(max_size=50))
def test_a_run_id_can_never_leave_its_segment_or_its_quotes(run_id: str):
    segment = keys.run_segment("mag7_daily", run_id)
    assert not set(segment) & set("/'\"\\ ;\n")
    assert segment.isascii()


def test_half_a_surrogate_pair_in_a_name_is_left_out_and_told_apart() -> None:
    assert keys.run_segment("mag7_daily", "a\ud800") != keys.run_segment("mag7_daily", "a\udfff")


def test_a_long_name_leaves_room_in_a_key() -> None:
    names = {keys.run_segment("mag7_daily", "x" * 5_000 + end) for end in "ab"}

    assert len(names) == 2
    assert max(map(len, names)) < 400
