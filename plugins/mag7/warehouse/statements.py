"""Run statements on the warehouse through the Redshift Data API, and wait for each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mag7.errors import Mag7Error

FIRST_WAIT = 0.02
LONGEST_WAIT = 1.0
"""Seconds between two polls of a statement: each wait is twice the one before, up to the longest."""


class StatementFailedError(Mag7Error):
    """The warehouse refused a statement or a batch; nothing of it was applied."""


class StatementTooSlowError(Mag7Error):
    """A statement did not end in time and was cancelled."""

    transient = True


@dataclass(frozen=True)
class Warehouse:
    """A schema of a Redshift Serverless database, with two operations.

    ``client`` is a boto3 client of redshift-data (typed Any: boto3 ships no types); ``seconds`` is the longest that
    a statement may take, waiting for locks included.
    """

    client: Any
    workgroup: str
    database: str
    schema: str
    seconds: float = 900.0

    def run(self, statements: Sequence[str]) -> None:
        """Run statements as one transaction; raises StatementFailedError or StatementTooSlowError."""
        self._wait(self.client.batch_execute_statement(**self._target, Sqls=list(statements))["Id"])

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows; raises as ``run`` does."""
        statement = self.client.execute_statement(**self._target, Sql=query)["Id"]
        self._wait(statement)
        return list(self._fetch(statement))

    @property
    def _target(self) -> dict[str, str]:
        return {"WorkgroupName": self.workgroup, "Database": self.database}

    def _wait(self, statement: str) -> None:
        deadline, wait = time.monotonic() + self.seconds, FIRST_WAIT
        while (described := self.client.describe_statement(Id=statement))["Status"] not in {
            "FINISHED",
            "FAILED",
            "ABORTED",
        }:
            if time.monotonic() > deadline:
                self.client.cancel_statement(Id=statement)
                raise StatementTooSlowError(
                    f"statement {statement} did not end within {self.seconds:.0f} s and was cancelled:"
                    " see which transaction holds its tables, then try again"
                )
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        if described["Status"] != "FINISHED":
            reason = " ".join(str(described.get("Error") or "it was cancelled").split())
            raise StatementFailedError(f"statement {statement} ended {described['Status']}: {reason}")

    def _fetch(self, statement: str) -> Iterator[tuple[Any, ...]]:
        for page in self.client.get_paginator("get_statement_result").paginate(Id=statement):
            for record in page["Records"]:
                yield tuple(None if "isNull" in cell else next(iter(cell.values())) for cell in record)
