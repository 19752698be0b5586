"""The params of the DAGs, checked together where a JSON schema cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mag7.errors import Mag7Error, one_line

if TYPE_CHECKING:
    from airflow.sdk import Param


TICKER = re.compile(r"[A-Z.]{1,10}|[A-Z.]{1,6}-\d{4}")
"""A line's key; it has a year where its symbol was the key of another company before."""


class RequestInvalidError(Mag7Error):
    """Params of a run that contradict each other."""


class Asking(StrEnum):
    """Which calls a run makes: those without a stored response, all of its session again, or none."""

    MISSING = "missing"
    AGAIN = "again"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Request:
    """A run's params.

    ``trading_date`` is the session to run, whatever the logical date. ``through`` is the last session of a range to
    rebuild. ``corrections`` is whether closes of earlier sessions are fetched again. ``explain`` is the ticker whose
    figures are explained.
    """

    trading_date: date | None
    through: date | None
    asking: Asking
    corrections: bool
    explain: str | None


def request_params() -> dict[str, Param]:
    """Return the params of the trigger form, each with its schema."""
    from airflow.sdk import Param

    return {
        "trading_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Session",
            description="Session to run or repeat, whatever the logical date; empty: the logical date's",
        ),
        "collect_again": Param(
            False,
            type="boolean",
            title="Collect again",
            description="Make calls again whose responses are stored",
        ),
        "collect_corrections": Param(
            False,
            type="boolean",
            title="Collect corrections",
            description="As scheduled runs do, fetch the closes of earlier sessions again and publish what changed",
        ),
        "rebuild": Param(
            False,
            type="boolean",
            title="Rebuild",
            description="After a fact table changed: rebuild the published session from stored responses; no calls",
        ),
        "through": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Rebuild through",
            description="Last session of a range to rebuild, which begins with the session above",
        ),
        "explain": Param(
            None,
            type=["null", "string"],
            pattern=r"^([A-Za-z.]{1,10}|[A-Za-z.]{1,6}-\d{4})$",
            title="Explain",
            description="Ticker whose price, count, origin, splits, flags and responses the summary shows",
        ),
    }


def read_request(params: Mapping[str, Any], run_type: str) -> Request:
    """Read a run's params; a scheduled run includes corrections.

    Airflow checks a run's conf against the schemas of ``request_params``; nothing here relies on that. Raises
    RequestInvalidError where a param is malformed; where a rebuild would make calls, names no session, or ends before
    it begins; and where a range of sessions is given without a rebuild.
    """
    first, last = _read_date(params, "trading_date"), _read_date(params, "through")
    rebuild, again = _read_flag(params, "rebuild"), _read_flag(params, "collect_again")
    corrections = _read_flag(params, "collect_corrections")
    if rebuild and (again or corrections):
        raise RequestInvalidError("a rebuild makes no calls: leave out collect_again and collect_corrections")
    if rebuild and first is None:
        raise RequestInvalidError("a rebuild needs a session: give trading_date, and through for a range up to there")
    if last is not None and not rebuild:
        raise RequestInvalidError(
            "through is for a rebuild: set rebuild, or trigger mag7_backfill to collect a range of sessions"
        )
    if first is not None and last is not None and last < first:
        raise RequestInvalidError(f"the range from {first} to {last} ends before it begins")
    scheduled = run_type == "scheduled"
    return Request(
        first,
        last if rebuild else None,
        Asking.NOTHING if rebuild else Asking.AGAIN if again else Asking.MISSING,
        corrections=corrections or scheduled,
        explain=_read_ticker(params, "explain"),
    )


FROM_THE_FIRST = "^(2020-11-30|2020-12-[0-3][0-9]|20(2[1-9]|[3-9][0-9])-[01][0-9]-[0-3][0-9])$"
"""Dates from 2020-11-30 on, as a pattern that a form can check."""


@dataclass(frozen=True)
class RangeRequest:
    """The params of a run of mag7_backfill.

    ``first`` and ``last`` are a range of days, both or neither; without one the run's month is used. ``repeat``
    includes complete sessions. ``sessions`` are exactly those to build, instead of a range: a repair.
    """

    first: date | None
    last: date | None
    repeat: bool
    sessions: tuple[date, ...] = ()


def range_params() -> dict[str, Param]:
    """Return the params of the backfill's trigger form, each with its schema."""
    from airflow.sdk import Param

    def day(title: str, description: str) -> Param:
        return Param(
            None,
            type=["null", "string"],
            format="date",
            pattern=FROM_THE_FIRST,
            title=title,
            description=description,
        )

    return {
        "start_date": day("From", "First day of a range to fill, 2020-11-30 or later; empty: the run's month"),
        "end_date": day("To", "Last day of the range, which must have closed"),
        "repeat": Param(
            False,
            type="boolean",
            title="Repeat",
            description="Also complete sessions: rebuilt from stored responses, published and loaded",
        ),
        "sessions": Param(
            [],
            type="array",
            items={"type": "string", "format": "date", "pattern": FROM_THE_FIRST},
            title="Sessions",
            description="Exactly these sessions, instead of a range: a repair after facts changed",
        ),
    }


def read_range(params: Mapping[str, Any]) -> RangeRequest:
    """Read a backfill's params; raises RequestInvalidError where a range has one end, or ends before it begins."""
    first, last = _read_date(params, "start_date"), _read_date(params, "end_date")
    sessions = _read_dates(params, "sessions")
    if sessions and (first is not None or last is not None):
        raise RequestInvalidError("a range or exact sessions: give start_date and end_date, or sessions")
    if (first is None) != (last is None):
        missing = "start_date" if first is None else "end_date"
        raise RequestInvalidError(f"a range needs both ends: give {missing}, too, or neither for the run's month")
    if first is not None and last is not None and last < first:
        raise RequestInvalidError(f"the range from {first} to {last} ends before it begins")
    return RangeRequest(first, last, _read_flag(params, "repeat") or bool(sessions), sessions)


def _read_date(params: Mapping[str, Any], name: str) -> date | None:
    given = params.get(name)
    if given is None or given == "":
        return None
    try:
        day = date.fromisoformat(given)
    except (TypeError, ValueError):
        day = None
    # Other forms of ISO dates would name a session in a way that nobody finds again.
    if day is None or day.isoformat() != given:
        raise _invalid(name, given, "a date such as 2024-12-13")
    return day


def _read_dates(params: Mapping[str, Any], name: str) -> tuple[date, ...]:
    given = params.get(name) or []
    if not isinstance(given, list):
        raise _invalid(name, given, "a list of dates such as 2024-12-13")
    return tuple(sorted({day for text in given if (day := _read_date({name: text}, name)) is not None}))


def _read_flag(params: Mapping[str, Any], name: str) -> bool:
    given = params.get(name, False)
    if not isinstance(given, bool):
        raise _invalid(name, given, "true or false")
    return given


def _read_ticker(params: Mapping[str, Any], name: str) -> str | None:
    given = params.get(name)
    text = "" if given is None else given.strip().upper() if isinstance(given, str) else None
    if text == "":
        return None
    if text is None or not TICKER.fullmatch(text):
        raise _invalid(name, given, "a ticker such as NVDA or BRK.B")
    return text


def _invalid(name: str, given: object, wanted: str) -> RequestInvalidError:
    shown = one_line(given) if isinstance(given, str) else type(given).__name__
    return RequestInvalidError(f"the param {name} is {shown!r}, but must be {wanted}, or left out")
