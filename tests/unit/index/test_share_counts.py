"""Reference counts of the seven: what the table refuses, and which count is used for a session, on which basis."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.membership import load_membership
from mag7.index.seven import SEVEN, seven_lines
from mag7.index.share_counts import (
    REFERENCE_DAYS,
    REFERENCE_LIMIT_DAYS,
    ReferenceCount,
    find_reference,
    load_references,
    read_references,
)
from mag7.index.splits import SplitTable, load_splits
from mag7.index.tables import FactTable, FactTableInvalidError
from mag7.sessions import list_sessions

SESSIONS = list_sessions(date(2020, 11, 30), load_membership().last_session)
ISSUERS = {line.ticker: line.issuer for line in seven_lines(SESSIONS[0])}


def load(*rows: str) -> dict[str, tuple[ReferenceCount, ...]]:
    body = "\n".join(["ticker,as_of,shares,accession,source", *rows]) + "\n"
    return dict(read_references(FactTable("counts.csv", body.encode()), load_membership()))


def find(ticker: str, day: str, splits: SplitTable | None = None) -> tuple[str, int]:
    found = find_reference(ISSUERS[ticker], date.fromisoformat(day), splits or load_splits())
    assert found is not None
    reference, shares = found
    assert shares.denominator == 1
    return str(reference.as_of), int(shares)


class TestTable:
    def test_classes_share_their_companys_count(self) -> None:
        found = load("GOOG,2024-12-13,12241000000,0001652044-24-000118,x")

        assert found == {
            ISSUERS["GOOGL"]: (
                ReferenceCount(ISSUERS["GOOGL"], date(2024, 12, 13), 12241000000, "x", "0001652044-24-000118"),
            )
        }

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (["AAPL,2024-10-18,0,,x"], "line 2 .*shares is '0', but must be a number above zero"),
            (["AAPL,2024-10-18,-5,,x"], "line 2 .*shares is '-5', but must be a number above zero"),
            (["AAPL,2024-10-18,15.1e9.,,x"], "line 2 .*shares is '15.1e9.', but must be a number"),
            (["AAPL,2024-10-18,1.5,,x"], "line 2 .*shares is '1.5', but must be a whole number"),
            (["AAPL,18.10.2024,5,,x"], "line 2 .*as_of is '18.10.2024', but must be a date such as 2024-12-13"),
            (["SHOP,2024-10-18,5,,x"], "line 2 .*no line of the index has this ticker"),
            (["FB,2021-10-18,5,,x"], "line 2 .*no line of the index has this ticker"),
            (["AAPL,2024-10-18,5,,"], "line 2 .*source is empty"),
            (["AAPL,2024-10-18,5,,x", "AAPL,2024-10-18,5,,x"], "line 3 .*repeats line 2"),
            (["AAPL,2024-10-18,5,,x", "AAPL,2024-10-18,6,,y"], "line 3 .*a second reference count of this company"),
            (["GOOGL,2024-10-18,5,,x", "GOOG,2024-10-18,6,,x"], "line 3 .*a second reference count of this company"),
        ],
    )
    def test_a_row_that_cannot_be_used_is_refused_by_name(self, rows: list[str], message: str) -> None:
        with pytest.raises(FactTableInvalidError, match=f"counts.csv {message}"):
            load(*rows)

    def test_it_is_about_the_seven_and_reaches_every_session(self) -> None:
        assert set(load_references()) == set(ISSUERS.values())
        for ticker, issuer in ISSUERS.items():
            found = [(day, find_reference(issuer, day, load_splits())) for day in SESSIONS]
            far = [day for day, near in found if not near or abs(near[0].as_of - day).days > REFERENCE_DAYS]
            assert far == [], ticker

    def test_every_count_is_a_filed_one_but_two_companies_before_their_first_filing_at_hand(self) -> None:
        unfiled = {
            (reference.issuer, reference.as_of.year)
            for references in load_references().values()
            for reference in references
            if reference.accession is None
        }

        assert unfiled == {(ISSUERS[ticker], year) for ticker in ("GOOGL", "META") for year in (2020, 2022)}

    @pytest.mark.parametrize("ticker", SEVEN)
    def test_neighbours_agree_once_splits_are_taken_out(self, ticker: str) -> None:
        """A reference count off by a factor would accept a wrong correction, or refuse a right one."""
        counts = sorted(load_references()[ISSUERS[ticker]], key=lambda reference: reference.as_of)
        for earlier, later in pairwise(counts):
            moved = earlier.shares * load_splits().factor_between(ISSUERS[ticker], earlier.as_of, later.as_of)
            assert 0.9 < later.shares / moved < 1.1, (earlier, later)


class TestNearest:
    @pytest.mark.parametrize(
        ("ticker", "session", "as_of", "shares"),
        [
            ("NVDA", "2020-11-30", "2020-11-13", 619_000_000),
            ("NVDA", "2021-07-19", "2021-08-13", 625_000_000),
            ("NVDA", "2021-07-20", "2021-08-13", 2_500_000_000),
            ("NVDA", "2024-06-07", "2024-05-24", 2_460_000_000),
            ("NVDA", "2024-06-10", "2024-05-24", 24_600_000_000),
            ("AMZN", "2022-06-06", "2022-07-20", 10_187_554_818),
            ("AAPL", "2024-12-13", "2025-01-17", 15_022_073_000),
        ],
    )
    def test_its_shares_stand_on_the_sessions_basis(self, ticker: str, session: str, as_of: str, shares: int) -> None:
        assert find(ticker, session) == (as_of, shares)

    def test_only_splits_that_are_known_move_it(self) -> None:
        assert find("NVDA", "2024-08-01", SplitTable({})) == ("2024-08-23", 24_530_000_000)

    def test_of_two_at_the_same_distance_the_earlier_serves(self) -> None:
        """2024-07-26 is 182 days from both."""
        assert find("META", "2024-07-26") == ("2024-01-26", 2_549_405_106)

    @pytest.mark.parametrize(("days", "serves"), [(REFERENCE_LIMIT_DAYS, True), (REFERENCE_LIMIT_DAYS + 1, False)])
    def test_it_serves_no_session_further_away(self, days: int, serves: bool) -> None:
        session = date.fromordinal(date(2026, 7, 23).toordinal() + days)

        assert (find_reference(ISSUERS["MSFT"], session, load_splits()) is not None) == serves

    def test_a_company_without_references_has_none(self) -> None:
        assert find_reference("X-twitter", date(2021, 1, 4), load_splits()) is None

    @given(st.sampled_from(SEVEN), st.sampled_from(SESSIONS))
    def test_no_other_reference_is_nearer(self, ticker: str, session: date) -> None:
        found = find_reference(ISSUERS[ticker], session, load_splits())

        assert found is not None
        distances = [abs(reference.as_of - session) for reference in load_references()[ISSUERS[ticker]]]
        assert abs(found[0].as_of - session) == min(distances)
