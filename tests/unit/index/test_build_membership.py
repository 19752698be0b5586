"""The command that makes the membership table, on small sources and, where they are, on the real ones."""

from __future__ import annotations

import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from mag7.index import build_membership
from mag7.index.build_membership import (
    Constituent,
    Interval,
    LineDescriber,
    LineFacts,
    SourceInvalidError,
    check_dates,
    check_holdings,
    correct_intervals,
    find_span,
    issuer_key,
    join_renames,
    read_constituents,
    read_intervals,
    read_line_facts,
    read_share_classes,
)
from mag7.index.holdings import Holdings, HoldingsLine
from mag7.index.membership import MEMBERSHIP, SPAN, ShareClasses
from mag7.index.tables import FactTableInvalidError, Row

REFERENCE = Path(os.environ.get("REFERENCE_DATA") or Path(__file__).parents[4] / "shared/data")
HOLDINGS = REFERENCE / "IVV_holdings_2024-12-06.csv"
NOTHING_HELD = Holdings(date(2024, 12, 6), ())
META = Constituent("META", "Meta Platforms", "Communication Services", date(2013, 12, 23), "0001326801")


def interval(ticker: str, start: str, until: str | None = None, *notes: str) -> Interval:
    return Interval(ticker, date.fromisoformat(start), date.fromisoformat(until) if until else None, notes)


def correction(ticker: str, edge: str, stated: str, chosen: str) -> Row:
    values = {"ticker": ticker, "edge": edge, "stated": stated, "chosen": chosen, "why": "two sources say so"}
    return Row("membership_corrections.csv line 2", values)


class TestSources:
    def test_intervals_that_ended_before_the_first_session_are_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "intervals.csv"
        path.write_text(
            "ticker,start_date,end_date\nHRB,2000-01-03,2020-09-21\nAIV,2003-03-14,2020-12-21\nMMM,1996-01-02,\n"
        )

        assert read_intervals(path) == (interval("AIV", "2003-03-14", "2020-12-21"), interval("MMM", "1996-01-02"))

    @pytest.mark.parametrize("end", ["2021-02-28", "2021-03-01"])
    def test_an_interval_without_a_day_is_refused(self, tmp_path: Path, end: str) -> None:
        path = tmp_path / "intervals.csv"
        path.write_text(f"ticker,start_date,end_date\nTWTR,2021-03-01,{end}\n")

        with pytest.raises(
            FactTableInvalidError,
            match=rf"intervals.csv line 2 .*: ends on {end}, but must end after it starts on 2021-03",
        ):
            read_intervals(path)

    def test_constituents_get_ten_digit_ciks_and_names_without_share_class(self, tmp_path: Path) -> None:
        path = tmp_path / "constituents.csv"
        path.write_text(
            "Symbol,Security,GICS Sector,Date added,CIK\nFOXA,Fox Corporation (Class A),Media,2019-03-19,1754301\n"
        )

        assert read_constituents(path)["FOXA"] == Constituent(
            "FOXA", "Fox Corporation", "Media", date(2019, 3, 19), "0001754301"
        )

    def test_constituents_of_another_form_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "constituents.csv"
        path.write_text("Symbol,Security\n")

        with pytest.raises(
            SourceInvalidError, match=r"constituents.csv lacks the columns CIK, Date added, GICS Sector"
        ):
            read_constituents(path)


