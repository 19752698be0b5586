"""What happens in one sequence of runs, drawn from a seed: faults of both servers, kills, and a cleared task."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

Rule = Mapping[str, Any]

MARKET, AWS = "market", "aws"
LONGEST_STALL = "stall longer than the read timeout"

DETAILS, GROUPED, LISTING = "/v3/reference/tickers/", "/v2/aggs/grouped", "/stocks/v1/splits"
WRITES = "^S3 PUT "
READS = "^S3 GET /[^/]+/."
SPARK_WRITES = "^HDFS (CREATE|RENAME|DELETE) .*/staging/"
LOAD = r"^\s*(COPY|DELETE|INSERT|LOCK|CREATE TEMP)"


@dataclass(frozen=True)
class Fault:
    """A rule for one of the two servers, under the name that the report counts it by."""

    name: str
    server: str
    rule: Rule


KILL, FAILURE, SUCCESS = "kill", "failure", "success"
"""Events after which a task is cleared."""


class Place(NamedTuple):
    """A task's place in a run: its stage, and its number in the stage by first start, from 0.

    Retries keep the place, so a place is reached however often earlier tasks were retried, killed or cleared.
    """

    stage: str
    number: int


@dataclass(frozen=True)
class Kill:
    """SIGKILL after the task of a place has started, at a fraction of its usual time."""

    place: Place
    fraction: float


@dataclass(frozen=True)
class Clear:
    """Clear a successful task with its downstream tasks after ``times`` kills, failed attempts or successes.

    ``share`` chooses the task: 0 is the first by name. With fewer events it is cleared after success.
    """

    after: str
    times: int
    share: float


@dataclass(frozen=True)
class Disturbance:
    """One sequence: its flow, its initial state, its faults and kills, and the cleared task.

    ``forgotten`` is the part of the stored responses that is deleted first, so that the run must fetch it. With
    ``bearable`` retries outlast the faults: the run must succeed without help.
    """

    number: int
    flow: str
    older: bool
    forgotten: float
    faults: tuple[Fault, ...]
    kills: tuple[Kill, ...]
    clear: Clear | None = field(default=None)
    bearable: bool = field(default=False)


Draw = Callable[[random.Random], Fault]


def _market(name: str, path: str = "", **rule: Any) -> Draw:
    return lambda chance: Fault(name, MARKET, {"path": path, "count": chance.randint(1, 3)} | rule)


def _aws(name: str, kind: str, target: str, skipped: int, most: int = 2) -> Draw:
    """Draw a fault of AWS; two in a row use up the client's own tries and fail the task."""
    return lambda chance: Fault(
        name,
        AWS,
        {"kind": kind, "target": target, "skip": chance.randint(0, skipped), "count": chance.randint(1, most)},
    )


PROVIDER: tuple[Draw, ...] = (
    _market("429 with Retry-After", kind="status", status=429, retry_after=1),
    _market("429 without Retry-After", kind="status", status=429),
    _market("500", kind="status", status=500),
    _market("503", GROUPED, kind="status", status=503),
    _market("connection reset", kind="reset"),
    _market(LONGEST_STALL, DETAILS, kind="stall"),
    _market("truncated body", kind="truncate"),
    _market("body that is not JSON", kind="not_json"),
    _market("wrong types", DETAILS, kind="wrong_types"),
    _market("missing keys", DETAILS, kind="missing_keys", keys=["results"]),
    _market("missing keys", GROUPED, kind="missing_keys", keys=["results"]),
    # All three tries: the line fails, the session lists it, and the next run asks again.
    _market("call without any response", f"{DETAILS}[JKQVZ]", kind="status", status=502, count=9),
    _market("another company's response", DETAILS, kind="other_company"),
    _market("empty grouped day", GROUPED, kind="empty_results"),
    _market("list of splits without results", LISTING, kind="empty_results"),
)
CLOUD: tuple[Draw, ...] = (
    _aws("S3 put: SlowDown", "slow_down", WRITES, 40),
    _aws("S3 put: InternalError", "internal_error", WRITES, 40),
    _aws("S3 put: response lost", "lost_answer", WRITES, 40),
    _aws("S3 get: SlowDown", "slow_down", READS, 80),
    _aws("S3 get: InternalError", "internal_error", READS, 80),
    _aws("Glue run fails after some files", "internal_error", SPARK_WRITES, 40, most=1),
    _aws("Glue API: InternalServerException", "internal_error", "^AWSGlue", 12),
    _aws("Glue run started, response lost", "lost_answer", "^AWSGlue.StartJobRun", 1, most=1),
    _aws("Athena query fails", "query_failed", "", 13, most=1),
    _aws("Athena query cancelled", "query_cancelled", "", 13, most=1),
    _aws("Redshift batch fails in its middle", "statement_failed", LOAD, 28, most=1),
    _aws("Redshift batch: error 1023", "serialization", LOAD, 28, most=1),
    _aws("Redshift batch submitted, response lost", "lost_answer", "^RedshiftData.BatchExecuteStatement", 0, most=1),
)
KINDS = tuple(dict.fromkeys(draw(random.Random(0)).name for draw in PROVIDER + CLOUD))
"""Every kind of fault, by name."""

