"""Documents to tables on real Spark: rows, types, files, and documents that must be refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from market_documents import (
    DocumentInvalidError,
    DocumentMissingError,
    SessionListError,
    parse_sessions,
    read_documents,
    read_schema,
)
from market_tables import (
    FLAT,
    PARTITIONED,
    Form,
    cut_to_bytes,
    read_tables,
    run_pipeline,
)
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from mag7.lake.scripts import list_script_files
from mag7.lake.tables import list_tables
from mag7.market.document import SCHEMA_VERSION, decode_document, encode_document
from mag7.market.figures import compute_figures, write_document
from mag7.paths import GLUE
from mag7.polygon.answers import Answer
from tests.glue.documents import EVE, GOLDEN_DAY, QUOTES, Document, make_document, open_window, store_document
from tests.unit.market.conftest import Make
from tools.declared import find_table, make_schema
from tools.document_schema import SCHEMA, render_schema

pytestmark = pytest.mark.spark

TABLES = [table.name for table in list_tables()]


def find_file(staging: Path, form: Form, table: str, session: date = GOLDEN_DAY) -> Path:
    """Find the one file of a table and session; anything else in its folder fails the test."""
    (file,) = (staging / form.folder / table / f"trading_date={session.isoformat()}").iterdir()
    assert file.name.startswith("part-")
    assert file.suffix == ".parquet"
    return file


def read_rows(staging: Path, form: Form, table: str, session: date = GOLDEN_DAY) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(find_file(staging, form, table, session)).read().to_pylist()
    return rows


@pytest.fixture(scope="module")
def written(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sessions in both forms: one clean, one on which MSFT failed."""
    staging = tmp_path_factory.mktemp("staging")
    store_document(staging, make_document(GOLDEN_DAY))
    store_document(staging, make_document(EVE, failed=("MSFT",)), EVE)
    folder = tmp_path_factory.mktemp("job")
    for name, path in list_script_files().items():
        (folder / name).write_bytes(path.read_bytes())
    for form in (PARTITIONED, FLAT):
        run_pipeline(spark, form, open_window(staging, EVE, GOLDEN_DAY), folder)
    return staging


@pytest.mark.parametrize("form", [PARTITIONED, FLAT], ids=lambda form: form.folder)
@pytest.mark.parametrize("table", TABLES)
def test_each_table_and_session_is_one_snappy_file_of_the_declared_types(written: Path, form: Form, table: str) -> None:
    folders = sorted(folder.name for folder in (written / form.folder / table).iterdir())
    assert folders == ["trading_date=2024-12-12", "trading_date=2024-12-13"]
    declared = make_schema(find_table(table), partitioned=form is PARTITIONED)
    for session in (EVE, GOLDEN_DAY):
        file = pq.ParquetFile(find_file(written, form, table, session))
        assert file.schema_arrow.remove_metadata().equals(declared)
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        assert {group.column(0).compression for group in groups} <= {"SNAPPY"}


@pytest.mark.parametrize("table", TABLES)
def test_both_forms_hold_the_same_rows(written: Path, table: str) -> None:
    for session in (EVE, GOLDEN_DAY):
        partitioned = read_rows(written, PARTITIONED, table, session)
        assert read_rows(written, FLAT, table, session) == [{"trading_date": session, **row} for row in partitioned]


def test_caps_and_prices_arrive_exactly(written: Path) -> None:
    rows = {row["ticker"]: row for row in read_rows(written, FLAT, "company_details")}
    assert {ticker: row["market_cap"] for ticker, row in rows.items()} == {
        "AAPL": 3_750_689_160_990.00,
        "MSFT": 3_325_399_124_681.52,
        "TSLA": 1_400_324_325_045.57,
    }
    assert rows["AAPL"]["shares_outstanding"] == 15_115_823_000.0
    trading = read_rows(written, FLAT, "daily_trading")[0]
    assert trading == {
        "trading_date": GOLDEN_DAY,
        "ticker": "AAPL",
        "open": 247.13,
        "high": 249.13,
        "low": 246.13,
        "close": 248.13,
        "volume": 4_294_967_296,
        "vwap": None,
        "timestamp": 1_734_066_000_000,
    }


