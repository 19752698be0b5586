"""`make constituents`, which is `airflow dags test`: with a question for a person it stores it and ends by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mag7.lake.keys import inbox_prefix, question_key
from mag7.sessions import last_closed_session, list_sessions, previous_session
from mag7.settings import read_settings
from sandbox.airflow_home import list_runs
from sandbox.provision import open_stack, provision_infrastructure
from sandbox.stack import REGION, ROOT, run_stack
from tests.e2e.fund_files import FundFiles

pytestmark = pytest.mark.slow

LAST = last_closed_session(datetime.now(UTC))
LONGEST_SECONDS = 400.0


def test_an_evening_with_a_question_ends_by_itself_and_stores_it(tmp_path: Path) -> None:
    files = FundFiles(previous_session(LAST), LAST)
    swap = files.list_swaps()[0]
    with run_stack(tmp_path, {}) as stack:
        provision_infrastructure(read_settings(stack.environment()), REGION)
        for day in list_sessions(previous_session(LAST, 2), LAST):
            files.put(open_stack(stack).store, day, [swap])

    ended = subprocess.run(
        [sys.executable, "-m", "sandbox.constituents", "--home", str(tmp_path), "--date", "latest"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    (told,) = (line for line in ended.stdout.splitlines() if line.startswith("question "))
    assert [symbol for symbol in (*swap.joins, *swap.leaves) if symbol not in told] == []
    identifier = told.removeprefix("question ").partition(":")[0]
    assert f"trigger mag7_decide with its id, in an Airflow that runs: {identifier}" in ended.stdout
    with run_stack(tmp_path, {}) as stack:
        store = open_stack(stack).store
        question = json.loads(store.get(question_key(identifier)))
        assert {item["symbol"] for item in question["items"]} == {*swap.joins, *swap.leaves}
        assert not list(store.list(inbox_prefix()))
        assert list_runs(stack, "mag7_decide") == [(f"question__{identifier}", "queued")]
