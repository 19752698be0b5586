"""One message a run to whoever is on call: what failed or is in doubt, what was kept, and how to repeat it.

It is sent by a run's last task, a teardown, and not by a callback of the DAG. Airflow 3 runs such callbacks in the DAG
processor: with that process's environment and role instead of the tasks', inside the 50 seconds that a file may take,
once, and with a log that nobody finds beside the run. A task has the settings and connections that every other task
has, is tried again, and is cleared together with what it tells of. A teardown runs whatever happened before it, and
leaves it to the run's other last task, report_refusals, whether the run has failed.
"""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mag7.errors import Mag7Error, one_line
from mag7.lake.keys import report_key
from mag7.settings import Settings, read_alert_topic
from mag7.tasks.connections import AWS_CONNECTION, open_store
from mag7.tasks.ending import LOADING, MANIFEST, PUBLISHING, Ending, find_settings, read_ending
from mag7.tasks.refusals import shorten
from mag7.tasks.reports import FAILURE, hide_secrets
from mag7.tasks.summary import SUMMARY
from mag7.tasks.window import Window

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

log = logging.getLogger(__name__)

LONGEST_SUBJECT = 100
"""Letters that SNS takes, ASCII only."""
LONGEST_BODY = 50_000
"""SNS takes 256 KB; nobody reads as much."""


@dataclass(frozen=True)
class Alert:
    """A message: its subject and its lines."""

    subject: str
    lines: tuple[str, ...]

    @property
    def body(self) -> str:
        """The message's text."""
        return "\n".join(self.lines)[:LONGEST_BODY]


def send_alert(window: Window | None, *, can_be_late: bool = True) -> str | None:
    """Say how the run ended, where it did not end well; returns the message's subject, None where there is nothing.

    The message goes to the SNS topic of the settings, and to the log in any case. Whatever refuses it is only logged:
    an alert fails no run.
    """
    from airflow.sdk import get_current_context

    context = get_current_context()
    ti, dag_run = context["ti"], context["dag_run"]
    settings = find_settings()
    store = open_store(settings) if settings else None
    late = measure_delay(dag_run, datetime.now(UTC), settings) if settings and can_be_late else None
    ending = read_ending(ti, dag_run, window, store, late)
    alert = compose_alert(ending, store.uri(report_key(ending.run, "*")) if store else None)
    if alert is None:
        log.info("nothing to report")
        return None
    log.warning("%s\n%s", alert.subject, alert.body)
    _publish(alert)
    return alert.subject


def measure_delay(dag_run: DagRunProtocol, now: datetime, settings: Settings) -> timedelta | None:
    """Say by how much a scheduled run ends after it was due, None where that is not late."""
    if dag_run.run_type != "scheduled":
        return None
    delay = now - dag_run.run_after
    return delay if delay > timedelta(hours=settings.late_hours) else None


def compose_alert(ending: Ending, reports: str | None = None) -> Alert | None:
    """Put a run's end into one message; None where there is nothing that anybody need know.

    ``reports`` is the address of what the run has left to read.
    """
    troubles, warnings = _list_troubles(ending), _list_warnings(ending)
    if not troubles and not warnings:
        return None
    sessions = _name_sessions(ending)
    what = f"failed for {sessions}" if troubles else f"published {sessions} with warnings"
    lines = [
        f"DAG {ending.dag_id}, run {ending.run_id}",
        *troubles,
        *warnings,
        f"Kept: {_say_kept(ending)}",
        *([f"Reports: {reports}"] if reports else []),
        f"To repeat it: {repeat_command(ending.dag_id, ending.run_id)}",
    ]
    subject = one_line(hide_secrets(f"{ending.dag_id} {what}").encode("ascii", "replace").decode(), LONGEST_SUBJECT)
    return Alert(subject, tuple(one_line(hide_secrets(line), LONGEST_BODY) for line in lines))


def repeat_command(dag_id: str, run_id: str) -> str:
    """Give the command that runs it again: it asks only for what is missing, and a second time changes nothing."""
    return f"airflow dags clear {shlex.quote(dag_id)} --run-id {shlex.quote(run_id)} --yes"


def _list_troubles(ending: Ending) -> list[str]:
    troubles = [f"{session} refused: {shorten(reasons)}" for session, reasons in ending.refused.items()]
    if ending.failed:
        report = ending.reports.get(FAILURE, {})
        said = f": {report['task']} says {report['message']}" if report else ", see its log"
        troubles.append(f"Failed: {', '.join(ending.failed)}{said}")
    return troubles


def _list_warnings(ending: Ending) -> list[str]:
    warnings = []
    for session in ending.reports.get(SUMMARY, {}).get("sessions", []):
        if session["quality"] == "partial":
            failed = [f"{item['ticker']} ({item['reason']})" for item in session["failed_collections"]]
            warnings.append(
                f"{session['trading_date']} is partial: {session['companies']} companies priced, coverage by cap"
                f" {session['coverage_pct']:.2f} %, not priced: {shorten(failed)}"
            )
    if ending.states.get(MANIFEST) == "failed":
        warnings.append("The run's manifest was not written: see the log of write_run_manifest, and clear it")
    if ending.late is not None:
        warnings.append(f"Late: it ended {ending.late.total_seconds() / 3600:.1f} hours after it was due")
    return warnings


def _name_sessions(ending: Ending) -> str:
    if not ending.sessions:
        return "no session"
    first, *others = ending.sessions
    return f"{first} to {others[-1]}" if others else first


def _say_kept(ending: Ending) -> str:
    fetched = "every answer that was fetched is kept"
    published = [session for session in ending.sessions or () if session not in ending.refused]
    if ending.states.get(PUBLISHING) == "failed":
        return f"{fetched}; publishing broke off: until it is repeated, readers may see part of {', '.join(published)}"
    if ending.states.get(PUBLISHING) != "success":
        return f"{fetched}; nothing was published, readers see what they saw before"
    where = "in the lake and the warehouse" if ending.states.get(LOADING) == "success" else "in the lake only"
    return f"{fetched}; published {where}: {', '.join(published)}"


def _publish(alert: Alert) -> None:
    from airflow.providers.amazon.aws.hooks.sns import SnsHook
    from airflow.sdk.exceptions import AirflowException
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        topic = read_alert_topic()
        if not topic:
            log.info("MAG7_ALERT_TOPIC is not set: the alert stands in this log only")
            return
        hook: Any = SnsHook(aws_conn_id=AWS_CONNECTION, region_name=topic.split(":")[3])  # type: ignore[no-untyped-call]
        hook.publish_to_target(topic, alert.body, alert.subject)
    except (Mag7Error, AirflowException, BotoCoreError, ClientError) as refused:
        # The run has ended as it has: an alert that cannot be sent must not change that.
        log.error("the alert could not be sent: %s", hide_secrets(str(refused)))  # noqa: TRY400 - one line is enough
    else:
        log.info("the alert was sent to %s", topic)
