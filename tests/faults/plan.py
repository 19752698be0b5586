"""What is to happen to one sequence of runs, drawn from a seed: faults of both servers, kills, a task cleared."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Rule = Mapping[str, Any]

MARKET, AWS = "market", "aws"
LONGEST_STALL = "stall longer than the read timeout"

DETAILS, GROUPED, LISTING = "/v3/reference/tickers/", "/v2/aggs/grouped", "/v3/reference/splits"
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


@dataclass(frozen=True)
class Kill:
    """SIGKILL ``tasks`` task starts from now, at a fraction of the time that the task usually takes."""

    tasks: int
    fraction: float


@dataclass(frozen=True)
class Disturbance:
    """One sequence: its flow, what is there before it, its faults and kills, and the task cleared after success.

    ``forgotten`` is the part of the kept answers that is taken away first, so that the run must ask for it;
    ``bearable`` says that the faults are such that tries outlast them: the run must succeed without anybody's help.
    """

    number: int
    flow: str
    older: bool
    forgotten: float
    faults: tuple[Fault, ...]
    kills: tuple[Kill, ...]
    cleared: float | None = field(default=None)
    bearable: bool = field(default=False)


Draw = Callable[[random.Random], Fault]


def _market(name: str, path: str = "", **rule: Any) -> Draw:
    return lambda chance: Fault(name, MARKET, {"path": path, "count": chance.randint(1, 3)} | rule)


def _aws(name: str, kind: str, target: str, skipped: int, most: int = 2) -> Draw:
    """Two in a row outlast the client's own tries and fail the task."""
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
    # Three tries each: such a line fails, the session says so, and the next run asks again.
    _market("call without any answer", f"{DETAILS}[JKQVZ]", kind="status", status=502, count=9),
    _market("another company's answer", DETAILS, kind="other_company"),
    _market("empty grouped day", GROUPED, kind="empty_results"),
    _market("list of splits without results", LISTING, kind="empty_results"),
)
CLOUD: tuple[Draw, ...] = (
    _aws("S3 put: SlowDown", "slow_down", WRITES, 40),
    _aws("S3 put: InternalError", "internal_error", WRITES, 40),
    _aws("S3 put: answer lost", "lost_answer", WRITES, 40),
    _aws("S3 get: SlowDown", "slow_down", READS, 80),
    _aws("S3 get: InternalError", "internal_error", READS, 80),
    _aws("Glue run fails after some files", "internal_error", SPARK_WRITES, 40, most=1),
    _aws("Glue API: InternalServerException", "internal_error", "^AWSGlue", 12),
    _aws("Glue run started, answer lost", "lost_answer", "^AWSGlue.StartJobRun", 1, most=1),
    _aws("Athena query fails", "query_failed", "", 13, most=1),
    _aws("Athena query cancelled", "query_cancelled", "", 13, most=1),
    _aws("Redshift batch fails in its middle", "statement_failed", LOAD, 28, most=1),
    _aws("Redshift batch: error 1023", "serialization", LOAD, 28, most=1),
    _aws("Redshift batch submitted, answer lost", "lost_answer", "^RedshiftData.BatchExecuteStatement", 0, most=1),
)


def draw_sequences(seed: int, count: int, flows: Sequence[str]) -> list[Disturbance]:
    """Draw sequences; every kind of fault comes in turn before one comes again, and the flows alternate."""
    chance = random.Random(seed)
    providers, clouds = _Deck(chance, PROVIDER), _Deck(chance, CLOUD)
    return [_draw(chance, number, flows[number % len(flows)], providers, clouds) for number in range(count)]


BEARABLE = (
    Fault("500", MARKET, {"kind": "status", "status": 500, "path": GROUPED, "count": 1}),
    Fault("connection reset", MARKET, {"kind": "reset", "path": DETAILS, "count": 1}),
    Fault("S3 put: SlowDown", AWS, {"kind": "slow_down", "target": WRITES, "skip": 4, "count": 1}),
    # Twice: the client's two tries end the task, whose next try succeeds.
    Fault("S3 get: InternalError", AWS, {"kind": "internal_error", "target": READS, "skip": 40, "count": 2}),
    Fault("Redshift batch: error 1023", AWS, {"kind": "serialization", "target": LOAD, "skip": 9, "count": 1}),
)
"""One of each sort, which the tries of clients and tasks outlast."""


class _Deck:
    """Draws without putting back, shuffled anew when it is used up."""

    def __init__(self, chance: random.Random, cards: Sequence[Draw]) -> None:
        self._chance, self._cards = chance, list(cards)
        self._left: list[Draw] = []

    def draw(self) -> Fault:
        if not self._left:
            self._left = self._chance.sample(self._cards, len(self._cards))
        return self._left.pop()(self._chance)


def _draw(chance: random.Random, number: int, flow: str, providers: _Deck, clouds: _Deck) -> Disturbance:
    faults = [providers.draw() for _ in range(5)] + [clouds.draw() for _ in range(4)]
    # A run starts some 40 tasks; each kill is counted from the start after the one before.
    kills = [Kill(chance.randint(0, 9), chance.random()) for _ in range(chance.randint(3, 5))]
    return Disturbance(
        number,
        flow,
        older=chance.random() < 0.5,
        forgotten=chance.uniform(0.1, 0.5),
        faults=tuple(faults),
        kills=tuple(kills),
        cleared=chance.random() if chance.random() < 0.3 else None,
    )
