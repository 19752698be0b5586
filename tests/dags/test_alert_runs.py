"""How Airflow itself handles the alert at a run's end: it runs whatever happened, and decides nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dags.test_timetable_runs import DRIVER

ROOT = Path(__file__).parents[2]
ALERT = "send_alert"

DAGS = '''
from airflow.sdk import DAG, task
from mag7.tasks import run_reports
from mag7.tasks.groups import alert_at_end

def wire(name, *, broken=None, alert=run_reports.send_alert):
    """One task before two branches that end in a last one, as a session's DAG is wired."""
    with DAG(name, schedule=None):
        @task
        def resolve_session():
            if broken == "resolve_session":
                raise ValueError("no session")
            return {"run": "r", "sessions": ["2024-12-13"], "facts": ""}

        @task
        def publish_sessions(window):
            if broken == "publish_sessions":
                raise ValueError("no bucket")

        @task
        def collect(number):
            if broken == "collect" and number == 2:
                raise ValueError("no answer")

        @task
        def report_refusals():
            pass

        window = resolve_session()
        window >> [publish_sessions(window), collect.expand(number=[1, 2, 3])] >> report_refusals()
        before = run_reports.send_alert
        run_reports.send_alert = alert
        alert_at_end(window, can_be_late=False)
        run_reports.send_alert = before

def send_alert(window, can_be_late):
    raise RuntimeError("nobody foresaw this")

wire("well")
wire("first_fails", broken="resolve_session")
wire("publishing_fails", broken="publish_sessions")
wire("mapped_fails", broken="collect")
wire("alert_fails", alert=send_alert)
'''


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str], dict[tuple[str, str], str]]:
    """The output of all runs, the states of runs by DAG, and those of tasks by DAG and task."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    (home / "dags" / "alerts.py").write_text(DAGS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MAG7_", "AWS_"))}
    names = ("well", "first_fails", "publishing_fails", "mapped_fails", "alert_fails")
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input="dags reserialize\n" + "".join(f"dags test {name}\n" for name in names),
        env=kept
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "PYTHONPATH": str(ROOT / "plugins"),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=home,
    )
    with sqlite3.connect(home / "airflow.db") as database:
        runs = dict(database.execute("SELECT dag_id, state FROM dag_run").fetchall())
        tasks = database.execute("SELECT dag_id, task_id, state FROM task_instance").fetchall()
    return done.stdout + done.stderr, runs, {(dag, task): state for dag, task, state in tasks}


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("dag", ["first_fails", "publishing_fails", "mapped_fails"])
def test_a_run_that_failed_is_reported_and_stays_failed(airflow: tuple[str, dict[str, str], dict], dag: str) -> None:
    output, runs, tasks = airflow

    assert runs[dag] == "failed", output[-3000:]
    assert tasks[dag, ALERT] == "success"
    assert f"{dag} failed for" in output
    assert f"airflow dags clear {dag} --run-id manual__" in output


def test_what_failed_is_read_from_airflow(airflow: tuple[str, dict[str, str], dict]) -> None:
    output, _, _ = airflow

    for name in ("resolve_session", "publish_sessions", "collect"):
        assert f"Failed: {name}, see its log" in output
    assert "first_fails failed for no session" in output


def test_a_run_that_went_well_is_green_and_not_called_failed(airflow: tuple[str, dict[str, str], dict]) -> None:
    output, runs, tasks = airflow

    assert (runs["well"], tasks["well", ALERT]) == ("success", "success")
    assert "well failed" not in output
    assert "dags clear well" not in output


def test_an_alert_that_fails_leaves_a_good_run_green(airflow: tuple[str, dict[str, str], dict]) -> None:
    _, runs, tasks = airflow

    assert (runs["alert_fails"], tasks["alert_fails", ALERT]) == ("success", "failed")
