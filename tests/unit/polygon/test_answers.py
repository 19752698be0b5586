from __future__ import annotations

import gzip
import itertools
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.lake.objects import ObjectMissingError
from mag7.polygon.answers import Answer, AnswersCorruptError, AnswerStore, MixedSourcesError, require_one_source
from tests.unit.polygon.local_provider import DAY, MemoryObjects

NOON = datetime(2024, 12, 14, 12, tzinfo=UTC)


def answer(path: str = "/v3/reference/tickers/AAPL?date=2024-12-13", minutes: int = 0, **changes: Any) -> Answer:
    values = {"status": 200, "source": "polygon", "body": "{}", "error": None, **changes}
    return Answer(path=path, time=NOON + timedelta(minutes=minutes), **values)


def test_responses_come_back_as_they_were(store: AnswerStore) -> None:
    body = '{"results":{"description":"naïve \\u2028 \u2028 \\n line"}}\n'
    kept = [answer(body=body), answer("/b", status=None, body="", error="did not answer in time")]
    key = store.save("ticker_details", DAY, kept)[0].key
    loaded = store.load("ticker_details", DAY)
    assert loaded["/b"].error == "did not answer in time"
    assert loaded[kept[0].path] == Answer(kept[0].path, NOON, 200, "polygon", body, None, key)


@given(body=st.text(st.characters(exclude_categories=["Cs"])), error=st.none() | st.text(max_size=20))
def test_any_text_comes_back(body: str, error: str | None) -> None:
    store = AnswerStore(MemoryObjects())  # type: ignore[arg-type]
    store.save("x", DAY, [answer("/a", body=body, error=error)])
    loaded = store.load("x", DAY)["/a"]
    assert (loaded.body, loaded.error) == (body, error)


def test_at_most_fifty_responses_an_object(store: AnswerStore, objects: MemoryObjects) -> None:
    stored = store.save("ticker_details", DAY, [answer(f"/{number}", number) for number in range(120)])
    keys = list(dict.fromkeys(kept.key for kept in stored))
    assert [gzip.decompress(objects.bodies[key]).count(b"\n") for key in keys] == [50, 50, 20]
    assert len(store.load("ticker_details", DAY)) == 120


def test_equal_responses_make_the_same_object(store: AnswerStore, objects: MemoryObjects) -> None:
    first = store.save("ticker_details", DAY, [answer()])
    key = str(first[0].key)
    body = objects.bodies[key]
    assert store.save("ticker_details", DAY, [answer()]) == first
    assert objects.bodies == {key: body}
    assert key.startswith("raw/polygon/ticker_details/trading_date=2024-12-13/20241214T120000.000000Z-")
    assert key.endswith(".jsonl.gz")


def test_a_months_objects_are_listed_by_date(store: AnswerStore) -> None:
    for day in (date(2024, 11, 29), DAY, date(2024, 12, 31), date(2025, 1, 2)):
        store.save("ticker_details", day, [answer()])
    store.save("grouped_daily", date(2024, 12, 2), [answer()])
    listed = store.list_month("ticker_details", date(2024, 12, 1))

    assert set(listed) == {DAY, date(2024, 12, 31)}
    assert store.read(listed[DAY]) == store.load("ticker_details", DAY)
    assert store.list_month("ticker_details", date(2024, 10, 1)) == {}


def test_a_part_reads_its_own_responses_and_those_of_no_part_of_as_many(objects: MemoryObjects) -> None:
    stores = {part: AnswerStore(objects, part) for part in (None, "1of4", "2of4", "1of12")}  # type: ignore[arg-type]
    for part, store in stores.items():
        store.save("ticker_details", DAY, [answer(f"/{part}")])

    assert set(stores["1of4"].load("ticker_details", DAY)) == {"/None", "/1of4", "/1of12"}
    assert set(stores["1of12"].load("ticker_details", DAY)) == {"/None", "/1of4", "/2of4", "/1of12"}
    assert set(stores[None].load("ticker_details", DAY)) == {"/None", "/1of4", "/2of4", "/1of12"}


def test_a_span_reads_every_object_that_may_hold_its_symbols_and_no_other(objects: MemoryObjects) -> None:
    spans = [None, ("A", "BRK.B"), ("BRKR", "D"), ("D", "D"), ("ODD/~ NAME", "Z")]
    stores = {span: AnswerStore(objects, span=span) for span in spans}  # type: ignore[arg-type]
    for span, store in stores.items():
        store.save("ticker_details", DAY, [answer(f"/{span and span[0]}")])
    AnswerStore(objects, "1of4").save("ticker_details", DAY, [answer("/part")])  # type: ignore[arg-type]

    def read(*span: str) -> set[str]:
        found = AnswerStore(objects, span=span).load("ticker_details", DAY)  # type: ignore[arg-type]
        return set(found) - {"/None", "/part"} if {"/None", "/part"} <= set(found) else {"lost"}

    assert read("A", "BRK.B") == {"/A"}
    assert read("C", "D") == {"/BRKR", "/D"}
    assert read("BRK.B", "BRKR") == {"/A", "/BRKR"}
    assert read("E", "M") == set()
    assert read("P", "Q") == {"/ODD/~ NAME"}
    assert len(stores[None].load("ticker_details", DAY)) == 6


