"""What the membership table and the symbol history refuse when they are loaded."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.facts import read_packaged_tables
from mag7.index.membership import MEMBERSHIP, MEMBERSHIP_COLUMNS, MembershipTable, read_membership
from mag7.index.symbols import normalize_symbol, read_symbols
from mag7.index.tables import FactTable, FactTableInvalidError

APPLE = "AAPL,Apple,0000320193,Information Technology,true,one,2001-01-02,,"
TWITTER = "TWTR,Twitter,X-twitter,Unknown,true,unknown,2018-06-07,2022-10-31,"
GOOGL = "GOOGL,Alphabet,X-alphabet,Unknown,true,several,2006-04-03,,"
GOOG = "GOOG,Alphabet,X-alphabet,Unknown,false,several,2014-04-03,,"


def load(*rows: str, columns: str = ",".join(MEMBERSHIP_COLUMNS)) -> MembershipTable:
    span = b"first_session,last_session,source\n2020-11-30,2024-12-13,test\n"
    body = "\n".join([columns, *rows]) + "\n"
    return read_membership(FactTable("members.csv", body.encode()), FactTable("span.csv", span))


class TestMembership:
    def test_both_ends_of_a_stay_are_included(self) -> None:
        table = load(APPLE, TWITTER)

        assert [stay.ticker for stay in table.on(date(2022, 10, 31))] == ["AAPL", "TWTR"]
        assert [stay.ticker for stay in table.on(date(2022, 11, 1))] == ["AAPL"]

    def test_a_line_may_leave_and_come_back(self) -> None:
        again = TWITTER.replace("2018-06-07,2022-10-31", "2023-01-03,")
        table = load(again, TWITTER)

        assert [len(table.on(date(2022, month, 1))) for month in (10, 12)] == [1, 0]
        assert len(table.on(date(2023, 1, 3))) == 1

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            pytest.param([TWITTER, TWITTER], r"members.csv line 3 .*repeats line 2", id="row twice"),
            pytest.param(
                [TWITTER, TWITTER.replace("2018-06-07,2022-10-31", "2022-10-31,")],
                r"line 3 .*: overlaps the stay in members.csv line 2",
                id="overlap by a day",
            ),
            pytest.param([APPLE, APPLE.replace("2001", "2010")], r"line 3 .*: overlaps", id="overlap of an open stay"),
            pytest.param(
                [TWITTER.replace("2018-06-07,2022-10-31", "2022-10-31,2018-06-07")],
                r"line 2 .*: member_to is before member_from",
                id="ends before it begins",
            ),
            pytest.param(
                [GOOGL, GOOG.replace("false", "true")], r"X-alphabet has 2 main lines on 2014-04-03", id="two mains"
            ),
            pytest.param([GOOG], r"X-alphabet has 0 main lines on 2014-04-03", id="no main"),
            pytest.param(
                [GOOGL.replace("2006-04-03,", "2006-04-03,2023-06-30"), GOOG],
                r"X-alphabet has 0 main lines on 2023-07-01",
                id="main leaves first",
            ),
            pytest.param(
                [TWITTER, TWITTER.replace("2018-06-07,2022-10-31", "2023-01-03,").replace("Twitter,X", "X Corp,X")],
                r"TWTR has another company",
                id="another company",
            ),
            pytest.param(
                [APPLE.replace("0000320193", "320193")], r"issuer is '320193', but must be a key", id="short issuer"
            ),
            pytest.param([TWITTER.replace("X-twitter", "twitter")], r"issuer is 'twitter'", id="issuer of no form"),
            pytest.param([APPLE.replace("true", "yes")], r"main_line is 'yes', but must be true or false", id="flag"),
            pytest.param([APPLE.replace("2001-01-02", "1/2/2001")], r"member_from is '1/2/2001'", id="date"),
            pytest.param([APPLE.replace("Apple", "")], r"company is empty", id="no company"),
            pytest.param([APPLE + ",more"], r"has 10 values, but must have 9", id="too many values"),
            pytest.param(
                [APPLE.replace(",one,", ",1,")],
                r"share_classes is '1', but must be one, several, unknown",
                id="classes",
            ),
            pytest.param(
                [GOOGL, GOOG.replace("several", "one")],
                r"line 3 .*: X-alphabet has the lines GOOG and GOOGL, so share_classes must be several",
                id="two lines of one class",
            ),
            pytest.param(
                [GOOGL.replace("several", "unknown"), GOOG],
                r"line 2 .*: X-alphabet has the lines",
                id="two lines, unknown",
            ),
            pytest.param(
                [TWITTER, TWITTER.replace("2018-06-07,2022-10-31", "2023-01-03,").replace("unknown", "one")],
                r"TWTR has another company, issuer, sector or share_classes",
                id="other classes later",
            ),
        ],
    )
    def test_a_contradictory_row_is_refused_by_name(self, rows: list[str], message: str) -> None:
        with pytest.raises(FactTableInvalidError, match=message):
            load(*rows)

    def test_unknown_columns_are_refused(self) -> None:
        with pytest.raises(FactTableInvalidError, match=r"must have the columns ticker,company.*, not ticker,weight"):
            load(columns="ticker,weight")

    @given(st.data())
    def test_two_stays_load_exactly_when_they_do_not_meet(self, data: st.DataObject) -> None:
        days = st.dates(date(2020, 1, 1), date(2020, 3, 31))
        first, second = sorted(data.draw(st.tuples(days, st.integers(0, 40))) for _ in range(2))
        stays = [(start, start + timedelta(days=length)) for start, length in (first, second)]
        rows = [TWITTER.replace("2018-06-07,2022-10-31", f"{start},{end}") for start, end in stays]

        if stays[0][1] < stays[1][0]:
            table = load(*rows)
            assert [(stay.member_from, stay.member_to) for stay in table.stays] == stays
        else:
            with pytest.raises(FactTableInvalidError):
                load(*rows)


class TestSymbolHistory:
    def load(self, *rows: str) -> None:
        body = "\n".join(["ticker,symbol,first_session,last_session,source", *rows]) + "\n"
        read_symbols(FactTable("symbols.csv", body.encode()))

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (["META,FB,,2022-06-09,x", "META,META,2022-06-09,,x"], "overlaps the period of FB, which ends 2022-06-09"),
            (["META,FB,,,x", "META,META,2022-06-09,,x"], "overlaps the period of FB, which ends never"),
            (["META,FB,2022-06-09,2022-06-08,x"], "last_session is before first_session"),
            (["META,,,2022-06-08,x"], "symbol is empty"),
        ],
    )
    def test_a_contradictory_row_is_refused_by_name(self, rows: list[str], message: str) -> None:
        with pytest.raises(FactTableInvalidError, match=rf"symbols.csv line .*{message}"):
            self.load(*rows)


class TestSymbolForms:
    @pytest.mark.parametrize("written", ["BRKB", "BRK.B", "BRK/B", "BRK-B", "BRK B", " brkb "])
    def test_share_classes_are_written_with_a_point(self, written: str) -> None:
        assert normalize_symbol(written) == "BRK.B"

    @pytest.mark.parametrize(
        ("written", "symbol"),
        [
            ("BRKA", "BRK.A"),
            ("BFA", "BF.A"),
            ("BFB", "BF.B"),
            ("BF-B", "BF.B"),
            ("LEN/B", "LEN.B"),
            ("HEI-A", "HEI.A"),
            ("MOG A", "MOG.A"),
        ],
    )
    def test_every_class_is_written_so(self, written: str, symbol: str) -> None:
        assert normalize_symbol(written) == symbol

    @pytest.mark.parametrize("symbol", ["GOOGL", "GOOG", "FOXA", "NWSA", "BF.B", "BKR", "B", "BX"])
    def test_other_symbols_stay(self, symbol: str) -> None:
        assert normalize_symbol(symbol) == symbol

    @pytest.mark.parametrize("symbol", ["BRKR", "BFH", "BRKS", "BFS", "BFAM", "BRK", "BF"])
    def test_a_company_whose_symbol_begins_like_a_class_is_no_class(self, symbol: str) -> None:
        """BRKR and BFH are listed companies, not classes of BRK and BF."""
        assert normalize_symbol(symbol) == symbol

    @given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=5))
    def test_a_separator_is_never_made_up(self, symbol: str) -> None:
        assert (normalize_symbol(symbol) == symbol) == (symbol not in {"BRKA", "BRKB", "BFA", "BFB"})

    @given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=5))
    def test_it_does_nothing_twice(self, symbol: str) -> None:
        assert normalize_symbol(normalize_symbol(symbol)) == normalize_symbol(symbol)


class TestDamage:
    def test_a_stay_up_to_the_last_date_there_is(self) -> None:
        table = load(TWITTER.replace("2022-10-31", "9999-12-31"))

        assert [stay.member_to for stay in table.stays] == [date.max]

    def test_a_span_that_ends_before_it_begins_is_refused(self) -> None:
        span = FactTable("span.csv", b"first_session,last_session,source\n2025-07-17,2020-11-30,x\n")
        with pytest.raises(FactTableInvalidError, match=r"span.csv line 2 .*last_session is before first_session"):
            read_membership(FactTable(MEMBERSHIP, read_packaged_tables()[MEMBERSHIP]), span)