class TestDates:
    def test_a_recorded_choice_moves_an_edge_and_leaves_its_reason(self) -> None:
        stays = correct_intervals(
            [interval("UBER", "2023-10-18")], [correction("UBER", "from", "2023-10-18", "2023-12-18")]
        )

        assert stays == (interval("UBER", "2023-12-18", None, "two sources say so"),)

    @pytest.mark.parametrize(
        ("edge", "stated"), [("from", "2023-10-19"), ("until", "2023-10-18"), ("since", "2023-10-18")]
    )
    def test_a_choice_that_meets_no_stay_is_refused(self, edge: str, stated: str) -> None:
        with pytest.raises(FactTableInvalidError, match=r"corrections.csv line 2 .*corrects no stay"):
            correct_intervals([interval("UBER", "2023-10-18")], [correction("UBER", edge, stated, "2023-12-18")])

    def test_stays_under_two_symbols_of_one_line_are_joined(self) -> None:
        stays = [interval("META", "2022-06-09"), interval("FB", "2013-12-23", "2022-06-09")]

        assert join_renames(stays, {"FB": "META"}) == (interval("META", "2013-12-23"),)

    def test_a_line_that_came_back_keeps_two_stays(self) -> None:
        stays = [interval("X", "2012-01-03", "2021-01-04"), interval("X", "2023-01-03")]

        assert join_renames(stays, {}) == tuple(stays)

    def test_the_span_ends_before_the_first_joining_that_the_intervals_lack(self) -> None:
        later = [Constituent("TTD", "Trade Desk", "IT", date(2025, 7, 18), "1"), META]

        assert find_span([interval("DDOG", "2025-07-09")], later) == (date(2020, 11, 30), date(2025, 7, 17))
        assert find_span([interval("DDOG", "2025-07-09")], [META]) == (date(2020, 11, 30), date(2025, 7, 9))

    def test_sources_that_date_a_joining_differently_need_a_recorded_choice(self) -> None:
        stays = [interval("UBER", "2023-10-18")]
        listed = {"UBER": Constituent("UBER", "Uber", "Industrials", date(2023, 12, 18), "1")}

        with pytest.raises(SourceInvalidError, match="UBER joined on 2023-10-18 by the intervals, on 2023-12-18"):
            check_dates(stays, stays, listed, ())
        check_dates(stays, stays, listed, ["UBER"])

    def test_constituents_may_date_a_renamed_line_from_its_joining_or_from_its_rename(self) -> None:
        symbols = [interval("META", "2022-06-09"), interval("FB", "2013-12-23", "2022-06-09")]
        line = join_renames(symbols, {"FB": "META"})

        check_dates(line, symbols, {"META": META}, ())
        check_dates(line, symbols, {"META": Constituent("META", "Meta", "", date(2022, 6, 9), "1")}, ())


class TestDescriptions:
    def describe(self, stay: Interval, **facts: LineFacts) -> tuple[str, str, str | None, bool]:
        member = LineDescriber({"META": META}, facts, NOTHING_HELD).describe(stay)
        return member.company, member.issuer, member.cik, member.main_line

    def test_a_listed_line_has_its_cik(self) -> None:
        assert self.describe(interval("META", "2013-12-23")) == ("Meta Platforms", "0001326801", "0001326801", True)

    def test_a_line_without_a_source_has_a_key_of_ours(self) -> None:
        facts = {"WBA": LineFacts("Walgreens Boots Alliance", "", "", "gone")}

        expected = ("Walgreens Boots Alliance", "X-walgreens-boots-alliance", None, True)
        assert self.describe(interval("WBA", "1996-01-02"), **facts) == expected

    def test_a_second_line_shares_the_company_of_the_first(self) -> None:
        facts = {"METB": LineFacts("", "", "META", "class B"), "FB2": LineFacts("", "META", "", "later symbol")}

        assert self.describe(interval("METB", "2013-12-23"), **facts) == (
            "Meta Platforms",
            "0001326801",
            "0001326801",
            False,
        )
        assert self.describe(interval("FB2", "2013-12-23"), **facts) == (
            "Meta Platforms",
            "0001326801",
            "0001326801",
            True,
        )

    def test_a_company_that_no_source_names_is_refused(self) -> None:
        with pytest.raises(SourceInvalidError, match=r"no source names the company of WBA; add it to line_facts.csv"):
            self.describe(interval("WBA", "1996-01-02"))

    def test_the_first_day_out_becomes_the_last_session_in(self) -> None:
        member = LineDescriber({"META": META}, {}, NOTHING_HELD).describe(interval("META", "2013-12-23", "2024-09-23"))

        assert member.member_to == date(2024, 9, 20)

    @pytest.mark.parametrize(
        ("company", "key"),
        [
            ("People's United Financial", "X-peoples-united-financial"),
            ("Bath & Body Works", "X-bath-body-works"),
            ("3M", "X-3m"),
        ],
    )
    def test_issuer_keys(self, company: str, key: str) -> None:
        assert issuer_key(company) == key

    @pytest.mark.parametrize(
        ("name", "classes"),
        [
            ("MICROSOFT CORP", "one"),
            ("NIKE INC CLASS B", "several"),
            ("Visa Inc Cl A", "several"),
            ("WARNER BROS. DISCOVERY INC SERIES", "several"),
            ("UNIVERSAL HEALTH SERVICES INC CLAS", "several"),
            ("MCCORMICK & CO NON-VOTING INC", "several"),
            ("CLOROX", "one"),
            ("PNC FINANCIAL SERVICES GROUP INC", "one"),
            ("MID AMERICA APARTMENT COMMUNITIES", "unknown"),
            ("COGNIZANT TECHNOLOGY SOLUTIONS COR", "unknown"),
            (None, "unknown"),
        ],
    )
    def test_share_classes_are_read_from_the_funds_name_unless_it_may_be_cut(
        self, name: str | None, classes: str
    ) -> None:
        assert read_share_classes(name) == classes

    def test_both_lines_of_a_company_have_several_classes_whatever_the_fund_calls_them(self) -> None:
        facts = {"METB": LineFacts("", "", "META", "class B")}
        describer = LineDescriber({"META": META}, facts, NOTHING_HELD)
        stays = [interval(ticker, "2013-12-23") for ticker in ("META", "METB")]

        assert {describer.describe(stay).share_classes for stay in stays} == {"several"}

    def test_recorded_share_classes_go_before_the_funds_name(self) -> None:
        line = HoldingsLine("META", "META INC", "", "", Decimal(1), Decimal(1), Decimal(1), Decimal(100))
        held = Holdings(date(2024, 12, 6), (line,))
        facts = {"META": LineFacts("", "", "", "class B is not listed", ShareClasses.SEVERAL)}
        stay = interval("META", "2013-12-23")
        plain, recorded = (LineDescriber({"META": META}, known, held).describe(stay) for known in ({}, facts))

        assert (plain.share_classes, plain.note) == ("one", "")
        assert (recorded.share_classes, recorded.note) == ("several", "class B is not listed")

    def test_recorded_share_classes_of_another_word_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "line_facts.csv"
        path.write_text("ticker,company,listed_as,second_line_of,share_classes,why\nHSY,,,,two,class B\n")

        with pytest.raises(FactTableInvalidError, match=r"line 2 .*share_classes is 'two', but must be one"):
            read_line_facts(path)

    def test_a_table_that_is_not_what_the_fund_held_is_refused(self) -> None:
        member = LineDescriber({"META": META}, {}, NOTHING_HELD).describe(interval("META", "2013-12-23"))

        with pytest.raises(SourceInvalidError, match=r"the table has \['META'\] that the fund did not hold"):
            check_holdings([member], NOTHING_HELD)


