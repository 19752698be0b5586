"""Small JSON reports that a run leaves in the lake, for people and for programs that watch it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mag7.errors import Mag7Error
from mag7.lake.keys import report_key, run_segment
from mag7.lake.objects import ObjectStore
from mag7.settings import SettingInvalidError, SettingMissingError, read_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

FAILURE = "failure"


class ReportDamagedError(Mag7Error):
    """A report of a run is no JSON object."""


def write_report(store: ObjectStore, run: str, name: str, content: dict[str, Any]) -> None:
    """Write a report of a run, replacing an earlier one of that name."""
    body = json.dumps(content, indent=1, default=str).encode()
    store.put(report_key(run, name), body, "application/json")


def read_report(store: ObjectStore, run: str, name: str) -> dict[str, Any]:
    """Read a report of a run; raises ObjectMissingError where the run left none, and ReportDamagedError."""
    key = report_key(run, name)
    return _parse_report(store, key, store.get(key))


def read_report_if_any(store: ObjectStore, run: str, name: str) -> dict[str, Any] | None:
    """Read a report of a run; None where the run left none; raises ReportDamagedError."""
    key = report_key(run, name)
    found = store.find(key)
    return None if found is None else _parse_report(store, key, found.body)


def parse_content(body: bytes) -> dict[str, Any] | None:
    """Parse the JSON object that a task has left; None where it is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _parse_report(store: ObjectStore, key: str, body: bytes) -> dict[str, Any]:
    content = parse_content(body)
    if content is None:
        raise ReportDamagedError(f"{store.uri(key)} is not a report of a run: clear the whole run, it writes it again")
    return content


def write_part(store: ObjectStore, run: str, name: str, part: str, content: dict[str, Any]) -> None:
    """Write a mapped task's part of a report; ``part`` tells it from the others."""
    write_report(store, run, f"{name}-{part}", content)


def read_parts(store: ObjectStore, run: str, name: str, parts: Iterable[str]) -> dict[str, Any]:
    """Join the parts of a report that mapped tasks left; raises ObjectMissingError where one is missing."""
    joined: dict[str, Any] = {}
    for part in parts:
        joined |= read_report(store, run, f"{name}-{part}")
    return joined


def clear_reports(store: ObjectStore, run: str) -> None:
    """Delete what an earlier attempt of the same run left, so that nobody takes it for this one's."""
    store.delete([stored.key for stored in store.list(report_key(run, "").removesuffix(".json"))])


def report_failure(context: Context) -> None:
    """Say a failed task's error as the last word of its log, and leave it as the run's failure report.

    Airflow calls this as on_failure_callback. The newest failure of a run is the one that it stopped at. Where the
    settings do not say where the lake is, there is no report.
    """
    from mag7.tasks.connections import open_store

    ti, dag_run = context["ti"], context["dag_run"]
    error = context.get("exception")
    kind, message = type(error).__name__, hide_secrets(str(error))
    report = {"task": ti.task_id, "error": kind, "message": message or kind, "ours": isinstance(error, Mag7Error)}
    log.error("%s failed: %s", ti.task_id, report["message"])
    # A teardown tells of the run, which has ended by then: what that stopped at must stay known.
    tells = getattr(context.get("task"), "is_teardown", False)
    if not tells and not isinstance(error, SettingMissingError | SettingInvalidError):
        write_report(open_store(read_settings()), run_segment(ti.dag_id, dag_run.run_id), FAILURE, report)


def hide_secrets(text: str) -> str:
    """Take out of a text what Airflow masks in this process's logs: the key, connections' passwords."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined]

    return str(redact(text))


def hide_secrets_in(content: Any) -> Any:
    """Take the same out of every text of what JSON is made of."""
    if isinstance(content, str):
        return hide_secrets(content)
    if isinstance(content, dict):
        return {name: hide_secrets_in(value) for name, value in content.items()}
    return [hide_secrets_in(value) for value in content] if isinstance(content, list) else content


def drop_failure(store: ObjectStore, run: str) -> None:
    """Delete the failure report of a run that was mended and went on to its end."""
    store.delete([report_key(run, FAILURE)])
