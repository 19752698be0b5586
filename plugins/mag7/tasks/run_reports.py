"""Reports of a run: its failures as they occur, and at its end the manifest and one alert.

The manifest and the alert are written by teardown tasks and not by callbacks of the DAG. Airflow 3 runs those callbacks
once, in the DAG processor, with that process's environment and role instead of the tasks', and their log is not stored
with the run. A teardown runs whatever happened before it, is retried, and is cleared together with the tasks on which
it reports. Whether the run has failed is left to its other last task, report_refusals.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mag7.errors import Mag7Error
from mag7.index.pinned import find_pinned
from mag7.lake.keys import record_prefix, run_segment
from mag7.lake.objects import ObjectStore
from mag7.lake.scripts import digest_scripts
from mag7.paths import PACKAGE, SQL
from mag7.polygon.answers import AnswerStore
from mag7.runs.alert import Alert, compose_alert
from mag7.runs.manifest import ManifestWriter, World
from mag7.runs.record import Failure, RunRecord, read_record, write_section
from mag7.settings import SettingInvalidError, SettingMissingError, Settings, read_alert_topic, read_settings
from mag7.tasks.collector import AnswerBook, CallCounts, add_call_counts
from mag7.tasks.connections import AWS_CONNECTION, open_store
from mag7.tasks.facts import with_facts
from mag7.tasks.published import read_published
from mag7.tasks.window import Window

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import DagRunProtocol

log = logging.getLogger(__name__)

PACKAGES = "apache-airflow apache-airflow-providers-amazon polygon-api-client pandas pandas-market-calendars pyarrow"
RULES = ("counts_frozen_before", "minimum_", "maximum_")
"""Prefixes of the settings that decide what a figure is and whether it is published."""


class AlertNotSentError(Mag7Error):
    """A topic refused an alert; the run's own state stays as it is."""

    transient = True


def hide_secrets(text: str) -> str:
    """Remove from a text what Airflow masks in this process's logs: the key and connections' passwords."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined]

    return str(redact(text))


def report_failure(context: Context) -> None:
    """Log a failed task's error as the last line of its log, and write it to the run's record.

    Airflow calls this as on_failure_callback. The record keeps a run's newest failure, which is the one that stopped
    it. Where the settings do not name the lake, there is no record.
    """
    ti, error = context["ti"], context.get("exception")
    kind, message = type(error).__name__, hide_secrets(str(error))
    failure = Failure(task=ti.task_id, error=kind, message=message or kind, ours=isinstance(error, Mag7Error))
    log.error("%s failed: %s", ti.task_id, failure.message)
    # A teardown runs after what stopped the run, and must not replace it in the record.
    tells = getattr(context.get("task"), "is_teardown", False)
    if not tells and not isinstance(error, SettingMissingError | SettingInvalidError):
        write_section(open_store(read_settings()), run_segment(ti.dag_id, context["dag_run"].run_id), failure)


@with_facts
def write_run_manifest(window: Window | None, counts: Sequence[CallCounts | Sequence[CallCounts] | None]) -> str | None:
    """Write the manifest of the run that this task ends, whatever its outcome; returns the manifest's address.

    ``window`` is None where the run's sessions were not resolved. ``counts`` are the call counts of each collecting
    task, None where it returned none. Returns None where the settings do not name the lake.
    """
    from airflow.sdk import get_current_context

    try:
        settings = read_settings()
    except Mag7Error as wrong:
        # The run failed for the same reason, and its first task has logged it.
        log.error("the manifest cannot be written: %s", wrong)  # noqa: TRY400 - one line is enough
        return None
    context, store = get_current_context(), open_store(settings)
    record, book = _read_run(context, window, store), AnswerBook(AnswerStore(store))

    def list_split_keys(session: date) -> list[str]:
        return [page.key for page in book.splits(session) or () if page.key]

    writer = ManifestWriter(store, record, list_split_keys, partial(read_published, store), hide_secrets)
    return writer.write(_describe_run(context, record, counts), partial(_describe_world, settings))


def _read_run(
    context: Context, window: Window | None, store: ObjectStore | None, late: timedelta | None = None
) -> RunRecord:
    """Read the record of the run that a task ends; without a ``store``, only what Airflow knows of it."""
    ti: Any = context["ti"]
    run_id = context["dag_run"].run_id
    known: dict[str, dict[str, Any]] = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id])
    states = {task: str(state) for task, state in known.get(run_id, {}).items()}
    sessions = window["sessions"] if window else None
    fields: dict[str, Any] = {"dag_id": ti.dag_id, "run_id": run_id, "sessions": sessions, "late": late}
    if store is None:
        return RunRecord(states=states, **fields)
    return read_record(store, run_segment(ti.dag_id, run_id), states, **fields)


def _describe_run(
    context: Context, record: RunRecord, counts: Iterable[CallCounts | Sequence[CallCounts] | None]
) -> dict[str, Any]:
    """Return the run's names, params, times and calls; the calls of ``uncounted`` tasks are not included."""
    uncounted = [task for task, state in record.states.items() if task.startswith("collect.") and state != "success"]
    return {
        "dag_id": record.dag_id,
        "run_id": record.run_id,
        "folder": record.run,
        "params": dict(context["params"]),
        "began": context["dag_run"].start_date,
        "ended": datetime.now(UTC),
        "seconds_by_stage": time_stages(context),
        "calls": add_call_counts(found for found in counts if found is not None),
        "uncounted": sorted(uncounted),
    }


