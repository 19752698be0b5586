"""Holdings files in the forms that they had over the years, written by the tests; and the real one if it is there."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.holdings import (
    FUND,
    Holdings,
    HoldingsError,
    HoldingsFormError,
    NoHoldingsError,
    WrongFundError,
    read_holdings,
)

REFERENCE = Path(os.environ.get("REFERENCE_DATA") or Path(__file__).parents[4] / "shared/data")
REAL_FILE = REFERENCE / "IVV_holdings_2024-12-06.csv"

PREAMBLE = f'{FUND}\nFund Holdings as of,"Dec 06, 2024"\nInception Date,"May 15, 2000"\nStock,"-"\n\u00a0\n'
HEADER = "Ticker,Name,Sector,Asset Class,Market Value,Weight (%),Notional Value,Quantity,Price,Location,Exchange"
ROWS = (
    '"AAPL","APPLE INC","Information Technology","Equity","2,000.00","50.00","2,000.00","20.00","100.00","US","NASDAQ"',
    '"XTSLA","CASH FUND","Cash and/or Derivatives","Money Market","4.00","0.10","4.00","4.00","1.00","US","-"',
    '"BRKB","BERKSHIRE","Financials","Equity","1,200.50","30.00","1,200.50","2.00","600.25","US","NYSE"',
    '"META","META PLATFORMS","Communication","Equity","800.00","19.50","800.00","2.00","400.00","US","NASDAQ"',
    '"ESZ4","S&P500 EMINI","Cash and/or Derivatives","Futures","0.00","0.00","1,331.00","1.00","6,099.00","-","Index"',
)
FOOTER = '\n"The content contained herein is owned by somebody.\nHoldings subject to change, “as of” a day."\n'


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "holdings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lay_out(preamble: str = PREAMBLE, header: str = HEADER, rows: Sequence[str] = ROWS, footer: str = FOOTER) -> str:
    return preamble + "\n".join([header, *rows]) + "\n" + footer


def read(folder: Path, text: str | bytes, as_of: date | None = None) -> Holdings:
    return read_holdings(write(folder, text), as_of=as_of, least_lines=3)


class TestForms:
    def test_only_equity_lines_are_kept_and_share_classes_written_apart(self, tmp_path: Path) -> None:
        holdings = read(tmp_path, lay_out())

        assert holdings.as_of == date(2024, 12, 6)
        assert [line.symbol for line in holdings.lines] == ["AAPL", "BRK.B", "META"]

    def test_a_line_keeps_its_figures_exactly(self, tmp_path: Path) -> None:
        line = read(tmp_path, lay_out()).lines[1]

        assert (line.name, line.sector, line.exchange) == ("BERKSHIRE", "Financials", "NYSE")
        assert (line.quantity, line.price) == (Decimal("2.00"), Decimal("600.25"))
        assert (line.market_value, line.weight) == (Decimal("1200.50"), Decimal("30.00"))

    def test_the_short_name_of_a_sector_is_written_out(self, tmp_path: Path) -> None:
        assert read(tmp_path, lay_out()).lines[2].sector == "Communication Services"

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("\ufeff" + lay_out(), id="byte order mark"),
            pytest.param(lay_out().replace("\n", "\r\n"), id="CRLF"),
            pytest.param("\ufeff" + lay_out().replace("\n", "\r\n"), id="byte order mark and CRLF"),
            pytest.param(
                lay_out().replace("APPLE INC", "APPLE\u00a0INC").replace('"100.00"', '"100.00\u00a0"'), id="NBSP"
            ),
            pytest.param(lay_out().encode("cp1252"), id="re-saved as Windows-1252"),
            pytest.param(lay_out(header=HEADER.replace("Quantity", "Shares")), id="Shares"),
            pytest.param(lay_out(header=HEADER.replace("Weight (%)", "Notional Weight")), id="Notional Weight"),
            pytest.param(lay_out(header=HEADER.replace("Weight (%)", "Market Weight")), id="Market Weight"),
            pytest.param(lay_out().replace('"AAPL"', '" AAPL "'), id="blanks round a value"),
        ],
    )
    def test_forms_that_mean_the_same_read_the_same(self, tmp_path: Path, text: str | bytes) -> None:
        assert read(tmp_path, text) == read(tmp_path, lay_out())

    def test_an_extra_column_type_shifts_nothing(self, tmp_path: Path) -> None:
        header = HEADER.replace("Name,", "Name,Type,")
        rows = [row.replace('",', '","EQUITY",', 2).replace('","EQUITY",', '",', 1) for row in ROWS]

        assert rows[0].startswith('"AAPL","APPLE INC","EQUITY","Information')
        assert read(tmp_path, lay_out(header=header, rows=rows)) == read(tmp_path, lay_out())

    def test_a_spreadsheet_pads_rows_and_unquotes(self, tmp_path: Path) -> None:
        padding = "," * 9
        preamble = f"{FUND}{padding}\nFund Holdings as of,06-Dec-24{padding}\n{padding},\n"
        rows = [row.replace('"', "") for row in (ROWS[0].replace("2,000.00", "2000"),)]
        footer = f"Holdings subject to change{padding}\n"
        text = lay_out(preamble=preamble, rows=[*rows, *ROWS[1:]], footer=footer)

        assert read(tmp_path, text) == read(tmp_path, lay_out())

    def test_a_spreadsheet_pads_the_header_too(self, tmp_path: Path) -> None:
        text = lay_out(header=f"{HEADER},", rows=[f"{row}," for row in ROWS])

        assert read(tmp_path, text) == read(tmp_path, lay_out())

    def test_cash_may_be_negative_and_without_a_price(self, tmp_path: Path) -> None:
        """As the fund's balance with its broker is at the end of some days."""
        cash = ROWS[1].replace('"4.00"', '"-2,227,331.57"').replace('"1.00"', '"-"')

        assert read(tmp_path, lay_out(rows=[*ROWS, cash])) == read(tmp_path, lay_out())

    @pytest.mark.parametrize(
        "written",
        [
            "Dec 06, 2024",
            "December 6, 2024",
            "2024-12-06",
            "06-Dec-2024",
            "6-Dec-24",
            "12/6/2024",
            "12/06/24",
            "20241206",
        ],
    )
    def test_date_forms(self, tmp_path: Path, written: str) -> None:
        assert read(tmp_path, lay_out().replace("Dec 06, 2024", written)).as_of == date(2024, 12, 6)

    def test_a_missing_preamble_needs_the_day(self, tmp_path: Path) -> None:
        text = lay_out(preamble="")

        assert read(tmp_path, text, as_of=date(2024, 12, 6)) == read(tmp_path, lay_out())
        with pytest.raises(HoldingsFormError, match="or the day given with the file, found neither"):
            read(tmp_path, text)

    def test_rights_that_do_not_trade_are_no_lines(self, tmp_path: Path) -> None:
        right = ROWS[0].replace("AAPL", "-").replace("NASDAQ", "NO MARKET (E.G. UNLISTED)")

        assert read(tmp_path, lay_out(rows=[*ROWS, right])) == read(tmp_path, lay_out())

    @given(st.integers(1, 10**12), st.integers(0, 99), st.sampled_from(["{:,}.{:02}", "{}.{:02}", "${:,}.{:02}"]))
    def test_a_price_reads_back_as_it_was_written(
        self, tmp_path_factory: pytest.TempPathFactory, dollars: int, cents: int, form: str
    ) -> None:
        text = lay_out().replace("600.25", form.format(dollars, cents))

        assert read(tmp_path_factory.mktemp("holdings"), text).lines[1].price == Decimal(f"{dollars}.{cents:02}")


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            pytest.param(
                lay_out().replace(FUND, "iShares Russell 1000 ETF"),
                WrongFundError,
                "expected the fund iShares Core S&P 500 ETF, found 'iShares Russell 1000 ETF'",
                id="another fund",
            ),
            pytest.param(
                lay_out(rows=ROWS[:3]), WrongFundError, "expected at least 3 equity lines, found 2", id="too few lines"
            ),
            pytest.param(
                lay_out(rows=[]).replace("Dec 06, 2024", "-"),
                NoHoldingsError,
                "found a file without data (holdings as of '-')",
                id="no data",
            ),
            pytest.param(lay_out(rows=[]), NoHoldingsError, "expected equity lines, found none", id="no lines"),
            pytest.param(
                "<html>moved</html>", HoldingsFormError, "the file begins with '<html>moved</html>'", id="a page"
            ),
            pytest.param("", HoldingsFormError, "expected a header line with Ticker and Name", id="empty"),
            pytest.param(
                lay_out(header=HEADER.replace("Price", "Preis")),
                HoldingsFormError,
                "expected a column Price",
                id="column",
            ),
            pytest.param(
                lay_out(header=HEADER.replace("Quantity", "Pieces")),
                HoldingsFormError,
                "expected a column Quantity or Shares, found the columns Ticker, Name",
                id="column under no known name",
            ),
            pytest.param(
                lay_out().replace("Dec 06, 2024", "6. Dezember"), HoldingsFormError, "found '6. Dezember'", id="date"
            ),
            pytest.param(
                lay_out().replace('"600.25"', '"-"'), HoldingsFormError, "a price for BRKB, found '-'", id="no price"
            ),
            pytest.param(lay_out().replace('"600.25"', '"NaN"'), HoldingsFormError, "a price for BRKB", id="NaN"),
            pytest.param(
                lay_out().replace('"BRKB"', '"-"'), HoldingsFormError, "found none for 'BERKSHIRE'", id="no ticker"
            ),
            pytest.param(lay_out(rows=[*ROWS, ROWS[0]]), HoldingsFormError, "found AAPL more than once", id="twice"),
            pytest.param(
                lay_out().replace('"50.00"', '"0.50"'),
                HoldingsFormError,
                "weights in per cent that add up",
                id="fractions",
            ),
        ],
    )
    def test_a_file_of_another_form_is_refused_by_name(
        self, tmp_path: Path, text: str, error: type[HoldingsError], message: str
    ) -> None:
        with pytest.raises(error) as refused:
            read(tmp_path, text)

        assert message in str(refused.value)
        assert str(refused.value).startswith("holdings.csv cannot be used: expected ")
        assert "download the detailed holdings of iShares Core S&P 500 ETF (IVV) as CSV again" in str(refused.value)

    def test_a_day_other_than_the_one_asked_for_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            HoldingsFormError, match="expected holdings as of 2024-12-09, found holdings as of 2024-12-06"
        ):
            read(tmp_path, lay_out(), as_of=date(2024, 12, 9))

    def test_a_fund_of_fewer_lines_than_the_index_is_refused_without_a_preamble_too(self, tmp_path: Path) -> None:
        with pytest.raises(WrongFundError, match="at least 490 equity lines, found 3"):
            read_holdings(write(tmp_path, lay_out(preamble="")), as_of=date(2024, 12, 6))


