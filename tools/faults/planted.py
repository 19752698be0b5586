"""Defects for the process that runs tasks, each one guard switched off: the harness must report every one."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any


def accept_any_answer() -> None:
    """Count a call as completed whatever came back."""
    _replace("mag7.polygon.answers", "Answer.completed", property(lambda _: True))


def load_without_delete() -> None:
    """Leave the delete out of the load, and the comparison out of the reconciliation."""
    load_without_delete_reconciled()
    _replace("mag7.tasks.publish", "require_equal", lambda *_: None)


def load_without_delete_reconciled() -> None:
    """Leave the delete out of the load."""
    steps = import_module("mag7.warehouse.load").STEPS
    _replace("mag7.warehouse.load", "STEPS", tuple(step for step in steps if step != "delete_window"))


def leave_strays() -> None:
    """Leave other writers' files in a session's partition when it is published."""
    _replace("mag7.lake.publish", "_delete_strays", lambda *_: None)


def lose_a_line() -> None:
    """Lose a constituent of the document on its way to staging."""
    encode = import_module("mag7.tasks.document").encode_document

    def encode_less(content: Any) -> Any:
        return encode(content.model_copy(update={"constituents": content.constituents[:-1]}))

    _replace("mag7.tasks.document", "encode_document", encode_less)


def lose_a_line_unchecked() -> None:
    """Lose a constituent of the document, and let every check pass."""
    judge = import_module("mag7.lake.checks").judge_window
    lose_a_line()
    _replace("mag7.tasks.check", "judge_window", lambda sessions, _: judge(sessions, []))


def give_up_at_once() -> None:
    """Let a failed task have no retry."""
    fail = import_module("airflow.sdk").RetryDecision.fail
    _replace("mag7.tasks.retries", "PassingFaultsPolicy.evaluate", lambda *_, **__: fail("planted"))


def tell_the_key() -> None:
    """Write the API key into the record that a run leaves."""
    write = import_module("mag7.tasks.publish").write_section

    def write_more(store: Any, run: str, loaded: Any) -> None:
        write(store, run, loaded.model_copy(update={"rows": {**loaded.rows, os.environ["POLYGON_API_KEY"]: {}}}))

    _replace("mag7.tasks.publish", "write_section", write_more)


def load_in_pieces() -> None:
    """Commit between the load's delete and its insert, which releases its locks."""
    whole = import_module("mag7.tasks.groups").batch_statements

    def commit_between() -> list[str]:
        return [part for sql in whole() for part in ([sql, "COMMIT"] if "delete_window" in sql else [sql])]

    _replace("mag7.tasks.groups", "batch_statements", commit_between)


def _replace(module: str, name: str, value: object) -> None:
    """Replace what a module has under a name, or an attribute of one of its classes."""
    owner: Any = import_module(module)
    *classes, attribute = name.split(".")
    for name_of_class in classes:
        owner = getattr(owner, name_of_class)
    getattr(owner, attribute)  # A plant whose guard was renamed must not pass for a harness that finds nothing.
    setattr(owner, attribute, value)


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (
        accept_any_answer,
        load_without_delete,
        load_without_delete_reconciled,
        leave_strays,
        lose_a_line,
        lose_a_line_unchecked,
        give_up_at_once,
        tell_the_key,
        load_in_pieces,
    )
}
