"""What params mean together, and which contradict each other."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

from mag7.tasks.request import (
    Asking,
    RangeRequest,
    Request,
    RequestInvalidError,
    range_params,
    read_range,
    read_request,
    request_params,
)


def read(run_type: str = "manual", **params: Any) -> Request:
    return read_request({**{name: param.value for name, param in request_params().items()}, **params}, run_type)


def test_the_plain_form_asks_for_what_is_missing() -> None:
    assert read() == Request(None, None, Asking.MISSING, corrections=False, explain=None)


def test_a_scheduled_run_asks_for_corrections_and_a_backfill_does_not() -> None:
    assert read("scheduled").corrections
    assert not read("backfill").corrections
    assert read(collect_corrections=True).corrections


def test_a_stretch_is_rebuilt_without_a_call() -> None:
    request = read(rebuild=True, trading_date="2024-06-03", through="2024-06-10", explain=" nvda ")

    assert (request.trading_date, request.through) == (date(2024, 6, 3), date(2024, 6, 10))
    assert (request.asking, request.corrections, request.explain) == (Asking.NOTHING, False, "NVDA")


def test_collecting_again_asks_everything_of_the_session() -> None:
    assert read(collect_again=True).asking is Asking.AGAIN


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rebuild": True}, "a rebuild needs a session"),
        ({"rebuild": True, "trading_date": "2024-06-03", "collect_again": True}, "leave out collect_again"),
        ({"rebuild": True, "trading_date": "2024-06-03", "collect_corrections": True}, "leave out collect_again"),
        ({"trading_date": "2024-06-03", "through": "2024-06-10"}, "or trigger mag7_backfill"),
        ({"rebuild": True, "trading_date": "2024-06-10", "through": "2024-06-03"}, "ends before it begins"),
    ],
)
def test_what_does_not_go_together_is_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestInvalidError, match=said):
        read(**params)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"trading_date": "13.12.2024"}, "trading_date is '13.12.2024', but must be a date such as 2024-12-13"),
        ({"trading_date": "20241213"}, "trading_date is '20241213'"),
        ({"trading_date": "2024-W50-5"}, "trading_date is '2024-W50-5'"),
        ({"trading_date": "2024-12-13\n"}, "trading_date is '2024-12-13'"),
        ({"trading_date": 20241213}, "trading_date is 'int'"),
        ({"rebuild": True, "trading_date": "2024-06-03", "through": "2024-06-31"}, "through is '2024-06-31'"),
        ({"rebuild": "false"}, "rebuild is 'false', but must be true or false"),
        ({"collect_again": None}, "collect_again is 'NoneType'"),
        ({"explain": "NVDA'; DROP TABLE x; --"}, "explain is .*but must be a ticker such as NVDA or BRK.B"),
        ({"explain": "N" * 11}, "explain is 'NNNNNNNNNNN'"),
        ({"explain": ["NVDA"]}, "explain is 'list'"),
    ],
)
def test_what_no_schema_has_looked_at_is_refused_by_name(params: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestInvalidError, match=said):
        read(**params)


def test_a_param_that_is_left_out_is_as_in_the_plain_form() -> None:
    assert read_request({}, "manual") == read()


def fill_in(**given: Any) -> RangeRequest:
    """A backfill's form, filled in and checked as Airflow does, then read."""
    params = range_params()
    return read_range({name: param.resolve(given.get(name, param.value)) for name, param in params.items()})


class TestRange:
    def test_the_plain_form_means_the_runs_month(self) -> None:
        assert fill_in() == RangeRequest(None, None, repeat=False)

    def test_a_range_has_two_ends_both_included(self) -> None:
        assert fill_in(start_date="2024-12-02", end_date="2024-12-13", repeat=True) == RangeRequest(
            date(2024, 12, 2), date(2024, 12, 13), repeat=True
        )
        assert fill_in(start_date="2024-12-02", end_date="2024-12-02").first == date(2024, 12, 2)

    @pytest.mark.parametrize(("given", "missing"), [("start_date", "end_date"), ("end_date", "start_date")])
    def test_one_end_alone_is_refused(self, given: str, missing: str) -> None:
        with pytest.raises(RequestInvalidError, match=f"give {missing}, too"):
            fill_in(**{given: "2024-12-02"})

    def test_a_range_that_ends_before_it_begins_is_refused(self) -> None:
        with pytest.raises(RequestInvalidError, match="from 2024-12-13 to 2024-12-02 ends before it begins"):
            fill_in(start_date="2024-12-13", end_date="2024-12-02")

    @pytest.mark.parametrize(
        "day", ["2020-11-30", "2020-12-01", "2021-01-04", "2024-02-29", "2029-12-31", "2031-01-02"]
    )
    def test_the_form_takes_a_date_from_the_first_session_on(self, day: str) -> None:
        assert fill_in(start_date=day, end_date=day).last == date.fromisoformat(day)

    @pytest.mark.parametrize("name", ["start_date", "end_date"])
    @pytest.mark.parametrize(
        "day",
        [
            "2020-11-29",
            "2019-01-01",
            "2020-10-30",
            "2020-02-29",
            "1999-12-31",
            "2023-02-29",
            "2024-13-01",
            "2024-12-32",
            "2024-12-00",
            "2020-12-39",
            "2024-12-13T00:00:00",
            "2024-12-13\n",
            " 2024-12-13",
            "20241213",
            "13.12.2024",
            "yesterday",
            "",
            "2024-12-1",
            20241213,
        ],
    )
    def test_the_form_refuses_anything_else(self, name: str, day: Any) -> None:
        with pytest.raises(ParamValidationError):
            fill_in(**{name: day})

    @pytest.mark.parametrize("repeat", ["yes", 1, None])
    def test_repeating_is_yes_or_no(self, repeat: Any) -> None:
        with pytest.raises(ParamValidationError):
            fill_in(repeat=repeat)


class TestExactSessions:
    def test_they_are_repeated_in_order_and_once_whatever_stands_between(self) -> None:
        given = fill_in(sessions=["2024-12-13", "2024-12-02", "2024-12-13"])

        assert given == RangeRequest(None, None, repeat=True, sessions=(date(2024, 12, 2), date(2024, 12, 13)))

    def test_none_mean_the_runs_month(self) -> None:
        assert fill_in(sessions=[]) == RangeRequest(None, None, repeat=False)

    @pytest.mark.parametrize("name", ["start_date", "end_date"])
    def test_with_a_range_they_are_refused(self, name: str) -> None:
        with pytest.raises(RequestInvalidError, match="a range or exact sessions"):
            fill_in(sessions=["2024-12-13"], **{name: "2024-12-02"})

    @pytest.mark.parametrize("sessions", [["2020-11-27"], ["20241213"], ["tomorrow"], "2024-12-13", [20241213]])
    def test_the_form_refuses_what_are_no_dates(self, sessions: Any) -> None:
        with pytest.raises(ParamValidationError):
            fill_in(sessions=sessions)

    @pytest.mark.parametrize("sessions", ["2024-12-13", ["2024-12-32"], [20241213], {"a": 1}])
    def test_nothing_relies_on_the_form(self, sessions: Any) -> None:
        with pytest.raises(RequestInvalidError, match="the param sessions"):
            read_range({"sessions": sessions})
