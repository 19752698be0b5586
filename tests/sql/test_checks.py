"""Every Athena check returns nothing for a clean session, and names what violates it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from mag7.index.seven import SEVEN
from mag7.lake.checks import CHECKS, COLUMNS, list_checks
from mag7.lake.tables import Table, list_tables
from mag7.tasks.templates import MACROS
from tests.sql.conftest import Render
from tests.sql.lake import RUN, Lake
from tests.sql.market import GOLDEN_DAY, Rows, make_rows

EVE = date(2024, 12, 12)


def pick(rows: Rows, table: str, ticker: str | None = None) -> dict[str, Any]:
    """Pick the row of a ticker, or the only one."""
    return next(row for row in rows[table] if ticker is None or row["ticker"] == ticker)


def drop(rows: Rows, table: str, ticker: str) -> None:
    rows[table] = [row for row in rows[table] if row["ticker"] != ticker]


def rescale_line(rows: Rows, ticker: str, factor: float) -> None:
    """Multiply a share count in every table, as if the document had been built with a wrong count."""
    line = pick(rows, "constituent_market_caps", ticker)
    line["share_count"] = int(line["share_count"] * factor)
    line["market_cap"] = line["close"] * line["share_count"]


def lose_cap(rows: Rows, ticker: str) -> None:
    pick(rows, "constituent_market_caps", ticker).update(market_cap=None, share_count=None, close=None)


@dataclass(frozen=True)
class Fault:
    """A way to spoil a clean session, and what the check must say about it."""

    check: str
    spoil: Callable[[Rows], Any]
    subject: str | None
    detail: str


FAULTS = [
    Fault("sessions_present", lambda rows: rows["concentration_metrics"].clear(), None, "has 0 rows"),
    Fault(
        "seven_present",
        lambda rows: drop(rows, "company_details", "TSLA"),
        None,
        "company_details holds 6 of the seven companies",
    ),
    Fault("seven_present", lambda rows: rows["daily_trading"].clear(), None, "daily_trading holds 0"),
    Fault(
        "seven_present",
        lambda rows: (
            pick(rows, "magnificent7_metrics", "TSLA").update(ticker="GOOG2")
            or drop(rows, "magnificent7_metrics", "META")
        ),
        None,
        "magnificent7_metrics holds 6",
    ),
    Fault(
        "seven_present",
        lambda rows: pick(rows, "concentration_metrics").update(mag7_companies_count=6),
        None,
        "concentration_metrics holds 6",
    ),
    Fault(
        "values_present",
        lambda rows: pick(rows, "daily_trading", "AMZN").update(close=None, volume=None, timestamp=None),
        "AMZN",
        "daily_trading lacks close, timestamp of AMZN",
    ),
    Fault("values_present", lambda rows: lose_cap(rows, "OTH1"), "OTH1", "failed_collections gives no reason"),
    Fault(
        "values_positive",
        lambda rows: pick(rows, "daily_trading", "MSFT").update(volume=0),
        "MSFT",
        "daily_trading has zero or less in volume of MSFT",
    ),
    Fault(
        "values_positive",
        lambda rows: pick(rows, "constituent_market_caps", "OTH2").update(market_cap=-1.0),
        "OTH2",
        "zero or less in market_cap",
    ),
    Fault(
        "keys_unique",
        lambda rows: rows["constituent_market_caps"].append(pick(rows, "constituent_market_caps", "GOOG")),
        "GOOG",
        "constituent_market_caps holds 2 rows of GOOG",
    ),
    Fault(
        "keys_unique",
        lambda rows: rows["concentration_metrics"].append(pick(rows, "concentration_metrics")),
        None,
        "concentration_metrics holds 2 rows of the session",
    ),
    Fault(
        "ranks_complete",
        lambda rows: pick(rows, "magnificent7_metrics", "TSLA").update(ranking=8),
        None,
        "the ranks are 1, 2, 3, 4, 5, 6, 8",
    ),
    Fault(
        "ranks_complete",
        lambda rows: (
            pick(rows, "magnificent7_metrics", "AAPL").update(ranking=2),
            pick(rows, "magnificent7_metrics", "MSFT").update(ranking=1),
        ),
        "AAPL",
        "AAPL has rank 2 and a larger market cap",
    ),
    Fault(
        "total_recomputed",
        lambda rows: pick(rows, "concentration_metrics").update(
            # Alphabet counted twice: the line sum under the name of the total.
            sp500_total_market_cap=pick(rows, "concentration_metrics")["line_sum_market_cap"]
        ),
        "sp500_total_market_cap",
        "the lines give 54045592596043.3",
    ),
    Fault(
        "total_recomputed", lambda rows: rows["constituent_market_caps"].clear(), "sp500_total_market_cap", "nothing"
    ),
    Fault(
        "total_recomputed",
        lambda rows: lose_cap(rows, "GOOG"),
        "line_sum_market_cap",
        "the lines give none, as one has no cap",
    ),
    Fault(
        "total_recomputed",
        lambda rows: drop(rows, "constituent_market_caps", "OTH5"),
        "companies_priced",
        "has 13 of 13 companies priced, the lines have 12 of 12",
    ),
    Fault(
        "share_recomputed",
        lambda rows: pick(rows, "concentration_metrics").update(mag7_pct_of_sp500=33.0),
        "mag7_pct_of_sp500",
        "stored as 33.000000 %, the lines give 33.389",
    ),
    Fault(
        "share_recomputed",
        lambda rows: drop(rows, "constituent_market_caps", "TSLA"),
        "mag7_in_index_market_cap",
        "the lines give 16645268270997.7",
    ),
    Fault(
        "share_recomputed",
        lambda rows: pick(rows, "concentration_metrics").update(line_sum_mag7_pct=None),
        "line_sum_mag7_pct",
        "stored as NULL",
    ),
    Fault(
        "share_in_bounds",
        lambda rows: pick(rows, "concentration_metrics").update(mag7_pct_of_sp500=60.5),
        "mag7_pct_of_sp500",
        "mag7_pct_of_sp500 is 60.50 %, outside the bounds 10 and 60 %",
    ),
    Fault(
        "share_in_bounds",
        lambda rows: pick(rows, "concentration_metrics").update(line_sum_mag7_pct=9.99),
        "line_sum_mag7_pct",
        "is 9.99 %",
    ),
    Fault(
        "share_continuous",
        lambda rows: pick(rows, "concentration_metrics").update(mag7_pct_of_sp500_before=31.3),
        "mag7_pct_of_sp500",
        "mag7_pct_of_sp500 is 33.39 % after 31.30 % on the session before, a move of more than the 2 points bound",
    ),
    Fault(
        "share_continuous",
        lambda rows: pick(rows, "concentration_metrics").update(mag7_pct_of_sp500_before=35.5),
        "mag7_pct_of_sp500",
        "is 33.39 % after 35.50 %",
    ),
    Fault(
        "company_in_bounds",
        lambda rows: rescale_line(rows, "NVDA", 10),
        "NVDA",
        "NVDA is 39.31 % of the index, more than the 20 % bound",
    ),
    Fault(
        "seven_cap_in_bounds",
        lambda rows: pick(rows, "company_details", "TSLA").update(market_cap=9.9e10),
        "TSLA",
        "TSLA has a market cap of 99000000000.00 USD in company_details, less than the 100000000000 USD bound",
    ),
    Fault(
        "coverage_in_bounds",
        lambda rows: pick(rows, "concentration_metrics").update(companies_expected=500, companies_priced=494),
        "companies",
        "494 of 500 companies are priced, fewer than the 99 % bound",
    ),
    Fault(
        "coverage_in_bounds",
        lambda rows: pick(rows, "concentration_metrics").update(coverage_pct=99.49),
        "coverage_pct",
        "99.49 % of the market cap is priced, less than the 99.5 % bound",
    ),
    Fault(
        "coverage_in_bounds",
        lambda rows: pick(rows, "concentration_metrics").update(coverage_pct=100.01),
        "coverage_pct",
        "more than all of it",
    ),
    Fault(
        "parts_recomputed",
        lambda rows: pick(rows, "magnificent7_metrics", "AAPL").update(pct_of_mag7=21.0),
        "pct_of_mag7",
        "add up to 100.2154",
    ),
    Fault(
        "parts_recomputed",
        lambda rows: pick(rows, "concentration_metrics").update(total_mag7_market_cap=1.8e13),
        "total_mag7_market_cap",
        "their caps give 18045592596043.3",
    ),
    Fault(
        "parts_recomputed",
        lambda rows: pick(rows, "daily_trading", "META").update(close=600.0),
        "META",
        "close x shares outstanding give 1514693119800.00",
    ),
    Fault(
        "parts_recomputed",
        lambda rows: pick(rows, "magnificent7_metrics", "TSLA").update(pct_of_sp500=None),
        "TSLA",
        "TSLA is stored as NULL % of the index, its line gives 2.5910",
    ),
]


@pytest.mark.parametrize("check", list_checks())
def test_a_check_is_trino_and_says_first_what_must_hold(check: str, render: Render) -> None:
    sql = render(f"athena/checks/{check}.sql")
    sqlglot.parse_one(sql, read="trino")
    assert sql.startswith("-- Check: ")
    # Every table that is read is held to its partitions, which is what Athena bills for.
    window = re.findall(rf"(\w+\.)?run = '{RUN}' AND (\w+\.)?trading_date IN \(DATE '2024-12-13'\)", sql)
    assert len(window) == sql.count("market_data_staging.")
    assert [of_run for of_run, _ in window] == [of_date for _, of_date in window]


@pytest.mark.parametrize("check", list_checks())
def test_a_check_is_silent_on_clean_sessions(check: str, render: Render, lake: Lake) -> None:
    lake.stage(make_rows(EVE))
    lake.stage(make_rows(GOLDEN_DAY))
    assert lake.ask_athena(render(f"athena/checks/{check}.sql", (EVE, GOLDEN_DAY))) == []


@pytest.mark.parametrize("check", list_checks())
def test_a_check_lets_tesla_be_outside_the_index(check: str, render: Render, lake: Lake) -> None:
    before = date(2020, 12, 18)
    lake.stage(make_rows(before, outside=("TSLA",)))
    assert lake.ask_athena(render(f"athena/checks/{check}.sql", (before,))) == []


@pytest.mark.parametrize("check", list_checks())
def test_a_check_lets_what_could_not_be_true_of_a_bar_be_null(check: str, render: Render, lake: Lake) -> None:
    rows = make_rows()
    pick(rows, "daily_trading", "NVDA").update(dict.fromkeys(("open", "high", "low", "volume", "vwap")))
    lake.stage(rows)
    assert lake.ask_athena(render(f"athena/checks/{check}.sql")) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.check}-{fault.subject}")
def test_a_check_names_what_violates_it(fault: Fault, render: Render, lake: Lake) -> None:
    rows = make_rows()
    fault.spoil(rows)
    lake.stage(rows)
    lake.stage(make_rows(EVE))
    found = lake.ask_athena(render(f"athena/checks/{fault.check}.sql", (EVE, GOLDEN_DAY)))
    assert {tuple(row) for row in found} == {COLUMNS}
    assert {row["trading_date"] for row in found} == {GOLDEN_DAY}
    matching = [row for row in found if row["subject"] == fault.subject and fault.detail in row["detail"]]
    assert len(matching) == 1, found


@pytest.mark.parametrize("check", list_checks())
def test_a_check_sees_neither_another_run_nor_a_session_outside_the_window(
    check: str, render: Render, lake: Lake
) -> None:
    faulty = make_rows()
    for fault in FAULTS:
        if fault.check == check:
            fault.spoil(faulty)
            break
    lake.stage(faulty, run="mag7_backfill-2024-12")
    lake.stage({table: [{**row, "trading_date": date(2024, 12, 16)} for row in rows] for table, rows in faulty.items()})
    lake.stage(make_rows())
    assert lake.ask_athena(render(f"athena/checks/{check}.sql")) == []


def test_every_check_is_violated_by_some_fault() -> None:
    assert {fault.check for fault in FAULTS} == set(list_checks())


def test_a_failed_line_with_a_recorded_reason_may_lack_its_cap(render: Render, lake: Lake) -> None:
    rows = make_rows()
    lose_cap(rows, "OTH1")
    rows["failed_collections"].append({"trading_date": GOLDEN_DAY, "ticker": "OTH1", "reason": "HTTP 404"})
    lake.stage(rows)
    assert lake.ask_athena(render("athena/checks/values_present.sql")) == []


def test_a_bound_comes_from_the_settings(render: Render, lake: Lake) -> None:
    lake.stage(make_rows())
    rows = lake.ask_athena(render("athena/checks/company_in_bounds.sql", maximum_company_pct=11.05))
    assert sorted(row["subject"] for row in rows) == ["OTH0", "OTH1", "OTH2", "OTH3", "OTH4", "OTH5"]
    assert {row["detail"].split(" ", 1)[1] for row in rows} == {"is 11.10 % of the index, more than the 11.05 % bound"}


@pytest.mark.parametrize(
    ("before", "bound", "violations"), [(None, 2.0, 0), (33.3, 0.08, 1), (33.3, 0.1, 0), (30.0, 4, 0)]
)
def test_a_move_of_the_share_is_held_against_the_session_before(
    render: Render, lake: Lake, before: float | None, bound: float, violations: int
) -> None:
    rows = make_rows()
    pick(rows, "concentration_metrics").update(mag7_pct_of_sp500_before=before)
    lake.stage(rows)
    found = lake.ask_athena(render("athena/checks/share_continuous.sql", maximum_share_change=bound))
    assert len(found) == violations


def make_failed_rows() -> Rows:
    """A session whose tables all have a row."""
    rows = make_rows()
    rows["failed_collections"].append({"trading_date": GOLDEN_DAY, "ticker": "OTH1", "reason": "HTTP 404"})
    return rows


def spoil_columns(rows: Rows, table: Table, names: Iterable[str], value: float | None) -> str:
    """Set columns of a table's first row to a value; returns their names as a check lists them."""
    spoilt = [name for name in names if name not in table.key]
    rows[table.name][0].update(dict.fromkeys(spoilt, value))
    return ", ".join(spoilt)


