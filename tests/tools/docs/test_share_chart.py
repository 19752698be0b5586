"""The chart of README is drawn from its table, and the table is what the offline market's responses come to."""

from __future__ import annotations

from datetime import date
from xml.etree import ElementTree as ET

import pytest

from tools.docs.share_chart import CHART, TABLE, draw, list_month_ends, read_table, work_out_point, write_table

SAMPLE = (date(2020, 11, 30), date(2022, 8, 31), date(2026, 10, 30))
SVG = "{http://www.w3.org/2000/svg}"


def test_the_chart_is_drawn_from_the_table() -> None:
    points = read_table(TABLE.read_text(encoding="utf-8"))

    assert CHART.read_text(encoding="utf-8") == draw(points), "refresh it with `make share-chart`"
    assert write_table(points) == TABLE.read_text(encoding="utf-8")


def test_the_table_has_every_month_end() -> None:
    points = read_table(TABLE.read_text(encoding="utf-8"))

    assert [one.session for one in points] == list_month_ends()
    assert list_month_ends()[0] == SAMPLE[0]
    assert list_month_ends()[-1] == SAMPLE[-1]


@pytest.mark.parametrize("session", SAMPLE, ids=str)
def test_a_point_is_what_the_session_comes_to(session: date) -> None:
    points = {one.session: one for one in read_table(TABLE.read_text(encoding="utf-8"))}

    assert points[session] == work_out_point(session), "refresh it with `make share-chart`"


def read_chart() -> ET.Element:
    return ET.fromstring(CHART.read_text(encoding="utf-8"))  # noqa: S314 - our own file


@pytest.mark.slow
def test_every_point_is_what_its_session_comes_to() -> None:
    assert read_table(TABLE.read_text(encoding="utf-8")) == [work_out_point(day) for day in list_month_ends()]


def test_the_chart_says_that_it_is_simulated_and_needs_nothing_from_elsewhere() -> None:
    svg = read_chart()
    texts = [text.text or "" for text in svg.iter(f"{SVG}text")]
    style = "".join(found.text or "" for found in svg.iter(f"{SVG}style"))

    assert any("Simulated market" in text for text in texts)
    assert {element.tag for element in svg.iter()} <= {
        f"{SVG}{name}" for name in ("svg", "title", "desc", "style", "text", "rect", "line", "polyline")
    }
    assert "prefers-color-scheme: dark" in style
    assert "url(" not in style
    assert "@import" not in style


def test_no_text_leaves_the_picture() -> None:
    svg = read_chart()
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    for text in svg.iter(f"{SVG}text"):
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]]
        # A letter of 13 px is some 7.3 px wide on average.
        long = len(text.text or "") * (9.5 if text.attrib["class"] == "title" else 7.3)
        assert x - shift * long >= 0, text.text
        assert x + (1 - shift) * long <= width, text.text
        assert 0 < y < height
