"""Starting the Glue jobs, and making what they staged readable for the checks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk.exceptions import AirflowException

from mag7.errors import Mag7Error
from mag7.lake import publish
from mag7.settings import read_settings
from mag7.tasks.connections import open_client, open_store
from mag7.tasks.window import Window, list_window

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

LOG_GROUPS = ("/aws-glue/jobs/output", "/aws-glue/jobs/error")
TAIL = 40
"""Log events of each group that a failed run shows in the task's log."""


class GlueRunFailedError(Mag7Error):
    """A Glue run ended in another state than SUCCEEDED; another try may work, as a worker can be lost."""

    transient = True


class GlueRunOperator(GlueJobOperator):
    """GlueJobOperator that, when the run fails, shows the run's error and the tail of its log in the task's log."""

    def execute(self, context: Context) -> str | None:
        """Start the run, wait for it, and raise GlueRunFailedError with the job's own error where it fails."""
        try:
            run_id: str | None = super().execute(context)
        except AirflowException as failed:
            if self._job_run_id is None:
                raise
            self._show_log_tail(self._job_run_id)
            raise GlueRunFailedError(self._describe_failure(self._job_run_id)) from failed
        return run_id

    def _describe_failure(self, run_id: str) -> str:
        run: dict[str, Any] = self.hook.conn.get_job_run(JobName=self.job_name, RunId=run_id)["JobRun"]
        reason = run.get("ErrorMessage") or "it gave no error message, see the log above"
        state = run["JobRunState"]
        return f"Glue job {self.job_name}, run {run_id}, ended {state}: {reason}. Clear this task to run it again"

    def _show_log_tail(self, run_id: str) -> None:
        logs = open_client("logs")
        for group in LOG_GROUPS:
            try:
                events = logs.get_log_events(logGroupName=group, logStreamName=run_id, limit=TAIL)["events"]
            except logs.exceptions.ResourceNotFoundException:
                log.info("%s has no log of run %s", group, run_id)
                continue
            lines = "\n".join(event["message"].rstrip() for event in events)
            log.error("last lines of %s, run %s:\n%s", group, run_id, lines)


def register_staging(window: Window) -> int:
    """Register the staged partitions of the window; raises StagingIncompleteError where a file is missing."""
    store = open_store(read_settings())
    return publish.register_staging(store, open_client("glue"), window["run"], list_window(window))
