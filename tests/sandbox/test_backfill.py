"""The range of a backfill, refused before anything is started."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from sandbox import backfill

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_a_range_may_end_with_the_last_closed_session() -> None:
    assert backfill.read_range("2026-11-02", "latest", NOW) == (date(2026, 11, 2), date(2026, 11, 25))


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("garbage", "2022-03-31", "FROM=garbage is not a date"),
        ("2022-03-01", "garbage", "TO=garbage is not a date"),
        ("2022-03-31", "2022-03-01", "TO=2022-03-01 is before FROM=2022-03-31"),
        ("2019-01-02", "2022-03-31", "2019-01-02 is before 2020-11-30, the first session covered"),
        ("2022-03-01", "2099-12-31", "2099-12-31 has not closed"),
        ("2024-12-25", "2024-12-25", "there is no session from 2024-12-25 to 2024-12-25"),
    ],
)
def test_what_no_run_can_fill_is_refused_in_one_line(
    first: str, last: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backfill.main(["--from", first, "--to", last, "--home", str(tmp_path)]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"backfill: {says}")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
