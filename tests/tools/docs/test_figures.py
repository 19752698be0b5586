"""What benchmarks record, and that no page shows a figure that they do not give."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench import figures
from bench.figures import BENCHMARKS, FigureMissingError, find_figure, read_figures, record

MACHINE = {"cores": 2, "processor": "a processor"}
GIVEN = {"parse_ratio": 1.23456, "parse_seconds": 2.0, "parse_dags": ["a"]}


def test_every_figure_that_is_shown_was_recorded() -> None:
    recorded = read_figures()

    assert list(recorded) == list(BENCHMARKS)
    for name, benchmark in BENCHMARKS.items():
        assert list(recorded[name]["values"]) == [figure.key for figure in benchmark.figures], name
        assert re.fullmatch(r"[0-9a-f]{7}\+?", recorded[name]["commit"])


def test_recording_replaces_one_benchmark_and_keeps_the_others(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"parse": {"values": {"gone": 1}}, "faults": {"values": {}}}), encoding="utf-8")

    record("parse", GIVEN, MACHINE, file)

    recorded = read_figures(file)
    assert recorded["parse"]["values"] == {"parse_ratio": 1.235}
    assert recorded["parse"]["machine"] == MACHINE
    assert recorded["faults"] == {"values": {}}


def test_a_figure_that_its_benchmark_no_longer_gives_is_found(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text("{}", encoding="utf-8")

    with pytest.raises(FigureMissingError, match="parse gives no figure parse_ratio"):
        record("parse", {"parse_seconds": 2.0}, MACHINE, file)

    assert read_figures(file) == {}


@pytest.mark.parametrize("values", [{}, {"a": None}, {"a": 1}, {"a": {"b": "1"}}, {"a": {"b": True}}, {"a.b": "1"}])
def test_what_is_no_number_is_no_figure(values: dict[str, object]) -> None:
    with pytest.raises(FigureMissingError):
        find_figure(values, "parse", "a.b")


@pytest.mark.parametrize("values", [{"a.b": 3}, {"a": {"b": 3}}])
def test_a_figure_is_found_flat_and_nested(values: dict[str, object]) -> None:
    assert find_figure(values, "parse", "a.b") == 3


def test_figures_are_kept_in_the_documentation() -> None:
    assert figures.FILE.relative_to(figures.ROOT).as_posix() == "docs/figures.json"
