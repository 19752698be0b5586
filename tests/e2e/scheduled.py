"""A house whose DAGs a real scheduler runs: asked for as an operator does, waited for, and read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mag7.lake.keys import run_manifest_key, run_segment
from mag7.runs.record import RunRecord, read_record
from mag7.sessions import list_sessions
from mag7.tasks.setup import Place
from sandbox.provision import open_stack
from sandbox.scheduler import LocalAirflow, ScheduledRun, ScheduledTask, run_scheduler
from sandbox.stack import run_stack
from tests.private_folders import open_to_others
from tools.declared import find_table, name_values
from tools.stack_reader import Rows, StackReader

DAG = "mag7_backfill"
DAILY = "mag7_daily"
MONTH_SECONDS = 600.0
"""A run of a month that takes longer is given up: on two cores that do nothing else it takes two minutes."""

CAPS = "constituent_market_caps"
SETTINGS = {"MAG7_BATCHES": "4"}
"""Of a daily run a third of the usual batches: fewer tasks."""


@dataclass
class ScheduledHouse:
    """A running stack with a real scheduler: ``house`` reads what there is, ``place`` is its lake and warehouse."""

    house: StackReader
    airflow: LocalAirflow
    place: Place

    def run_range(self, first: str, last: str, **params: Any) -> ScheduledRun:
        """Trigger the backfill for a range of days and wait for its end."""
        return self.wait(self.start_range(first, last, **params))

    def start_range(self, first: str, last: str, **params: Any) -> str:
        """Trigger the backfill for a range of days; returns the run's id."""
        return self.airflow.trigger(DAG, {"start_date": first, "end_date": last, **params})

    def wait(self, run_id: str, dag_id: str = DAG, seconds: float = MONTH_SECONDS) -> ScheduledRun:
        """Wait for a run's end."""
        return self.airflow.wait_for_runs(dag_id, [run_id], seconds)[0]

    def record(self, run: ScheduledRun, dag_id: str = DAG) -> RunRecord:
        """The record that a run left."""
        return read_record(self.place.store, run_segment(dag_id, run.run_id))

    def manifest(self, run: ScheduledRun) -> dict[str, Any]:
        """The manifest that a run of the backfill left."""
        manifest: dict[str, Any] = json.loads(self.place.store.get(run_manifest_key(run_segment(DAG, run.run_id))))
        return manifest

    def failure(self, run: ScheduledRun, dag_id: str = DAG) -> str:
        """A run's own words about its failure, empty where there are none."""
        failure = self.record(run, dag_id).failure
        return failure.message if failure else ""

    def tasks(self, run: ScheduledRun, dag_id: str = DAG) -> list[ScheduledTask]:
        """The run's task instances."""
        return self.airflow.list_tasks(dag_id, run.run_id)

    def explain(self, run: ScheduledRun) -> str:
        """What a failed assertion about a run needs to say."""
        failed = sorted({task.task_id for task in self.tasks(run) if task.state == "failed"})
        return f"{run}; failed tasks {failed}; {self.failure(run)}; logs: {self.airflow.home}"


@contextmanager
def open_house(home: Path, change: Mapping[str, str] | None = None) -> Iterator[ScheduledHouse]:
    """Open a house in a folder: the stack, Airflow's services, the DAGs let loose; ``change`` is set in them, too."""
    open_to_others(home)
    settings = {**SETTINGS, **(change or {})}
    with run_stack(home, {}) as stack, run_scheduler(stack, preload=True, change=settings) as airflow:
        for dag_id in (DAG, DAILY):
            airflow.unpause(dag_id)
        yield ScheduledHouse(StackReader(home, stack), airflow, open_stack(stack))


def sessions_between(first: str, last: str) -> list[str]:
    """The sessions of a range of days, as ISO dates."""
    return [day.isoformat() for day in list_sessions(date.fromisoformat(first), date.fromisoformat(last))]


def rows_of(rows: Mapping[str, Rows], sessions: Iterable[str]) -> dict[str, Rows]:
    """The warehouse's rows of some sessions; splits, which belong to none, are left out."""
    wanted = set(sessions)
    return {table: [row for row in found if row[0] in wanted] for table, found in rows.items() if table != "splits"}


def rows_apart_from_asking(rows: Mapping[str, Rows]) -> dict[str, Rows]:
    """The warehouse's rows without the one column that says whether the provider was asked about just that session.

    Which sessions a search asks about depends on the range that it was given; what it finds does not.
    """
    columns = [column.name for column in find_table(CAPS).columns]
    place = columns.index("provider_market_cap")
    return {**rows, CAPS: [(*row[:place], *row[place + 1 :]) for row in rows[CAPS]]}


def given_caps(rows: Mapping[str, Rows]) -> dict[tuple[str, str], float]:
    """The provider's own market caps by session and ticker, where it was asked for them."""
    named = (name_values(CAPS, row) for row in rows[CAPS])
    return {
        (row["trading_date"], row["ticker"]): row["provider_market_cap"]
        for row in named
        if row["provider_market_cap"] is not None
    }


def objects_of(objects: Mapping[str, str], sessions: Iterable[str]) -> dict[str, str]:
    """The digests of the published tables' files of some sessions; documents, which tell times, are left out."""
    wanted = set(sessions)
    return {
        key: digest
        for key, digest in objects.items()
        if not key.startswith("raw/") and "/splits/" not in key and any(day in key for day in wanted)
    }
