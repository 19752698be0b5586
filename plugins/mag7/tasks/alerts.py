"""One message a run to whoever is on call: what failed or is in doubt, what was kept, and how to repeat it.

It is sent by a run's last task, a teardown, and not by a callback of the DAG. Airflow 3 runs such callbacks in the DAG
processor: with that process's environment and role instead of the tasks', inside the 50 seconds that a file may take,
once, and with a log that nobody finds beside the run. A task has the settings and connections that every other task
has, is tried again where the topic refuses the message, and is cleared together with what it tells of. A teardown runs
whatever happened before it, and leaves it to the run's other last task, report_refusals, whether the run has failed.
"""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mag7.errors import Mag7Error, one_line
from mag7.lake.keys import report_key
from mag7.settings import Settings, read_alert_topic, read_settings
from mag7.tasks.backfill import RANGE
from mag7.tasks.connections import AWS_CONNECTION, open_store
from mag7.tasks.ending import LOADING, MANIFEST, PUBLISHING, Ending, read_ending
from mag7.tasks.refusals import ASKS_AGAIN, shorten
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


class AlertNotSentError(Mag7Error):
    """A topic did not take an alert; the run's own end stays as it is."""

    transient = True


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

    The message goes to the log, then to the SNS topic of the settings; raises AlertNotSentError where that is refused.
    """
    from airflow.sdk import get_current_context

    context = get_current_context()
    alert = compose_alert(*_read_run(context["ti"], context["dag_run"], window, can_be_late=can_be_late))
    if alert is None:
        log.info("nothing to report")
        return None
    log.warning("%s\n%s", alert.subject, alert.body)
    _publish(alert)
    return alert.subject


def _read_run(
    ti: Any, dag_run: DagRunProtocol, window: Window | None, *, can_be_late: bool
) -> tuple[Ending, str | None, str | None]:
    """Read how the run ended, the address of its reports, and why they could not be read, where they could not."""
    late = None
    try:
        settings = read_settings()
        late = measure_delay(dag_run, datetime.now(UTC), settings) if can_be_late else None
        store = open_store(settings)
        ending = read_ending(ti, dag_run, window, store, late)
        return ending, store.uri(report_key(ending.run, "*")), None
    except _list_faults() as fault:
        # What the run failed of must not keep it from being told: Airflow's task states suffice for that.
        return read_ending(ti, dag_run, window, None, late), None, str(fault)


def _list_faults() -> tuple[type[Exception], ...]:
    """List the errors by which the lake or the topic, the connection there or a setting is refused."""
    from airflow.sdk.exceptions import AirflowException
    from botocore.exceptions import BotoCoreError, ClientError

    return Mag7Error, AirflowException, BotoCoreError, ClientError


def measure_delay(dag_run: DagRunProtocol, now: datetime, settings: Settings) -> timedelta | None:
    """Say by how much a scheduled run ends after it was due, None where that is not late."""
    if dag_run.run_type != "scheduled":
        return None
    delay = now - dag_run.run_after
    return delay if delay > timedelta(hours=settings.late_hours) else None


def compose_alert(ending: Ending, reports: str | None = None, unread: str | None = None) -> Alert | None:
    """Put a run's end into one message; None where there is nothing that anybody need know.

    ``reports`` is the address of what the run has left to read, ``unread`` why it could not be read.
    """
    troubles, warnings = _list_troubles(ending), _list_warnings(ending)
    if unread is not None:
        warnings.append(
            "Which sessions were refused or are partial is not known, as the run's reports could not be read (clear"
            f" send_alert once they can): {unread}"
        )
    if not troubles and not warnings:
        return None
    sessions = _name_sessions(ending)
    what = f"failed for {sessions}" if troubles else f"published {sessions} with warnings"
    lines = [
        f"DAG {ending.dag_id}, run {ending.run_id}",
        *troubles,
        *warnings,
        f"Kept: {_say_kept(ending, known=unread is None)}",
        *([f"Reports: {reports}"] if reports else []),
        *_list_next_steps(ending, failed=bool(troubles)),
    ]
    subject = one_line(hide_secrets(f"{ending.dag_id} {what}").encode("ascii", "replace").decode(), LONGEST_SUBJECT)
    return Alert(subject, tuple(one_line(hide_secrets(line), LONGEST_BODY) for line in lines))


def repeat_command(dag_id: str, run_id: str) -> str:
    """Give the command that runs it again: it asks only for what is missing, and a second time changes nothing."""
    return f"airflow dags clear {shlex.quote(dag_id)} --run-id {shlex.quote(run_id)} --yes"


def trigger_command(dag_id: str, params: Mapping[str, Any]) -> str:
    """Give the command that starts another run, with its params."""
    return f"airflow dags trigger {shlex.quote(dag_id)} --conf {shlex.quote(json.dumps(params))}"


def _list_next_steps(ending: Ending, *, failed: bool) -> list[str]:
    """Give the commands that help: a run that is cleared leaves complete sessions and kept answers as they are."""
    partial = [session["trading_date"] for session in _list_partial(ending)]
    unasked = ending.reports.get(RANGE, {}).get("refused", {})
    doubted = sorted({*ending.refused, *partial} - set(unasked))
    # Only a backfill reports a range. It takes a partial session for complete: cleared, it would pass over it, green.
    passed_over = RANGE in ending.reports
    steps = []
    if failed or (partial and not passed_over):
        steps.append(f"To repeat it: {repeat_command(ending.dag_id, ending.run_id)}")
    if partial and passed_over:
        params = {"start_date": min(partial), "end_date": max(partial), "repeat": True}
        steps.append(f"To repeat what is partial: {trigger_command(ending.dag_id, params)}")
    if doubted:
        first, *others = doubted
        likewise = f" (likewise {len(others)} more)" if others else ""
        command = trigger_command(ASKS_AGAIN, {"trading_date": first, "collect_again": True})
        steps.append(f"If an answer is wrong, ask again for {first}{likewise}: {command}")
    return steps


def _list_troubles(ending: Ending) -> list[str]:
    troubles = [f"{session} refused: {shorten(reasons)}" for session, reasons in ending.refused.items()]
    if ending.failed:
        report = ending.reports.get(FAILURE, {})
        said = f": {report['task']} says {report['message']}" if report else ", see its log"
        troubles.append(f"Failed: {', '.join(ending.failed)}{said}")
    return troubles


def _list_warnings(ending: Ending) -> list[str]:
    warnings = []
    for session in _list_partial(ending):
        failed = [f"{item['ticker']} ({item['reason']})" for item in session["failed_collections"]]
        warnings.append(
            f"{session['trading_date']} is partial: {session['companies']} companies priced, coverage by cap"
            f" {session['coverage_pct']:.2f} %, not priced: {shorten(failed)}"
        )
    warnings += [f"Due: {sentence}" for sentence in ending.reports.get(SUMMARY, {}).get("facts_due", [])]
    if ending.states.get(MANIFEST) == "failed":
        warnings.append("The run's manifest was not written: see the log of write_run_manifest, and clear that task")
    if ending.late is not None:
        warnings.append(f"Late: it ended {ending.late.total_seconds() / 3600:.1f} hours after it was due")
    return warnings


def _list_partial(ending: Ending) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = ending.reports.get(SUMMARY, {}).get("sessions", [])
    return [session for session in sessions if session["quality"] == "partial"]


def _name_sessions(ending: Ending) -> str:
    if not ending.sessions:
        return "no session"
    first, *others = ending.sessions
    return f"{first} to {others[-1]}" if others else first


def _say_kept(ending: Ending, *, known: bool) -> str:
    """Say what is kept and what readers see; not ``known`` means that sessions may be refused that are not named."""
    fetched = "every answer that was fetched is kept" if known else "every answer that reached the lake is kept"
    published = ", ".join(session for session in ending.sessions or () if session not in ending.refused)
    if not known:
        published = "those of its sessions that were not refused"
    if ending.states.get(PUBLISHING) == "failed":
        return f"{fetched}; publishing broke off: until it is repeated, readers may see part of {published}"
    if ending.states.get(PUBLISHING) != "success":
        return f"{fetched}; nothing was published, readers see what they saw before"
    where = "in the lake and the warehouse" if ending.states.get(LOADING) == "success" else "in the lake only"
    return f"{fetched}; published {where}: {published}"


def _publish(alert: Alert) -> None:
    from airflow.providers.amazon.aws.hooks.sns import SnsHook

    try:
        topic = read_alert_topic()
        if not topic:
            log.info("MAG7_ALERT_TOPIC is not set: the alert stands in this log only")
            return
        hook: Any = SnsHook(aws_conn_id=AWS_CONNECTION, region_name=topic.split(":")[3])  # type: ignore[no-untyped-call]
        hook.publish_to_target(topic, alert.body, alert.subject)
    except _list_faults() as refused:
        raise AlertNotSentError(
            f"the alert {alert.subject!r} could not be sent, its text stands above in this log: "
            f"{hide_secrets(str(refused))}. Mend MAG7_ALERT_TOPIC, or the right to publish there, then clear send_alert"
        ) from refused
    log.info("the alert was sent to %s", topic)
