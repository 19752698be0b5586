"""One alert for each run: what failed or is in doubt, what is stored, and how to repeat it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mag7.errors import one_line
from mag7.runs.record import MANIFEST, RunRecord
from mag7.runs.refusal import ASKS_AGAIN, shorten

LONGEST_SUBJECT = 100
"""Characters that an SNS subject may have, ASCII only."""
LONGEST_BODY = 50_000
"""Characters of an alert; SNS takes 256 KB, but nobody reads as much."""


@dataclass(frozen=True)
class Alert:
    """A message for whoever is on call: its subject and its lines."""

    subject: str
    lines: tuple[str, ...]

    @property
    def body(self) -> str:
        """The message's text."""
        return "\n".join(self.lines)[:LONGEST_BODY]


def compose_alert(
    record: RunRecord, hide: Callable[[str], str], address: str | None = None, unread: str | None = None
) -> Alert | None:
    """Compose the alert of a run; None where there is nothing to report.

    ``hide`` removes secrets from a text. ``address`` is where the record's sections are, ``unread`` why they could not
    be read.
    """
    troubles, warnings = _list_troubles(record), _list_warnings(record)
    if unread is not None:
        warnings.append(
            "Refused and partial sessions are not known, as the run's record could not be read (clear"
            f" send_alert once it can): {unread}"
        )
    if not troubles and not warnings:
        return None
    sessions = _name_sessions(record)
    what = f"failed for {sessions}" if troubles else f"published {sessions} with warnings"
    lines = [
        f"DAG {record.dag_id}, run {record.run_id}",
        *troubles,
        *warnings,
        f"State: {_say_kept(record, known=unread is None)}",
        *([f"Record: {address}"] if address else []),
        *_list_next_steps(record, failed=bool(troubles)),
    ]
    subject = one_line(hide(f"{record.dag_id} {what}").encode("ascii", "replace").decode(), LONGEST_SUBJECT)
    return Alert(subject, tuple(one_line(hide(line), LONGEST_BODY) for line in lines))


def repeat_command(dag_id: str, run_id: str) -> str:
    """Return the command that repeats a run: it makes only missing calls, and a second time changes nothing."""
    return f"airflow dags clear {shlex.quote(dag_id)} --run-id {shlex.quote(run_id)} --yes"


def trigger_command(dag_id: str, params: Mapping[str, Any]) -> str:
    """Return the command that triggers another run with params."""
    return f"airflow dags trigger {shlex.quote(dag_id)} --conf {shlex.quote(json.dumps(params))}"


def _list_next_steps(record: RunRecord, *, failed: bool) -> list[str]:
    """Return the commands to run next; a cleared run leaves complete sessions and stored responses as they are."""
    partial = record.partial
    unasked = record.asked.refused if record.asked else {}
    doubted = sorted({*record.refused, *partial} - set(unasked))
    # A backfill treats a partial session as complete: cleared, it would pass over it and be green.
    passed_over = record.asked is not None
    steps = []
    if failed or (partial and not passed_over):
        steps.append(f"To repeat it: {repeat_command(record.dag_id, record.run_id)}")
    if partial and passed_over:
        params = {"start_date": min(partial), "end_date": max(partial), "repeat": True}
        steps.append(f"To repeat what is partial: {trigger_command(record.dag_id, params)}")
    if doubted:
        first, *others = doubted
        likewise = f" (likewise {len(others)} more)" if others else ""
        command = trigger_command(ASKS_AGAIN, {"trading_date": first, "collect_again": True})
        steps.append(f"If a response is wrong, ask again for {first}{likewise}: {command}")
    return steps


def _list_troubles(record: RunRecord) -> list[str]:
    troubles = [f"{session} refused: {shorten(reasons)}" for session, reasons in record.refused.items()]
    if record.failed:
        failure = record.failure
        said = f": {failure.task} says {failure.message}" if failure else ", see its log"
        troubles.append(f"Failed: {', '.join(record.failed)}{said}")
    return troubles


def _list_warnings(record: RunRecord) -> list[str]:
    warnings = []
    for day, session in record.partial.items():
        failed = [f"{ticker} ({reason})" for ticker, reason in session["failed"].items()]
        warnings.append(
            f"{day} is partial: {session['companies_priced']} companies priced, coverage by cap"
            f" {session['coverage_pct']:.2f} %, not priced: {shorten(failed)}"
        )
    if record.summary:
        warnings += [f"Due: {sentence}" for sentence in record.summary.facts_due]
    if record.states.get(MANIFEST) == "failed":
        warnings.append("The run's manifest was not written: see the log of write_run_manifest, and clear that task")
    if record.late is not None:
        warnings.append(f"Late: it ended {record.late.total_seconds() / 3600:.1f} hours after it was due")
    return warnings


def _name_sessions(record: RunRecord) -> str:
    if not record.sessions:
        return "no session"
    first, *others = record.sessions
    return f"{first} to {others[-1]}" if others else first


def _say_kept(record: RunRecord, *, known: bool) -> str:
    """Return what is stored and what readers see; not ``known``: unnamed sessions may be refused."""
    fetched = "every response that was fetched is stored" if known else "every response that reached the lake is stored"
    published = ", ".join(session for session in record.sessions or () if session not in record.refused)
    if not known:
        published = "those of its sessions that were not refused"
    if record.published == "partly published":
        return f"{fetched}; publishing stopped halfway: until it is repeated, readers may see part of {published}"
    if not record.published:
        return f"{fetched}; nothing was published, readers see what they saw before"
    where = "in the lake and the warehouse" if record.published == "loaded" else "in the lake only"
    return f"{fetched}; published {where}: {published}"
