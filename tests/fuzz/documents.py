"""Documents read back from the lake: compared, explained, and taken apart for splits; and Parquet files of splits."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from market_documents import MarketTablesError, _require_valid, parse_sessions

from mag7.index.splits import Split, SplitTable
from mag7.lake.splits import StoredSplit, decode_splits, encode_splits
from mag7.market.changes import list_changes
from mag7.market.document import Document, encode_document
from mag7.market.explain import explain_line
from mag7.market.figures import compute_figures, write_document
from mag7.polygon.answers import Answer
from mag7.tasks.corrections import ParsedBars, list_edits
from mag7.tasks.publish import read_known_splits
from mag7.tasks.published import read_published
from tests.fuzz.answers import OneObject
from tests.fuzz.bodies import GROUPED
from tests.fuzz.hostile import TEXTS, byte_bodies, encode, json_bodies, mutated, to_bytes
from tests.fuzz.tiers import Fuzzed, check_line, note_refused, note_taken, ours_or_value
from tests.unit.market.conftest import Make

DAY = date(2024, 12, 13)
TEN = Split("X-nvda", "NVDA", date(2024, 6, 10), Decimal(1), Decimal(10), "a filing")


def make_document() -> Document:
    make = Make()
    answers = (Answer("/v3/x", datetime(2024, 12, 14, tzinfo=UTC), 200, "polygon", "", None, "raw/polygon/x"),)
    lines = [
        make.inputs(make.line("AAPL"), 15_115_823_000, "248.13", answers=answers),
        make.inputs(make.line("XOM"), None, "112.75", details_failure="HTTP 404"),
    ]
    outside = [make.inputs(make.line("TSLA"), 3_210_059_659, "436.23")]
    figures = compute_figures(DAY, lines, outside, SplitTable({"X-nvda": (TEN,)}))
    return write_document(figures, "polygon", answers[0].time)


NEW = make_document()
STORED = json.loads(encode_document(NEW))
GROUPED_BODY = encode(GROUPED)


class Book:
    """Kept closes of the session, whatever is asked."""

    def grouped(self, day: date) -> Answer:
        return Answer("/v2/aggs", datetime(2024, 12, 14, tzinfo=UTC), 200, "polygon", GROUPED_BODY)


def check_document(stored: bytes) -> None:
    """A document that is taken for one can be compared, explained and corrected; any other is as if not published."""
    document = read_published(OneObject(stored), DAY)
    if document is None:
        note_refused()
        return
    note_taken()
    assert document.trading_date == DAY
    for change in list_changes(document, NEW):
        assert isinstance(change, str)
    for line in document.constituents:
        explained = ours_or_value(lambda line=line: explain_line(document, line.ticker), "is not a line of the index")
        assert explained is None or line.ticker in explained
    list_edits(Book(), DAY, document, ParsedBars({}))
    if document == NEW:
        assert list_changes(document, NEW) == []


def check_staged_splits(stored: bytes) -> None:
    splits = ours_or_value(lambda: read_known_splits(OneObject(stored), "run", DAY), "s3://lake/staging/run/")
    if splits is None:
        return
    given = json.loads(stored)["splits"]
    assert [(str(split.execution_date), split.issuer) for split in splits] == [
        (entry["execution_date"], entry["issuer"]) for entry in given
    ]
    check_rows(splits)
    assert decode_splits(encode_splits(splits), "a file") == splits


def check_rows(splits: list[StoredSplit]) -> None:
    for split in splits:
        assert type(split.execution_date) is date
        assert split.issuer and split.ticker and len(split.source.encode()) <= 256
        assert math.isfinite(split.factor) and split.factor > 0
        assert str(split)


def check_split_file(body: bytes) -> None:
    splits = ours_or_value(lambda: decode_splits(body, "s3://lake/analytics/splits"), "s3://lake/analytics/splits")
    if splits is not None:
        check_rows(splits)


@st.composite
def split_files(draw: Any) -> bytes:
    """Parquet files of right and wrong columns, and such files with some bytes changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {
        "execution_date": date(2024, 6, 10),
        "issuer": "X-nvda",
        "ticker": "NVDA",
        "split_from": 1.0,
        "split_to": 10.0,
        "source": "provider",
    }
    name = draw(st.sampled_from(sorted(row)))
    values = st.sampled_from((None, "2024-06-10", 5, -1.0, math.nan, math.inf, b"x", [1], "", True, 1e300, 5e-324))
    match draw(st.sampled_from(("right", "right", "value", "value", "drop", "add", "empty"))):
        case "value":
            row[name] = draw(values)
        case "drop":
            del row[name]
        case "add":
            row["another"] = draw(values)
        case "empty":
            row = {}
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row] * draw(st.integers(0, 2)) if row else []), written)
    body = bytearray(written.getvalue())
    for _ in range(draw(st.integers(0, 2))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body[: len(body) - draw(st.sampled_from((0, 0, 0, 1, 50)))])