def time_stages(context: Context) -> dict[str, float]:
    """Add up the seconds of the run's tasks, by task group or task; those that never ran have none."""
    ti: Any = context["ti"]
    seconds: Counter[str] = Counter()
    for task in ti.get_task_breadcrumbs(context["dag_run"].dag_id, context["dag_run"].run_id):
        if task["duration"] is not None:
            seconds[task["task_id"].partition(".")[0]] += task["duration"]
    return {stage: round(total, 1) for stage, total in seconds.items()}


def _describe_world(settings: Settings) -> World:
    facts = find_pinned()
    return World(
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES.split()},
            "glue_scripts": digest_scripts(),
            "mag7": _digest_files(PACKAGE.rglob("*.py")),
            "sql": _digest_files(SQL.rglob("*.sql")),
        },
        rules={name: str(value) for name, value in vars(settings).items() if name.startswith(RULES)},
        facts={"version": facts.name or facts.version, **facts.digests} if facts else {},
    )


def _digest_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of files joined in the order of their names."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()


def send_alert(window: Window | None, *, can_be_late: bool = True) -> str | None:
    """Send an alert where the run did not end well; returns its subject, None where there is nothing to report.

    The alert goes to the log, then to the SNS topic of the settings. Raises AlertNotSentError where the topic refuses
    it.
    """
    from airflow.sdk import get_current_context

    context = get_current_context()
    late = address = unread = None
    try:
        settings = read_settings()
        late = measure_delay(context["dag_run"], datetime.now(UTC), settings) if can_be_late else None
        store = open_store(settings)
        record = _read_run(context, window, store, late)
        address = store.uri(record_prefix(record.run))
    except _list_faults() as fault:
        # The cause of the failure must not stop the alert: Airflow's task states suffice for one.
        record, unread = _read_run(context, window, None, late), str(fault)
    alert = compose_alert(record, hide_secrets, address, unread)
    if alert is None:
        log.info("nothing to report")
        return None
    log.warning("%s\n%s", alert.subject, alert.body)
    _publish(alert)
    return alert.subject


def _list_faults() -> tuple[type[Exception], ...]:
    """List the errors that a faulty lake, topic, connection or setting raises."""
    from airflow.sdk.exceptions import AirflowException
    from botocore.exceptions import BotoCoreError, ClientError

    return Mag7Error, AirflowException, BotoCoreError, ClientError


def measure_delay(dag_run: DagRunProtocol, now: datetime, settings: Settings) -> timedelta | None:
    """Return how long after it was due a scheduled run ends, None where that is not late."""
    delay = now - dag_run.run_after
    return delay if dag_run.run_type == "scheduled" and delay > timedelta(hours=settings.late_hours) else None


def _publish(alert: Alert) -> None:
    from airflow.providers.amazon.aws.hooks.sns import SnsHook

    try:
        topic = read_alert_topic()
        if not topic:
            log.info("MAG7_ALERT_TOPIC is not set: the alert is in this log only")
            return
        hook: Any = SnsHook(aws_conn_id=AWS_CONNECTION, region_name=topic.split(":")[3])  # type: ignore[no-untyped-call]
        hook.publish_to_target(topic, alert.body, alert.subject)
    except _list_faults() as refused:
        raise AlertNotSentError(
            f"the alert {alert.subject!r} could not be sent; its text is in this log: "
            f"{hide_secrets(str(refused))}. Fix MAG7_ALERT_TOPIC or the permission to publish, then clear send_alert"
        ) from refused
    log.info("the alert was sent to %s", topic)
