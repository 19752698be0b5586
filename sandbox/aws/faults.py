"""Injected faults: rules that refuse calls, lose their responses, or fail queries and batches of statements.

A rule applies to what its ``target`` matches. The target of a call is ``S3 PUT /bucket/key``, ``HDFS CREATE
/bucket/key`` (what Spark writes and moves) or an API's name such as ``AWSGlue.StartJobRun``; that of a query or
statement is its SQL.
"""

import json
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from sandbox.fault_rules import FaultRule, read_rules

CALL_KINDS = ("slow_down", "internal_error", "lost_answer")
"""The first two refuse a call; the third executes it, and the caller gets an error."""

QUERY_KINDS = ("query_failed", "query_cancelled")
STATEMENT_KINDS = ("statement_failed", "serialization")
KINDS = CALL_KINDS + QUERY_KINDS + STATEMENT_KINDS


@dataclass(kw_only=True)
class Fault(FaultRule):
    """One rule: what ``target`` matches fails, once unless ``count`` is given."""

    kinds = KINDS
    pattern = "target"

    target: str = ""
    count: int | None = 1


class Faults:
    """The rules of one sandbox, and how often they applied since it started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._struck: Counter[str] = Counter()

    def set_rules(self, content: object) -> int:
        """Replace the rules by a JSON list or one object; returns their number."""
        rules = read_rules(Fault, content)
        with self._lock:
            self._rules = rules
        return len(rules)

    def choose(self, kinds: tuple[str, ...], target: str) -> str | None:
        """Return the kind of the first rule of some kinds that applies, None where none does."""
        with self._lock:
            for rule in self._rules:
                if rule.kind in kinds and rule.strikes(target):
                    self._struck[rule.kind] += 1
                    return rule.kind
        return None

    def describe(self) -> dict[str, Any]:
        """Show how often each kind applied since the sandbox started, and the current rules."""
        with self._lock:
            rules = [
                {"kind": rule.kind, "target": rule.target, "passed": rule.passed, "struck": rule.struck}
                for rule in self._rules
            ]
            return {"struck": dict(self._struck), "rules": rules}


def refuse(kind: str, target: str) -> Response:
    """Return the error of a service that is overloaded or fails."""
    overloaded = kind == "slow_down"
    if target.startswith("S3 "):
        code = "SlowDown" if overloaded else "InternalError"
        body = f"<Error><Code>{code}</Code><Message>simulated failure of S3</Message></Error>"
        return Response(body, 503 if overloaded else 500, content_type="application/xml")
    if target.startswith("HDFS "):
        remote = {"exception": "IOException", "javaClassName": "java.io.IOException", "message": "simulated failure"}
        return Response(json.dumps({"RemoteException": remote}), 500, content_type="application/json")
    code = "ThrottlingException" if overloaded else "InternalServerException"
    refusal = {"__type": code, "message": "simulated failure of the service"}
    status = 400 if overloaded else 500
    return Response(json.dumps(refusal), status, {"x-amzn-errortype": code}, content_type="application/x-amz-json-1.1")
