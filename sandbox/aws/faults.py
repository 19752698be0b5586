"""Faults on request: rules that refuse calls, lose their answers, or fail queries and batches of statements.

A rule strikes what its ``target`` matches. Of a call that is ``S3 PUT /bucket/key``, ``HDFS CREATE /bucket/key`` (what
Spark writes and moves) or an API's name such as ``AWSGlue.StartJobRun``; of a query or statement its SQL.
"""

import json
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from sandbox.fault_rules import FaultRule, read_rules

CALL_KINDS = ("slow_down", "internal_error", "lost_answer")
"""The first two refuse a call; the third carries it out, and the caller hears that it failed."""

QUERY_KINDS = ("query_failed", "query_cancelled")
STATEMENT_KINDS = ("statement_failed", "serialization")
KINDS = CALL_KINDS + QUERY_KINDS + STATEMENT_KINDS


@dataclass(kw_only=True)
class Fault(FaultRule):
    """One rule: what ``target`` matches fails, once unless ``count`` says otherwise."""

    kinds = KINDS
    pattern = "target"

    target: str = ""
    count: int | None = 1


class Faults:
    """The rules of one sandbox, and what struck since it started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._struck: Counter[str] = Counter()

    def set_rules(self, content: object) -> int:
        """Replace the rules by those of a JSON list, or of one object; returns their number."""
        rules = read_rules(Fault, content)
        with self._lock:
            self._rules = rules
        return len(rules)

    def choose(self, kinds: tuple[str, ...], target: str) -> str | None:
        """Give the kind of the first rule of some kinds that strikes, None where none does."""
        with self._lock:
            for rule in self._rules:
                if rule.kind in kinds and rule.strikes(target):
                    self._struck[rule.kind] += 1
                    return rule.kind
        return None

    def describe(self) -> dict[str, Any]:
        """Show how often each kind struck since the sandbox started, and the present rules."""
        with self._lock:
            rules = [
                {"kind": rule.kind, "target": rule.target, "passed": rule.passed, "struck": rule.struck}
                for rule in self._rules
            ]
            return {"struck": dict(self._struck), "rules": rules}


def refuse(kind: str, target: str) -> Response:
    """Answer a call as the real service does when it is overloaded or unwell."""
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