def test_what_could_not_be_true_of_a_bar_is_null(written: Path) -> None:
    row = read_rows(written, FLAT, "daily_trading")[2]
    assert (row["ticker"], row["close"]) == ("TSLA", 436.23)
    assert {row[name] for name in ("open", "high", "low", "volume", "vwap")} == {None}


def test_a_company_outside_the_index_has_no_part_of_it(written: Path) -> None:
    rows = read_rows(written, FLAT, "magnificent7_metrics")
    parts = {row["ticker"]: (row["ranking"], row["in_index"], row["pct_of_sp500"] is None) for row in rows}
    assert parts == {"AAPL": (1, True, False), "MSFT": (2, True, False), "TSLA": (3, False, True)}


def test_a_failed_company_has_no_row_and_its_line_no_figures(written: Path) -> None:
    for table in ("company_details", "daily_trading", "magnificent7_metrics"):
        assert [row["ticker"] for row in read_rows(written, FLAT, table, EVE)] == ["AAPL", "TSLA"]
    assert read_rows(written, FLAT, "failed_collections", EVE) == [
        {"trading_date": EVE, "ticker": "MSFT", "reason": "HTTP 404"}
    ]
    line = read_rows(written, FLAT, "constituent_market_caps", EVE)[1]
    assert (line["ticker"], line["close"], line["share_count"], line["market_cap"]) == ("MSFT", None, None, None)
    assert line["counted"] is False
    (metrics,) = read_rows(written, FLAT, "concentration_metrics", EVE)
    assert (metrics["line_sum_market_cap"], metrics["companies_priced"], metrics["quality"]) == (None, 2, "partial")


def test_a_clean_session_leaves_a_file_of_no_row(written: Path) -> None:
    for form in (PARTITIONED, FLAT):
        assert read_rows(written, form, "failed_collections") == []


def test_flags_are_one_text_and_none_where_there_is_none(written: Path) -> None:
    flags = {row["ticker"]: row["flags"] for row in read_rows(written, FLAT, "constituent_market_caps")}
    assert flags == {"AAPL": None, "MSFT": "market_cap_missing,look_back", "TSLA": None}


def test_a_count_says_by_how_much_it_was_divided_and_a_share_what_it_was_before(written: Path) -> None:
    for session, factors, before in (
        (GOLDEN_DAY, {"AAPL": 1.0, "MSFT": 1.0, "TSLA": 3.0}, 99.25),
        (EVE, {"AAPL": 1.0, "MSFT": None, "TSLA": 3.0}, None),
    ):
        lines = read_rows(written, FLAT, "constituent_market_caps", session)
        assert {row["ticker"]: row["split_factor"] for row in lines} == factors
        (metrics,) = read_rows(written, FLAT, "concentration_metrics", session)
        assert metrics["mag7_pct_of_sp500_before"] == before
        assert metrics["facts_version"] == "0123456789abcdef"


def test_a_repeated_run_leaves_only_its_own_rows(spark: SparkSession, tmp_path: Path, job_folder: Path) -> None:
    store_document(tmp_path, make_document(failed=("MSFT",)))
    store_document(tmp_path, make_document(EVE), EVE)
    run_pipeline(spark, FLAT, open_window(tmp_path, EVE, GOLDEN_DAY), job_folder)
    untouched = find_file(tmp_path, FLAT, "company_details", EVE).read_bytes()
    stray = find_file(tmp_path, FLAT, "failed_collections").with_name("part-00001-of-an-earlier-attempt.parquet")
    stray.write_bytes(b"")
    interrupted = tmp_path / "analytics/failed_collections/_written/session=2024-12-13/part-0.parquet"
    interrupted.parent.mkdir(parents=True)
    interrupted.write_bytes(b"")

    store_document(tmp_path, make_document())
    run_pipeline(spark, FLAT, open_window(tmp_path), job_folder)
    first = {table: find_file(tmp_path, FLAT, table).read_bytes() for table in TABLES}
    assert read_rows(tmp_path, FLAT, "failed_collections") == []
    assert len(read_rows(tmp_path, FLAT, "company_details")) == len(QUOTES)
    assert find_file(tmp_path, FLAT, "company_details", EVE).read_bytes() == untouched
    assert not interrupted.exists()

    run_pipeline(spark, FLAT, open_window(tmp_path), job_folder)
    assert {table: find_file(tmp_path, FLAT, table).read_bytes() for table in TABLES} == first