DOCUMENTS = st.one_of(
    mutated(STORED).map(encode).map(to_bytes),
    mutated(STORED, most=1).map(encode).map(to_bytes),
    byte_bodies(json_bodies(STORED)),
)
STAGED = {**STORED, "splits": [*STORED["splits"], {**STORED["splits"][0], "issuer": "X-other"}]}


# The Glue jobs' own judgement of documents, as far as it needs no Spark.

DESCRIBED = {
    "path": f"s3://lake/staging/run/market_data/trading_date={DAY}/market_data.json",
    "trading_date": DAY.isoformat(),
    "schema_version": 4,
    "other_bar_dates": [],
    "absent": [],
}


def check_described(row: dict[str, Any]) -> None:
    try:
        _require_valid([row], [DESCRIBED["path"]], 4)
    except MarketTablesError as refused:
        note_refused()
        check_line(str(refused), "market_data.json", row["path"][:20])
    else:
        note_taken()
        assert {**row, "path": DESCRIBED["path"]} == DESCRIBED


def check_session_list(text: str) -> None:
    try:
        sessions = parse_sessions(text)
    except MarketTablesError as refused:
        note_refused()
        check_line(str(refused), "--sessions")
        return
    note_taken()
    assert sessions == tuple(sorted(set(sessions)))
    assert set(sessions) == {date.fromisoformat(name.strip()) for name in text.split(",") if name.strip()}


ROWS = st.one_of(
    st.just(DESCRIBED),
    st.tuples(st.sampled_from(("trading_date", "path")), TEXTS).map(
        lambda pair: {**DESCRIBED, pair[0]: f"{DESCRIBED['path']}{pair[1]}" if pair[0] == "path" else pair[1]}
    ),
    st.lists(TEXTS, min_size=1, max_size=3).map(lambda days: {**DESCRIBED, "other_bar_dates": days}),
    st.one_of(st.none(), st.integers()).map(lambda version: {**DESCRIBED, "schema_version": version}),
    st.lists(TEXTS, min_size=1, max_size=3).map(lambda names: {**DESCRIBED, "absent": names}),
)
SESSION_LISTS = st.lists(
    st.one_of(st.dates().map(str), st.dates().map(str), st.dates().map(str), TEXTS), max_size=3
).map(",".join)

TARGETS = (
    Fuzzed("document.published", DOCUMENTS, check_document, short=80, long=2000),
    Fuzzed("lake.staged_splits", byte_bodies(json_bodies(STAGED)), check_staged_splits, short=50, long=1200),
    Fuzzed("lake.split_files", split_files(), check_split_file, short=30, long=800),
    Fuzzed("glue.described_documents", ROWS, check_described, short=20, long=500),
    Fuzzed("glue.session_list", SESSION_LISTS, check_session_list, short=25, long=500),
)
