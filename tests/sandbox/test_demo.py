"""The arguments of the demonstration."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox import demo


@pytest.mark.parametrize(
    ("text", "now", "day"),
    [
        ("2024-06-07", (2026, 11, 27, 18, 30), "2024-06-07"),
        ("latest", (2026, 11, 27, 17, 59), "2026-11-25"),  # the day after Thanksgiving closes at 18:00 UTC
        ("latest", (2026, 11, 27, 18, 0), "2026-11-27"),
        ("latest", (2026, 11, 30, 3, 0), "2026-11-27"),  # still Sunday evening in New York
    ],
)
def test_the_date_asked_for(text: str, now: tuple[int, ...], day: str) -> None:
    assert demo.read_date(text, datetime(*now, tzinfo=UTC)) == day


def test_the_golden_day_is_the_default() -> None:
    assert demo._parse([]).date == demo.GOLDEN_DAY == "2024-12-13"


@pytest.mark.parametrize("text", ["newest", "2024-13-01", ""])
def test_what_is_no_date_is_refused(text: str, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--date", text, "--home", str(tmp_path)]) == 1
    assert "latest for the last closed session" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
