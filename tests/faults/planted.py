"""Defects planted into the process that runs tasks, each a guard switched off: the harness must report every one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def accept_any_answer() -> None:
    """A call counts as completed whatever came back."""
    from mag7.polygon.answers import Answer

    Answer.completed = property(lambda _: True)  # type: ignore[assignment,method-assign]


def load_without_delete() -> None:
    """The load leaves out its delete, and the reconciliation its comparison."""
    from mag7.tasks import publish
    from mag7.warehouse import load

    load.STEPS = tuple(step for step in load.STEPS if step != "delete_window")  # type: ignore[assignment]
    publish.require_equal = lambda *_: None


def load_without_delete_reconciled() -> None:
    """The load leaves out its delete."""
    from mag7.warehouse import load

    load.STEPS = tuple(step for step in load.STEPS if step != "delete_window")  # type: ignore[assignment]


def leave_strays() -> None:
    """Publishing leaves files of other writers in a session's partition."""
    from mag7.lake import publish

    publish._delete_strays = lambda *_: None


def lose_a_line() -> None:
    """The document loses a constituent on its way to staging."""
    from mag7.tasks import document

    encode = document.encode_document

    def encode_less(content: Any) -> bytes:
        return encode(content.model_copy(update={"constituents": content.constituents[:-1]}))

    document.encode_document = encode_less


def lose_a_line_unchecked() -> None:
    """The document loses a constituent, and no check objects to anything."""
    from mag7.lake.checks import judge_window
    from mag7.tasks import check

    lose_a_line()
    check.judge_window = lambda sessions, _: judge_window(sessions, [])


def give_up_at_once() -> None:
    """A task that failed is not tried again."""
    from airflow.sdk import RetryDecision

    from mag7.tasks.retries import PassingFaultsPolicy

    PassingFaultsPolicy.evaluate = lambda *_, **__: RetryDecision.fail("planted")  # type: ignore[method-assign]


def tell_the_key() -> None:
    """The record that a run leaves holds the API key."""
    import os

    from mag7.tasks import publish

    write = publish.write_section

    def write_more(store: Any, run: str, loaded: Any) -> None:
        write(store, run, loaded.model_copy(update={"rows": {**loaded.rows, os.environ["POLYGON_API_KEY"]: {}}}))

    publish.write_section = write_more  # type: ignore[assignment]


def load_in_pieces() -> None:
    """The load commits between its delete and its insert, and so lets go of its locks."""
    from mag7.tasks import groups

    whole = groups.batch_statements

    def commit_between() -> list[str]:
        return [part for sql in whole() for part in ([sql, "COMMIT"] if "delete_window" in sql else [sql])]

    groups.batch_statements = commit_between


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
