"""What a run says in its log."""

from __future__ import annotations

import json
from typing import Any

from mag7.market.document import Document, decode_document
from mag7.runs.record import Summary
from mag7.runs.table import tabulate_run, tabulate_session
from tests.unit.tasks.test_summary import make_document


def decode(document: dict[str, Any]) -> Document:
    return decode_document(json.dumps(document).encode(), "a test")


PROFILE = {
    "source": "simulated",
    "quality": "partial",
    "mag7_pct_of_sp500": 33.286,
    "line_sum_mag7_pct": 31.905,
    "companies_priced": 499,
}


class TestSession:
    def test_shows_caps_parts_and_both_figures(self) -> None:
        lines = tabulate_session(decode(make_document())).splitlines()

        assert lines[0] == "session 2024-12-13, source simulated, quality partial"
        assert lines[2].split() == ["1", "AAPL", "3,750,689,160,990.00", "50.00", "%", "6.90", "%"]
        assert lines[3].endswith("not in it")
        assert lines[4].endswith("by company: 33.2860 %")
        assert lines[5].endswith("(two-line companies counted twice): 31.9050 %")
        assert len({len(line) for line in lines[1:4]}) == 1  # columns stand under each other

    def test_a_line_sum_that_is_missing_is_not_shown_as_zero(self) -> None:
        document = make_document(line_sum_mag7_pct=None, line_sum_market_cap=None)

        assert "not available, a line is missing" in tabulate_session(decode(document))

    def test_provisional_members_are_said_to_be(self) -> None:
        document = make_document(membership_provisional=True)
        document["facts"] = {**document["facts"], "members_confirmed_through": "2024-11-29"}

        assert tabulate_session(decode(document)).splitlines()[1] == "members provisional: confirmed through 2024-11-29"


class TestRun:
    def tabulate(self, refused: dict[str, list[str]] | None = None, **changes: Any) -> list[str]:
        summary = Summary(
            sessions={"2024-12-13": {**PROFILE, **changes}},
            calls=2,
            bytes=12_340_000,
            seconds_by_stage={"collect": 61.5, "transform": 9.0},
        )
        return tabulate_run(summary, 1, refused or {}).splitlines()

    def test_has_a_line_a_session_and_the_reasons_of_refusals(self) -> None:
        assert self.tabulate({"2024-12-11": ["no NVDA"], "2024-12-12": ["the share moved", "doubled"]}) == [
            "1 sessions published and loaded, 1 were complete, 2 refused; 2 calls, 12.3 MB",
            "2024-12-13   33.2860 % by company,  31.9050 % by line sum, 499 companies, quality partial,"
            " source simulated",
            "2024-12-11  refused: no NVDA",
            "2024-12-12  refused: the share moved; doubled",
            "seconds of tasks by stage: collect 62 s, transform 9 s",
        ]

    def test_a_line_sum_that_is_missing_is_not_shown_as_zero(self) -> None:
        assert " 33.2860 % by company, no line sum, 499 companies" in self.tabulate(line_sum_mag7_pct=None)[1]

    def test_a_run_that_published_nothing_says_so(self) -> None:
        assert tabulate_run(Summary(sessions={}), 0, {}).splitlines()[0] == (
            "0 sessions published and loaded, 0 were complete, 0 refused; 0 calls, 0.0 MB"
        )
