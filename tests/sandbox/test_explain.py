"""The arguments of ``make explain``."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import explain


def test_what_is_not_a_date_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain.main(["NVDA", "garbage", "--home", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "explain: DATE=garbage is not a date: write it as 2024-12-13, or latest for the last closed session\n"
    )
    assert list(tmp_path.iterdir()) == []
