"""What people do about the index in a house whose DAGs a real scheduler runs: evenings, questions, answers, repairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import quote

from mag7.lake.keys import document_key
from mag7.tasks.constituents import Outcome
from sandbox.scheduler import ScheduledRun
from tests.e2e.scheduled import DAG, ScheduledHouse
from tools.declared import name_values
from tools.stack_reader import Rows

CONSTITUENTS, DECIDE = "mag7_constituents", "mag7_decide"
EVENING_SECONDS, ANSWER_SECONDS, REPAIR_SECONDS = 240.0, 180.0, 480.0
WAITING = "awaiting_input"


class Index:
    """What people do about the index in a house: evenings, questions, answers, repairs."""

    def __init__(self, house: ScheduledHouse) -> None:
        self.house, self.airflow, self.store = house, house.airflow, house.place.store
        self._repairs: set[str] = set()

    def evening(self, session: date | None = None) -> ScheduledRun:
        """Run mag7_constituents for a session, without one for the last that has closed; it succeeds."""
        run = self.try_evening(session)
        assert run.state == "success", self.airflow.list_tasks(CONSTITUENTS, run.run_id)
        return run

    def try_evening(self, session: date | None = None) -> ScheduledRun:
        """Run mag7_constituents, which fails where a source does."""
        run_id = self.airflow.trigger(CONSTITUENTS, {}, session)
        return self.house.wait(run_id, CONSTITUENTS, EVENING_SECONDS)

    def outcome(self, dag_id: str, run_id: str, task_id: str) -> Outcome:
        """What a task of a run gave to those behind it."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        found: Outcome = self.airflow.api.call("GET", path)["value"]
        return found

    def state(self, dag_id: str, run_id: str, task_id: str) -> set[str | None]:
        """The states of a task's instances."""
        return {task.state for task in self.airflow.list_tasks(dag_id, run_id) if task.task_id == task_id}

    def wait_for_questions(self, run_ids: list[str]) -> dict[str, str]:
        """Wait until runs of mag7_decide wait for a person; gives the text of each."""

        def waiting() -> bool:
            return all(self.state(DECIDE, run_id, "ask") == {WAITING} for run_id in run_ids)

        self.airflow.wait_until(
            waiting, ANSWER_SECONDS, lambda: str([self.state(DECIDE, one, "ask") for one in run_ids])
        )
        return {run_id: self._ask("GET", run_id)["body"] for run_id in run_ids}

    def answer(self, run_id: str, option: str, effective: date | None = None) -> None:
        """Answer a question as a person does by Airflow's API."""
        given = {"effective_date": str(effective)} if effective else {}
        self._ask("PATCH", run_id, {"chosen_options": [option], "params_input": given})

    def _ask(self, method: str, run_id: str, body: Mapping[str, Any] | None = None) -> Any:
        path = f"/api/v2/dags/{DECIDE}/dagRuns/{quote(run_id)}/taskInstances/ask/-1/hitlDetails"
        return self.airflow.api.call(method, path, body)

    def decided(self, run_id: str) -> ScheduledRun:
        """Wait for the end of a run of mag7_decide."""
        return self.house.wait(run_id, DECIDE, ANSWER_SECONDS)

    def repaired(self) -> list[str]:
        """Wait for the repairs that have been started since the last look; gives the sessions that they built."""
        runs = [run for run in self.airflow.list_runs(DAG) if run.run_type == "operator_triggered"]
        new = [run.run_id for run in runs if run.run_id not in self._repairs]
        self._repairs |= set(new)
        for run in self.airflow.wait_for_runs(DAG, new, REPAIR_SECONDS):
            assert run.state == "success", self.house.explain(run)
        confs = (self.airflow.api.call("GET", f"/api/v2/dags/{DAG}/dagRuns/{quote(one)}")["conf"] for one in new)
        return sorted(day for conf in confs for day in conf["sessions"])

    def document(self, day: date) -> dict[str, Any]:
        """A session's published document."""
        found: dict[str, Any] = json.loads(self.store.get(document_key(day)))
        return found

    def symbols(self, day: date) -> set[str]:
        """The symbols of a session's published lines."""
        return {line["symbol"] for line in self.document(day)["constituents"]}

    def metrics(self) -> dict[str, dict[str, Any]]:
        """The loaded rows of concentration_metrics by session."""
        rows = self.house.house.published().rows["concentration_metrics"]
        return {row["trading_date"]: row for row in map(partial(name_values, "concentration_metrics"), rows)}

    def lines(self, day: date) -> Rows:
        """The loaded lines of a session."""
        return self.house.house.published().of(str(day)).rows["constituent_market_caps"]
