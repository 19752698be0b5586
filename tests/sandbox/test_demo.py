"""The arguments of the demonstration, and the summary of the last one."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest

from mag7.lake.objects import ObjectStore
from sandbox import demo
from sandbox.dag_run import DagRun
from sandbox.processes import ServerNotReadyError
from sandbox.stack import Stack

STACK = Stack(Path("stack"), "simulated", "http://127.0.0.1:1", "http://127.0.0.1:2", simulated=True)


def test_the_golden_day_is_the_default() -> None:
    assert demo._parse([]).date == "2024-12-13"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--date", "newest"], "DATE=newest is not a date: write it as 2024-12-13, or latest for the last closed"),
        (["--date", "2024-13-01"], "DATE=2024-13-01 is not a date"),
        (["--date", ""], "DATE= is not a date"),
        (["--date", "2022-06-06", "--rebuild", "--through", "x"], "THROUGH=x is not a date"),
        (
            ["--date", "2022-06-06", "--rebuild", "--through", "2022-06-03"],
            "THROUGH=2022-06-03 is before DATE=2022-06-",
        ),
    ],
)
def test_what_is_not_a_date_is_refused_and_the_last_summary_is_kept(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / demo.SUMMARY_FILE).write_text("{}")

    assert demo.main([*arguments, "--home", str(tmp_path)]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"demo: {says}")
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [demo.SUMMARY_FILE]


def test_a_rebuild_is_of_the_sessions_asked_for() -> None:
    options = demo._parse(["--rebuild", "--through", "2022-06-08"])
    params = {"rebuild": True, "trading_date": "2022-06-06", "through": "2022-06-08"}
    assert demo._read_params(options, "2022-06-06").items() >= params.items()


@pytest.mark.parametrize("began", [False, True])
def test_the_last_summary_is_kept_until_a_run_begins(
    began: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / demo.SUMMARY_FILE
    summary.write_text('{"of": "an earlier run"}')

    def refuse(*_: object, **__: object) -> None:
        raise ServerNotReadyError("not ready")

    monkeypatch.setattr(demo, "run_stack", lambda *_: nullcontext(STACK))
    monkeypatch.setattr(demo, "prepare", (lambda *_: None) if began else refuse)
    monkeypatch.setattr(demo, "demonstrate", refuse)

    assert demo.main(["--home", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "demo: not ready\n"
    assert summary.exists() is not began


def test_the_last_words_of_a_log_are_those_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\nlast\n\n  \n")
    run = DagRun([], cast("ObjectStore", None), "", log)
    assert run.read_last_words() == "last"
    log.write_text("")
    assert run.read_last_words() == "Airflow said nothing"
