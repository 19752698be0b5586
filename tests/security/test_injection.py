"""What somebody gives a run cannot become SQL, a template or another path."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.errors import Mag7Error
from mag7.lake import keys
from mag7.runs.alert import repeat_command, trigger_command
from mag7.runs.record import Summary, section_key
from mag7.sessions import session_asked_for, sessions_asked_for
from mag7.settings import read_settings
from mag7.tasks import templates
from mag7.tasks.request import read_range, read_request
from mag7.tasks.window import make_window
from tests.fuzz.hostile import ANY_LETTER, AWKWARD_TEXTS

HOSTILE = st.one_of(
    st.sampled_from(AWKWARD_TEXTS),
    st.sampled_from(
        ("'", "';--", '"', "\\", "/", "..", "{{ setting('copy_role') }}", "{% raw %}", "$(id)", "`id`", "%2e%2e/")
    ),
    st.text(ANY_LETTER, max_size=30),
    st.text("'\";-/\\.{}%$`\n ", min_size=1, max_size=12),
)
RUN_IDS = st.one_of(HOSTILE, HOSTILE.map(lambda text: f"manual__2024-12-13T00:00:00+00:00{text}"))
SAFE = re.compile(r"[A-Za-z0-9._-]+")
SESSION = date(2024, 12, 13)
CASES = settings(max_examples=300, derandomize=True, database=None, deadline=None)

CONDITION = re.compile(r"run = '[A-Za-z0-9._-]+' AND trading_date IN \(DATE '2024-12-13'\)")


def template_context(run_id: str, sessions: Sequence[date] = (SESSION,)) -> Any:
    window = make_window(keys.run_segment("mag7_daily", run_id), sessions)
    ti = SimpleNamespace(xcom_pull=lambda task_ids: window)
    return {"ti": ti, "task": SimpleNamespace(task_id="check.run_check")}


@CASES
@given(RUN_IDS)
def test_a_run_id_ends_no_quoted_text(run_id: str) -> None:
    context = template_context(run_id)

    assert SAFE.fullmatch(templates.run(context))
    assert CONDITION.fullmatch(templates.in_window(context))


@CASES
@given(RUN_IDS)
def test_a_run_id_leads_out_of_no_folder(run_id: str) -> None:
    segment = keys.run_segment("mag7_daily", run_id)
    for key in (
        section_key(segment, Summary),
        keys.manifest_key(segment, "splits"),
        keys.staged_document_key(segment, SESSION),
        keys.staged_table_prefix(segment, "processed", "splits", SESSION),
        keys.staged_splits_key(segment),
    ):
        folder, mine, *_ = key.split("/")
        assert (folder, mine) == ("staging", segment)
        assert not {"", ".", ".."} & set(key.rstrip("/").split("/"))
        assert len(key) <= 1024


@CASES
@given(RUN_IDS)
def test_a_manifests_address_is_rendered_inside_its_folder(run_id: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        context = template_context(run_id)
        context["task"].task_id = "load.load_tables"
        address = templates.manifest(context, "splits")

    assert re.fullmatch(r"s3://magnificent7-market-data/staging/[A-Za-z0-9._-]+/manifests/splits\.json", address)


@CASES
@given(st.sampled_from(("trading_date", "through", "explain")), HOSTILE)
def test_a_param_is_a_date_a_ticker_or_refused(name: str, text: str) -> None:
    params: dict[str, Any] = {name: text}
    if name == "through":
        params |= {"rebuild": True, "trading_date": "2000-01-01"}
    try:
        request = read_request(params, "manual")
    except Mag7Error:
        return
    days = [day for day in (request.trading_date, request.through) if day is not None]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day.isoformat()) for day in days)
    assert request.explain is None or re.fullmatch(r"[A-Z.]{1,10}", request.explain)


ENDS = st.one_of(
    HOSTILE,
    HOSTILE.map(lambda text: f"2024-12-13{text}"),
    st.sampled_from(("", "2024-12-13", "20241213", "2024-W50-5")),
)


@CASES
@given(ENDS, ENDS, st.one_of(st.booleans(), HOSTILE))
def test_a_range_is_of_dates_or_refused(first: str, last: str, repeat: object) -> None:
    try:
        request = read_range({"start_date": first, "end_date": last, "repeat": repeat})
    except Mag7Error as refused:
        assert str(refused).isprintable()
        return
    assert type(request.repeat) is bool
    if request.first is None or request.last is None:
        assert first == last == ""
        return
    for text, day in ((first, request.first), (last, request.last)):
        assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)
        assert type(day) is date
    try:
        sessions = sessions_asked_for(
            request.first, request.last, datetime(2024, 12, 14, 6, tzinfo=UTC), covered=date(2020, 11, 30)
        )
    except Mag7Error:
        return
    assert CONDITION.fullmatch(templates.in_window(template_context("manual", sessions)))
    assert [keys.document_key(day) for day in sessions] == [keys.document_key(SESSION)]


@CASES
@given(HOSTILE, HOSTILE)
def test_a_command_of_an_alert_ends_no_quoted_text(name: str, text: str) -> None:
    repeat, trigger = repeat_command(name, text), trigger_command(name, {"trading_date": text, "collect_again": True})

    assert shlex.split(repeat) == ["airflow", "dags", "clear", name, "--run-id", text, "--yes"]
    *words, conf = shlex.split(trigger)
    assert words == ["airflow", "dags", "trigger", name, "--conf"]
    assert json.loads(conf) == {"trading_date": text, "collect_again": True}


@CASES
@given(st.datetimes(timezones=st.just(UTC)))
def test_any_logical_date_is_a_session_or_refused(moment: datetime) -> None:
    try:
        session = session_asked_for(moment, datetime(2024, 12, 14, 6, tzinfo=UTC))
    except Mag7Error:
        return
    assert type(session) is date


@CASES
@given(st.sampled_from(("MAG7_BUCKET", "MAG7_COPY_ROLE", "MAG7_ATHENA_WORKGROUP", "MAG7_ALERT_TOPIC")), HOSTILE)
def test_a_setting_ends_no_quoted_text(name: str, text: str) -> None:
    try:
        found = read_settings({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", name: text})
    except Mag7Error:
        return
    for value in (found.bucket, found.copy_role, found.athena_workgroup, found.alert_topic):
        assert not set(value) & set("'\"`\\\n")
