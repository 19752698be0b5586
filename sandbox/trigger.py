"""Trigger a run of a DAG through Airflow's REST API and wait until it has ended.

Usage: python -m sandbox.trigger 2024-12-13 [--url http://localhost:8080] [--dag mag7_daily] [--conf JSON]

Needs nothing but Python's standard library. The password is in the environment variable MAG7_UI_PASSWORD (default: the
development password).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

USER = "admin"
DEVELOPMENT_PASSWORD = "admin"  # noqa: S105 - documented, for development, reachable from this machine only
PASSWORD_VARIABLE = "MAG7_UI_PASSWORD"  # noqa: S105  # pragma: allowlist secret - a variable's name
RESPONSE_SECONDS = 30.0
POLL_SECONDS = 2.0
PARSE_SECONDS = 90.0
WAIT_SECONDS = 900.0
ENDED = ("success", "failed")


class AirflowRefusedError(Exception):
    """Airflow returned an error status, or cannot be reached, which has no status."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """A client of Airflow's REST API for one user."""

    def __init__(self, url: str, password: str, user: str = USER) -> None:
        self._url = url.rstrip("/")
        self._token = ""
        self._token = str(self.call("POST", "/auth/token", {"username": user, "password": password})["access_token"])

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Make one call and return its JSON response; raises AirflowRefusedError."""
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._url + path, data, headers, method=method)  # noqa: S310 - http only
        try:
            with urllib.request.urlopen(request, timeout=RESPONSE_SECONDS) as response:  # noqa: S310  # nosec B310 # Airflow's own
                return json.load(response)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:300]
            raise AirflowRefusedError(f"Airflow refused {method} {path}: {error.code} {said}", error.code) from None
        except OSError as error:
            raise AirflowRefusedError(f"Airflow does not answer at {self._url}: {error}") from None

    def wait_for_dag(self, dag_id: str, seconds: float = PARSE_SECONDS) -> None:
        """Wait until Airflow has parsed a DAG's file; raises AirflowRefusedError after ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.call("GET", f"/api/v2/dags/{dag_id}")
            except AirflowRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start runs of a DAG."""
        self.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, day: str | None, conf: Mapping[str, Any]) -> str:
        """Trigger a run of a logical date, or of none; returns its id. A DAG has one run a logical date.

        Raises AirflowRefusedError, also for a date's second run.
        """
        run_id = "__".join(["manual", *([day] if day else []), f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"])
        logical_date = f"{day}T00:00:00Z" if day else None
        body = {"dag_run_id": run_id, "logical_date": logical_date, "conf": dict(conf)}
        try:
            return str(self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])
        except AirflowRefusedError as refused:
            if refused.status != HTTPStatus.CONFLICT:
                raise
            raise AirflowRefusedError(
                f"{dag_id} has a run for {day} already: clear that run to repeat it, or take another session",
                refused.status,
            ) from None

    def wait(self, dag_id: str, run_id: str, seconds: float = WAIT_SECONDS) -> str:
        """Wait until a run has ended; returns its state, or its current state after ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            state = str(self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])
            if state in ENDED or time.monotonic() > deadline:
                return state
            time.sleep(POLL_SECONDS)

    def list_failed(self, dag_id: str, run_id: str) -> list[str]:
        """List the failed tasks of a run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?state=failed"
        return sorted({str(task["task_id"]) for task in self.call("GET", path)["task_instances"]})


def main(arguments: Sequence[str] | None = None) -> int:
    """Trigger, wait and print the result; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.trigger", description="Trigger a DAG run and wait.")
    parser.add_argument("date", help="the session, such as 2024-12-13")
    parser.add_argument("--dag", default="mag7_daily")
    parser.add_argument("--url", default="http://localhost:8080")
    parser.add_argument("--conf", type=json.loads, default={}, help="the run's parameters as JSON")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        api = AirflowApi(options.url, os.environ.get(PASSWORD_VARIABLE) or DEVELOPMENT_PASSWORD)
        api.wait_for_dag(options.dag)
        api.unpause(options.dag)
        run_id = api.trigger(options.dag, options.date, options.conf)
        state = api.wait(options.dag, run_id)
        failed = api.list_failed(options.dag, run_id)
    except AirflowRefusedError as error:
        print(f"trigger: {error}", file=sys.stderr)
        return 1
    why = f", failed tasks: {', '.join(failed)}" if failed else ""
    print(f"{options.dag} {run_id}: {state} after {time.monotonic() - began:.0f} s{why}")
    return 0 if state == "success" else 1


if __name__ == "__main__":
    sys.exit(main())
