"""Read the results of the Athena checks and decide which sessions may be published."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mag7.lake.checks import CheckResult, judge_window, list_checks, read_violations, tabulate_results
from mag7.runs.record import Check, Checks, write_section
from mag7.runs.refusal import SessionRefusedError, refusal_sentence
from mag7.settings import read_settings
from mag7.tasks.connections import open_client, open_store
from mag7.tasks.window import Window, list_window, with_sessions

log = logging.getLogger(__name__)


def judge_checks(window: Window, query_ids: Sequence[str]) -> Window:
    """Read every check's result and return the window of the sessions that passed.

    The checks ran in the order of ``list_checks``. All results are logged in one table and recorded. Raises
    SessionRefusedError where no session passed.
    """
    athena = open_client("athena")
    names = list_checks()
    results = [_fetch_result(athena, name, query_id) for name, query_id in zip(names, query_ids, strict=True)]
    verdict = judge_window(list_window(window), results)
    log.info("checks on %d sessions:\n%s", len(window["sessions"]), tabulate_results(results))
    refusals = {session.isoformat(): list(reasons) for session, reasons in verdict.refused.items()}
    checks = [Check(name=result.check, passed=result.passed) for result in results]
    write_section(open_store(read_settings()), window["run"], Checks(checks=checks, refused=refusals))
    if not verdict.accepted:
        raise SessionRefusedError(refusal_sentence(refusals))
    return with_sessions(window, verdict.accepted)


def _fetch_result(athena: object, check: str, query_id: str) -> CheckResult:
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)  # type: ignore[attr-defined]
    rows = [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
    header, *violations = rows
    return read_violations(check, [name or "" for name in header], violations)
