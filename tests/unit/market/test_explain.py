"""The explanation of a figure, with every number that it is worked out from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from mag7.index.facts import load_packaged_facts
from mag7.index.splits import Split
from mag7.lake.keys import answers_prefix
from mag7.market import explain
from mag7.market.document import Document, decode_document, encode_document
from mag7.market.explain import LineUnknownError, explain_line
from mag7.market.figures import SessionFigures, compute_figures, write_document
from mag7.market.inputs import LookBack
from mag7.market.shares import AcceptedCount, Origin
from mag7.market.split_basis import SplitBasisInputs, SplitCounts
from mag7.polygon.answers import Answer
from mag7.polygon.calls import TICKER_DETAILS
from tests.unit.market.conftest import Make

SESSION = date(2024, 6, 7)
TEN = Split("X-nvda", "NVDA", date(2024, 6, 10), Decimal(1), Decimal(10), "a filing")
ANSWERS = tuple(Answer(path, datetime(2024, 6, 8, tzinfo=UTC), 200, "x", "", None, f"raw/{path}") for path in "ab")


@pytest.fixture(scope="module")
def document() -> Document:
    """Nvidia's count includes its split a session early; Alphabet has two lines; a line failed; Tesla is outside."""
    make = Make()
    basis = SplitBasisInputs(SESSION, (SplitCounts(TEN, after=24_530_000_000),))
    yesterday = LookBack(date(2024, 6, 6), 2_460_000_000, Decimal("1209.98"))
    nvda = make.inputs(make.line("NVDA"), 24_600_000_000, "1208.88", answers=ANSWERS)
    inputs = [
        replace(nvda, split_basis=basis, yesterday=yesterday),
        make.inputs(make.line("GOOGL", issuer="X-goog"), 12_441_000_000, "174.46"),
        make.inputs(make.line("GOOG", issuer="X-goog", main_line=False), 12_441_000_000, "175.95"),
        make.inputs(make.line("COR", symbol="ABC"), 200_000_000, "238.54"),
        make.inputs(make.line("XOM"), None, "112.75", details_failure="HTTP 404"),
    ]
    outside = [make.inputs(make.line("TSLA"), 3_189_000_000, "177.48")]
    return store(compute_figures(SESSION, inputs, outside))


def store(figures: SessionFigures) -> Document:
    """The document as it is read back from the lake."""
    return decode_document(encode_document(write_document(figures, "s", ANSWERS[0].time)), "a test")


def test_a_divided_count_shows_the_split_and_what_the_provider_said(document: Document) -> None:
    assert explain_line(document, " nvda ") == "\n".join(
        [
            "NVDA (NVDA Corp) on 2024-06-07, source s",
            "  close: 1,208.88 USD as traded",
            "  share count: 2,460,000,000: the provider's weighted count, which agrees with its own market cap",
            "  split applied: the provider's count already included 10 for 1 of 2024-06-10 (a filing)",
            "  provider's count: about 24,600,000,000, divided by 10",
            "  market cap: 2,973,844,800,000.00 USD",
            "  provider's market cap: 29,738,448,000,000.00 USD",
            "  counted: yes, its cap is its company's cap",
            "  flags: divided_by_split",
            f"  facts: version {load_packaged_facts().version} (public sources), members confirmed",
            "  responses:",
            "    raw/a",
            "    raw/b",
        ]
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("GOOG", "counted: no, another line represents its company"),
        ("GOOGL", "counted: yes"),
        ("TSLA", "counted: no, it is not in the index on that session"),
        ("XOM", "not priced: HTTP 404"),
        ("abc", "COR (COR Corp, ABC on that day) on 2024-06-07"),
    ],
)
def test_a_line_is_found_by_ticker_or_symbol_and_says_how_it_counts(document: Document, name: str, says: str) -> None:
    text = explain_line(document, name)

    assert says in text
    assert "divided by" not in text


def test_a_line_that_failed_shows_no_price(document: Document) -> None:
    assert "close:" not in explain_line(document, "XOM")


def test_an_unknown_line_is_refused(document: Document) -> None:
    with pytest.raises(LineUnknownError, match="TWTR is not a line of the index on 2024-06-07; give a ticker"):
        explain_line(document, "TWTR")


def test_a_count_looked_back_for_names_the_session() -> None:
    make = Make()
    back = LookBack(date(2024, 6, 6), 200, Decimal(10), factor=Fraction(1))
    inputs = make.inputs(make.line("KO"), None, "10.5", look_back=back)
    document = store(compute_figures(SESSION, [inputs], []))

    text = explain_line(document, "KO")
    assert "share count: 200: the accepted count of an earlier session" in text
    assert "flags: look_back, count_of_2024-06-06" in text
    assert "provider's market cap: not given" in text


def answer_of(day: str) -> Answer:
    key = f"{answers_prefix(TICKER_DETAILS, date.fromisoformat(day))}1.jsonl.gz"
    return Answer(day, datetime(2024, 6, 8, tzinfo=UTC), 200, "x", "", None, key)


def test_a_searched_count_names_the_sessions_that_agree() -> None:
    make = Make()
    answers = (ANSWERS[0], *map(answer_of, ("2024-06-05", "2024-06-12", "2024-09-18")))
    nvda = make.inputs(make.line("NVDA"), 24_600_000_000, "120.88", answers=answers)
    inputs = replace(nvda, between=AcceptedCount(24_600_000_000, Origin.WEIGHTED))

    text = explain_line(store(compute_figures(SESSION, [inputs], [])), "NVDA")

    assert (
        "share count: 24,600,000,000: searched: the same count on 2024-06-05 and 2024-06-12, on both the provider's"
        " weighted count, which agrees with its own market cap\n"
    ) in text
    assert "provider's market cap: not requested for this session\n" in text


@pytest.mark.parametrize("asked", [("2024-06-07", "2024-09-18"), ("2024-06-06", "2024-06-07"), ("2024-06-06",), ()])
def test_a_count_of_the_session_itself_was_not_searched(asked: tuple[str, ...]) -> None:
    make = Make()
    nvda = make.inputs(make.line("NVDA"), 24_600_000_000, "120.88", answers=tuple(map(answer_of, asked)))

    assert "searched" not in explain_line(store(compute_figures(SESSION, [nvda], [])), "NVDA")


def test_every_origin_is_put_into_words() -> None:
    assert set(explain.ORIGINS) == {origin.value for origin in Origin}