@pytest.mark.parametrize("table", list_tables(), ids=lambda table: table.name)
def test_every_required_column_must_be_present(table: Table, render: Render, lake: Lake) -> None:
    rows = make_failed_rows()
    spoilt = spoil_columns(rows, table, [column.name for column in table.required_columns], None)
    lake.stage(rows)
    details = [row["detail"] for row in lake.ask_athena(render("athena/checks/values_present.sql"))]
    assert [detail.split(" of ")[0] for detail in details] == [f"{table.name} lacks {spoilt}"]


@pytest.mark.parametrize("table", list_tables(), ids=lambda table: table.name)
def test_no_column_that_is_declared_positive_may_be_zero(table: Table, render: Render, lake: Lake) -> None:
    rows = make_failed_rows()
    spoilt = spoil_columns(rows, table, [column.name for column in table.positive_columns], 0)
    lake.stage(rows)
    details = [row["detail"] for row in lake.ask_athena(render("athena/checks/values_positive.sql"))]
    expected = [f"{table.name} has zero or less in {spoilt}"] if spoilt else []
    assert [detail.split(" of ")[0] for detail in details] == expected


@pytest.mark.parametrize("table", list_tables(), ids=lambda table: table.name)
def test_every_key_must_be_unique(table: Table, render: Render, lake: Lake) -> None:
    rows = make_failed_rows()
    rows[table.name].append(rows[table.name][0])
    lake.stage(rows)
    details = [row["detail"] for row in lake.ask_athena(render("athena/checks/keys_unique.sql"))]
    assert len(details) == 1
    assert details[0].startswith(f"{table.name} holds 2 rows of ")