@pytest.mark.reference
@pytest.mark.skipif(not REAL_FILE.exists(), reason="REFERENCE_DATA names no folder with the real holdings file")
class TestRealFile:
    def test_counts_and_sums(self) -> None:
        holdings = read_holdings(REAL_FILE)

        assert holdings.as_of == date(2024, 12, 6)
        assert len({line.symbol for line in holdings.lines}) == len(holdings.lines) == 503
        assert sum(line.market_value for line in holdings.lines) == Decimal("581881476992.00")
        assert sum(line.weight for line in holdings.lines) == Decimal("99.75")

    def test_value_is_quantity_times_price(self) -> None:
        lines = read_holdings(REAL_FILE).lines

        # Prices are rounded to the cent, values are not.
        half_cent = Decimal("0.0051")
        assert [
            line for line in lines if abs(line.quantity * line.price - line.market_value) > line.quantity * half_cent
        ] == []

    def test_cut_off_inside_a_line_it_is_refused(self, tmp_path: Path) -> None:
        whole = REAL_FILE.read_bytes()
        cut = write(tmp_path, whole[: whole.index(b"FRANKLIN RESOURCES")])

        with pytest.raises(HoldingsFormError, match=r"the fund's legal text after the table, found .*'BEN,"):
            read_holdings(cut)

    def test_a_name_with_a_comma_and_without_quotes_is_refused_in_every_row(self, tmp_path: Path) -> None:
        text = REAL_FILE.read_text(encoding="utf-8-sig")
        for line in text.splitlines()[10:518:50]:
            symbol, name, *_ = line[1:].split('","')
            with pytest.raises(HoldingsFormError, match=f"15 values in every row of the table, found 16 in {symbol},"):
                read_holdings(write(tmp_path, text.replace(f'"{name}"', f"{name[:4]},{name[4:]}")))

    def test_sectors_and_exchanges(self) -> None:
        lines = read_holdings(REAL_FILE).lines

        assert Counter(line.sector for line in lines)["Communication Services"] == 22
        assert Counter(line.exchange for line in lines) == {
            "New York Stock Exchange Inc.": 349,
            "NASDAQ": 153,
            "Cboe BZX formerly known as BATS": 1,
        }

    def test_share_classes_are_written_apart_and_nothing_else(self) -> None:
        assert {line.symbol for line in read_holdings(REAL_FILE).lines if "." in line.symbol} == {"BRK.B", "BF.B"}


