"""Splits: what the project's table refuses, and what is accepted of the provider's list, with odd entries."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.facts import read_packaged_tables
from mag7.index.membership import load_membership
from mag7.index.seven import SEVEN
from mag7.index.splits import LISTED, SAME_SPLIT_DAYS, SPLITS, SplitTable, load_splits, merge_splits, read_splits
from mag7.index.tables import FactTable, FactTableInvalidError
from mag7.polygon.response_bodies import ListedSplit, parse_splits
from mag7.sessions import is_session

REFERENCE = Path(os.environ.get("REFERENCE_DATA") or Path(__file__).parents[4] / "shared/data")
RECORDED = REFERENCE / "polygon_recorded_official/v3/reference/splits.json"
HEADER = "ticker,execution_date,split_from,split_to,source"
NOTHING = SplitTable({})
ISSUERS = {stay.ticker: stay.issuer for stay in load_membership().stays}


def load(*rows: str, header: str = HEADER) -> SplitTable:
    body = "\n".join([header, *rows]) + "\n"
    return read_splits(FactTable("splits.csv", body.encode()), load_membership())


def listed(ticker: str, day: str, split_from: int | str, split_to: int | str) -> ListedSplit:
    return ListedSplit(ticker, date.fromisoformat(day), Decimal(split_from), Decimal(split_to))


def splits_of(table: SplitTable, ticker: str) -> list[str]:
    return [str(split) for split in table.of(ISSUERS[ticker])]


class TestOwnTable:
    def test_the_sevens_splits_since_2020(self) -> None:
        found = {ticker: splits_of(load_splits(), ticker) for ticker in SEVEN}

        assert found == {
            "AAPL": ["4 for 1 on 2020-08-31"],
            "MSFT": [],
            "GOOGL": ["20 for 1 on 2022-07-18"],
            "AMZN": ["20 for 1 on 2022-06-06"],
            "NVDA": ["4 for 1 on 2021-07-20", "10 for 1 on 2024-06-10"],
            "META": [],
            "TSLA": ["5 for 1 on 2020-08-31", "3 for 1 on 2022-08-25"],
        }

    def test_every_split_is_executed_on_a_session(self) -> None:
        days = [split.execution_date for splits in load_splits().splits.values() for split in splits]

        assert len(days) == len(read_packaged_tables()[SPLITS].decode().splitlines()) - 1
        assert [day for day in days if not is_session(day)] == []

    def test_a_class_splits_as_its_company_does(self) -> None:
        (split,) = load("GOOG,2022-07-18,1,20,x").of(ISSUERS["GOOGL"])

        assert (split.ticker, split.factor) == ("GOOGL", 20)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            pytest.param(["GE,2021-08-02,8,1,x", "GE,2021-08-02,8,1,x"], "line 3 .*repeats line 2", id="row twice"),
            pytest.param(
                ["GE,2021-08-02,8,1,x", "GE,2021-08-02,8,1,y"],
                r"line 3 .*: a second split of GE beside the one in splits.csv line 2: 1 for 8 on 2021-08-02",
                id="duplicate of another source",
            ),
            pytest.param(
                ["GE,2021-08-02,8,1,x", "GE,2021-07-30,1,8,x"],
                r"line 2 .*: a second split of GE beside the one in splits.csv line 3: 8 for 1 on 2021-07-30",
                id="contradiction some days before",
            ),
            pytest.param(
                ["GOOGL,2022-07-18,1,20,x", "GOOG,2022-07-15,1,2,x"], "a second split of GOOGL", id="other class"
            ),
            pytest.param(["SHOP,2022-06-29,1,10,x"], "line 2 .*no company of the index has this ticker", id="unknown"),
            pytest.param(["FB,2022-06-29,1,10,x"], "no company of the index has this ticker", id="former symbol"),
            pytest.param([",2021-08-02,8,1,x"], "line 2 .*ticker is empty", id="no ticker"),
            pytest.param(["GE,2021-08-02,0,1,x"], "line 2 .*split_from is '0', but must be a number", id="from 0"),
            pytest.param(["GE,2021-08-02,8,-1,x"], "split_to is '-1', but must be a number above zero", id="negative"),
            pytest.param(["GE,2021-08-02,8,,x"], "split_to is '', but must be a number above zero", id="no ratio"),
            pytest.param(["GE,2021-02-30,8,1,x"], "execution_date is '2021-02-30', but must be a date", id="no day"),
            pytest.param(["GE,,8,1,x"], "execution_date is '', but must be a date", id="no date"),
            pytest.param(["GE,2021-08-02,8,1,"], "source is empty", id="no source"),
            pytest.param(["GE,2021-08-02,8,1"], "has 4 values, but must have 5", id="too few values"),
        ],
    )
    def test_a_row_that_cannot_be_used_is_refused_by_name(self, rows: list[str], message: str) -> None:
        with pytest.raises(FactTableInvalidError, match=rf"splits.csv {message}|splits.csv line .*{message}"):
            load(*rows)

    def test_unknown_columns_are_refused(self) -> None:
        with pytest.raises(FactTableInvalidError, match=r"splits.csv must have the columns ticker,execution_date"):
            load(header="ticker,date,from,to,source")

    def test_a_company_may_split_again_later(self) -> None:
        table = load("CPRT,2023-08-22,1,2,x", "CPRT,2022-11-04,1,2,x")

        assert splits_of(table, "CPRT") == ["2 for 1 on 2022-11-04", "2 for 1 on 2023-08-22"]


class TestFactors:
    @pytest.mark.parametrize(
        ("earlier", "later", "factor"),
        [
            ("2021-07-19", "2021-07-20", 4),
            ("2021-07-20", "2024-06-07", 1),
            ("2024-06-07", "2024-06-10", 10),
            ("2020-11-30", "2024-12-13", 40),
            ("2024-06-10", "2024-06-10", 1),
        ],
    )
    def test_shares_stand_on_the_new_basis_from_the_execution_date_on(
        self, earlier: str, later: str, factor: int
    ) -> None:
        days = date.fromisoformat(earlier), date.fromisoformat(later)

        assert load_splits().factor_between(ISSUERS["NVDA"], *days) == factor

    def test_a_reverse_split_leaves_less_than_one_share(self) -> None:
        table = load("GE,2021-08-02,8,1,x")

        assert table.factor_between(ISSUERS["GE"], date(2021, 7, 30), date(2021, 8, 2)) == Fraction(1, 8)

    def test_a_company_without_splits_has_the_factor_1(self) -> None:
        assert load_splits().factor_between(ISSUERS["MSFT"], date.min, date.max) == 1

    @given(
        st.lists(st.tuples(st.dates(date(2020, 1, 1), date(2024, 12, 31)), st.integers(1, 30), st.integers(1, 30))),
        st.tuples(*[st.dates(date(2020, 1, 1), date(2024, 12, 31))] * 3).map(sorted),
    )
    def test_factors_of_spans_that_meet_multiply(
        self, entries: list[tuple[date, int, int]], days: tuple[date, date, date]
    ) -> None:
        table = merge_splits(NOTHING, [ListedSplit("GE", day, Decimal(a), Decimal(b)) for day, a, b in entries])
        (first, middle, last), issuer = days, ISSUERS["GE"]

        halves = table.factor_between(issuer, first, middle) * table.factor_between(issuer, middle, last)
        assert halves == table.factor_between(issuer, first, last)


class TestProvidersList:
    def test_a_split_that_only_the_provider_lists_is_believed(self) -> None:
        table = merge_splits(load_splits(), [listed("GE", "2021-08-02", 8, 1)])

        assert splits_of(table, "GE") == ["1 for 8 on 2021-08-02"]
        assert [split.source for split in table.of(ISSUERS["GE"])] == [LISTED]
        assert splits_of(table, "NVDA") == splits_of(load_splits(), "NVDA")
        assert table.contested == {}

    @pytest.mark.parametrize("days", [0, 7, 29, SAME_SPLIT_DAYS])
    def test_two_entries_of_one_split_are_one_executed_on_the_later_day(self, days: int) -> None:
        """The recorded list has SHOP's split on 2022-06-22 and again on 2022-06-29, when it was executed."""
        first = date(2021, 6, 29) - timedelta(days=days)
        table = merge_splits(NOTHING, [listed("CSX", "2021-06-29", 1, 3), listed("CSX", str(first), 1, 3)])

        assert splits_of(table, "CSX") == ["3 for 1 on 2021-06-29"]
        assert table.contested == {}

    @pytest.mark.parametrize("first", ["2022-11-04", str(date(2023, 8, 22) - timedelta(days=SAME_SPLIT_DAYS + 1))])
    def test_entries_further_apart_are_two_splits(self, first: str) -> None:
        table = merge_splits(NOTHING, [listed("CPRT", "2023-08-22", 1, 2), listed("CPRT", first, 1, 2)])

        assert splits_of(table, "CPRT") == [f"2 for 1 on {first}", "2 for 1 on 2023-08-22"]

    def test_the_same_ratio_in_other_numbers_is_the_same_split(self) -> None:
        table = merge_splits(NOTHING, [listed("CSX", "2021-06-29", 1, 3), listed("CSX", "2021-06-29", "0.5", "1.5")])

        assert splits_of(table, "CSX") == ["3 for 1 on 2021-06-29"]
        assert table.contested == {}

    def test_both_classes_of_a_company_are_one_split(self) -> None:
        table = merge_splits(NOTHING, [listed(ticker, "2022-07-18", 1, 20) for ticker in ("GOOG", "GOOGL")])

        assert splits_of(table, "GOOGL") == ["20 for 1 on 2022-07-18"]
        assert {split.ticker for split in table.of(ISSUERS["GOOG"])} == {"GOOGL"}

    @pytest.mark.parametrize("other", ["2021-06-29", "2021-06-22"])
    def test_other_ratios_near_each_other_make_a_company_contested(self, other: str) -> None:
        table = merge_splits(NOTHING, [listed("CSX", "2021-06-29", 1, 3), listed("CSX", other, 1, 2)])

        assert splits_of(table, "CSX") == []
        reason = table.contested[ISSUERS["CSX"]]
        assert reason.startswith("the provider lists two splits of CSX that contradict each other, ")
        assert "3 for 1 on 2021-06-29" in reason
        assert f"2 for 1 on {other}" in reason
        assert reason.endswith("add the right one to splits.csv")

    def test_a_contradiction_leaves_our_own_splits_and_other_companies(self) -> None:
        entries = [listed("NVDA", "2023-03-01", 1, 2), listed("NVDA", "2023-03-01", 1, 5)]
        table = merge_splits(load_splits(), [*entries, listed("GE", "2021-08-02", 8, 1)])

        assert splits_of(table, "NVDA") == splits_of(load_splits(), "NVDA")
        assert set(table.contested) == {ISSUERS["NVDA"]}
        assert splits_of(table, "GE") == ["1 for 8 on 2021-08-02"]

    @pytest.mark.parametrize("day", ["2024-05-23", "2024-06-07", "2024-06-10", "2024-06-20"])
    def test_an_entry_near_a_split_of_ours_is_not_looked_at(self, day: str) -> None:
        table = merge_splits(load_splits(), [listed("NVDA", day, 1, 4), listed("NVDA", day, 1, 10)])

        assert table == load_splits()

    def test_adding_the_right_one_to_our_table_settles_a_contradiction(self) -> None:
        entries = [listed("CSX", "2021-06-29", 1, 3), listed("CSX", "2021-06-22", 1, 2)]
        own = load("CSX,2021-06-29,1,3,x")

        assert merge_splits(own, entries) == own

    @pytest.mark.parametrize(
        ("symbol", "day", "ticker"),
        [
            ("META", "2021-03-01", "META"),
            ("FB", "2021-03-01", "META"),
            ("BLL", "2021-03-01", "BALL"),
            ("BALL", "2021-03-01", "BALL"),
            ("DISCK", "2021-03-01", "WBD"),
        ],
    )
    def test_an_old_split_may_stand_under_todays_symbol_or_that_of_the_day(
        self, symbol: str, day: str, ticker: str
    ) -> None:
        table = merge_splits(NOTHING, [listed(symbol, day, 1, 2)])

        assert splits_of(table, ticker) == [f"2 for 1 on {day}"]

    @pytest.mark.parametrize(
        ("symbol", "why"),
        [
            ("SHOP", "never was a member"),
            ("FB", "somebody else's symbol since 2022-06-09"),
            ("googl", "symbols are case-sensitive"),
        ],
    )
    def test_a_company_that_never_was_a_member_is_left_out(self, symbol: str, why: str) -> None:
        table = merge_splits(NOTHING, [listed(symbol, "2022-06-29", 1, 10)], {symbol: "split_to is missing"})

        assert table == NOTHING, why

    def test_a_ratio_of_one_is_no_split(self) -> None:
        assert merge_splits(NOTHING, [listed("GE", "2021-08-02", 1, 1)]) == NOTHING

    def test_an_entry_that_cannot_be_used_makes_its_company_contested(self) -> None:
        table = merge_splits(load_splits(), [], {"CSX": "split_to is missing"})

        assert table.contested == {
            ISSUERS["CSX"]: "an entry of the provider's list of splits cannot be used (split_to is missing): add the"
            " company's splits to splits.csv"
        }

    def test_an_entry_that_cannot_be_used_is_nothing_to_a_company_of_our_table(self) -> None:
        assert merge_splits(load_splits(), [], {"GOOG": "split_to is missing"}) == load_splits()

    def test_a_row_of_ratio_one_withdraws_an_entry_and_may_stand_beside_the_right_one(self) -> None:
        """A spin-off that the provider lists as a split; a split that it lists under a wrong day."""
        ours = load("GE,2023-01-04,1,1,x", "CSX,2021-06-21,1,1,x", "CSX,2021-06-29,1,3,x")
        table = merge_splits(ours, [listed("GE", "2023-01-04", 1000, 1281), listed("CSX", "2021-06-21", 1, 3)])

        assert table == ours
        assert [split.factor for split in table.of(ISSUERS["GE"])] == [1]
        assert table.factor_between(ISSUERS["CSX"], date(2021, 6, 1), date(2021, 7, 1)) == 3

    def test_a_split_under_the_symbol_of_a_company_long_gone_is_anothers(self) -> None:
        """IHS Markit left in 2022; the provider's list has only symbols."""
        assert merge_splits(NOTHING, [listed("INFO", "2025-03-03", 1, 10)]) == NOTHING
        assert merge_splits(NOTHING, [listed("INFO", "2022-03-14", 1, 10)]) != NOTHING

    @given(st.data())
    def test_the_order_of_the_providers_entries_changes_nothing(self, data: st.DataObject) -> None:
        tickers = st.sampled_from(["NVDA", "GOOG", "GOOGL", "GE", "FB", "META", "SHOP"])
        ratio = st.sampled_from([(1, 2), (2, 4), (1, 3), (8, 1), (1, 1)])
        days = st.sampled_from([date(2022, 6, 1), date(2022, 6, 8), date(2022, 7, 20), date(2022, 11, 1)])
        entry = st.builds(
            lambda ticker, day, numbers: ListedSplit(ticker, day, Decimal(numbers[0]), Decimal(numbers[1])),
            tickers,
            days,
            ratio,
        )
        entries = data.draw(st.lists(entry, max_size=8))
        shuffled = data.draw(st.permutations(entries))

        first, second = merge_splits(load_splits(), entries), merge_splits(load_splits(), shuffled)
        assert first == second
        assert list(first.splits) == list(second.splits)

    @given(st.integers(1, 400), st.integers(1, 20), st.integers(1, 20))
    def test_a_list_read_again_changes_nothing(self, days: int, split_from: int, split_to: int) -> None:
        day = str(date(2021, 1, 4) + timedelta(days=days))
        once = merge_splits(load_splits(), [listed("GE", day, split_from, split_to)])

        assert merge_splits(once, [listed("GE", day, split_from, split_to)]) == once

    @pytest.mark.reference
    @pytest.mark.skipif(not RECORDED.exists(), reason="REFERENCE_DATA names no folder with recorded answers")
    def test_of_the_recorded_list_only_dexcom_is_new(self) -> None:
        page = parse_splits(RECORDED.read_text())
        assert [str(entry["ticker"]) for entry in json.loads(RECORDED.read_text())["results"]].count("SHOP") == 2

        table = merge_splits(load_splits(), page.splits, page.unusable)
        new = set(table.splits) - set(load_splits().splits)
        assert new == {ISSUERS["DXCM"]}
        assert splits_of(table, "DXCM") == ["4 for 1 on 2022-06-10"]
        assert table.contested == {}
