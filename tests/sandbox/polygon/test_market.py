"""Prices and counts: anchors, calibration, continuity and determinism."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from sandbox.polygon import facts
from sandbox.polygon.market import Market, load_market
from sandbox.polygon.truth import UnknownLineError, true_close, true_market_cap, true_share_count, true_split_factor

ROOT = Path(__file__).parents[3]
REFERENCE = Path(os.environ.get("REFERENCE_DATA", ROOT.parent / "shared" / "data"))
GOLDEN = {
    "AAPL": "3750689160990.00",
    "MSFT": "3325399124681.52",
    "NVDA": "3287782500000.00",
    "AMZN": "2391744403879.68",
    "GOOGL": "2323586620000.00",
    "META": "1566066461446.55",
    "TSLA": "1400324325045.57",
}


@pytest.fixture(scope="module")
def market() -> Market:
    return load_market()


def caps_on(market: Market, day: date) -> dict[str, Decimal]:
    """True caps of the index lines of a session."""
    return {line.key: true_market_cap(line.key, day) for line in market.lines if line.is_member(day)}


def previous_session(day: date) -> date:
    days = load_market().days
    return days[days.index(day) - 1]


def by_company(market: Market, caps: dict[str, Decimal]) -> Decimal:
    return sum(cap for key, cap in caps.items() if market.lines[market.column[key]].main == key)


def test_every_real_close_is_met(market: Market) -> None:
    wrong = [
        (line.key, day)
        for line in market.lines
        for day, cents in facts.closes().get(line.symbol_on(facts.ANCHOR_SESSION), {}).items()
        if true_close(line.key, day) * 100 != cents
    ]
    assert wrong == []
    assert sum(len(table) for table in facts.closes().values()) == 33 * 7 + 496


def test_golden_caps_are_exact_to_the_cent() -> None:
    assert {key: str(true_market_cap(key, facts.GOLDEN_SESSION)) for key in GOLDEN} == GOLDEN


def test_golden_line_sum_and_share_by_company(market: Market) -> None:
    caps = caps_on(market, facts.GOLDEN_SESSION)
    total, seven = sum(caps.values()), sum(Decimal(cap) for cap in GOLDEN.values())
    assert len(caps) == 503
    assert abs(total / facts.GOLDEN_LINE_SUM - 1) < Decimal("1e-6")
    assert round(seven / total * 100, 4) == Decimal("31.9050")
    assert Decimal("33.2") < seven / by_company(market, caps) * 100 < Decimal("33.4")
    assert Decimal("32e9") <= caps["FOX"] + caps["NWS"] <= Decimal("39e9")
    assert true_close("GOOG", facts.GOLDEN_SESSION) == Decimal("191.75")


def test_other_companies_stay_within_the_size_of_index_members(market: Market) -> None:
    for day in (date(2020, 11, 30), date(2022, 6, 9), facts.GOLDEN_SESSION):
        caps = caps_on(market, day)
        total = sum(caps.values())
        others = [cap for key, cap in caps.items() if market.lines[market.column[key]].main not in facts.SEVEN]
        assert max(others) < total * Decimal("0.026")
        assert min(others) > Decimal("4.5e9")


@pytest.mark.parametrize("day", [date(2021, 12, 31), date(2022, 9, 30), date(2024, 6, 7), date(2024, 12, 6)])
def test_line_sum_follows_the_index_level(market: Market, day: date) -> None:
    levels = facts.index_levels()
    expected = float(facts.GOLDEN_LINE_SUM) * levels[day] / levels[facts.GOLDEN_SESSION]
    assert float(sum(caps_on(market, day).values())) == pytest.approx(expected, rel=2e-5)


def test_first_backfill_session_lacks_tesla(market: Market) -> None:
    day = date(2020, 11, 30)
    caps = caps_on(market, day)
    assert "TSLA" not in caps
    assert Decimal("33.2e12") < sum(caps.values()) < Decimal("33.4e12")
    assert Decimal("0.30e12") < caps["NVDA"] < Decimal("0.36e12")


def test_no_price_jumps_over_a_split(market: Market) -> None:
    adjusted = np.log(market.cents * market.factors)
    for child in market.lines:
        if child.parent:
            adjusted[market.session_row(child.listed.first) :, market.column[child.parent]] -= np.log(child.kept)
    cent_prices = market.cents[1:] > 500
    moves = np.abs(np.diff(adjusted, axis=0))[cent_prices]
    assert moves.max() < 0.08
    ratios = market.cents[:-1] / market.cents[1:]
    row, number = market.session_row(date(2022, 6, 6)), market.column["AMZN"]
    assert row is not None
    assert ratios[row - 1, number] == pytest.approx(244700 / 12479)


def test_a_cap_moves_as_its_adjusted_price_does(market: Market) -> None:
    caps = market.cents.astype(float) * market.counts
    prices = market.cents * market.factors
    moves = np.diff(np.log(caps), axis=0) - np.diff(np.log(prices), axis=0)
    for key, first, factor in facts.count_jumps():
        moves[market.session_row(first) - 1, market.column[key]] -= np.log(factor)
    gap = np.abs(moves)
    assert gap.max() < 0.035
    # Counts move on few days only, as filings come.
    assert ((gap > 1e-5).sum(axis=0) / len(market.days) * 252).mean() < 5.0


def test_counts_change_by_the_split_factor_on_the_execution_date() -> None:
    before, after = true_share_count("NVDA", date(2024, 6, 7)), true_share_count("NVDA", date(2024, 6, 10))
    assert (before, after) == (2_460_000_000, 24_600_000_000)
    assert true_share_count("GE", date(2021, 7, 30)) == pytest.approx(8 * true_share_count("GE", date(2021, 8, 2)))


@pytest.mark.parametrize(
    ("parent", "child", "first", "ratio", "split"),
    [
        ("CTVA", "VYLR", date(2026, 10, 1), 12.57 / 77.65, 1),
        ("HON", "HONA", date(2026, 6, 29), 0.52 * 2, 0.5),
        ("HON", "SOLS", date(2025, 10, 30), 0.94, 1),
    ],
)
def test_a_spin_off_takes_price_from_its_parent_and_splits_nothing(
    parent: str, child: str, first: date, ratio: float, split: float
) -> None:
    last = previous_session(first)
    fall = true_close(parent, first) / true_close(parent, last)
    assert float(fall) == pytest.approx(ratio, rel=0.04)
    assert true_share_count(parent, first) == pytest.approx(true_share_count(parent, last) * split, rel=0.01)
    assert true_split_factor(parent, last, first) == split
    with pytest.raises(UnknownLineError, match=child):
        true_close(child, last)
    both = true_market_cap(parent, first) + true_market_cap(child, first)
    assert float(both / true_market_cap(parent, last)) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize(("key", "first", "factor"), facts.count_jumps())
def test_counts_that_jump_without_a_split(key: str, first: date, factor: float) -> None:
    last = previous_session(first)
    assert true_share_count(key, first) / true_share_count(key, last) == pytest.approx(factor, rel=0.02)
    assert true_split_factor(key, last, first) == 1


@pytest.mark.reference
def test_every_split_of_2025_and_2026_is_known() -> None:
    file = REFERENCE / "membership_2025-2026" / "splits_2025-06_to_2026-09.csv"
    if not file.exists():
        pytest.skip("no list of splits at hand")
    names = ("execution_date", "split_from", "split_to")
    listed = {(row["ticker"], *(row[name] for name in names)) for row in facts.read_table(file)}
    known = {(s.symbol, str(s.execution_date), str(s.split_from), str(s.split_to)) for s in facts.splits()}
    assert len(listed) == 13
    assert listed <= known


def test_members_without_a_close_are_not_counted(market: Market) -> None:
    for day, gone in ((date(2025, 7, 18), "HES"), (date(2026, 2, 4), "DAY")):
        members = [line for line in market.lines if line.is_member(day)]
        assert [line.key for line in members if not line.listed.holds(day)] == [gone]
        days = (previous_session(day), day)
        totals = [sum(true_market_cap(x.key, session) for x in members if x.key != gone) for session in days]
        assert float(totals[1] / totals[0]) == pytest.approx(1, abs=0.03)


def test_two_lines_of_a_company_carry_its_whole_count() -> None:
    for main, second in (("GOOGL", "GOOG"), ("FOXA", "FOX"), ("NWSA", "NWS")):
        assert true_share_count(main, facts.GOLDEN_SESSION) == true_share_count(second, facts.GOLDEN_SESSION)


def test_truth_follows_a_company_through_its_symbols() -> None:
    day = date(2022, 6, 8)
    assert true_close("META", day) == true_close("FB", day) == Decimal("196.64")
    with pytest.raises(UnknownLineError, match="AMTM"):
        true_close("AMTM", date(2024, 9, 27))
    with pytest.raises(UnknownLineError, match="2024-12-14"):
        true_close("AAPL", date(2024, 12, 14))


def test_a_later_end_changes_nothing_before(market: Market) -> None:
    longer, end = load_market(date(2037, 1, 4)), len(market.days)
    columns = [longer.column[line.key] for line in market.lines]
    assert len(longer.days) > end + 2500
    assert len(longer.lines) > len(columns) + 400
    assert np.array_equal(longer.cents[:end, columns], market.cents)
    assert np.array_equal(longer.counts[:end, columns], market.counts)
    assert np.array_equal(longer.factors[:end, columns], market.factors)


def test_two_processes_tell_the_same_bytes() -> None:
    script = (
        "import hashlib; from sandbox.polygon.market import load_market as m; "
        "print(hashlib.sha256(m().cents.tobytes() + m().counts.tobytes()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    here = hashlib.sha256(load_market().cents.tobytes() + load_market().counts.tobytes()).hexdigest()
    assert told.stdout.strip() == here