@pytest.mark.reference
@pytest.mark.skipif(not HOLDINGS.exists(), reason="REFERENCE_DATA names no folder with the real sources")
class TestCommand:
    def run(self, output: Path, holdings: Path = HOLDINGS) -> int:
        constituents, intervals = REFERENCE / "constituents_2026-08.csv", REFERENCE / "sp500_ticker_start_end.csv"
        arguments = [
            "--holdings",
            holdings,
            "--constituents",
            constituents,
            "--intervals",
            intervals,
            "--output",
            output,
        ]
        return build_membership.main([str(argument) for argument in arguments])

    def test_it_makes_the_table_that_is_in_the_project(self, tmp_path: Path) -> None:
        assert self.run(tmp_path) == 0

        assert (tmp_path / MEMBERSHIP.name).read_text() == MEMBERSHIP.read_text()
        assert (tmp_path / SPAN.name).read_text() == SPAN.read_text()

    def test_it_writes_nothing_from_a_file_that_it_refuses(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = tmp_path / "page.html"
        page.write_text("<html>")

        assert self.run(tmp_path, holdings=page) == 1
        assert "refused: page.html cannot be used" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == [page]


class TestDamagedSources:
    HEADER = "Symbol,Security,GICS Sector,Date added,CIK"

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("AAPL,Apple,Technology,1982-11-30,a CIK", "line 2: the CIK 'a CIK' has not up to 10 digits"),
            ("AAPL,Apple,Technology,1982-11-30,-5", "the CIK '-5'"),
            ("AAPL,Apple,Technology,soon,320193", "line 2: Invalid isoformat string: 'soon'"),
            ("AAPL,Apple,Technology", "a value is missing"),
            ("AAPL,Apple,Technology,1982-11-30,320193,more", "more values than columns"),
            (",Apple,Technology,1982-11-30,320193", "a value is missing"),
            ("AAPL,A,T,1982-11-30,320193\nAAPL,B,T,1982-11-30,5", "line 3: AAPL stands there twice"),
        ],
    )
    def test_a_constituent_that_cannot_be_used_is_refused_by_line(self, tmp_path: Path, row: str, said: str) -> None:
        path = tmp_path / "constituents.csv"
        path.write_text(f"{self.HEADER}\n{row}\n")
        with pytest.raises(SourceInvalidError, match=said):
            read_constituents(path)

    def test_a_list_of_constituents_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "constituents.csv"
        path.write_bytes(self.HEADER.encode("utf-16"))
        with pytest.raises(SourceInvalidError, match="is no comma-separated text in UTF-8"):
            read_constituents(path)

    def test_a_second_row_of_facts_about_a_line_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "line_facts.csv"
        path.write_text("ticker,company,listed_as,second_line_of,share_classes,why\nUA,A,,,,x\nUA,B,,,,y\n")
        with pytest.raises(FactTableInvalidError, match=r"line 3 .*a second row of this ticker"):
            read_line_facts(path)
