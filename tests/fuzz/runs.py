"""What somebody asks of a run and how a run is set up: params, run ids, settings, headers of a refusing answer."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from mag7.errors import Mag7Error
from mag7.lake.keys import record_prefix, run_segment, staged_document_key, staging_prefix
from mag7.polygon.error_statuses import LONGEST_RETRY_AFTER_SECONDS, describe_error
from mag7.polygon.transport import Reply
from mag7.sessions import sessions_asked_for
from mag7.settings import Settings, read_settings
from mag7.tasks.request import Asking, read_range, read_request
from tests.fuzz.hostile import TEXTS, json_bodies
from tests.fuzz.tiers import Fuzzed, check_line, note_taken, ours_or_value

SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
NAMES = ("trading_date", "collect_again", "collect_corrections", "rebuild", "through", "explain")
PLAIN = {
    "trading_date": None,
    "collect_again": False,
    "collect_corrections": False,
    "rebuild": False,
    "through": None,
    "explain": None,
}
HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.lists(TEXTS, max_size=2), st.dates().map(str)
)
PARAMS = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, HOSTILE)).map(lambda params: {**PLAIN, **params}),
    st.tuples(st.sampled_from(NAMES), HOSTILE).map(lambda pair: {**PLAIN, pair[0]: pair[1]}),
    st.dates().map(lambda day: {**PLAIN, "trading_date": day.isoformat(), "rebuild": True}),
    st.tuples(st.dates(), st.dates()).map(
        lambda days: {**PLAIN, "rebuild": True, "trading_date": str(days[0]), "through": str(days[1])}
    ),
    st.sampled_from(("NVDA", " brk.b ", "nvda\n", "NVDA'; --")).map(lambda name: {**PLAIN, "explain": name}),
)


def check_params(params: dict[str, Any]) -> None:
    request = ours_or_value(lambda: read_request(params, "manual"), *NAMES, "range")
    if request is None:
        return
    assert request.trading_date is None or type(request.trading_date) is date
    assert request.through is None or (request.asking is Asking.NOTHING and request.through >= request.trading_date)
    assert request.explain is None or re.fullmatch(r"[A-Z.]{1,10}", request.explain)
    for name in ("trading_date", "through"):
        given = params[name] if params[name] != "" else None
        assert (getattr(request, name) is None) == (given is None), f"{name} was dropped"
    asking = (
        Asking.NOTHING if params["rebuild"] is True else Asking.AGAIN if params["collect_again"] else Asking.MISSING
    )
    assert request.asking is asking
    assert (request.explain is None) == (not (params["explain"] or "").strip())


FIRST, CLOSED = date(2020, 11, 30), date(2024, 12, 13)
"""The first session that may be asked for, and the last that has closed when it is asked."""
RANGE_NAMES = ("start_date", "end_date", "repeat")
RANGE_PLAIN = {"start_date": None, "end_date": None, "repeat": False}
ENDS = st.sampled_from((None, "", "2024-12-13", "20241213", "2024-W50-5", "2024-12-13\n", "2024-12-13T00:00:00"))
FLAGS = st.sampled_from((False, True, True, 0, 1, None, "", "true"))
COVERED = st.dates(date(2020, 11, 1), date(2025, 1, 31)).map(str)
RANGES = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys(RANGE_NAMES, HOSTILE)).map(lambda given: {**RANGE_PLAIN, **given}),
    st.tuples(st.sampled_from(RANGE_NAMES), HOSTILE).map(
        lambda pair: {"start_date": "2024-12-12", "end_date": "2024-12-13", "repeat": True, pair[0]: pair[1]}
    ),
    st.fixed_dictionaries({"start_date": ENDS, "end_date": ENDS, "repeat": FLAGS}),
    st.fixed_dictionaries({"start_date": COVERED, "end_date": COVERED, "repeat": st.booleans()}),
    st.fixed_dictionaries({"start_date": st.dates().map(str), "end_date": st.dates().map(str), "repeat": HOSTILE}),
)


def check_range(params: dict[str, Any]) -> None:
    request = ours_or_value(lambda: read_range(params), *RANGE_NAMES, "the range")
    if request is None:
        return
    first, last = request.first, request.last
    for name, day in (("start_date", first), ("end_date", last)):
        given = params[name] if params[name] != "" else None
        assert (None if day is None else day.isoformat()) == given, f"{name} was read as {day}"
    assert type(request.repeat) is bool and request.repeat is params["repeat"]
    assert (first is None) == (last is None), "half a range was taken"
    if first is None or last is None:
        return
    assert type(first) is type(last) is date
    assert first <= last
    at = datetime(2024, 12, 14, 6, tzinfo=UTC)
    sessions = ours_or_value(lambda: sessions_asked_for(first, last, at, covered=FIRST), str(first), str(last))
    if sessions is not None:
        assert sessions
        assert all(max(first, FIRST) <= day <= min(last, CLOSED) for day in sessions)


def check_run_id(names: tuple[str, str]) -> None:
    segment = run_segment("mag7_daily", names[0])
    note_taken()
    assert SEGMENT.fullmatch(segment) and segment.startswith("mag7_daily-")
    assert staging_prefix(segment).count("/") == 1
    assert record_prefix(segment).startswith(f"staging/{segment}/")
    assert "/../" not in staged_document_key(segment, date(2024, 12, 13))
    if names[0] != names[1]:
        assert segment != run_segment("mag7_daily", names[1])


VARIABLES = tuple(item.metadata["variable"] for item in fields(Settings))
SANDBOX = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
NUMBERS = st.sampled_from(("0", "1", "5", "99.5", "-1", "1e309", "nan", "1e5", " 7 ", "0x10", "٣", "1_0", "2021-11-01"))
ENVIRONMENTS = st.dictionaries(st.sampled_from(VARIABLES), st.one_of(NUMBERS, TEXTS), max_size=4).map(
    lambda given: {**SANDBOX, **given}
)


def check_settings(environ: dict[str, str]) -> None:
    settings = ours_or_value(lambda: read_settings(environ), *VARIABLES)
    if settings is None:
        return
    for item in fields(Settings):
        value = getattr(settings, item.name)
        assert type(value) is item.metadata["kind"]
        if isinstance(value, int | float):
            assert item.metadata["least"] <= value <= item.metadata["most"]


def check_refusal(case: tuple[int, dict[str, str], str]) -> None:
    status, headers, body = case
    error = describe_error("/v3/x", Reply(status, headers, body), datetime(2024, 12, 14, tzinfo=UTC))
    note_taken()
    assert isinstance(error, Mag7Error)
    check_line(str(error), "/v3/x")
    check_line(error.reason, f"HTTP {status}")
    assert error.retry_after is None or 0 <= error.retry_after <= LONGEST_RETRY_AFTER_SECONDS


AFTER = st.one_of(
    TEXTS,
    st.sampled_from(
        ("5", "1.5", "-3", "99999999999", "Fri, 13 Dec 2024 21:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359")
    ),
    st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S -0500")),
)
REPLIES = st.tuples(
    st.sampled_from((301, 400, 401, 403, 408, 429, 499, 500, 503)),
    st.fixed_dictionaries({}, optional={"Retry-After": AFTER, "Location": TEXTS}),
    json_bodies({"status": "ERROR", "error": "Unknown API Key", "message": "before end of day"}),
)
RUN_IDS = st.one_of(TEXTS, st.datetimes().map(lambda moment: f"manual__{moment.isoformat()}+00:00"))

TARGETS = (
    Fuzzed("request.params", PARAMS, check_params, short=80, long=1500),
    Fuzzed("request.range", RANGES, check_range, short=80, long=1500),
    Fuzzed("keys.run_segment", st.tuples(RUN_IDS, RUN_IDS), check_run_id, short=40, long=800, refuses=False),
    Fuzzed("settings", ENVIRONMENTS, check_settings, short=60, long=1200),
    Fuzzed("refusals", REPLIES, check_refusal, short=40, long=1000, refuses=False),
)