def test_a_column_is_checked_as_soon_as_it_is_declared(
    render: Render, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {table.name: table for table in list_tables()}
    columns = tables["daily_trading"].columns
    required = [replace(column, nullable=False) if column.name == "vwap" else column for column in columns]
    declared = {**tables, "daily_trading": replace(tables["daily_trading"], columns=tuple(required))}
    monkeypatch.setitem(MACROS, "list_tables", lambda: tuple(declared.values()))
    lake.stage(make_rows())
    details = {row["detail"] for row in lake.ask_athena(render("athena/checks/values_present.sql"))}
    assert details == {f"daily_trading lacks vwap of {ticker}" for ticker in SEVEN}


def test_a_number_that_may_be_zero_was_decided_on() -> None:
    numbers = {"double", "integer", "bigint"}
    columns = {column for table in list_tables() for column in table.columns if column.type in numbers}
    assert {column.name for column in columns if not column.positive} == {
        # Counts and a part that other checks hold to their bounds; ranks; the provider's own figure; a time.
        *("mag7_companies_count", "mag7_in_index_count", "companies_expected", "companies_priced", "coverage_pct"),
        *("ranking", "provider_market_cap", "timestamp"),
    }


@pytest.mark.parametrize("path", ["athena/recomputed_caps.jinja", "redshift/analysis/share_reconciliation.sql"])
def test_the_seven_named_in_sql_are_the_seven(path: str) -> None:
    text = (CHECKS.parents[1] / Path(path)).read_text()
    assert ", ".join(f"'{ticker}'" for ticker in SEVEN) in text
