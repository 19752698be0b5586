"""What a migration file is, and what a warehouse's record of versions means for a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.errors import Mag7Error
from mag7.lake.tables import list_published_tables
from mag7.warehouse.migrations import (
    MAXIMUM_STATEMENTS,
    Applied,
    Migration,
    MigrationChangedError,
    MigrationInvalidError,
    SchemaDiffersError,
    SchemaNewerError,
    list_migrations,
    list_pending,
    split_statements,
)
from mag7.warehouse.schema import list_faults, list_schema_files

TYPES = {"double": "double precision", "varchar": "character varying"}
KNOWN = tuple(Migration(number, f"{number:04d}_x.sql", f"d{number}", ("SELECT 1",)) for number in range(1, 5))
DECLARED = {
    table.name: {c.name: TYPES.get(c.type.split("(")[0], c.type) for c in table.columns}
    for table in list_published_tables()
}


def record(*versions: int) -> list[Applied]:
    return [Applied(number, f"{number:04d}_x.sql", f"d{number}") for number in versions]


@pytest.mark.parametrize("done", range(5))
def test_what_is_missing_is_pending_in_order(done: int) -> None:
    assert [m.version for m in list_pending(KNOWN, record(*range(1, done + 1)))] == list(range(done + 1, 5))


def test_a_newer_schema_names_both_versions_and_what_to_do() -> None:
    with pytest.raises(SchemaNewerError) as caught:
        list_pending(KNOWN[:2], record(1, 2, 3))
    assert "at version 3, this checkout knows versions up to 2: update the checkout" in str(caught.value)


@pytest.mark.parametrize(
    "applied",
    [
        [*record(1), Applied(2, "0002_x.sql", "other")],
        [*record(1), Applied(3, "0003_x.sql", "d3")],  # a row of the record was taken out
        [Applied(1, "schema", "other")],
    ],
)
def test_a_record_that_is_not_of_this_history_is_refused(applied: list[Applied]) -> None:
    with pytest.raises(MigrationChangedError, match=r"restore the file as it was applied"):
        list_pending(KNOWN, applied)


def test_errors_are_one_line_and_not_worth_another_try() -> None:
    for error in (SchemaNewerError, MigrationChangedError, SchemaDiffersError):
        assert issubclass(error, Mag7Error)
        assert not error.transient


class TestFiles:
    def test_the_first_version_is_the_folder_of_tables(self) -> None:
        first = list_migrations()[0]
        assert (first.version, first.file_name) == (1, "schema")
        assert first.statements == tuple(path.read_text() for path in list_schema_files())
        assert len(first.statements) <= MAXIMUM_STATEMENTS

    def test_the_digest_follows_every_byte(self, tmp_path: Path) -> None:
        path, seen = tmp_path / "0002_x.sql", set()
        for text in ("SELECT 1;", "SELECT 1;\n", "-- why\nSELECT 1;"):
            path.write_text(text)
            seen.add(list_migrations(tmp_path)[1].digest)
        assert len(seen) == 3

    @pytest.mark.parametrize("name", ["0003_x.sql", "2_x.sql", "0002-x.sql", "0002_X.sql", "x.sql", "0001_x.sql"])
    def test_a_number_has_no_gap_and_a_name_one_form(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("SELECT 1;")
        with pytest.raises(MigrationInvalidError, match=r"name it 0002_what_it_does\.sql"):
            list_migrations(tmp_path)

    @pytest.mark.parametrize("text", ["", "-- nothing", ";;", "SELECT 1;" * 39])
    def test_a_file_holds_one_to_38_statements(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "0002_x.sql").write_text(text)
        with pytest.raises(MigrationInvalidError, match=r"needs 1 to 38"):
            list_migrations(tmp_path)


class TestSplit:
    def test_semicolons_in_texts_names_and_comments_end_nothing(self) -> None:
        text = "-- a; b\nSELECT 'x;''y;', \"a;b\" /* c;\nd */;\n{# e; f #}\nSELECT {{ schema() }} - 1 / 2;\n"
        assert split_statements(text) == (
            "-- a; b\nSELECT 'x;''y;', \"a;b\" /* c;\nd */",
            "{# e; f #}\nSELECT {{ schema() }} - 1 / 2",
        )

    @given(
        st.lists(
            st.lists(
                st.sampled_from(["SELECT", " 1", " - 2", "'a;b'", "''", '"c;d"', " /* e;' */", "\n-- f;'\n", " / 3"]),
                min_size=1,
            ),
            min_size=1,
        )
    )
    def test_what_was_joined_comes_apart_again(self, statements: list[list[str]]) -> None:
        texts = ["".join(["SELECT", *parts]).strip() for parts in statements]
        assert list(split_statements("\n;\n".join(texts))) == texts


class TestFaults:
    def test_the_declared_tables_have_none_and_may_hold_more(self) -> None:
        assert list_faults(DECLARED) == []
        assert (
            list_faults({**DECLARED, "venues": {}, "daily_trading": {**DECLARED["daily_trading"], "x": "date"}}) == []
        )

    def test_each_is_named(self) -> None:
        columns = {name: dict(held) for name, held in DECLARED.items() if name != "failed_collections"}
        del columns["company_details"]["cik"]
        columns["daily_trading"]["volume"] = "double precision"
        last = columns["magnificent7_metrics"].pop("ticker")
        columns["magnificent7_metrics"]["ticker"] = last
        assert [fault.partition(", not")[0] for fault in list_faults(columns)] == [
            "company_details lacks the column cik varchar(10)",
            "daily_trading.volume is double precision",
            "magnificent7_metrics has its columns in the order trading_date, market_cap, pct_of_mag7, pct_of_sp500,"
            " ranking, in_index, ticker",
            "the table failed_collections is missing",
        ]
