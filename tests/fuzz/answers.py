"""Objects of kept answers: gzip JSON lines that somebody else, or a torn upload, may have written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from mag7.lake.objects import ObjectStore
from mag7.polygon.answers import AnswerStore
from tests.fuzz.hostile import TEXTS, broken, byte_bodies, encode, mutated, to_bytes
from tests.fuzz.tiers import Fuzzed, ours_or_value

DAY = date(2024, 12, 13)
NEW_YORK = ZoneInfo("America/New_York")
RECORD = {
    "path": "/v3/reference/tickers/AAPL?date=2024-12-13",
    "time": "2024-12-14T05:00:00.000000+00:00",
    "status": 200,
    "source": "polygon",
    "body": '{"status":"OK"}',
    "error": None,
}
TIMES = (
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2024-12-14T05:00:00",
    "2024-12-14",
    "2024-12-14T05:00:00Z",
)


class OneObject(ObjectStore):
    """A bucket that holds one object, whatever its key."""

    def __init__(self, body: bytes) -> None:
        super().__init__(SimpleNamespace(), "lake")
        self.body = body

    def get(self, key: str) -> bytes:
        return self.body

    def list(self, prefix: str) -> Iterator[Any]:
        yield SimpleNamespace(key=f"{prefix}object.jsonl.gz", size=len(self.body))


def check_answers(stored: bytes) -> None:
    found = ours_or_value(lambda: AnswerStore(OneObject(stored)).load("grouped", DAY), "s3://lake/raw/polygon/grouped/")
    if found is None:
        return
    lines = gzip.decompress(stored).decode().removesuffix("\n").split("\n")
    assert found.keys() == {json.loads(line)["path"] for line in lines}
    for path, answer in found.items():
        assert answer.path == path
        assert all(type(text) is str for text in (answer.path, answer.source, answer.body))
        assert answer.error is None or type(answer.error) is str
        assert answer.status is None or type(answer.status) is int
        assert answer.time.astimezone(UTC).astimezone(NEW_YORK)
        path.encode()
        answer.source.encode()


RECORDS = st.one_of(
    mutated(RECORD),
    mutated(RECORD),
    TEXTS.map(lambda path: RECORD | {"path": path}),
    st.sampled_from(TIMES).map(lambda time: RECORD | {"time": time}),
)
LINES = st.lists(RECORDS.map(encode), min_size=1, max_size=3).map("\n".join)
STORED = st.one_of(
    LINES.map(lambda lines: gzip.compress(to_bytes(lines + "\n"), 1)),
    LINES.map(lambda lines: gzip.compress(to_bytes(lines + "\n"), 1)),
    broken(LINES).map(lambda lines: gzip.compress(to_bytes(lines), 1)),
    LINES.map(lambda lines: gzip.compress(to_bytes(lines), 1)[:-9]),
    LINES.map(lambda lines: gzip.compress(to_bytes(lines), 1) + b"rest"),
    byte_bodies(LINES),
    byte_bodies(TEXTS).map(lambda text: gzip.compress(text, 1)),
)

TARGETS = (Fuzzed("answers.load", STORED, check_answers, short=60, long=1500),)