def test_nothing_saved_nothing_written(store: AnswerStore, objects: MemoryObjects) -> None:
    assert store.save("ticker_details", DAY, []) == []
    assert store.load("ticker_details", DAY) == {}
    assert objects.bodies == {}


def test_endpoints_and_dates_are_apart(store: AnswerStore) -> None:
    store.save("ticker_details", DAY, [answer("/a")])
    assert store.load("grouped_daily", DAY) == {}
    assert store.load("ticker_details", date(2024, 12, 12)) == {}


@pytest.mark.parametrize(
    ("status", "error", "completed"),
    [
        (200, None, True),
        (404, None, True),
        (200, "the body is empty", False),
        (404, "HTTP 404 for a session's bars", False),
        (500, None, False),
        (None, None, False),
    ],
)
def test_completed_is_a_valid_body_or_not_found(status: int | None, error: str | None, completed: bool) -> None:
    assert answer(status=status, error=error).completed is completed


def test_the_newest_completed_response_wins(store: AnswerStore) -> None:
    for minutes, body, error in [(5, "old", None), (9, "new", None), (20, "late", "HTTP 500"), (7, "middle", None)]:
        store.save("ticker_details", DAY, [answer("/a", minutes, body=body, error=error)])
    assert store.load("ticker_details", DAY)["/a"].body == "new"


def test_without_a_completed_response_the_newest_failure_tells(store: AnswerStore) -> None:
    store.save("ticker_details", DAY, [answer("/a", 9, error="second"), answer("/a", 5, error="first")])
    assert store.load("ticker_details", DAY)["/a"].error == "second"


GOOD = json.dumps({"path": "/a", "time": NOON.isoformat(), "status": 200, "source": "s", "body": "", "error": None})


def changed(**fields: Any) -> bytes:
    return gzip.compress(json.dumps({**json.loads(GOOD), **fields}).encode())


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"plain text",
        gzip.compress(b""),
        gzip.compress(GOOD.encode())[:-12],
        gzip.compress(GOOD.encode()) + b"more",
        gzip.compress(GOOD.encode()[:-1]),
        gzip.compress(f"{GOOD}\n\n".encode()),
        gzip.compress(b"\xff\xfe"),
        gzip.compress(b"[]"),
        gzip.compress(b'{"path":"/a"}'),
        changed(path=None),
        changed(body=3),
        changed(error=1),
        changed(status="200"),
        changed(status=True),
        changed(time="yesterday"),
        changed(time="2024-12-14T12:00:00"),
        changed(time=5),
        changed(time="0001-01-01T00:00:00+23:59"),
        changed(time="9999-12-31T23:59:59-23:59"),
        changed(path="/half/\ud800"),
        changed(source="\ud800"),
    ],
    ids=itertools.count(),  # the bytes hold the time: each test process would have other ids
)
def test_a_corrupt_object_is_named(store: AnswerStore, objects: MemoryObjects, stored: bytes) -> None:
    store.save("ticker_details", DAY, [answer("/b")])
    key = "raw/polygon/ticker_details/trading_date=2024-12-13/broken.jsonl.gz"
    objects.bodies[key] = stored
    with pytest.raises(AnswersCorruptError, match=f"s3://memory/{key} is not an object of responses"):
        store.load("ticker_details", DAY)


def test_a_store_that_cannot_be_read_is_no_corrupt_object(store: AnswerStore, objects: MemoryObjects) -> None:
    store.save("ticker_details", DAY, [answer("/b")])

    def vanish(key: str) -> bytes:
        raise ObjectMissingError(key)

    objects.get = vanish  # type: ignore[method-assign]
    with pytest.raises(ObjectMissingError):
        store.load("ticker_details", DAY)


def test_two_sources_never_meet(store: AnswerStore) -> None:
    store.save("ticker_details", DAY, [answer("/a"), answer("/b", source="simulated")])
    with pytest.raises(MixedSourcesError, match=r"/a comes from polygon, /b from simulated; collect the date again"):
        store.load("ticker_details", DAY, one_source=True)


def test_a_source_can_be_asked_for(store: AnswerStore) -> None:
    store.save("ticker_details", DAY, [answer("/a", body="real"), answer("/a", 5, source="simulated")])
    assert store.load("ticker_details", DAY, source="polygon")["/a"].body == "real"


def test_collected_again_from_one_source_the_other_is_out_of_the_way(store: AnswerStore) -> None:
    store.save("ticker_details", DAY, [answer("/a", source="simulated"), answer("/a", 5, body="real")])
    assert store.load("ticker_details", DAY, one_source=True)["/a"].body == "real"


def test_failures_have_no_say_about_the_source() -> None:
    assert require_one_source([answer(source="host:1", error="HTTP 500"), answer(source="simulated")]) == "simulated"
    assert require_one_source([answer(error="HTTP 500")]) is None


def test_an_object_that_claims_too_much_is_corrupt(
    store: AnswerStore, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save("ticker_details", DAY, [answer("/b")])
    monkeypatch.setattr("mag7.polygon.answers.LARGEST_OBJECT", 100)
    with pytest.raises(AnswersCorruptError, match="holds more than 100 bytes"):
        store.load("ticker_details", DAY)
