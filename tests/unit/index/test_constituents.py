"""The lines of the index on a session, from the project's own tables."""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.constituents import Line, list_lines
from mag7.index.holdings import read_holdings
from mag7.index.membership import CARRY_FORWARD_DAYS, MembershipUnknownError, ShareClasses, load_membership
from mag7.index.seven import SEVEN, seven_lines
from mag7.index.symbols import load_symbols
from mag7.sessions import is_session, list_sessions, next_session, previous_session

FIRST, GOLDEN = date(2020, 11, 30), date(2024, 12, 13)
SESSIONS = list_sessions(FIRST, load_membership().last_session)
REFERENCE = Path(os.environ.get("REFERENCE_DATA") or Path(__file__).parents[4] / "shared/data")
REAL_FILE = REFERENCE / "IVV_holdings_2024-12-06.csv"


@cache
def listed(session: date) -> tuple[Line, ...]:
    return tuple(list_lines(session))


def tickers(session: date) -> set[str]:
    return {line.ticker for line in listed(session)}


def find(ticker: str, session: date) -> Line:
    (line,) = [line for line in list_lines(session) if line.ticker == ticker]
    return line


class TestCounts:
    def test_503_lines_of_500_companies_on_the_day_of_the_holdings(self) -> None:
        lines = list_lines(date(2024, 12, 6))

        assert len(lines) == 503
        assert len({line.issuer for line in lines}) == 500
        assert {line.ticker for line in lines if not line.main_line} == {"FOX", "GOOG", "NWS"}

    def test_every_session_since_2020_11_30_has_the_indexs_size(self) -> None:
        counts = Counter((len(listed(s)), len({line.issuer for line in listed(s)})) for s in SESSIONS)

        assert set(counts) == {(505, 500), (504, 500), (504, 501), (503, 500)}
        assert sum(counts.values()) == len(SESSIONS)

    def test_501_companies_on_the_sessions_between_a_spin_offs_joining_and_the_leaving_of_the_line_that_it_replaces(
        self,
    ) -> None:
        found = [str(s) for s in SESSIONS if len({line.issuer for line in listed(s)}) == 501]

        assert found == [
            *("2024-09-30", "2025-10-30", "2025-11-03", "2026-06-01", "2026-06-29"),
            *("2026-10-01", "2026-10-02", "2026-10-05"),
        ]

    def test_the_table_reaches_from_the_first_session_past_the_golden_day(self) -> None:
        assert SESSIONS[0] == FIRST
        assert SESSIONS[-1] > GOLDEN

    @pytest.mark.parametrize("offset", [-1, 1])
    def test_outside_the_table_nothing_is_assumed(self, offset: int) -> None:
        carried = previous_session(SESSIONS[-1] + timedelta(days=CARRY_FORWARD_DAYS + 1))
        outside = previous_session(FIRST) if offset < 0 else next_session(carried)

        with pytest.raises(MembershipUnknownError, match=rf"members of {outside} are not known.*covers 2020-11-30 to"):
            list_lines(outside)

    def test_the_newest_list_is_carried_forward_as_a_provisional_one(self) -> None:
        table, last = load_membership(), SESSIONS[-1]
        carried = previous_session(last + timedelta(days=CARRY_FORWARD_DAYS + 1))

        assert tickers(next_session(last)) == tickers(carried) == tickers(last)
        assert [table.is_provisional(day) for day in (last, next_session(last), carried)] == [False, True, True]

    @pytest.mark.reference
    @pytest.mark.skipif(not REAL_FILE.exists(), reason="REFERENCE_DATA names no folder with the real holdings file")
    def test_the_lines_are_those_that_the_fund_held(self) -> None:
        holdings = read_holdings(REAL_FILE)

        assert sorted(line.symbol for line in list_lines(holdings.as_of)) == sorted(
            line.symbol for line in holdings.lines
        )

    @pytest.mark.reference
    @pytest.mark.skipif(not REAL_FILE.exists(), reason="REFERENCE_DATA names no folder with the real lists")
    @pytest.mark.parametrize("day", ["2026-08-20", "2026-10-06"])
    def test_the_lines_are_those_of_the_public_lists_with_their_ciks_and_sectors(self, day: str) -> None:
        session = date.fromisoformat(day)
        with (REFERENCE / "membership_2025-2026" / f"members_{day}.csv").open(encoding="utf-8", newline="") as lines:
            listed = {row["symbol"]: (row["cik"], row["sector"]) for row in csv.DictReader(lines)}

        assert {line.symbol: (line.cik or "", line.sector) for line in list_lines(session)} == listed