_SHARED_STARTS = {
    "build_market_data": 1,
    "check_coverage": 1,
    "transform": 3,
    "check": 15,
    "publish_splits": 1,
    "publish_sessions": 1,
    "load": 4,
    "summarise": 1,
    "report_refusals": 1,
    "write_run_manifest": 1,
    "send_alert": 1,
}
STARTS: Mapping[str, Mapping[str, int]] = {
    "daily": {"resolve_session": 1, "collect": 8, "add_corrected": 1} | _SHARED_STARTS,
    "backfill": {"resolve_window": 1, "collect": 6, "plan_parts": 1} | _SHARED_STARTS,
}
"""Tasks of each stage of a flow when nothing fails, in order; test_sequences counts them."""

MUST_BE_KILLED = ("publish_splits", "publish_sessions", "load")
"""Stages that change readers' data."""

CLEARED_AFTER = (KILL, KILL, FAILURE, SUCCESS, None, None)


def stage_of(task: str) -> str:
    """Return the stage of a task: its group, or the task alone."""
    return task.partition(".")[0]


def draw_sequences(seed: int, count: int, flows: Sequence[str]) -> list[Disturbance]:
    """Draw sequences; each kind of fault comes once before one repeats, and the flows alternate.

    The same holds for the kills of a flow: stages that must be killed, all stages, and the places of all tasks.
    """
    chance = random.Random(seed)
    decks = _Decks(
        _Deck(chance, PROVIDER),
        _Deck(chance, CLOUD),
        _Deck(chance, CLEARED_AFTER),
        {flow: _Deck(chance, MUST_BE_KILLED) for flow in flows},
        {flow: _Deck(chance, list(STARTS[flow])) for flow in flows},
        {flow: _Deck(chance, list_places(flow)) for flow in flows},
    )
    return [_draw(chance, number, flows[number % len(flows)], decks) for number in range(count)]


def list_places(flow: str) -> list[Place]:
    """List every place of a flow, in the order of its run."""
    return [Place(stage, number) for stage, count in STARTS[flow].items() for number in range(count)]


BEARABLE = (
    Fault("500", MARKET, {"kind": "status", "status": 500, "path": GROUPED, "count": 1}),
    Fault("connection reset", MARKET, {"kind": "reset", "path": DETAILS, "count": 1}),
    Fault("S3 put: SlowDown", AWS, {"kind": "slow_down", "target": WRITES, "skip": 4, "count": 1}),
    # Twice: the client's two tries fail the task, whose retry succeeds.
    Fault("S3 get: InternalError", AWS, {"kind": "internal_error", "target": READS, "skip": 40, "count": 2}),
    # The client starts a second run, which the task ends; the retry starts a third.
    Fault(
        "Glue run started, response lost",
        AWS,
        {"kind": "lost_answer", "target": "^AWSGlue.StartJobRun", "skip": 0, "count": 1},
    ),
    Fault("Redshift batch: error 1023", AWS, {"kind": "serialization", "target": LOAD, "skip": 9, "count": 1}),
)
"""One fault of each sort, which the tries of clients and tasks outlast."""


Card = TypeVar("Card")


class _Deck(Generic[Card]):
    """Draws without replacement, and shuffles again when it is empty."""

    def __init__(self, chance: random.Random, cards: Sequence[Card]) -> None:
        self._chance, self._cards = chance, list(cards)
        self._left: list[Card] = []

    def draw(self) -> Card:
        if not self._left:
            self._left = self._chance.sample(self._cards, len(self._cards))
        return self._left.pop()


@dataclass(frozen=True)
class _Decks:
    """All decks; those of kills are for each flow."""

    providers: _Deck[Draw]
    clouds: _Deck[Draw]
    clears: _Deck[str | None]
    musts: Mapping[str, _Deck[str]]
    stages: Mapping[str, _Deck[str]]
    places: Mapping[str, _Deck[Place]]


def _draw(chance: random.Random, number: int, flow: str, decks: _Decks) -> Disturbance:
    faults = [decks.providers.draw() for _ in range(5)] + [decks.clouds.draw() for _ in range(4)]
    return Disturbance(
        number,
        flow,
        older=chance.random() < 0.5,
        forgotten=chance.uniform(0.1, 0.5),
        faults=tuple(draw(chance) for draw in faults),
        kills=_draw_kills(chance, flow, decks),
        clear=_draw_clear(chance, decks),
    )


def _draw_kills(chance: random.Random, flow: str, decks: _Decks) -> tuple[Kill, ...]:
    # By places alone most kills would be in stages with many tasks, which do not write readers' data.
    stages = [decks.musts[flow].draw(), decks.stages[flow].draw()]
    places = [Place(stage, chance.randrange(STARTS[flow][stage])) for stage in stages]
    places += [decks.places[flow].draw() for _ in range(chance.randint(2, 3))]
    if chance.random() < 0.3:
        # The retry is killed, too.
        places[-1] = places[0]
    # A task may be quicker than usual: the kill would miss it.
    return tuple(Kill(place, chance.uniform(0.0, 0.8)) for place in places)


def _draw_clear(chance: random.Random, decks: _Decks) -> Clear | None:
    after = decks.clears.draw()
    times, share = chance.randint(1, 3), chance.random()
    return None if after is None else Clear(after, times if after == KILL else 1, share)
