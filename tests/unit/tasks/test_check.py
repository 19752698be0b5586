"""The gate that reads the checks' results: each result belongs to its check, and violations refuse their session."""

from __future__ import annotations

from typing import Any

import pytest

from mag7.lake.checks import CheckMalformedError, list_checks
from mag7.lake.objects import ObjectStore
from mag7.runs.record import Check, Checks, read_section
from mag7.runs.refusal import SessionRefusedError
from mag7.tasks import check
from mag7.tasks.check import judge_checks
from tests.unit.tasks.conftest import RUN

HEADER = ["trading_date", "subject", "detail"]
BOTH = {"run": RUN, "sessions": ["2024-12-12", "2024-12-13"], "facts": ""}
Rows = list[list[str | None]]


class FakeAthena:
    """Gives each query's pages of rows by its id; the header is the first row of the first page only."""

    def __init__(self, pages: dict[str, list[Rows]]) -> None:
        self.pages = pages

    def get_paginator(self, operation: str) -> FakeAthena:
        assert operation == "get_query_results"
        return self

    def paginate(self, QueryExecutionId: str) -> list[dict[str, Any]]:  # noqa: N803 - boto3's own name
        return [
            {
                "ResultSet": {
                    "Rows": [{"Data": [{"VarCharValue": cell} if cell else {} for cell in row]} for row in rows]
                }
            }
            for rows in self.pages[QueryExecutionId]
        ]


@pytest.fixture
def judge(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Judge a window with the rows that some checks return; the others return none."""

    def judge(rows_by_check: dict[str, list[Rows]], window: Any = BOTH) -> Any:
        ids = {name: f"id-of-{name}" for name in list_checks()}
        pages = {ids[name]: [[HEADER, *found[0]], *found[1:]] for name, found in rows_by_check.items()}
        empty: dict[str, list[Rows]] = {query: [[HEADER]] for query in ids.values()}
        monkeypatch.setattr(check, "open_client", lambda service: FakeAthena({**empty, **pages}))
        return judge_checks(window, [ids[name] for name in list_checks()])

    return judge


def test_a_window_that_every_check_passes_goes_on(judge: Any, store: ObjectStore) -> None:
    assert judge({}) == BOTH
    report = read_section(store, RUN, Checks)
    assert report == Checks(checks=[Check(name=name, passed=True) for name in list_checks()], refused={})


def test_a_violation_refuses_its_session_and_is_reported_under_its_own_check(judge: Any, store: ObjectStore) -> None:
    found = {"company_in_bounds": [[["2024-12-12", "NVDA", "NVDA is 38.67 % of the index"]]]}

    assert judge(found) == {"run": RUN, "sessions": ["2024-12-13"], "facts": ""}
    report = read_section(store, RUN, Checks)
    assert [entry.name for entry in report.checks if not entry.passed] == ["company_in_bounds"]
    assert report.refused == {"2024-12-12": ["NVDA is 38.67 % of the index (check company_in_bounds)"]}


def test_every_page_of_a_result_is_read(judge: Any) -> None:
    first: Rows = [["2024-12-12", "A", "a"]]
    second: Rows = [["2024-12-13", "B", "b"]]

    with pytest.raises(SessionRefusedError, match=r"2024-12-12 refused: a .*2024-12-13 refused: b"):
        judge({"values_positive": [first, second]})


def test_a_violation_without_a_session_refuses_the_window_after_reporting_it(judge: Any, store: ObjectStore) -> None:
    with pytest.raises(SessionRefusedError, match="no rows at all"):
        judge({"sessions_present": [[[None, None, "no rows at all"]]]})
    assert list(read_section(store, RUN, Checks).refused) == BOTH["sessions"]


def test_the_table_of_results_is_in_the_log(judge: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="mag7"):
        judge({"keys_unique": [[["2024-12-12", "AAPL", "AAPL is there twice"]]]})

    (table,) = [record.getMessage() for record in caplog.records if "violations" in record.getMessage()]
    for name in list_checks():
        assert name in table
    assert "AAPL is there twice" in table


def test_a_result_of_other_columns_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: dict[str, list[Rows]] = {"x": [[["n"], ["0"]]]}
    monkeypatch.setattr(check, "open_client", lambda service: FakeAthena(pages))

    with pytest.raises(CheckMalformedError, match=list_checks()[0]):
        judge_checks(BOTH, ["x"] * len(list_checks()))  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", [-1, 1])
def test_a_result_too_few_or_too_many_is_an_error(monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    monkeypatch.setattr(check, "open_client", lambda service: FakeAthena({"x": [[HEADER]]}))

    with pytest.raises(ValueError, match="zip"):
        judge_checks(BOTH, ["x"] * (len(list_checks()) + missing))  # type: ignore[arg-type]
