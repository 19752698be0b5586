"""What a few bytes claim to be must not fill the memory: numbers, nesting and compression that unfold."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from mag7.errors import Mag7Error
from mag7.index.membership import load_membership
from mag7.index.splits import read_splits
from mag7.index.tables import FactTable
from mag7.polygon import answers
from mag7.polygon.answers import AnswersCorruptError, AnswerStore
from mag7.polygon.response_bodies import parse_grouped_daily, parse_splits, parse_ticker_details
from tests.fuzz.answers import DAY, RECORD, OneObject
from tests.fuzz.bodies import DETAILS, GROUPED, SPLITS, bar
from tests.fuzz.hostile import Raw, encode, nest
from tests.fuzz.tables import SPLITS as SPLIT_ROWS
from tests.fuzz.tables import write_csv

MEBIBYTE = 2**20


def measure_peak(parse: Callable[[], Any]) -> int:
    """The most bytes that a parser holds at once, whether it takes what it is given or refuses it."""
    tracemalloc.start()
    try:
        parse()
    except Mag7Error:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


def parse_details(body: str) -> object:
    return parse_ticker_details(body, "AAPL")


def parse_grouped(body: str) -> object:
    return parse_grouped_daily(body, date(2024, 12, 13))


HUGE, ENDLESS_ZERO = Raw("1e999999999"), Raw("0e999999999")


@pytest.mark.parametrize(
    ("parse", "body"),
    [
        pytest.param(parse_grouped, encode({**GROUPED, "results": [bar("A", v=HUGE)]}), id="a huge volume"),
        pytest.param(parse_grouped, encode({**GROUPED, "results": [bar("A", v=ENDLESS_ZERO)]}), id="an endless zero"),
        pytest.param(parse_grouped, encode({**GROUPED, "results": [bar("A", t=ENDLESS_ZERO)]}), id="an endless time"),
        pytest.param(
            parse_details,
            encode({**DETAILS, "results": {"ticker": "AAPL", "weighted_shares_outstanding": ENDLESS_ZERO}}),
            id="an endless count",
        ),
        pytest.param(parse_splits, encode({**SPLITS, "results": [{"ticker": "A", "split_to": HUGE}]}), id="a ratio"),
        pytest.param(parse_details, nest(MEBIBYTE // 2).text, id="a million brackets"),
        pytest.param(parse_grouped, encode({**GROUPED, "results": [1] * (MEBIBYTE // 2)}), id="half a million numbers"),
        pytest.param(parse_details, encode({"status": "x" * MEBIBYTE}), id="a long status"),
        pytest.param(parse_details, "9" * MEBIBYTE, id="a million digits"),
    ],
)
def test_a_body_is_parsed_in_a_multiple_of_its_size(parse: Callable[[str], object], body: str) -> None:
    assert measure_peak(lambda: parse(body)) < 20 * len(body) + MEBIBYTE


@pytest.mark.parametrize("volume", [ENDLESS_ZERO, 999_999_999_999_999])
def test_a_volume_that_was_taken_can_be_written_out(volume: Any) -> None:
    grouped = parse_grouped_daily(encode({**GROUPED, "results": [bar("A", v=volume)]}), date(2024, 12, 13))

    assert measure_peak(lambda: grouped.bars["A"].whole_volume) < MEBIBYTE


@pytest.mark.parametrize("number", ["1e999999999", "1e-999999999"])
def test_a_ratio_of_the_fact_table_is_no_endless_fraction(number: str) -> None:
    body = write_csv([SPLIT_ROWS[0], ["AAPL", "2020-08-31", "1", number, "a source"]]).encode()

    assert measure_peak(lambda: read_splits(FactTable("splits.csv", body), load_membership())) < MEBIBYTE


def test_an_object_of_answers_is_not_unfolded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LARGEST_OBJECT", MEBIBYTE)
    stored = gzip.compress(json.dumps(RECORD | {"body": " " * 200 * MEBIBYTE}).encode(), 9)
    store = AnswerStore(OneObject(stored))

    assert measure_peak(lambda: store.load("grouped", DAY)) < 8 * MEBIBYTE
    with pytest.raises(AnswersCorruptError, match="holds more than 1048576 bytes"):
        store.load("grouped", DAY)