def test_texts_are_cut_to_their_bytes(spark: SparkSession, tmp_path: Path, job_folder: Path) -> None:
    document = make_document()
    document["companies"]["AAPL"].update(name="é" * 200, currency="日本円", description="x" * 1022 + "😀")
    store_document(tmp_path, document)
    run_pipeline(spark, FLAT, open_window(tmp_path), job_folder)
    row = read_rows(tmp_path, FLAT, "company_details")[0]
    assert (row["company_name"], row["currency"], row["description"]) == ("é" * 127, "日", "x" * 1022)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("limit", [1, 3, 10])
def test_a_cut_keeps_the_longest_whole_beginning(spark: SparkSession, texts: list[str], limit: int) -> None:
    literals = sf.array(*[sf.lit(text) for text in [*texts, "😀é日a😀é日a"]])
    rows = spark.range(1).select(sf.transform(literals, lambda text: cut_to_bytes(text, limit))).collect()
    expected = [text.encode()[:limit].decode(errors="ignore") for text in [*texts, "😀é日a😀é日a"]]
    assert rows[0][0] == expected


def test_a_cut_leaves_null_alone(spark: SparkSession) -> None:
    assert spark.range(1).select(cut_to_bytes(sf.lit(None).cast("string"), 3)).collect()[0][0] is None


def test_the_document_that_the_market_room_writes_becomes_tables(
    spark: SparkSession, tmp_path: Path, job_folder: Path
) -> None:
    make = Make()
    collected = datetime(2024, 12, 14, 1, 59, 5, tzinfo=UTC)
    answers = tuple(Answer(path, collected, 200, "simulated", "", None, f"k{path}") for path in "12")
    inputs = [
        make.inputs(make.line("MSFT", cik="0000789019"), 7_434_880_776, "447.27", answers=answers),
        make.inputs(make.line("AAPL"), 15_115_823_000, "248.13"),
        make.inputs(make.line("XOM"), None, "107.5"),
    ]
    figures = compute_figures(GOLDEN_DAY, inputs, [make.inputs(make.line("TSLA"), 3_210_059_659, "436.23")])
    document = write_document(figures, "simulated", collected)
    store_document(tmp_path, encode_document(document).decode())
    run_pipeline(spark, FLAT, open_window(tmp_path), job_folder)
    required = {table.name: [column.name for column in table.required_columns] for table in list_tables()}
    rows = {table: read_rows(tmp_path, FLAT, table) for table in TABLES}
    missing = {
        (table, row.get("ticker"), name)
        for table in TABLES
        for row in rows[table]
        for name in required[table]
        if row[name] is None
    }
    assert missing == set()
    assert {table: len(found) for table, found in rows.items()} == {
        "concentration_metrics": 1,
        "company_details": 3,
        "daily_trading": 3,
        "magnificent7_metrics": 3,
        "failed_collections": 1,
        "constituent_market_caps": 3,
    }
    assert rows["concentration_metrics"][0]["total_mag7_market_cap"] == pytest.approx(8_476_412_610_717.09)


def test_the_documents_of_these_tests_are_documents() -> None:
    for document in (make_document(), make_document(failed=("MSFT",))):
        decode_document(json.dumps(document).encode(), "a test")


def test_the_schema_beside_the_scripts_is_the_models() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == render_schema(), "run make document-schema"


def test_spark_reads_a_document_by_that_schema_and_nothing_is_lost(spark: SparkSession, tmp_path: Path) -> None:
    """Every value that tables may need comes back as the model has it; nulls are where it allows them."""
    schema, document = read_schema(GLUE), make_document(failed=("MSFT",))
    store_document(tmp_path, document)
    row = read_documents(spark, open_window(tmp_path), GLUE).drop("path").first().asDict(recursive=True)
    for line in document["constituents"]:
        del line["answers"], line["splits_applied"]

    assert schema.version == SCHEMA_VERSION
    assert row == document
    assert {("trading_date",), ("rankings", "by_market_cap"), ("concentration_metrics", "hhi")} <= {*schema.required}
    assert ("concentration_metrics", "line_sum_market_cap") not in {*schema.required}


