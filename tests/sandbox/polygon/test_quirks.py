"""What the provider gets wrong, and the golden day through its answers."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from sandbox.polygon import facts
from sandbox.polygon.app import MarketApp
from sandbox.polygon.market import load_market
from sandbox.polygon.sessions import NEW_YORK, Clock
from sandbox.polygon.settings import Settings
from sandbox.polygon.truth import true_market_cap, true_share_count
from tests.sandbox.polygon.conftest import NOW, Ask, make_ask

GROUPED = "/v2/aggs/grouped/locale/us/market/stocks/{}?adjusted=false&include_otc=false"


def details(ask: Ask, symbol: str, day: str) -> dict[str, Any]:
    said = ask(f"/v3/reference/tickers/{symbol}?date={day}")
    assert said.status == 200, said.body
    return said.json["results"]


def grouped(ask: Ask, day: str) -> dict[str, dict[str, Any]]:
    return {bar["T"]: bar for bar in ask(GROUPED.format(day)).json["results"]}


def test_golden_day_through_the_answers(ask: Ask) -> None:
    day = facts.GOLDEN_SESSION
    bars, total = grouped(ask, day.isoformat()), Decimal(0)
    for line in load_market().lines:
        if not line.is_member(day):
            continue
        said = details(ask, line.symbol_on(day), day.isoformat())
        cap = Decimal(bars[said["ticker"]]["c"]) * said["weighted_shares_outstanding"]
        assert cap == said["market_cap"]
        total += cap
    assert abs(total / facts.GOLDEN_LINE_SUM - 1) < Decimal("1e-6")


def test_golden_bars_are_the_recorded_ones(ask: Ask) -> None:
    bars = grouped(ask, "2024-12-13")
    for symbol, bar in facts.golden_bars().items():
        said = [float(bars[symbol][name]) for name in ("o", "h", "l", "c", "v", "vw")]
        assert said == [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap]


def test_counts_before_autumn_2021_are_frozen_after_the_splits(ask: Ask) -> None:
    early, late = details(ask, "NVDA", "2020-11-30"), details(ask, "NVDA", "2021-10-29")
    assert early["weighted_shares_outstanding"] == late["weighted_shares_outstanding"]
    assert Decimal("1.30e12") < early["market_cap"] < Decimal("1.38e12")
    told = early["market_cap"] / true_market_cap("NVDA", date(2020, 11, 30))
    assert told == pytest.approx(Decimal(4), rel=Decimal("0.02"))
    assert details(ask, "NVDA", "2021-11-01")["weighted_shares_outstanding"] == true_share_count(
        "NVDA", date(2021, 11, 1)
    )


@pytest.mark.parametrize("day", [date(2020, 11, 30), date(2021, 5, 14)])
def test_frozen_counts_are_within_a_tenth_but_for_splits(ask: Ask, day: date) -> None:
    market, bars = load_market(), grouped(ask, day.isoformat())
    row, frozen = market.session_row(day), market.session_row(date(2021, 11, 1))
    for line in market.lines:
        if not line.is_member(day) or line.listed.last < date(2021, 11, 1):
            continue
        symbol, number = line.symbol_on(day), market.column[line.key]
        factor = Decimal(market.factors[frozen, number] / market.factors[row, number])
        behind = details(ask, symbol, day.isoformat())["market_cap"] / Decimal(bars[symbol]["c"])
        assert behind / factor == pytest.approx(Decimal(true_share_count(line.key, day)), rel=Decimal("0.1")), line


def test_apple_contradicts_itself_in_old_answers(ask: Ask) -> None:
    said, bars = details(ask, "AAPL", "2020-11-30"), grouped(ask, "2020-11-30")
    assert said["market_cap"] == Decimal("16406397000") * bars["AAPL"]["c"]
    assert said["weighted_shares_outstanding"] == 16_185_181_000
    assert said["share_class_shares_outstanding"] == 16_319_440_000


def test_nvidia_stands_on_the_new_basis_a_session_early(ask: Ask) -> None:
    told = {day: details(ask, "NVDA", day)["market_cap"] for day in ("2024-06-06", "2024-06-07", "2024-06-10")}
    assert told["2024-06-07"] == Decimal("1208.88") * 24_600_000_000
    assert told["2024-06-06"] < Decimal("3e12")
    assert told["2024-06-10"] < Decimal("3.1e12")


def test_meta_was_another_issuers_fund_and_reaches_details_late(ask: Ask) -> None:
    assert details(ask, "META", "2022-01-28")["type"] == "ETF"
    assert "market_cap" not in details(ask, "META", "2020-11-30")
    for day in ("2022-01-31", "2022-06-08", "2022-06-09"):
        assert ask(f"/v3/reference/tickers/META?date={day}").status == 404
    assert details(ask, "META", "2022-06-10")["cik"] == details(ask, "FB", "2022-06-09")["cik"]
    assert ask("/v3/reference/tickers/FB?date=2022-06-10").status == 404
    assert details(ask, "FB", "2022-06-09")["market_cap"] == true_market_cap("META", date(2022, 6, 9))


def test_meta_bars_change_symbol_on_the_day(ask: Ask) -> None:
    fund, gap, last, first = (grouped(ask, f"2022-{day}") for day in ("01-28", "01-31", "06-08", "06-09"))
    assert 10 < fund["META"]["c"] < 15
    assert "META" not in gap
    assert "FB" in gap
    assert ("META" in last, "FB" in last) == (False, True)
    assert ("META" in first, "FB" in first) == (True, False)
    assert first["META"]["c"] == 184


@pytest.mark.parametrize(
    ("day", "missing"), [("2024-06-18", False), ("2024-06-20", True), ("2024-11-20", True), ("2024-11-21", False)]
)
def test_microsoft_without_market_cap(ask: Ask, day: str, missing: bool) -> None:
    said = details(ask, "MSFT", day)
    assert ("market_cap" not in said) is missing
    assert ("weighted_shares_outstanding" not in said) is missing
    assert (said["share_class_shares_outstanding"] == 7_433_040_000) is missing


def test_details_of_a_weekend_rest_on_friday(ask: Ask) -> None:
    friday, sunday = details(ask, "MSFT", "2024-12-13"), details(ask, "MSFT", "2024-12-15")
    assert friday["market_cap"] == sunday["market_cap"]


@pytest.mark.parametrize("day", ["2024-12-14", "2024-11-28", "2025-01-09"])
def test_grouped_without_a_session_has_no_results(ask: Ask, day: str) -> None:
    said = ask(GROUPED.format(day))
    assert said.status == 200
    assert "results" not in said.json
    assert said.json["resultsCount"] == 0


@pytest.mark.parametrize(
    ("symbol", "day", "status"),
    [
        ("AMTM", "2024-09-27", 404),
        ("AMTM", "2024-09-30", 200),
        ("ATVI", "2023-10-12", 200),
        ("ATVI", "2023-10-31", 404),
        ("BRK.B", "2024-12-13", 200),
        ("BF.B", "2024-12-13", 200),
        ("BRKB", "2024-12-13", 404),
        ("brk.b", "2024-12-13", 404),
    ],
)
def test_only_listed_symbols_answer(ask: Ask, symbol: str, day: str, status: int) -> None:
    assert ask(f"/v3/reference/tickers/{symbol}?date={day}").status == status


def test_a_class_is_smaller_than_its_company(ask: Ask) -> None:
    for symbol in ("GOOGL", "GOOG", "FOXA", "FOX", "NWSA", "NWS", "BRK.B", "META"):
        said = details(ask, symbol, "2024-12-13")
        assert said["share_class_shares_outstanding"] < said["weighted_shares_outstanding"]


def test_in_the_evening_some_caps_rest_on_the_close_before() -> None:
    evening = make_ask(MarketApp(Settings(clock=Clock(NOW), evening=True)))
    calm = make_ask(MarketApp(Settings(clock=Clock(NOW))))
    bars = {day: grouped(calm, day) for day in ("2024-12-12", "2024-12-13")}
    late = 0
    for symbol in sorted(set(bars["2024-12-13"]) & set(bars["2024-12-12"])):
        said = details(evening, symbol, "2024-12-13")
        caps = [said["weighted_shares_outstanding"] * bars[day][symbol]["c"] for day in bars]
        closes = [said["market_cap"] == cap for cap in caps]
        assert any(closes), symbol
        late += closes[0]
    assert 0.2 < late / len(bars["2024-12-13"]) < 0.4


def test_every_session_has_a_bar_for_every_listed_line(ask: Ask) -> None:
    market = load_market()
    for day in market.days[0 : market.row(NOW.date()) : 37]:
        symbols = {line.symbol_on(day) for line in market.lines if line.listed.holds(day)}
        bars = grouped(ask, day.isoformat())
        assert symbols <= set(bars)
        assert all(bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"] for bar in bars.values())
        assert all(bar["v"] > 0 and round(Decimal(bar["c"]), 2) == bar["c"] > 0 for bar in bars.values())


# --- what happened since, through the answers -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def ask_late() -> Ask:
    """A market that takes today for 2026-11-20, in the evening."""
    return make_ask(MarketApp(Settings(clock=Clock(datetime(2026, 11, 20, 21, tzinfo=NEW_YORK)))))


@pytest.mark.parametrize(
    ("symbol", "last_close", "last_member", "details_status"),
    [("HES", "2025-07-17", "2025-07-22", 404), ("DAY", "2026-02-03", "2026-02-06", 200)],
)
def test_a_member_that_was_bought_has_no_bar(
    ask_late: Ask, symbol: str, last_close: str, last_member: str, details_status: int
) -> None:
    assert symbol in grouped(ask_late, last_close)
    assert symbol not in grouped(ask_late, last_member)
    said = ask_late(f"/v3/reference/tickers/{symbol}?date={last_member}")
    assert said.status == details_status
    if details_status == 200:
        old = details(ask_late, symbol, last_close)
        assert said.json["results"]["market_cap"] == old["market_cap"]
    after = date.fromisoformat(last_member).toordinal() + 1
    assert ask_late(f"/v3/reference/tickers/{symbol}?date={date.fromordinal(after)}").status == 404


@pytest.mark.parametrize(
    ("symbol", "day", "cik", "name"),
    [
        ("XOM", "2026-07-01", "0000034088", "ExxonMobil"),
        ("XOM", "2026-07-02", "0002115436", "ExxonMobil"),
        ("BLK", "2024-09-30", "0001364742", "BlackRock"),
        ("BLK", "2024-10-01", "0002012383", "BlackRock"),
        ("EQR", "2026-08-17", "0000906107", "Equity Residential"),
        ("VMRK", "2026-08-18", "0000906107", "Vivmark Residential"),
        ("PSKY", "2026-10-05", "0002041610", "Paramount Skydance Corporation"),
        ("SKYD", "2026-10-06", "0002041610", "Skydance Corporation"),
    ],
)
def test_details_give_the_cik_and_name_of_the_day(ask_late: Ask, symbol: str, day: str, cik: str, name: str) -> None:
    said = details(ask_late, symbol, day)
    assert (said["cik"], said["name"]) == (cik, name)
    (row,) = ask_late(f"/v3/reference/tickers?ticker={symbol}&date={day}").json["results"]
    assert (row["cik"], row["composite_figi"]) == (cik, said["composite_figi"])


def test_a_spin_off_is_no_split(ask_late: Ask) -> None:
    last, first = (grouped(ask_late, f"2026-{day}") for day in ("09-30", "10-01"))
    assert float(first["CTVA"]["c"] / last["CTVA"]["c"]) == pytest.approx(0.1619, rel=0.04)
    assert ("VYLR" in last, "VYLR" in first) == (False, True)
    assert "cik" not in details(ask_late, "VYLR", "2026-10-01")
    assert ask_late("/v3/reference/splits?ticker=CTVA").json["results"] == []
    honeywell = ask_late("/v3/reference/splits?ticker=HON").json["results"]
    assert [(row["execution_date"], row["split_from"], row["split_to"]) for row in honeywell] == [("2026-06-29", 2, 1)]


def test_a_symbol_that_comes_back_is_the_same_company(ask_late: Ask) -> None:
    days = {"2023-06-06": "FISV", "2023-06-07": "FI", "2025-11-10": "FI", "2025-11-11": "FISV"}
    told = {day: details(ask_late, symbol, day)["composite_figi"] for day, symbol in days.items()}
    assert len(set(told.values())) == 1
    assert ask_late("/v3/reference/tickers/FI?date=2025-11-11").status == 404
    assert ask_late("/v3/reference/tickers/FISV?date=2024-12-13").status == 404
