"""What params mean together, and which do not go together."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mag7.tasks.request import Asking, Request, RequestInvalidError, read_request, request_params


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
        ({"rebuild": True}, "rebuild which session"),
        ({"rebuild": True, "trading_date": "2024-06-03", "collect_again": True}, "leave out collect_again"),
        ({"rebuild": True, "trading_date": "2024-06-03", "collect_corrections": True}, "leave out collect_again"),
        ({"trading_date": "2024-06-03", "through": "2024-06-10"}, "airflow backfill create"),
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