class TestCompanies:
    @given(st.sampled_from(SESSIONS))
    def test_each_company_has_one_main_line_and_each_line_its_own_symbol(self, session: date) -> None:
        lines = list_lines(session)

        assert set(Counter(line.issuer for line in lines if line.main_line).values()) == {1}
        assert {line.issuer for line in lines} == {line.issuer for line in lines if line.main_line}
        assert len({line.symbol for line in lines}) == len({line.ticker for line in lines}) == len(lines)
        assert [line.ticker for line in lines] == sorted(line.ticker for line in lines)

    @pytest.mark.parametrize(
        ("session", "pairs"),
        [
            ("2020-11-30", {"GOOGL GOOG", "FOXA FOX", "NWSA NWS", "WBD DISCK", "UAA UA"}),
            ("2022-04-08", {"GOOGL GOOG", "FOXA FOX", "NWSA NWS", "WBD DISCK", "UAA UA"}),
            ("2022-04-11", {"GOOGL GOOG", "FOXA FOX", "NWSA NWS", "UAA UA"}),
            ("2022-06-21", {"GOOGL GOOG", "FOXA FOX", "NWSA NWS"}),
        ],
    )
    def test_companies_with_two_lines(self, session: str, pairs: set[str]) -> None:
        lines = list_lines(date.fromisoformat(session))
        mains = {line.issuer: line.ticker for line in lines if line.main_line}

        assert {f"{mains[line.issuer]} {line.ticker}" for line in lines if not line.main_line} == pairs

    @pytest.mark.parametrize(
        ("ticker", "last", "before", "after"),
        [
            ("XOM", "2026-07-01", "0000034088", "0002115436"),
            ("BLK", "2024-09-30", "0001364742", "0002012383"),
            ("BG", "2023-10-31", "0001144519", "0001996862"),
            ("APA", "2021-03-01", "0000006769", "0001841666"),
        ],
    )
    def test_a_new_holding_company_changes_the_cik_and_not_the_issuer(
        self, ticker: str, last: str, before: str, after: str
    ) -> None:
        day = date.fromisoformat(last)
        earlier, later = find(ticker, day), find(ticker, next_session(day))

        assert (earlier.cik, later.cik) == (before, after)
        assert earlier.issuer == later.issuer
        assert earlier.ciks == later.ciks == {before, after}

    def test_every_company_has_a_cik_but_those_that_no_source_settles(self) -> None:
        without = {line.ticker for session in SESSIONS[::60] for line in listed(session) if line.cik is None}

        assert without == {"XRX"}
        assert find("XRX", FIRST).ciks == {"0000108772", "0001770450"}
        assert find("VYLR", date(2026, 10, 6)).ciks == frozenset()


class TestShareClasses:
    def test_the_seven_are_known(self) -> None:
        classes = {line.ticker: line.share_classes for line in seven_lines(GOLDEN)}

        several = {"GOOGL", "META"}
        assert {ticker for ticker, known in classes.items() if known == ShareClasses.SEVERAL} == several
        assert {ticker for ticker, known in classes.items() if known == ShareClasses.ONE} == set(SEVEN) - several

    @pytest.mark.parametrize(
        "ticker", ["V", "MA", "CMCSA", "NKE", "UPS", "DELL", "EL", "TSN", "HSY", "LEN", "STZ", "TAP"]
    )
    def test_companies_with_an_unlisted_class_have_several(self, ticker: str) -> None:
        assert find(ticker, GOLDEN).share_classes == ShareClasses.SEVERAL

    def test_what_no_source_at_hand_says_is_unknown(self) -> None:
        assert find("TWTR", FIRST).share_classes == ShareClasses.UNKNOWN
        assert find("IBM", GOLDEN).share_classes == ShareClasses.UNKNOWN, (
            "the fund's name is cut before a class could stand"
        )

    @given(st.sampled_from(SESSIONS))
    def test_a_company_with_two_lines_has_several(self, session: date) -> None:
        lines = list_lines(session)
        times = Counter(line.issuer for line in lines)

        assert {line.share_classes for line in lines if times[line.issuer] > 1} == {ShareClasses.SEVERAL}


