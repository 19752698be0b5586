"""What the benchmark of the daily run gives, and that it gives every figure that the documentation shows."""

from __future__ import annotations

from bench.daily import Daily, Run, summarise
from bench.figures import BENCHMARKS, find_figure


def make_run(name: str, seconds: float, calls: int) -> Run:
    return Run(name, "2024-12-13", seconds, 80.0, {"collect": 20.0, "transform": 13.0}, calls, 42)


DAILY = Daily(make_run("first", 60.0, 1016), make_run("warm", 45.0, 513), make_run("repeat", 30.0, 1), 36.0)


def test_the_warm_run_is_held_against_the_floor_of_as_many_tasks() -> None:
    figures = summarise(DAILY)

    assert (figures["daily_seconds"], figures["floor_seconds"], figures["floor_ratio"]) == (45.0, 36.0, 1.25)
    assert (figures["daily_tasks"], figures["daily_calls"], figures["stages"]["outside tasks"]) == (42, 513, 12.0)


def test_every_figure_that_is_shown_is_given() -> None:
    figures = summarise(DAILY)

    assert [find_figure(figures, "daily", figure.key) for figure in BENCHMARKS["daily"].figures]
