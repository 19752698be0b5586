from __future__ import annotations

from datetime import date

import pytest

from mag7.lake.checks import (
    COLUMNS,
    CheckMalformedError,
    CheckResult,
    judge_window,
    read_violations,
    tabulate_results,
)

MONDAY, TUESDAY = date(2024, 6, 3), date(2024, 6, 4)


def test_a_session_with_a_violation_is_refused_with_its_sentence_and_the_check():
    results = [
        read_violations("company_bound", COLUMNS, [("2024-06-04", "NVDA", "NVDA is 38.67 % of the index")]),
        CheckResult("nulls", ()),
    ]
    verdict = judge_window([MONDAY, TUESDAY], results)
    assert verdict.accepted == (MONDAY,)
    assert verdict.refused == {TUESDAY: ("NVDA is 38.67 % of the index (check company_bound)",)}


def test_a_violation_without_a_session_refuses_the_window():
    results = [read_violations("sessions", COLUMNS, [(None, None, "the table is empty")])]
    assert judge_window([MONDAY, TUESDAY], results).accepted == ()


def test_a_check_with_other_columns_is_no_pass():
    with pytest.raises(CheckMalformedError, match=r"check broken returned the columns \['count'\]"):
        read_violations("broken", ["count"], [("0",)])


def test_the_table_shows_every_check():
    results = [CheckResult("a", ()), read_violations("b", COLUMNS, [("2024-06-04", None, "wrong")] * 2)]
    header, passed, failed = tabulate_results(results).splitlines()
    assert header.split() == ["check", "passed", "violations"]
    assert passed.split() == ["a", "yes", "0"]
    assert failed.split() == ["b", "NO", "2", "wrong"]