class TestDamage:
    @pytest.mark.parametrize("place", range(len(ROWS)))
    def test_a_row_that_is_cut_off_is_refused_whatever_its_class(self, tmp_path: Path, place: int) -> None:
        rows = [row.rsplit(",", 1)[0] if number == place else row for number, row in enumerate(ROWS)]
        symbol = ROWS[place].split('"')[1]
        with pytest.raises(HoldingsFormError, match=f"11 values in every row of the table, found 10 in {symbol}"):
            read(tmp_path, lay_out(rows=rows))

    @pytest.mark.parametrize("padding", ["", ","])
    def test_a_comma_in_a_name_without_quotes_is_refused(self, tmp_path: Path, padding: str) -> None:
        """Its asset class is then in another column: the row would be left out silently."""
        shifted = "AAPL,APPLE, INC,Information Technology,Equity,2000.00,50.00,2000.00,20.00,100.00,US,NASDAQ"
        rows = [shifted, *(f"{row}{padding}" for row in ROWS[1:])]
        with pytest.raises(HoldingsFormError, match=r"11 values in every row of the table, found 12 in AAPL,APPLE,INC"):
            read(tmp_path, lay_out(header=f"{HEADER}{padding}", rows=rows))

    def test_a_shifted_row_of_the_right_width_is_refused(self, tmp_path: Path) -> None:
        shifted = "AAPL,APPLE, INC,Information Technology,Equity,2000.00,50.00,2000.00,20.00,100.00,US"
        with pytest.raises(HoldingsFormError, match="a market_value for AAPL, found 'Equity'"):
            read(tmp_path, lay_out(rows=[shifted, *ROWS[1:]]))

    def test_a_table_without_the_legal_text_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(HoldingsFormError, match="the fund's legal text after the table, found a file that ends"):
            read(tmp_path, lay_out(footer=""))

    def test_a_row_after_the_legal_text_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(HoldingsFormError, match="no row of the table after the legal text, found AAPL"):
            read(tmp_path, lay_out(rows=ROWS[1:], footer=f"{FOOTER}{ROWS[0]}\n"))

    @given(st.data(), st.sampled_from(["\n", "\r\n"]), st.booleans())
    def test_a_file_cut_anywhere_before_its_legal_text_never_gives_holdings(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, line_end: str, quoted: bool
    ) -> None:
        plain = [",".join(cell.replace(",", "") for cell in row[1:-1].split('","')) for row in ROWS]
        rows = ROWS if quoted else plain
        whole = lay_out(rows=rows).replace("\n", line_end).encode()
        cut = data.draw(st.integers(0, whole.index(b"The content contained")))
        folder = tmp_path_factory.mktemp("holdings")

        assert read(folder, whole).lines
        with pytest.raises(HoldingsError):
            read(folder, whole[:cut])

    @given(st.integers(0, len(ROWS) - 1), st.integers(0, 10), st.sampled_from(["", "INC", "1.00", "Equity"]))
    def test_a_row_with_a_value_more_or_less_never_gives_holdings(
        self, tmp_path_factory: pytest.TempPathFactory, place: int, column: int, more: str
    ) -> None:
        cells = ROWS[place][1:-1].split('","')
        folder = tmp_path_factory.mktemp("holdings")
        for changed in ([*cells[:column], more, *cells[column:]], [*cells[:column], *cells[column + 1 :]]):
            rows = [",".join(f'"{cell}"' for cell in changed) if row == ROWS[place] else row for row in ROWS]
            with pytest.raises(HoldingsFormError, match="11 values in every row of the table"):
                read(folder, lay_out(rows=rows))

    @given(st.integers(0, len(ROWS) - 1), st.integers(0, 3), st.sampled_from(["", "INC", "Equity"]))
    def test_a_row_shifted_within_the_width_never_gives_holdings(
        self, tmp_path_factory: pytest.TempPathFactory, place: int, column: int, more: str
    ) -> None:
        cells = ROWS[place][1:-1].split('","')
        folder = tmp_path_factory.mktemp("holdings")
        for changed in ([*cells[:column], more, *cells[column:-1]], [*cells[:column], *cells[column + 1 :], ""]):
            rows = [",".join(f'"{cell}"' for cell in changed) if row == ROWS[place] else row for row in ROWS]
            with pytest.raises(HoldingsFormError):
                read(folder, lay_out(rows=rows))

    def test_a_column_that_stands_there_twice_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(HoldingsFormError, match="one column Price"):
            read(tmp_path, lay_out(header=HEADER.replace("Location", "Price")))

    @pytest.mark.parametrize("weight", ["9e999999", "1e24"])
    def test_a_number_beyond_belief_is_refused(self, tmp_path: Path, weight: str) -> None:
        with pytest.raises(HoldingsFormError, match="a weight for BRKB"):
            read(tmp_path, lay_out(rows=[row.replace('"30.00"', f'"{weight}"') for row in ROWS]))

    def test_what_a_file_says_gets_into_one_short_line(self, tmp_path: Path) -> None:
        with pytest.raises(WrongFundError) as refused:
            read(tmp_path, lay_out(preamble=f'"two\nlines {"x" * 5000}"\n'))

        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 600
        assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)  # noqa: S301 - our own bytes
