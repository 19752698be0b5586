"""The Amazon provider's operators with the few additions that this project needs."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.providers.amazon.aws.operators.redshift_data import RedshiftDataOperator
from airflow.sdk.exceptions import AirflowException

from mag7.errors import Mag7Error
from mag7.settings import read_settings
from mag7.tasks.connections import open_client

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

LOG_GROUPS = ("/aws-glue/jobs/output", "/aws-glue/jobs/error")
TAIL = 40
"""Log events of each group that a failed run shows in the task's log."""

ACTIVE = ("STARTING", "RUNNING", "STOPPING", "WAITING")
"""States of a Glue run that may still write."""

END_SECONDS = 120.0
"""Seconds to wait for a stopped run to end."""

SCRIPT_REFUSALS = ("SessionListError", "DocumentMissingError", "DocumentInvalidError")
"""Errors of include/glue that the same documents would raise again."""


class GlueRunFailedError(Mag7Error):
    """A Glue run ended in another state than SUCCEEDED; a retry may work, as a worker can be lost."""

    transient = True


class GlueRunsCollidedError(Mag7Error):
    """Two Glue runs wrote to one staging folder: the response to the first start was lost, and it was repeated."""

    transient = True


class GlueScriptRefusedError(Mag7Error):
    """A Glue run failed because its script refused its input; it would refuse it again."""


class RepeatableJobMixin:
    """Keeps a job's id across tries, until the job has succeeded or anything of the run is cleared.

    The provider's durable operators keep the id for the DAG run, and would take a job from before a clear for this one,
    although its input may have changed. The DAG run counts its clears, except those that leave its state alone.
    """

    external_id_key: str

    def execute(self, context: Context) -> Any:
        """Run the job, or wait for the one that an earlier try started; then forget its id."""
        self.external_id_key = self.name_key(context)
        result = super().execute(context)  # type: ignore[misc]
        store = context.get("task_state_store")
        if store is not None:
            store.delete(self.external_id_key)
        return result

    def name_key(self, context: Context) -> str:
        """Return the key under which the job's id is stored: another one after each clear."""
        return f"{type(self).external_id_key}_{context['dag_run'].clear_number or 0}"


class WarehouseOperator(RepeatableJobMixin, RedshiftDataOperator):
    """RedshiftDataOperator that runs its statements again when its task is cleared."""


class CheckOperator(AthenaOperator):
    """AthenaOperator that writes results only to a bucket of the expected owner."""

    def execute(self, context: Context) -> str | None:
        """Run the query."""
        owner = read_settings().bucket_owner
        if owner:
            self.result_configuration["ExpectedBucketOwner"] = owner
        query_id: str | None = super().execute(context)
        return query_id


class GlueRunOperator(RepeatableJobMixin, GlueJobOperator):
    """GlueJobOperator that logs a failed run's error and log tail, and lets no other run write to its folder.

    StartJobRun takes no client token. When its response is lost it is called again, and the run that nobody knows of
    goes on writing to the same folder, perhaps after the files were checked.
    """

    def execute(self, context: Context) -> str | None:
        """Stop other runs that write to the run's folder, start the run, and wait for it.

        Raises GlueRunFailedError or GlueScriptRefusedError with the job's error, and GlueRunsCollidedError.
        """
        self._end_earlier(context)
        try:
            run_id: str | None = super().execute(context)
        except AirflowException as failed:
            if self._job_run_id is None:
                raise
            error = self._describe_failure(self._job_run_id)
            self._show_log_tail(self._job_run_id)
            raise error from failed
        if run_id is not None:
            self._refuse_company(run_id)
        return run_id

    def _end_earlier(self, context: Context) -> None:
        """Stop runs from before a clear: a killed task could not, and they write to this run's folder."""
        store = context.get("task_state_store")
        known = None if store is None else store.get(self.name_key(context))
        earlier = [run["Id"] for run in self._list_others(known) if run["JobRunState"] in ACTIVE]
        if earlier:
            log.info("stopping runs that were started for this folder before: %s", ", ".join(earlier))
            self._end(earlier)

    def _refuse_company(self, run_id: str) -> None:
        """Stop the runs that wrote to this one's folder while it ran; raises GlueRunsCollidedError for any."""
        begun = self.hook.conn.get_job_run(JobName=self.job_name, RunId=run_id)["JobRun"]["StartedOn"]
        strangers = [
            run["Id"]
            for run in self._list_others(run_id)
            if run["JobRunState"] in ACTIVE or run.get("CompletedOn", begun) > begun
        ]
        if not strangers:
            return
        self._end(strangers)
        raise GlueRunsCollidedError(
            f"Glue job {self.job_name}, run {run_id}: {', '.join(strangers)} wrote to the same folder. The response"
            " to their start was lost. They have ended. Clear this task to run it again"
        )

    def _list_others(self, run_id: object) -> list[dict[str, Any]]:
        """List the job's newest other runs that write to this one's folder."""
        # Newest first: one page holds more than can have run meanwhile.
        runs = self.hook.conn.get_job_runs(JobName=self.job_name)["JobRuns"]
        staging = self.script_args["--staging"]
        return [run for run in runs if run["Id"] != run_id and run.get("Arguments", {}).get("--staging") == staging]

    def _end(self, run_ids: list[str]) -> None:
        self.hook.conn.batch_stop_job_run(JobName=self.job_name, JobRunIds=run_ids)
        for run_id in run_ids:
            self._await_end(run_id)

    def _await_end(self, run_id: str) -> None:
        deadline = time.monotonic() + END_SECONDS
        while self.hook.conn.get_job_run(JobName=self.job_name, RunId=run_id)["JobRun"]["JobRunState"] in ACTIVE:
            if time.monotonic() > deadline:
                raise GlueRunsCollidedError(
                    f"Glue job {self.job_name}: run {run_id} writes to this run's folder and did not stop within"
                    f" {END_SECONDS:.0f} s: stop it, then clear this task"
                )
            time.sleep(self.job_poll_interval)

    def _describe_failure(self, run_id: str) -> GlueRunFailedError | GlueScriptRefusedError:
        run: dict[str, Any] = self.hook.conn.get_job_run(JobName=self.job_name, RunId=run_id)["JobRun"]
        reason = run.get("ErrorMessage") or "it gave no error message, see the log above"
        happened = f"Glue job {self.job_name}, run {run_id}, ended {run['JobRunState']}: {reason}."
        if any(name in reason for name in SCRIPT_REFUSALS):
            return GlueScriptRefusedError(f"{happened} Clear build_market_data and everything after it")
        return GlueRunFailedError(f"{happened} Clear this task to run it again")

    def _show_log_tail(self, run_id: str) -> None:
        from botocore.exceptions import ClientError

        logs = open_client("logs")
        for group in LOG_GROUPS:
            try:
                events = logs.get_log_events(logGroupName=group, logStreamName=run_id, limit=TAIL)["events"]
            except ClientError as unreadable:
                log.warning("the log of run %s in %s cannot be read: %s", run_id, group, unreadable)
                continue
            lines = "\n".join(event["message"].rstrip() for event in events)
            log.error("last lines of %s, run %s:\n%s", group, run_id, lines)