def spoil_date(document: Document) -> None:
    document["trading_date"] = "2024-12-12"


def spoil_version(document: Document) -> None:
    document["schema_version"] = 1


def spoil_bar(document: Document) -> None:
    document["companies"]["TSLA"]["trading_data"]["date"] = "2024-12-12"


def spoil_part(document: Document) -> None:
    del document["constituents"]


def spoil_figure(document: Document) -> None:
    document["concentration_metrics"]["hhi"] = None


def spoil_volume(document: Document) -> None:
    document["companies"]["AAPL"]["trading_data"]["volume"] = "many"


def spoil_number(document: Document) -> None:
    document["concentration_metrics"]["hhi"] = float("nan")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_date, "says that its trading_date is 2024-12-12"),
        (spoil_version, "has schema_version 1, these jobs read 4"),
        (spoil_bar, "holds prices of 2024-12-12"),
        (spoil_part, "lacks constituents"),
        (spoil_figure, "lacks concentration_metrics.hhi"),
        (spoil_volume, "does not have the shape"),
        (spoil_number, "does not have the shape"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_document_is_refused_by_name(
    spark: SparkSession, tmp_path: Path, spoil: Callable[[Document], None], said: str
) -> None:
    document = make_document()
    spoil(document)
    store_document(tmp_path, document)
    store_document(tmp_path, make_document(EVE), EVE)
    with pytest.raises(DocumentInvalidError) as refused:
        read_documents(spark, open_window(tmp_path, EVE, GOLDEN_DAY), GLUE)
    message = str(refused.value)
    assert said in message
    assert "trading_date=2024-12-13/market_data.json" in message
    assert "trading_date=2024-12-12/" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text", [json.dumps([make_document(), make_document()]), "", "{"], ids=["two", "empty", "torn"]
)
def test_a_file_of_another_number_of_documents_is_refused(spark: SparkSession, tmp_path: Path, text: str) -> None:
    store_document(tmp_path, text)
    with pytest.raises(DocumentInvalidError, match=r"trading_date=2024-12-13/market_data\.json"):
        read_documents(spark, open_window(tmp_path), GLUE)


def test_a_refused_document_that_was_mended_is_read_anew(spark: SparkSession, tmp_path: Path) -> None:
    store_document(tmp_path, {**make_document(), "schema_version": 1})
    with pytest.raises(DocumentInvalidError):
        read_documents(spark, open_window(tmp_path), GLUE)
    store_document(tmp_path, make_document())
    assert read_documents(spark, open_window(tmp_path), GLUE).unpersist().count() == 1


def test_a_missing_document_is_named(spark: SparkSession, tmp_path: Path) -> None:
    store_document(tmp_path, make_document())
    with pytest.raises(DocumentMissingError, match=r"trading_date=2024-12-12/market_data\.json; run build_market_data"):
        read_documents(spark, open_window(tmp_path, EVE, GOLDEN_DAY), GLUE)


def test_sessions_are_dates_named_once() -> None:
    assert parse_sessions("2024-12-13, 2024-12-12") == (EVE, GOLDEN_DAY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("2024-12-13,2024-12-12,2024-12-13", "names 2024-12-13 more than once"),
        ("2024-12-13,yesterday", "no date"),
        ("2024-02-30", "no date"),
    ],
)
def test_another_list_of_sessions_is_refused(text: str, said: str) -> None:
    with pytest.raises(SessionListError, match=said):
        parse_sessions(text)


def test_an_error_is_one_short_line_whatever_it_quotes() -> None:
    message = str(DocumentInvalidError(f"holds prices of two\nlines {'x' * 5000}"))

    assert message.startswith("holds prices of two lines xxx")
    assert len(message) == 2000


def test_the_jobs_read_the_declaration_as_the_library_does(job_folder: Path) -> None:
    seen = [
        (table.name, [(c.name, c.type, c.varchar_bytes) for c in table.columns], table.key) for table in read_tables()
    ]
    assert seen == [
        (table.name, [(c.name, c.type, c.varchar_bytes) for c in table.columns], table.key) for table in list_tables()
    ]
