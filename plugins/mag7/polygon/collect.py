"""Make the calls that are not completed yet, store every response, and make no call twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mag7.polygon.answers import Answer, AnswerStore
from mag7.polygon.batch import HTTP_NOT_FOUND as HTTP_NOT_FOUND  # noqa: PLC0414
from mag7.polygon.batch import Batch, Keeper, Parsed
from mag7.polygon.calls import Call
from mag7.polygon.client import PolygonClient
from mag7.polygon.errors import KeyRejectedError, NotYetReleasedError, PlanRefusedError, PolygonError

_STOPPING = (KeyRejectedError, PlanRefusedError, NotYetReleasedError)
_OPTIONAL_STOPPING = (KeyRejectedError,)


@dataclass(frozen=True)
class CollectReport:
    """The outcome of a batch: calls asked and kept (stored before), asked ones completed and failed, objects written.

    ``requests`` counts the requests sent, retries included; ``answers`` are the responses stored now. ``failure`` is
    why the first of the failed calls failed; ``unreachable`` is set where calls were made and the provider responded to
    none of them.
    """

    asked: int
    kept: int
    completed: int
    failed: int
    keys: tuple[str, ...]
    requests: int
    answers: tuple[tuple[Call, Answer], ...] = ()
    failure: PolygonError | None = None
    unreachable: PolygonError | None = None


def collect(
    calls: Iterable[Call],
    client: PolygonClient,
    store: AnswerStore,
    *,
    threads: int,
    again: bool = False,
    optional: bool = False,
    wait_for_release: bool = False,
    tell: Callable[[int], object] | None = None,
    parsed: Parsed | None = None,
) -> CollectReport:
    """Make the calls that are not completed yet (all of them with ``again``) and store every response.

    It calls ``tell`` with the number of responses stored so far, with every object and at least once a minute, and
    ``parsed`` with every response that has a body.

    A call without a usable response is stored as failed, and the others go on. Raises, after storing what was fetched:
    KeyRejectedError, PlanRefusedError and NotYetReleasedError at once, and any error of grouped daily. Of ``optional``
    calls only a rejected key is raised, with ``wait_for_release`` also NotYetReleasedError.
    """
    wanted = list(dict.fromkeys(calls))
    pending = wanted if again else list_missing(wanted, client, store)
    sent = client.requests
    threads = min(threads, len(pending))
    keeper = Keeper(store, threads)
    if pending:
        stopping = (*_OPTIONAL_STOPPING, *((NotYetReleasedError,) if wait_for_release else ()))
        stopping = stopping if optional else _STOPPING
        batch = Batch(pending, client, keeper, stopping=stopping, optional=optional, parsed=parsed)
        batch.run(threads, tell)
    if keeper.raised is not None:
        raise keeper.raised
    return CollectReport(
        asked=len(pending),
        kept=len(wanted) - len(pending),
        completed=keeper.completed,
        failed=keeper.failed,
        keys=keeper.keys,
        requests=client.requests - sent,
        answers=tuple(keeper.stored),
        failure=keeper.failure,
        unreachable=None if keeper.answered else keeper.unreachable,
    )


def list_missing(
    calls: list[Call], client: PolygonClient, store: AnswerStore, *, unknown_too: bool = False
) -> list[Call]:
    """List the calls that this client's source has not completed yet; ``unknown_too``: also those with a 404."""
    completed: set[tuple[str, str]] = set()
    for endpoint, day in dict.fromkeys((call.endpoint, call.trading_date) for call in calls):
        kept = store.load(endpoint, day, source=client.source)
        completed |= {
            (endpoint, path)
            for path, answer in kept.items()
            if answer.completed and not (unknown_too and answer.status == HTTP_NOT_FOUND)
        }
    return [call for call in calls if (call.endpoint, call.path) not in completed]
