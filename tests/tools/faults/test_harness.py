"""How a sequence continues after kills, failures and clears, and what a run reports, without a stack."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tools.faults import __main__ as command
from tools.faults.flows import DAILY
from tools.faults.forked import Ended, ForkedAirflow, Kills
from tools.faults.harness import Report, run_sequences
from tools.faults.plan import FAILURE, KILL, KINDS, MUST_BE_KILLED, SUCCESS, Clear, Disturbance, Kill, Place
from tools.stack_reader import Published

NOTHING = Published({}, {}, {})
LOAD, COLLECT = Kill(Place("load", 1), 0.0), Kill(Place("collect", 0), 0.0)


def test_a_kill_finds_its_place_whatever_was_tried_before() -> None:
    kills = Kills([LOAD])

    starts = [("load.write_manifests", -1), ("collect.closes", -1), ("load.write_manifests", -1), ("load.tables", -1)]

    assert [kills.find(*start) for start in starts] == [None, None, None, LOAD]
    assert kills.find("load.tables", -1) == LOAD
    kills.spend(LOAD)
    assert kills.find("load.tables", -1) is None


def test_every_mapped_task_has_a_place_of_its_own() -> None:
    kills = Kills([LOAD])

    assert [kills.find("load.part", number) for number in range(3)] == [None, LOAD, None]


class FakeAirflow:
    """Ends runs as given, and records its calls."""

    def __init__(self, ends: Sequence[Ended]) -> None:
        self._ends = list(ends)
        self.asked: list[tuple[str | None, float | None]] = []

    def run(self, *_: Any, clear: str | None, share: float | None, kills: Kills) -> Ended:
        self.asked.append((clear, share))
        return self._ends.pop(0)


class FakeHouse:
    """Publishes nothing, which is right, and has the given leaks."""

    right = NOTHING

    def __init__(self, ends: Sequence[Ended] = (), leaks: Sequence[str] = ()) -> None:
        self.airflow, self.leaks = FakeAirflow(ends), list(leaks)

    def learn(self, *_: Any) -> None: ...

    def prepare(self, *_: Any, **__: Any) -> None: ...

    def published(self) -> Published:
        return NOTHING

    def list_leaks(self, *_: Any) -> list[str]:
        return self.leaks

    @contextlib.contextmanager
    def faults(self, *_: Any) -> Iterator[list[Any]]:
        yield []


def killed(kill: Kill, task: str, cleared: str | None = None) -> Ended:
    return Ended(None, killed=True, started=[task], kill=kill, cleared=cleared)


def over(state: str, cleared: str | None = None) -> Ended:
    return Ended(state, killed=False, started=["collect.closes"], cleared=cleared)


def run_with(
    clear: Clear | None, ends: Sequence[Ended], kills: tuple[Kill, ...] = ()
) -> tuple[Report, list[tuple[str | None, float | None]]]:
    house, report = FakeHouse(ends), Report(seed=1)
    plan = Disturbance(0, DAILY.name, older=False, forgotten=0.0, faults=(), kills=kills, clear=clear)
    run_sequences(house, [plan], report, print)  # type: ignore[arg-type]
    return report, house.airflow.asked


def test_kills_are_counted_by_the_stage_that_they_struck() -> None:
    ends = [killed(COLLECT, "collect.closes"), killed(LOAD, "load.tables"), over("success")]

    report, _ = run_with(None, ends, (LOAD, COLLECT))

    assert report.kills_by_stage == {"collect": 1, "load": 1}
    assert (report.content()["kills"], report.content()["kills_by_stage"]) == (2, {"collect": 1, "load": 1})
    assert "kills in publish_sessions                        0" in command.tabulate(report)


def test_a_task_is_cleared_after_the_kill_that_was_drawn() -> None:
    ends = [killed(LOAD, "load.tables"), killed(COLLECT, "collect.closes"), over("success", cleared="collect.closes")]

    report, asked = run_with(Clear(KILL, 2, 0.25), ends, (LOAD, COLLECT))

    assert asked == [(None, None), (None, None), (None, 0.25)]
    assert report.cleared_after == {KILL: 1}


def test_a_task_is_cleared_beside_what_failed() -> None:
    report, asked = run_with(Clear(FAILURE, 1, 0.25), [over("failed"), over("success", cleared="collect.closes")])

    assert asked == [(None, None), ("failed", 0.25)]
    assert (report.cleared_after, report.helped) == ({FAILURE: 1}, 1)


def test_a_task_is_cleared_after_success_where_no_kill_struck_before() -> None:
    report, asked = run_with(Clear(KILL, 1, 0.25), [over("success"), over("success", cleared="collect.closes")])

    assert asked == [(None, None), (None, 0.25)]
    assert report.cleared_after == {SUCCESS: 1}


def test_what_cleared_nothing_is_not_counted_and_is_tried_again() -> None:
    ends = [killed(COLLECT, "resolve_session"), over("failed"), over("success", cleared="collect.closes")]

    report, asked = run_with(Clear(KILL, 1, 0.25), ends, (COLLECT,))

    assert asked == [(None, None), (None, 0.25), ("failed", 0.25)]
    assert (report.cleared, report.cleared_after) == (1, {FAILURE: 1})


def whole_run(report: Report) -> None:
    report.by_kind = dict.fromkeys(KINDS, 10)
    report.kills_by_stage = dict.fromkeys([*MUST_BE_KILLED, "collect"], 20)


def run_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: Any = None, leaks: Sequence[str] = ()
) -> tuple[int, dict[str, Any]]:
    """Run the command with a run that reports enough of everything, except for a change."""

    def run(_: Any, __: Any, report: Report, *___: Any) -> None:
        whole_run(report)
        if change is not None:
            change(report)

    monkeypatch.setattr(command, "open_house", lambda _: contextlib.nullcontext(FakeHouse(leaks=leaks)))
    monkeypatch.setattr(command, "run_sequences", run)
    code = command.main(["--report", str(tmp_path / "faults.json")])
    return code, json.loads((tmp_path / "faults.json").read_text())


def test_a_run_that_tried_everything_and_found_nothing_is_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, told = run_command(monkeypatch, tmp_path)

    assert (code, told["never_struck"], told["found"]) == (0, [], [])


def test_leaks_of_sequences_outlast_the_search_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def leak(report: Report) -> None:
        report.add_leaks(["staging/run/a.json", "manifests/b.json"])

    code, told = run_command(monkeypatch, tmp_path, leak, ["manifests/b.json", "logs/c.log"])

    assert told["found"] == ["staging/run/a.json", "manifests/b.json", "logs/c.log"]
    assert (code, told["leaks"]) == (1, 3)


@pytest.mark.parametrize("stage", MUST_BE_KILLED)
def test_a_run_whose_kills_missed_what_readers_see_tried_too_little(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    code, told = run_command(monkeypatch, tmp_path, lambda report: report.kills_by_stage.pop(stage))

    assert (code, told["never_struck"], told["found"]) == (1, [f"kill in {stage}"], [])
    assert f"too little was tried: kill in {stage} never struck" in capsys.readouterr().out


@pytest.mark.parametrize("count", [None, 0])
def test_a_run_in_which_a_kind_never_struck_tried_too_little(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int | None
) -> None:
    def spare(report: Report) -> None:
        del report.by_kind["500"]
        report.by_kind |= {} if count is None else {"500": count}

    code, told = run_command(monkeypatch, tmp_path, spare)

    assert (code, told["never_struck"]) == (1, ["500"])
    assert "too little was tried: 500 never struck" in capsys.readouterr().out


def test_a_run_with_few_kills_tried_too_little(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run_command(monkeypatch, tmp_path, lambda report: report.kills_by_stage.update(collect=0, load=5))

    assert code == 1
    assert "too little was tried: 45 kills, 60 are wanted" in capsys.readouterr().out


class Speaking(ForkedAirflow):
    """Follows given messages."""

    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        self.seconds, self._messages = {}, list(messages)
        self.waits: list[float] = []

    def _read(self, seconds: float) -> dict[str, Any]:
        self.waits.append(seconds)
        return self._messages.pop(0)


class TestFollow:
    """The end of a run's process, from its messages."""

    @pytest.fixture(autouse=True)
    def struck(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        struck: list[int] = []
        monkeypatch.setattr("tools.faults.forked.os.kill", lambda pid, _: struck.append(pid))
        return struck

    def test_kills_at_its_place_and_tells_which_kill_it_was(self, struck: list[int]) -> None:
        told = [{"pid": 7}, {"cleared": "a"}, {"task": "collect.a", "map_index": -1}, {"code": -9}]

        ended = Speaking(told)._follow(Kills([COLLECT]))

        assert ended == Ended(None, killed=True, started=["collect.a"], kill=COLLECT, cleared="a")
        assert struck == [7]

    def test_kills_the_next_task_where_its_own_was_quicker(self, struck: list[int]) -> None:
        late = Kill(Place("collect", 0), 1.0)
        told = [{"pid": 7}, *({"task": task, "map_index": -1} for task in ("collect.a", "load.b")), {"code": -9}]

        ended = Speaking(told)._follow(Kills([late]))

        assert (ended.killed, ended.kill, ended.started[-1]) == (True, late, "load.b")

    def test_waits_for_the_end_of_what_it_killed(self, struck: list[int]) -> None:
        tasks = ({"task": task, "map_index": -1} for task in ("collect.a", "collect.b"))
        airflow = Speaking([{"pid": 7}, *tasks, {"code": -9}])

        airflow._follow(Kills([COLLECT]))

        assert struck == [7]
        assert airflow.waits[-1] > 100

    def test_a_run_that_ended_first_was_not_killed(self, struck: list[int]) -> None:
        told = [{"pid": 7}, {"task": "load.a", "map_index": -1}, {"state": "success"}, {"code": 0}]

        ended = Speaking(told)._follow(Kills([Kill(Place("load", 0), 1.0)]))

        assert (ended.killed, ended.state, struck) == (False, "success", [])

    def test_a_kill_after_the_last_word_does_not_count(self) -> None:
        told = [{"pid": 7}, {"task": "load.a", "map_index": -1}, {"state": "success"}, {"code": -9}]

        ended = Speaking(told)._follow(Kills([Kill(Place("load", 0), 0.0)]))

        assert (ended.killed, ended.state) == (False, "success")
