"""Lists and pages of announced changes: only symbols and dates are used, and an invalid row is named."""

from __future__ import annotations

import json
from datetime import date

import pytest

from mag7.constituents.announcements import Action, Announcement, read_announcements
from mag7.constituents.readings import ReadingError

CSV = """effective_date,added,removed,announced_on,source,kind
2026-09-21,BE,TAP,2026-09-04,S&P release,
2026-10-01,VYLR,,,,
2026-10-06,SKYD,PSKY,,,rename
"""
ROWS = [
    {"effective": "2026-09-21", "announced": "2026-09-04", "action": "addition", "symbol": "BE", "new_symbol": ""},
    {"effective": "2026-09-21", "announced": "2026-09-04", "action": "deletion", "symbol": "TAP", "new_symbol": ""},
    {"effective": "2026-10-06", "announced": "", "action": "symbol change", "symbol": "PSKY", "new_symbol": "SKYD"},
]
PAGE = """<!DOCTYPE html><html><body><p>Long text of somebody.</p>
<table><tr><th>Rank</th></tr><tr><td>1</td></tr></table>
<table><tr><th>Effective date</th><th>Added</th><th>Removed</th></tr>
<tr><td>September 21, 2026</td><td>BE</td><td>TAP</td></tr><tr><td>2026-10-01</td><td>VYLR</td><td></td></tr></table>
"""


def short(found: tuple[Announcement, ...]) -> list[tuple[str, Action, str, str | None]]:
    return [(str(one.effective), one.action, one.symbol, one.new_symbol) for one in found]


def test_a_table_of_changes() -> None:
    found = read_announcements(CSV.encode(), "inbox/changes.csv", person="operator")

    assert short(found) == [
        ("2026-09-21", Action.JOINS, "BE", None),
        ("2026-09-21", Action.LEAVES, "TAP", None),
        ("2026-10-01", Action.JOINS, "VYLR", None),
        ("2026-10-06", Action.RENAMED, "PSKY", "SKYD"),
    ]
    assert [one.source for one in found] == ["S&P release", "S&P release", "inbox/changes.csv", "inbox/changes.csv"]
    assert [one.announced_on for one in found[1:3]] == [date(2026, 9, 4), None]
    assert {one.person for one in found} == {"operator"}


def test_one_page_is_one_source_whatever_its_rows_say() -> None:
    assert {one.source for one in read_announcements(CSV.encode(), "page")} == {"page"}


@pytest.mark.parametrize("document", [ROWS, {"source": "simulated", "changes": ROWS}])
def test_a_document_of_actions(document: object) -> None:
    found = read_announcements(json.dumps(document).encode(), "page")

    assert short(found) == [
        ("2026-09-21", Action.JOINS, "BE", None),
        ("2026-09-21", Action.LEAVES, "TAP", None),
        ("2026-10-06", Action.RENAMED, "PSKY", "SKYD"),
    ]


def test_of_a_page_only_tables_with_effective_dates_are_read() -> None:
    found = read_announcements(PAGE.encode(), "page")

    assert [one[:3] for one in short(found)] == [
        ("2026-09-21", Action.JOINS, "BE"),
        ("2026-09-21", Action.LEAVES, "TAP"),
        ("2026-10-01", Action.JOINS, "VYLR"),
    ]
    assert "Long text" not in repr(found)


def test_the_offline_markets_page_says_that_it_is_simulated() -> None:
    told = {"note": "SIMULATED by the offline market: invented.", "changes": ROWS}

    assert all(one.simulated for one in read_announcements(json.dumps(told).encode(), "page"))
    assert not any(one.simulated for one in read_announcements(json.dumps(ROWS).encode(), "page"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            CSV.replace("2026-10-01", "2026-10-03"),
            "row 2: expected an effective date that is a session",
            id="Saturday",
        ),
        pytest.param(
            CSV.replace("2026-10-01", "soon"), "row 2: expected a date such as 2026-12-21, found 'soon'", id="no date"
        ),
        pytest.param(CSV.replace("VYLR", "Vylor Inc."), "row 2: expected a symbol such as AAPL", id="a name"),
        pytest.param(
            CSV.replace("VYLR,", ","), "row 2: expected a symbol added or removed, found neither", id="nothing"
        ),
        pytest.param(
            "symbol,date\nA,2026-10-01\n", "expected the columns effective_date, added, removed", id="columns"
        ),
        pytest.param("<html><body>Please log in</body></html>", "a table of changes with effective dates", id="a page"),
        pytest.param("{", "expected a JSON document", id="half a document"),
        pytest.param('{"changes": 3}', "expected a list of changes, found int", id="no list"),
        pytest.param(json.dumps([{**ROWS[0], "action": "merger"}]), "one of the actions addition", id="action"),
        pytest.param("", "a table of changes with effective dates, found none in ''", id="empty"),
    ],
)
def test_what_is_no_list_of_changes_is_refused_by_row(text: str, message: str) -> None:
    with pytest.raises(ReadingError, match=message) as refused:
        read_announcements(text.encode(), "inbox/changes.csv")

    assert str(refused.value).startswith("inbox/changes.csv")
    assert "correct the row, or take the file out of the inbox" in str(refused.value)
