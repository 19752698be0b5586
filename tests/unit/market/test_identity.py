"""Whose ticker details are: a company that continues under a new CIK, and a symbol that passes to another company."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.constituents import Line, list_lines
from mag7.index.names import normalize_name
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.identity import ISSUER_UNCONFIRMED
from mag7.market.input_reader import open_inputs
from mag7.market.inputs import LineInputs
from mag7.sessions import previous_session
from tests.unit.market.book import Book

DAY = date(2024, 12, 13)
NOBODYS = "0000000007"


def find(ticker: str, session: date = DAY) -> Line:
    return next(line for line in list_lines(session) if line.ticker == ticker)


def keep(book: Book, symbol: str, day: date, count: int, close: float, **fields: object) -> None:
    """Keep a session's bar, and details whose count and market cap agree."""
    book.keep_bars(day, **{symbol: close})
    cap = float(Decimal(str(close)) * count)
    book.keep_details(symbol, day, weighted_shares_outstanding=count, market_cap=cap, **fields)


def read(book: Book, line: Line, day: date = DAY) -> LineInputs:
    return open_inputs(book).read_line(day, line)


def reason(inputs: LineInputs) -> str:
    priced = price_line(inputs)
    assert isinstance(priced, FailedLine)
    return priced.reason


def flags(inputs: LineInputs) -> tuple[str, ...]:
    priced = price_line(inputs)
    assert isinstance(priced, PricedLine), priced
    return priced.accepted.flags


class TestOneCompanyUnderTwoCiks:
    @pytest.mark.parametrize(
        ("ticker", "session", "cik"),
        [
            ("XOM", "2022-06-08", "0000034088"),
            ("XOM", "2026-07-01", "0000034088"),
            ("XOM", "2026-07-02", "0002115436"),
            ("BLK", "2024-09-30", "0001364742"),
            ("BLK", "2024-10-01", "0002012383"),
            ("BG", "2023-10-31", "0001144519"),
            ("APA", "2020-11-30", "0000006769"),
        ],
    )
    def test_the_cik_of_its_own_day_is_the_companys(self, ticker: str, session: str, cik: str) -> None:
        book, day = Book(), date.fromisoformat(session)
        for each in (previous_session(day), day):
            keep(book, ticker, each, 4_000_000_000, 100, cik=cik)

        assert ISSUER_UNCONFIRMED not in flags(read(book, find(ticker, day), day))

    def test_a_new_cik_is_used_and_flagged_where_the_name_says_that_it_is_the_same_company(self) -> None:
        book = Book()
        keep(book, "CAT", DAY, 482_000_000, 380, cik=NOBODYS, name="Caterpillar, Inc.")
        inputs = read(book, find("CAT"))

        assert ISSUER_UNCONFIRMED in flags(inputs)

    def test_a_new_cik_is_used_where_the_figi_of_an_earlier_session_says_that_it_is_the_same_line(self) -> None:
        book = Book()
        keep(book, "CAT", previous_session(DAY, 5), 482_000_000, 380, cik="0000018230", share_class_figi="BBG001S5PJH7")
        keep(book, "CAT", DAY, 650_000_000, 380, cik=NOBODYS, name="Another", share_class_figi="BBG001S5PJH7")

        assert read(book, find("CAT")).details is not None

    @pytest.mark.parametrize("sessions_back", [1, 5, 21, 63])
    def test_a_new_cik_is_used_where_count_and_close_go_on_from_a_confirmed_session(self, sessions_back: int) -> None:
        book = Book()
        keep(book, "CAT", previous_session(DAY, sessions_back), 480_000_000, 390, cik="0000018230")
        keep(book, "CAT", DAY, 482_000_000, 380, cik=NOBODYS, name="CTP Holding Corp")

        assert read(book, find("CAT")).issuer_unconfirmed


class TestOneSymbolOfTwoCompanies:
    def test_paramounts_symbol_in_the_hands_of_a_new_owner(self) -> None:
        """Taken for Paramount, the new owner counted 0.27 bn for 7.58 bn, without a flag."""
        book = Book()
        keep(book, "PARA", previous_session(DAY), 667_000_000, 11.36, cik="0000813828", name="Paramount Global")
        keep(book, "PARA", DAY, 24_000_000, 11.36, cik="0001999999", name="Para Industries Corp")

        inputs = read(book, find("PARA"))

        assert "may be another issuer (CIK 0001999999 is not one of Paramount Global's" in str(inputs.details_failure)
        assert {"look_back", "count_of_2024-12-12"} <= set(flags(inputs))
        priced = price_line(inputs)
        assert isinstance(priced, PricedLine)
        assert priced.market_cap == Decimal("11.36") * 667_000_000

    def test_a_cik_of_another_member_is_never_taken_whatever_else_agrees(self) -> None:
        book = Book()
        keep(book, "CAT", previous_session(DAY), 482_000_000, 380, cik="0000018230")
        keep(book, "CAT", DAY, 482_000_000, 380, cik="0000320193", name="Caterpillar Inc.")

        assert "CIK 0000320193 is that of another company" in str(read(book, find("CAT")).details_failure)

    def test_a_figi_of_another_line_is_never_taken_whatever_else_agrees(self) -> None:
        book = Book()
        keep(book, "CAT", DAY, 482_000_000, 380, name="Caterpillar Inc.", share_class_figi="BBG001S5N8V8")

        assert "share-class FIGI BBG001S5N8V8 is that of AAPL" in reason(read(book, find("CAT")))

    def test_without_any_other_sign_an_unknown_cik_fails_the_line_and_says_what_to_add(self) -> None:
        book = Book()
        keep(book, "CAT", DAY, 482_000_000, 380, cik=NOBODYS)

        assert "if it is the same company, add the CIK to include/data/issuer_ciks.csv" in reason(
            read(book, find("CAT"))
        )

    @given(
        count=st.integers(10_000, 10**11),
        close=st.decimals("0.5", "5000", places=2),
        figi=st.sampled_from([None, "BBG00B3T3HF1"]),
    )
    def test_a_stranger_is_only_taken_where_count_and_close_are_as_before(
        self, count: int, close: Decimal, figi: str | None
    ) -> None:
        book = Book()
        keep(book, "CAT", previous_session(DAY), 482_000_000, 380, cik="0000018230", name="Caterpillar Inc.")
        keep(book, "CAT", DAY, count, float(close), cik=NOBODYS, name="Cat Litter Inc", share_class_figi=figi)

        taken = read(book, find("CAT")).details is not None
        assert taken == (abs(count - 482_000_000) <= 48_200_000 and 380 / 1.4 < close < 380 * 1.4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ExxonMobil", "Exxon Mobil Corporation"),
        ("Alphabet Inc.", "Alphabet Inc. Class A Common Stock"),
        ("Macy's", "MACYS INC"),
        ("Johnson & Johnson", "Johnson and Johnson"),
        ("The Cigna Group", "Cigna Group Holdings"),
    ],
)
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    assert normalize_name(one) == normalize_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Paramount Global", "Paramount Skydance Corporation"), ("Block, Inc.", "H&R Block"), ("News Corp", "Fox Corp")],
)
def test_other_names_are_not(one: str, other: str) -> None:
    assert normalize_name(one) != normalize_name(other)
