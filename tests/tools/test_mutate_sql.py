"""What the mutator of SQL changes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

from tools.mutate_sql import ROOT, list_mutants, mutate

FILE = Path("include/sql/athena/checks/x.sql")


def test_each_mutant_has_one_change_of_code() -> None:
    text = "-- a < b\nSELECT 'x = y', {{ a = 1 }} FROM t\nWHERE a <= 2 AND b IS NOT NULL\n"
    assert sorted((m.line, m.before, m.after) for m in mutate(FILE, text)) == [
        (3, "<=", "<"),
        (3, "AND", "OR"),
        (3, "IS NOT NULL", "IS NULL"),
    ]
    assert {m.text for m in mutate(FILE, text)} == {
        text.replace("<=", "<"),
        text.replace("AND", "OR"),
        text.replace("IS NOT NULL", "IS NULL"),
    }


def test_every_folder_with_conditions_has_mutants() -> None:
    folders = {mutant.folder for mutant in list_mutants(ROOT)}
    assert {"athena/checks", "athena/analysis", "redshift/analysis", "redshift/load"} <= folders
