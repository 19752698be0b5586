"""Who may use a stack's folder: one command at a time, and others where a command that lasts offers its servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import stack
from sandbox.processes import Server
from sandbox.stack import FolderInUseError, offer_stack, run_stack

IN_USE = "another command is using .*simulated: wait until it ends$"


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The servers that were started; none of them is a process."""
    modules: list[str] = []

    @contextmanager
    def start(module: str, arguments: Sequence[str], folder: Path, root: Path) -> Iterator[Server]:
        modules.append(module)
        yield Server(f"http://127.0.0.1:{len(modules)}", 0)

    monkeypatch.setattr(stack, "run_server", start)
    return modules


def test_a_second_command_is_refused_until_the_first_has_ended(tmp_path: Path, started: list[str]) -> None:
    for _ in range(2):
        with run_stack(tmp_path, {}), pytest.raises(FolderInUseError, match=IN_USE), run_stack(tmp_path, {}):
            pass
    assert started == ["sandbox.aws", "sandbox.polygon"] * 2


def test_a_reader_is_refused_too_where_nothing_is_offered(tmp_path: Path) -> None:
    with (
        run_stack(tmp_path, {}),
        pytest.raises(FolderInUseError, match=IN_USE),
        run_stack(tmp_path, {}, airflow=None),
    ):
        pass


def test_what_is_offered_is_used_by_one_command_and_by_readers(tmp_path: Path, started: list[str]) -> None:
    with run_stack(tmp_path, {}, airflow="ui") as lasting:
        with offer_stack(lasting):
            with run_stack(tmp_path, {}) as working, run_stack(tmp_path, {}, airflow=None) as reading:
                assert working == reading == lasting
                for airflow in ("airflow", "ui"):
                    with pytest.raises(FolderInUseError, match=IN_USE), run_stack(tmp_path, {}, airflow=airflow):
                        pass
            with run_stack(tmp_path, {}) as after:
                assert after == lasting
        with pytest.raises(FolderInUseError, match=IN_USE), run_stack(tmp_path, {}):
            pass
    assert started == ["sandbox.aws", "sandbox.polygon"]


def test_an_offer_that_a_killed_command_left_is_not_used(tmp_path: Path, started: list[str]) -> None:
    with run_stack(tmp_path, {}) as first:
        (first.folder / stack.OFFER).write_text('["http://127.0.0.1:98", "http://127.0.0.1:99"]')
    with run_stack(tmp_path, {}) as second:
        assert second.aws_url == "http://127.0.0.1:3"
        with pytest.raises(FolderInUseError, match=IN_USE), run_stack(tmp_path, {}, airflow=None):
            pass


def test_another_provider_is_asked_where_it_is(tmp_path: Path, started: list[str]) -> None:
    base = {"POLYGON_BASE_URL": "http://127.0.0.1:5", "POLYGON_SOURCE": "replay"}
    with (
        run_stack(tmp_path, base, airflow="ui") as lasting,
        offer_stack(lasting),
        run_stack(tmp_path, base) as working,
        run_stack(tmp_path, {}) as simulated,
    ):
        assert working == lasting
        assert (working.polygon_url, working.simulated) == ("http://127.0.0.1:5", False)
        assert simulated.simulated
    assert started == ["sandbox.aws", "sandbox.aws", "sandbox.polygon"]
