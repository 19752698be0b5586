"""Funds' files in each form, and the errors: source, what was expected, what was found, next step."""

from __future__ import annotations

import json
import pickle
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.constituents.ishares import read_ivv
from mag7.constituents.readings import IVV, SPY, NoFileYetError, Reading, ReadingError
from mag7.constituents.spdr import read_spy
from tests.unit.constituents.files import DAY, NAMES, make_json, write_csv, write_json, write_workbook

PAGE = b"<!DOCTYPE html>\n<html><head><title>iShares Core S&P 500 ETF</title></head></html>"
READERS = {
    "csv": (read_ivv, write_csv),
    "json": (read_ivv, write_json),
    "workbook": (read_spy, write_workbook),
}

BODIES = {form: write() for form, (_, write) in READERS.items()}
"""A file of each form, written once, because a workbook has the time at which it was written."""


@pytest.fixture(params=READERS, scope="module")
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def read(form: str, body: bytes, session: date | None = None) -> Reading:
    return READERS[form][0](body, f"inbox/{form}", session=session)


class TestForms:
    def test_the_lines_of_the_index_are_read_and_nothing_else(self, form: str) -> None:
        reading = read(form, READERS[form][1](), DAY)

        assert reading.symbols == set(NAMES)
        assert (reading.fund, reading.as_of) == (SPY if form == "workbook" else IVV, DAY)
        assert len(reading.sha256) == 64
        assert not reading.simulated

    def test_weights_are_there_to_judge_but_are_no_part_of_a_reading(self, form: str) -> None:
        reading = read(form, READERS[form][1]())

        assert sum(reading.weights.values()) == pytest.approx(Decimal("99.6"), abs=Decimal("0.1"))
        assert "weights" not in repr(reading)
        assert reading == Reading(*(getattr(reading, name) for name in ("fund", "source", "sha256", "as_of", "lines")))

    def test_identifiers_are_read_where_they_are_given(self) -> None:
        for form, cusip in (("csv", None), ("json", "     AAPL"), ("workbook", "000000000")):
            (apple,) = (one for one in read(form, READERS[form][1]()).lines if one.symbol == "AAPL")
            assert (apple.name, apple.cusip, apple.isin) == ("AAPL INC", cusip, None)

    def test_the_offline_markets_files_say_that_they_are_simulated(self) -> None:
        told = "SIMULATED by the offline market: this is no file of a fund."

        assert read_ivv(write_csv(legal=told), "x").simulated
        assert read_spy(write_workbook(after=((), (told,))), "x").simulated


