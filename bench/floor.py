"""The floor under a daily run: the same servers, a DAG of as many tasks that do nothing, two Glue runs that do nothing.

What the project adds to Airflow, the sandbox and Spark is the daily run above this. The two Glue runs open Spark and
commit; every other task is empty.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import boto3

from mag7.settings import read_settings
from sandbox.airflow_home import airflow_command, find_run, list_task_runs, prepare_airflow
from sandbox.stack import REGION, ROOT, Stack, run_stack

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
    """The empty DAG did not run to its end."""


def measure(home: Path, tasks: int) -> float:
    """Give the seconds of an empty run of ``tasks`` task instances on a sandbox that a daily run has used before.

    Raises FloorFailedError.
    """
    started = time.monotonic()
    with run_stack(home, {}) as stack:
        dags = home / "floor"
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
    if [task.state for task in found] != ["success"] * tasks:
        raise FloorFailedError(f"{len(found)} of {tasks} tasks: {log.read_text(errors='replace')[-800:]}")
    return round(time.monotonic() - started, 1)


def _create_jobs(stack: Stack) -> None:
    environment = stack.environment()
    session = boto3.Session(
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",  # noqa: S106 - moto takes any key
        region_name=REGION,
    )
    bucket = read_settings(environment).bucket
    session.client("s3", endpoint_url=stack.aws_url).put_object(Bucket=bucket, Key="floor.py", Body=SCRIPT.encode())
    glue = session.client("glue", endpoint_url=stack.aws_url)
    for name in JOBS:
        glue.create_job(
            Name=name,
            Role="arn:aws:iam::123456789012:role/mag7-glue",
            Command={"Name": "glueetl", "ScriptLocation": f"s3://{bucket}/floor.py", "PythonVersion": "3"},
            GlueVersion="5.0",
            WorkerType="G.1X",
            NumberOfWorkers=2,
        )


def main() -> None:
    """Measure one run in a folder that a demonstration has used, and print it."""
    home, tasks = Path(os.fspath(sys.argv[1])), int(sys.argv[2])
    print(f"{measure(home, tasks)} s for {tasks} empty tasks")


if __name__ == "__main__":
    main()
