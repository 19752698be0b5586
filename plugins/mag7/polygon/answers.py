"""The provider's answers as received: gzip JSON lines in the lake, from which everything else can be rebuilt."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from mag7.errors import Mag7Error
from mag7.lake.keys import answers_date, answers_month_prefix, answers_prefix
from mag7.lake.objects import ObjectStore

ANSWERS_AN_OBJECT = 50
READERS = 8
GZIP_LEVEL = 1
"""Storing keeps up with a thousand calls a second; higher levels gain little on bodies of 2 kB."""

_COMPLETE_STATUSES = frozenset({200, 404})


class AnswersCorruptError(Mag7Error):
    """A stored object does not hold answers."""


class MixedSourcesError(Mag7Error):
    """Answers of two sources were about to meet."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one call.

    ``path`` is the request's path and query, ``time`` (UTC) when it came, ``status`` the HTTP status (None: no answer),
    ``body`` the text verbatim, ``error`` why it is not complete, ``key`` the object it was read from.
    """

    path: str
    time: datetime
    status: int | None
    source: str
    body: str
    error: str | None = None
    key: str | None = None

    @property
    def completed(self) -> bool:
        """Whether the call need not be made again: a valid body, or the provider's word that there is none (404)."""
        return self.error is None and self.status in _COMPLETE_STATUSES


class AnswerStore:
    """Keeps answers below raw/polygon/ in the lake's bucket, at most 50 an object; nothing is ever overwritten."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def save(self, endpoint: str, trading_date: date, answers: Sequence[Answer]) -> list[Answer]:
        """Store answers of one endpoint and date; returns them with their keys. The same ones make the same object."""
        stored = []
        for start in range(0, len(answers), ANSWERS_AN_OBJECT):
            part = answers[start : start + ANSWERS_AN_OBJECT]
            body = _pack(part)
            key = f"{answers_prefix(endpoint, trading_date)}{_object_name(part, body)}"
            self._objects.put(key, body, content_type="application/gzip")
            stored += [replace(answer, key=key) for answer in part]
        return stored

    def load(
        self, endpoint: str, trading_date: date, *, source: str | None = None, one_source: bool = False
    ) -> dict[str, Answer]:
        """Read the newest completed answer of each path, or its newest failed one where none completed.

        ``source`` leaves out other sources' answers; ``one_source`` demands that those chosen share one. Raises
        AnswersCorruptError, MixedSourcesError.
        """
        keys = [entry.key for entry in self._objects.list(answers_prefix(endpoint, trading_date))]
        chosen: dict[str, Answer] = {}
        for answers in self._read_all(keys):
            for answer in answers:
                if source in {None, answer.source} and _better(answer, chosen.get(answer.path)):
                    chosen[answer.path] = answer
        if one_source:
            require_one_source(chosen.values())
        return chosen

    def list_days(self, endpoint: str, month: date) -> frozenset[date]:
        """List the dates of a month of which answers of an endpoint are kept; ``month`` is any date of it."""
        found = self._objects.list(answers_month_prefix(endpoint, month))
        return frozenset(answers_date(entry.key) for entry in found)

    def _read_all(self, keys: Sequence[str]) -> Iterable[list[Answer]]:
        if len(keys) <= 1:
            return [self._read(key) for key in keys]
        with ThreadPoolExecutor(min(READERS, len(keys)), "answers") as readers:
            return list(readers.map(self._read, keys))

    def _read(self, key: str) -> list[Answer]:
        stored = self._objects.get(key)
        try:
            lines = gzip.decompress(stored).decode().removesuffix("\n").split("\n")
            return [_parse_line(line, key) for line in lines]
        except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, RecursionError) as error:
            raise AnswersCorruptError(
                f"{self._objects.uri(key)} is no object of answers ({type(error).__name__}: {error}); delete it and "
                "collect its date again"
            ) from error


def require_one_source(answers: Iterable[Answer]) -> str | None:
    """Return the one source of the completed ones among some answers, None where there are none.

    Raises MixedSourcesError naming both.
    """
    first: Answer | None = None
    for answer in answers:
        if not answer.completed:
            continue
        if first is None:
            first = answer
        elif answer.source != first.source:
            raise MixedSourcesError(
                f"answers of two sources would meet: {first.path} comes from {first.source}, {answer.path} from "
                f"{answer.source}; collect the date again from one of them (collect_again), or give each source a "
                "bucket of its own"
            )
    return first.source if first else None


def _better(answer: Answer, than: Answer | None) -> bool:
    return than is None or (answer.completed, answer.time) > (than.completed, than.time)


def _pack(answers: Sequence[Answer]) -> bytes:
    lines = [
        json.dumps(
            {
                "path": answer.path,
                "time": answer.time.astimezone(UTC).isoformat(timespec="microseconds"),
                "status": answer.status,
                "source": answer.source,
                "body": answer.body,
                "error": answer.error,
            }
        )
        for answer in answers
    ]
    # mtime would otherwise be now, and equal answers make unequal objects.
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=GZIP_LEVEL, mtime=0)


def _object_name(answers: Sequence[Answer], body: bytes) -> str:
    newest = max(answer.time for answer in answers).astimezone(UTC)
    return f"{newest:%Y%m%dT%H%M%S.%fZ}-{hashlib.sha256(body).hexdigest()[:12]}.jsonl.gz"


def _parse_line(line: str, key: str) -> Answer:
    record = json.loads(line)
    answer = Answer(
        path=record["path"],
        time=datetime.fromisoformat(record["time"]),
        status=record["status"],
        source=record["source"],
        body=record["body"],
        error=record["error"],
        key=key,
    )
    texts = (answer.path, answer.source, answer.body)
    if not all(isinstance(text, str) for text in texts) or not isinstance(answer.error, str | None):
        raise ValueError("a text is no text")
    if not isinstance(answer.status, int | None) or isinstance(answer.status, bool) or answer.time.tzinfo is None:
        raise ValueError("a status or time cannot be read")
    return answer