class TestChanges:
    def test_tesla_joined_on_2020_12_21(self) -> None:
        assert "TSLA" not in tickers(date(2020, 12, 18))
        assert "TSLA" in tickers(date(2020, 12, 21))

    def test_the_seven_are_there_before_they_join(self) -> None:
        assert [line.ticker for line in seven_lines(FIRST)] == list(SEVEN)
        assert all(line.main_line for line in seven_lines(FIRST))

    @pytest.mark.parametrize(
        ("session", "joined", "left"),
        [
            ("2020-12-21", {"TSLA"}, {"AIV"}),
            ("2022-12-19", {"FSLR"}, {"FBIN"}),
            ("2023-10-18", {"HUBB", "LULU"}, {"ATVI", "OGN"}),
            ("2023-12-18", {"BLDR", "JBL", "UBER"}, {"ALK", "SEDG", "SEE"}),
            ("2024-09-30", {"AMTM"}, set()),
            ("2024-10-01", set(), {"BBWI"}),
        ],
    )
    def test_changes_on_their_sessions(self, session: str, joined: set[str], left: set[str]) -> None:
        day = date.fromisoformat(session)
        before = tickers(previous_session(day))

        assert (tickers(day) - before, before - tickers(day)) == (joined, left)

    def test_every_change_is_that_of_the_rows_dated_so(self) -> None:
        stays = load_membership().stays
        begin, end = defaultdict(set), defaultdict(set)
        for stay in stays:
            begin[stay.member_from].add(stay.ticker)
            end[stay.member_to].add(stay.ticker)

        changes = 0
        for before, after in pairwise(SESSIONS):
            joined, left = tickers(after) - tickers(before), tickers(before) - tickers(after)
            assert (joined, left) == (begin[after], end[before])
            changes += len(joined) + len(left)
        assert changes > 100

    def test_every_stay_begins_and_ends_on_a_session(self) -> None:
        for stay in load_membership().stays:
            assert stay.member_from < FIRST or is_session(stay.member_from), stay
            assert stay.member_to is None or is_session(stay.member_to), stay


class TestSymbols:
    @pytest.mark.parametrize(
        ("ticker", "last", "old", "new"),
        [
            ("META", "2022-06-08", "FB", "META"),
            ("WBD", "2022-04-08", "DISCA", "WBD"),
            ("WTW", "2022-01-07", "WLTW", "WTW"),
            ("FBIN", "2022-12-14", "FBHS", "FBIN"),
            ("ELV", "2022-06-27", "ANTM", "ELV"),
            ("CPAY", "2024-03-22", "FLT", "CPAY"),
        ],
    )
    def test_a_rename_takes_place_between_two_sessions(self, ticker: str, last: str, old: str, new: str) -> None:
        session = date.fromisoformat(last)

        assert find(ticker, session).symbol == old
        assert find(ticker, next_session(session)).symbol == new
        assert find(ticker, session).issuer == find(ticker, next_session(session)).issuer

    @pytest.mark.parametrize(
        "pair",
        [
            *("ELV/ANTM", "COR/ABC", "DOC/PEAK", "DAY/CDAY", "CPAY/FLT", "EG/RE", "RVTY/PKI", "GEN/NLOK"),
            *("BALL/BLL", "WTW/WLTW", "PARA/VIAC", "WBD/DISCA", "CTRA/COG", "META/FB", "BBWI/LB", "FBIN/FBHS"),
            *("MRSH/MMC", "BNY/BK", "ECHO/SATS", "VMRK/EQR", "SKYD/PSKY"),
        ],
    )
    def test_a_renamed_member_has_its_old_symbol_before_and_its_new_one_after(self, pair: str) -> None:
        new, old = pair.split("/")
        before, after = load_symbols()[new]

        assert (before.symbol, after.symbol) == (old, new)
        assert FIRST <= (before.last or FIRST) < (after.first or FIRST) <= SESSIONS[-1]
        assert find(new, before.last or FIRST).symbol == old
        assert find(new, after.first or FIRST).symbol == new

    def test_a_symbol_may_come_back(self) -> None:
        days = ("2023-06-06", "2023-06-07", "2025-11-10", "2025-11-11")

        assert [find("FISV", date.fromisoformat(day)).symbol for day in days] == ["FISV", "FI", "FI", "FISV"]

    def test_a_member_may_leave_and_return(self) -> None:
        days = ("2024-06-21", "2024-06-24", "2026-09-18", "2026-09-21")

        assert ["ILMN" in tickers(date.fromisoformat(day)) for day in days] == [True, False, False, True]

    def test_every_line_with_a_symbol_history_is_a_member(self) -> None:
        assert set(load_symbols()) <= {stay.ticker for stay in load_membership().stays}

    def test_symbol_periods_follow_each_other_without_a_gap(self) -> None:
        for ticker, periods in load_symbols().items():
            assert periods[0].first is None, ticker
            assert periods[-1].last is None, ticker
            assert periods[-1].symbol == ticker
            for earlier, later in pairwise(periods):
                assert earlier.last is not None
                assert later.first == next_session(earlier.last)

    def test_a_line_that_was_never_renamed_is_its_ticker(self) -> None:
        assert find("BRK.B", GOLDEN).symbol == "BRK.B"