class TestRefusals:
    def test_a_web_page_with_status_200(self, form: str) -> None:
        with pytest.raises(ReadingError) as refused:
            read(form, PAGE)

        line = str(refused.value)
        assert line.startswith(f"inbox/{form}: expected a file with holdings, found a web page ('<!DOCTYPE html>")
        assert "nothing was read from it: put " in line
        assert pickle.loads(pickle.dumps(refused.value)).args == refused.value.args  # noqa: S301

    def test_yesterdays_file_under_todays_name(self, form: str) -> None:
        with pytest.raises(ReadingError, match="expected holdings as of 2026-08-21, found holdings as of 2026-08-20"):
            read(form, READERS[form][1](), date(2026, 8, 21))

    @pytest.mark.parametrize("count", [480, 0, 520])
    def test_too_few_or_too_many_lines(self, form: str, count: int) -> None:
        names = [*NAMES, *(f"R{chr(65 + one)}" for one in range(20))][:count]
        if form == "json" and not names:
            pytest.skip("without lines there are no columns")
        with pytest.raises(ReadingError, match=f"{count}|equity lines, found none"):
            read(form, READERS[form][1](names))

    def test_half_a_file(self, form: str) -> None:
        body = READERS[form][1]()
        with pytest.raises(ReadingError, match=f"inbox/{form}"):
            read(form, body[: len(body) // 2])

    def test_an_empty_file_and_a_monstrous_one(self, form: str) -> None:
        for body, found in ((b"", "an empty file"), (b"a" * 50_000_001, "50000001")):
            with pytest.raises(ReadingError, match=f"found {found}"):
                read(form, body)

    def test_a_line_twice(self, form: str) -> None:
        with pytest.raises(ReadingError, match="AAPL more than once"):
            read(form, READERS[form][1]([*NAMES, "AAPL"]))

    def test_a_day_that_is_no_session(self) -> None:
        for form, told in (("csv", "Aug 22, 2026"), ("json", 20260822), ("workbook", "As of 22-Aug-2026")):
            with pytest.raises(ReadingError, match="2026-08-22 is not a session of XNYS"):
                read(form, READERS[form][1](NAMES, told))  # type: ignore[operator]

    def test_another_funds_file(self) -> None:
        with pytest.raises(ReadingError, match="found 'iShares Core S&P Mid-Cap ETF'"):
            read_ivv(write_csv(fund="iShares Core S&P Mid-Cap ETF"), "inbox/ijh.csv")
        head = (("Fund Name:", "SPDR® S&P MIDCAP 400® ETF Trust"), ("Ticker Symbol:", "MDY"))
        with pytest.raises(ReadingError, match=r"expected the fund SPY, found MDY \(SPDR"):
            read_spy(write_workbook(head=head), "inbox/mdy.xlsx")

    def test_a_file_without_data_is_one_that_is_not_out_yet(self) -> None:
        for form, told in (("csv", "-"), ("json", None)):
            with pytest.raises(NoFileYetError, match="the next run asks again"):
                read(form, READERS[form][1](NAMES, told))  # type: ignore[operator]


class TestJson:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda columns: columns["ticker"]["value"].pop(), "expected columns of one length"),
            (lambda columns: columns.pop("issueName"), "a list of values for issueName, found None"),
            (
                lambda columns: columns["holdingPercent"]["value"].__setitem__(0, "much"),
                "a weight for AAPL, found 'much'",
            ),
            (
                lambda columns: columns["ticker"]["value"].__setitem__(0, None),
                "symbols such as AAPL or BRK.B, found ''",
            ),
            (lambda columns: columns.update(asOfDate={"value": "soon"}), "an asOfDate such as 20260820, found 'soon'"),
        ],
    )
    def test_columns_that_do_not_fit_are_refused(self, change: object, message: str) -> None:
        document = make_json()
        change(document["componentsByNameMap"]["holdings"]["containersByNameMap"]["all"]["dataPointsByNameMap"])  # type: ignore[operator]
        with pytest.raises(ReadingError, match=message):
            read_ivv(json.dumps(document).encode(), "x")

    @pytest.mark.parametrize("body", [b'{"error": "No product data"}', b"{", b'{"componentsByNameMap": []}', b"{\xff"])
    def test_another_document_is_refused(self, body: bytes) -> None:
        with pytest.raises(ReadingError):
            read_ivv(body, "x")

    def test_identifiers_may_be_missing(self) -> None:
        document = make_json()
        columns = document["componentsByNameMap"]["holdings"]["containersByNameMap"]["all"]["dataPointsByNameMap"]
        del columns["cusip"], columns["isin"]
        assert {one.cusip for one in read_ivv(json.dumps(document).encode(), "x").lines} == {None}


class TestWorkbook:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            pytest.param(b"PK\x03\x04 no workbook", "a whole workbook", id="no archive"),
            pytest.param(
                write_workbook(columns=("Name", "Weight")), "one column Ticker in row 5", id="no ticker column"
            ),
            pytest.param(write_workbook(told="20 August"), "'As of 18-Nov-2025', found '20 August'", id="date"),
            pytest.param(write_workbook(told="As of 31-Jun-2026"), "found 'As of 31-Jun-2026'", id="no day"),
            pytest.param(
                write_workbook(after=((), ("LATE", "LATE"))), "a ticker in every row", id="a line after the table"
            ),
            pytest.param(write_workbook(head=(("Fund:", "SPY"),)), "the rows Fund Name: Ticker Symbol:", id="head"),
            pytest.param(write_workbook([*NAMES[1:], "APPLE INC"]), "symbols such as AAPL", id="no symbol"),
        ],
    )
    def test_another_form_is_refused(self, body: bytes, message: str) -> None:
        with pytest.raises(ReadingError, match=message):
            read_spy(body, "x")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(READERS)), st.data())
def test_a_file_cut_anywhere_never_gives_a_shorter_list(form: str, data: st.DataObject) -> None:
    body = BODIES[form]
    cut = data.draw(st.integers(0, len(body) - 1))
    try:
        reading = read(form, body[:cut])
    except ReadingError:
        return
    assert reading.symbols == set(NAMES)
