"""The market's clock: what it serves, and that it says the same of a past session as days, months and years pass."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from sandbox.polygon.app import MarketApp
from sandbox.polygon.market import load_market
from sandbox.polygon.sessions import NEW_YORK, Clock, find_close, find_horizon, list_sessions
from sandbox.polygon.settings import Settings
from tests.sandbox.polygon.conftest import Ask, make_ask

GROUPED = "/v2/aggs/grouped/locale/us/market/stocks/{}?adjusted=false"


def ask_at(*moment: int, release: timedelta = timedelta(0)) -> Ask:
    return make_ask(MarketApp(Settings(clock=Clock(datetime(*moment, tzinfo=NEW_YORK), release))))


def tell_all(ask: Ask, day: date) -> list[bytes]:
    """Everything that the market says of a day."""
    symbols = [line.symbol_on(day) for line in load_market(day).lines if line.is_member(day)]
    targets = [GROUPED.format(day), *(f"/v3/reference/tickers/{symbol}?date={day}" for symbol in symbols)]
    targets += [f"/v3/reference/tickers?limit=1000&date={day}&active={active}" for active in ("true", "false")]
    targets += [f"/v3/reference/splits?limit=1000&execution_date.lte={day}"]
    return [ask(target).body for target in targets]


@pytest.mark.parametrize("day", [date(2024, 12, 13), date(2025, 7, 18), date(2026, 10, 1), date(2026, 11, 24)])
def test_a_past_session_stays_what_it_was(day: date) -> None:
    clocks = [(day.year, day.month, day.day, 21), (2026, 11, 25, 9), (2027, 1, 4, 9), (2038, 1, 4, 9)]
    told = [tell_all(ask_at(*moment), day) for moment in clocks]
    assert all(answers == told[0] for answers in told[1:])
    assert sum(body.startswith(b'{"status":"NOT_FOUND"') for body in told[0]) <= 1  # HES has no details


@pytest.mark.parametrize("day", [date(2027, 9, 20), date(2027, 9, 24), date(2029, 3, 19)])
def test_a_session_to_come_will_stay_what_it_is(day: date) -> None:
    told = [tell_all(ask_at(*moment), day) for moment in ((day.year, day.month, day.day, 21), (2038, 1, 4, 9))]
    assert told[0] == told[1]
    assert told[0][0].count(b'"T":') > 500


def test_the_horizon_is_never_near() -> None:
    for day in (date(2020, 11, 30), date(2027, 1, 1), date(2031, 12, 31)):
        assert find_horizon(day) >= max(day + timedelta(days=365), date(2027, 12, 31))
        assert list_sessions(find_horizon(day))[: len(list_sessions())] == list_sessions()


def test_the_last_closed_session_is_the_last_one_that_is_served() -> None:
    for moment, last in (
        ((2026, 11, 25, 15, 59), "2026-11-24"),
        ((2026, 11, 25, 16, 0), "2026-11-25"),
        ((2026, 11, 27, 12, 59), "2026-11-25"),  # the day after Thanksgiving closes at one
        ((2026, 11, 27, 13, 0), "2026-11-27"),
    ):
        ask = ask_at(*moment)
        served = [
            str(day) for day in list_sessions() if str(day) > "2026-11-20" and b'"T"' in ask(GROUPED.format(day)).body
        ]
        assert served[-1] == last


def test_closures_at_short_notice_are_known() -> None:
    """The calendar package has them: the product's own list of closures is not read here."""
    assert date(2025, 1, 9) not in list_sessions()
    assert {date(2025, 1, 8), date(2025, 1, 10)} <= set(list_sessions())
    assert find_close(date(2025, 7, 3)).hour == 13
    assert find_close(date(2025, 1, 8)).hour == 16


def test_events_tell_no_change_to_come() -> None:
    for moment, symbols in (((2025, 11, 10, 9), ["FI", "FISV"]), ((2025, 11, 11, 9), ["FISV", "FI", "FISV"])):
        results = ask_at(*moment)(f"/vX/reference/tickers/{symbols[0]}/events").json["results"]
        assert [event["ticker_change"]["ticker"] for event in results["events"]] == symbols
