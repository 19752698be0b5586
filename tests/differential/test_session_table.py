"""The table of the seven's splits is what the offline market's responses come to, and lies where it must."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from mag7.market.caps import PricedLine
from sandbox.market_responses import NAMED, work_out
from tools.docs.regions import DOCS
from tools.docs.session_table import REGION, render


def find_seven(ticker: str, session: date) -> PricedLine:
    line = work_out(session).seven[ticker]
    assert isinstance(line, PricedLine), line
    return line


def test_the_page_has_the_table() -> None:
    assert REGION.read() == render(), f"refresh it with `make {REGION.command}`"


def test_the_reference_explains_every_flag_of_the_table() -> None:
    page = (DOCS / "reference" / "flags.md").read_text(encoding="utf-8")
    lines = [line for session in NAMED for line in work_out(session).seven.values() if isinstance(line, PricedLine)]
    flags = {flag for line in lines for flag in line.accepted.flags if not flag.startswith("count_of_")}

    assert flags == {
        *("count_behind_market_cap", "divided_by_split", "frozen_count", "look_back", "reference_unfiled"),
    }
    assert [flag for flag in flags if f"\n| `{flag}` |" not in page] == []


def test_the_day_before_nvidias_split_by_line_sum() -> None:
    """Published systems said 54 per cent: the count stood on the new basis a session early."""
    by_line_sum = work_out(date(2024, 6, 7)).concentration.line_sum_mag7_pct

    assert by_line_sum is not None
    assert Decimal("29.8") <= by_line_sum <= Decimal("30.3")


def test_nvidia_before_its_first_split_and_facebook_before_its_name() -> None:
    first = date(2020, 11, 30)

    assert Decimal("0.30e12") <= find_seven("NVDA", first).market_cap <= Decimal("0.36e12")
    facebook = find_seven("META", first)
    assert (facebook.line.symbol, facebook.line.ticker) == ("FB", "META")
    # The other issuer's fund that was META then traded near 12 dollars.
    assert facebook.bar.close > 200
