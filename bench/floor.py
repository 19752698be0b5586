"""The floor of a daily run: the same servers, and a DAG with as many tasks that do nothing, two of them Glue runs.

The time of a daily run above the floor is what the project adds to Airflow, the sandbox and Spark. The two Glue runs
open Spark and commit; all other tasks are empty.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sandbox.airflow_home import airflow_command, find_run, list_task_runs, prepare_airflow
from sandbox.provision import open_stack
from sandbox.stack import ROOT, Stack, run_stack

DAG = "floor"
DAY = "2024-12-13"
JOBS = ("floor-one", "floor-two")
LONGEST_SECONDS = 600.0

SCRIPT = """
import sys

from awsglue.context import GlueContext
from awsglue.job import Job
from awsglue.utils import getResolvedOptions
from pyspark.context import SparkContext

arguments = getResolvedOptions(sys.argv, ["JOB_NAME"])
job = Job(GlueContext(SparkContext.getOrCreate()))
job.init(arguments["JOB_NAME"], arguments)
job.commit()
"""

DAG_FILE = """
import pendulum
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk import dag, task


@dag(dag_id="{dag_id}", schedule=None, start_date=pendulum.datetime(2000, 1, 1, tz="UTC"))
def floor():
    @task
    def stay_idle():
        return None

    jobs = [
        GlueJobOperator(
            task_id=name.replace("-", "_"), job_name=name, job_poll_interval=1, waiter_delay=1
        )
        for name in {jobs}
    ]
    for number in range({tasks}):
        stay_idle.override(task_id=f"idle_{{number}}")()


floor()
"""


class FloorFailedError(Exception):
    """The empty DAG failed."""


def measure(home: Path, tasks: int) -> float:
    """Return the seconds of an empty run of ``tasks`` task instances on a sandbox that a daily run has used before.

    Raises FloorFailedError.
    """
    started = time.monotonic()
    with run_stack(home, {}) as stack:
        dags = home / DAG
        dags.mkdir(exist_ok=True)
        (dags / "floor.py").write_text(DAG_FILE.format(dag_id=DAG, jobs=JOBS, tasks=tasks - len(JOBS)))
        _create_jobs(stack)
        prepare_airflow(stack)
        began = datetime.now(UTC)
        log = home / "floor.log"
        with log.open("wb") as output:
            subprocess.run(
                airflow_command("dags", "test", DAG, DAY),
                cwd=ROOT,
                env={**stack.environment(), "AIRFLOW__CORE__DAGS_FOLDER": str(dags)},
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=LONGEST_SECONDS,
                check=False,
            )
        run_id = find_run(stack, DAG, began)
        found = list_task_runs(stack, DAG, run_id) if run_id else []
        # As in the demonstration, stopping the servers does not count.
        seconds = round(time.monotonic() - started, 1)
    if [task.state for task in found] != ["success"] * tasks:
        raise FloorFailedError(f"{len(found)} of {tasks} tasks: {log.read_text(errors='replace')[-800:]}")
    return seconds


def _create_jobs(stack: Stack) -> None:
    """Create the two Glue jobs, whose script is in the lake, or leave them as they are."""
    place = open_stack(stack)
    place.store.put("floor.py", SCRIPT.encode())
    glue = place.open_client("glue")
    for name in JOBS:
        with suppress(glue.exceptions.AlreadyExistsException, glue.exceptions.IdempotentParameterMismatchException):
            glue.create_job(
                Name=name,
                Role="arn:aws:iam::123456789012:role/mag7-glue",
                Command={"Name": "glueetl", "ScriptLocation": place.store.uri("floor.py"), "PythonVersion": "3"},
                GlueVersion="5.0",
                WorkerType="G.1X",
                NumberOfWorkers=2,
            )


def main() -> None:
    """Measure one run in a folder that a demonstration has used, and print it."""
    home, tasks = Path(sys.argv[1]), int(sys.argv[2])
    print(f"{measure(home, tasks)} s for {tasks} empty tasks")


if __name__ == "__main__":
    main()
