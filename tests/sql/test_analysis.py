"""The analysis queries, each run on a few sessions whose result is known."""

from __future__ import annotations

from datetime import date

import pytest

from mag7.paths import SQL
from tests.sql.lake import Lake
from tests.sql.market import GOLDEN_DAY, SEVEN, make_rows

TESLA_OUTSIDE = date(2020, 12, 18)
MONTH_BEFORE = date(2024, 11, 13)
EVE = date(2024, 12, 12)


def read(path: str) -> str:
    return (SQL / path).read_text()


@pytest.fixture
def published(lake: Lake) -> Lake:
    lake.publish(make_rows(TESLA_OUTSIDE, outside=("TSLA",)))
    for session in (MONTH_BEFORE, EVE, GOLDEN_DAY):
        lake.publish(make_rows(session))
    return lake


def test_every_file_says_first_which_question_it_answers() -> None:
    files = [*(SQL / "athena/analysis").glob("*.sql"), *(SQL / "redshift/analysis").glob("*.sql")]
    assert len(files) == 5 + 6
    for file in files:
        first = file.read_text().splitlines()[0]
        assert first.startswith("-- ")
        assert first.endswith("?")


def test_session_span(published: Lake) -> None:
    span = {"earliest_session": TESLA_OUTSIDE, "latest_session": GOLDEN_DAY, "sessions": 4}
    assert published.ask_athena(read("athena/analysis/session_span.sql")) == [span]
    assert published.ask_redshift(read("redshift/analysis/session_span.sql")) == [{**span, "row_count": 4}]


def test_sessions_without_seven(published: Lake) -> None:
    question = read("athena/analysis/sessions_without_seven.sql")
    assert published.ask_athena(question) == []
    six, none = date(2024, 12, 16), date(2024, 12, 17)
    published.publish({**make_rows(six), "company_details": make_rows(six)["company_details"][:6]})
    published.publish({"concentration_metrics": make_rows(none)["concentration_metrics"]})
    assert published.ask_athena(question) == [
        {"trading_date": six, "companies": 6},
        {"trading_date": none, "companies": 0},
    ]


def test_extreme_market_caps(published: Lake) -> None:
    question = read("athena/analysis/extreme_market_caps.sql")
    assert published.ask_athena(question) == []
    rows = make_rows(date(2024, 12, 16))["company_details"][:3]
    for row, cap in zip(rows, (5.1e12, 9e10, 5e12), strict=True):
        row["market_cap"] = cap
    published.publish({"company_details": rows})
    assert [(row["ticker"], row["market_cap"]) for row in published.ask_athena(question)] == [
        ("AAPL", 5.1e12),
        ("MSFT", 9e10),
    ]


def test_adjusted_closes(published: Lake) -> None:
    publish_splits(published)
    rows = published.ask_athena(read("athena/analysis/adjusted_closes.sql"))
    assert [(row["ticker"], row["trading_date"]) for row in rows] == [
        (ticker, session) for ticker in sorted(SEVEN) for session in (TESLA_OUTSIDE, MONTH_BEFORE, EVE, GOLDEN_DAY)
    ]
    factors = [row["adjustment_factor"] for row in rows if row["ticker"] == "NVDA"]
    assert factors == [40.0, 1.0, 1.0, 1.0]  # 4 in 2021 and 10 in 2024
    closes = [row["adjusted_close"] for row in rows if row["ticker"] == "NVDA"]
    assert closes == [134.25 / 40, 134.25, 134.25, 134.25]
    assert {row["adjustment_factor"] for row in rows if row["ticker"] == "AAPL"} == {1.0}


def publish_splits(lake: Lake) -> None:
    """Nvidia's splits, one of a company that is not one of the seven, and one that is only announced."""
    for day, ticker, ratio in (
        (date(2021, 7, 20), "NVDA", 4.0),
        (date(2024, 6, 10), "NVDA", 10.0),
        (date(2024, 6, 10), "OTH1", 3.0),
        (date(2999, 1, 4), "AAPL", 2.0),
    ):
        split = {"execution_date": day, "issuer": f"X-{ticker}", "ticker": ticker, "source": "test"}
        lake.publish({"splits": [{**split, "split_from": 1.0, "split_to": ratio}]})


def test_share_extremes(published: Lake) -> None:
    (row,) = published.ask_athena(read("athena/analysis/share_extremes.sql"))
    assert row["smallest_on"] == TESLA_OUTSIDE
    assert row["smallest_pct"] == pytest.approx(31.6178, abs=1e-4)
    assert row["largest_on"] in {MONTH_BEFORE, EVE, GOLDEN_DAY}
    assert row["largest_pct"] == pytest.approx(33.3896, abs=1e-4)


def test_share_reconciliation_lists_only_what_differs(published: Lake) -> None:
    question = read("redshift/analysis/share_reconciliation.sql")
    assert published.ask_redshift(question) == []
    # 54.42 % was stored for 2024-06-07 and agreed with its own total; the lines know better.
    wrong, without_lines = date(2024, 6, 7), date(2024, 6, 10)
    rows = make_rows(wrong)
    rows["concentration_metrics"][0]["mag7_pct_of_sp500"] = 54.42265
    published.publish(rows)
    published.publish({"concentration_metrics": make_rows(without_lines)["concentration_metrics"]})
    found = published.ask_redshift(question)
    assert [row["trading_date"] for row in found] == [wrong, without_lines]
    assert found[0]["recomputed_pct"] == pytest.approx(33.3896, abs=1e-4)
    assert found[0]["difference"] == pytest.approx(21.033, abs=1e-3)
    assert found[1]["recomputed_pct"] is None


def test_daily_change(published: Lake) -> None:
    rows = published.ask_redshift(read("redshift/analysis/daily_change.sql"))
    assert [row["change"] for row in rows] == [None, pytest.approx(1.772, abs=1e-3), 0.0, 0.0]


def test_latest_ranking(published: Lake) -> None:
    rows = published.ask_redshift(read("redshift/analysis/latest_ranking.sql"))
    assert {row["trading_date"] for row in rows} == {GOLDEN_DAY}
    assert [row["ticker"] for row in rows] == ["AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA"]
    assert [row["cap_rank"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[0]["company_name"] == "AAPL Company"
    assert rows[0]["pct_of_mag7"] == pytest.approx(20.78451644648332)


def test_share_last_quarter(published: Lake) -> None:
    rows = published.ask_redshift(read("redshift/analysis/share_last_quarter.sql"))
    assert [row["trading_date"] for row in rows] == [MONTH_BEFORE, EVE, GOLDEN_DAY]


def test_closes_and_caps_of_the_last_month(published: Lake) -> None:
    rows = published.ask_redshift(read("redshift/analysis/closes_and_caps.sql"))
    assert [row["trading_date"] for row in rows] == [EVE] * 7 + [GOLDEN_DAY] * 7
    assert rows[7]["ticker"] == "AAPL"
    assert rows[7]["close"] * 15_115_823_000 == pytest.approx(rows[7]["market_cap"])
