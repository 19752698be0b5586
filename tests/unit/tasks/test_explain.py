"""``mag7.tasks.explain``: one line where a session cannot be explained."""

from __future__ import annotations

import pytest

from mag7.tasks import explain


@pytest.mark.parametrize(
    ("session", "says"),
    [
        ("garbage", "garbage is not a date: write it as 2024-06-07"),
        ("2024-12-25", "2024-12-25 is not a session of XNYS (Christmas); ask for 2024-12-24 or 2024-12-26"),
    ],
)
def test_what_is_not_a_session_is_refused_as_a_run_refuses_it(
    session: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain.main(["NVDA", session]) == 1
    assert capsys.readouterr().err == f"explain: {says}\n"
