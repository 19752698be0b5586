"""The provider's responses as received: gzip JSON lines in the lake, from which everything else can be rebuilt."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from urllib.parse import quote, unquote

from mag7.errors import Mag7Error
from mag7.lake.keys import answers_date, answers_month_prefix, answers_prefix
from mag7.lake.objects import ObjectStore

ANSWERS_AN_OBJECT = 50
READERS = 8
GZIP_LEVEL = 1
"""Storing keeps up with a thousand calls a second; higher levels gain little on bodies of 2 kB."""

_SPAN = re.compile(r"-span([^~/]+)~([^~/]+)-[0-9a-f]+\.jsonl\.gz$")
_PART = re.compile(r"-part(\d+of\d+)-[0-9a-f]+\.jsonl\.gz$")
LARGEST_OBJECT = 256 * 2**20
"""Bytes of a decompressed object: a whole day of the market is about 2 MB, fifty responses of details 100 kB."""

_COMPLETE_STATUSES = frozenset({200, 404})


EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Times beyond these cannot be expressed in every time zone."""


class AnswersCorruptError(Mag7Error):
    """A stored object does not hold responses."""


class MixedSourcesError(Mag7Error):
    """Responses of two sources would be mixed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to one call.

    ``path`` is the request's path and query, ``time`` (UTC) when the response came, ``status`` the HTTP status (None:
    no response), ``body`` the text verbatim, ``error`` why it is not complete, ``key`` the object it was read from.
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
        """Whether the call need not be made again: its body is valid, or the provider says that there is none (404)."""
        return self.error is None and self.status in _COMPLETE_STATUSES


class AnswerStore:
    """Stores responses below raw/polygon/ in the lake's bucket, at most 50 an object; nothing is ever overwritten.

    A ``part`` (such as 1of4) is named in the keys of what is saved, and the stored responses of other parts are left
    out: a task that collects only some lines need not read what others collect. So does a ``span``, the first and the
    last of some symbols in order: an object that names another span without a symbol of this one is not read.
    """

    def __init__(self, objects: ObjectStore, part: str | None = None, span: tuple[str, str] | None = None) -> None:
        self._objects = objects
        self._part = part
        self._span = span

    def save(self, endpoint: str, trading_date: date, answers: Sequence[Answer]) -> list[Answer]:
        """Store responses of one endpoint and date; returns them with their keys. Equal ones make the same object."""
        stored = []
        for start in range(0, len(answers), ANSWERS_AN_OBJECT):
            part = answers[start : start + ANSWERS_AN_OBJECT]
            body = _pack(part)
            key = f"{answers_prefix(endpoint, trading_date)}{_object_name(part, body, self._label())}"
            self._objects.put(key, body, content_type="application/gzip")
            stored += [replace(answer, key=key) for answer in part]
        return stored

    def load(
        self, endpoint: str, trading_date: date, *, source: str | None = None, one_source: bool = False
    ) -> dict[str, Answer]:
        """Read the newest completed response of each path, or its newest failed one where none completed.

        ``source`` leaves out other sources' responses; ``one_source`` requires that the chosen ones share one. Raises
        AnswersCorruptError, MixedSourcesError.
        """
        keys = self._list(answers_prefix(endpoint, trading_date))
        chosen = self.read(keys, source=source)
        if one_source:
            require_one_source(chosen.values())
        return chosen

    def read(self, keys: Sequence[str], *, source: str | None = None) -> dict[str, Answer]:
        """Read objects of responses; chooses one for each path as ``load`` does. Raises AnswersCorruptError."""
        chosen: dict[str, Answer] = {}
        for answers in self._read_all(keys):
            for answer in answers:
                if source in {None, answer.source}:
                    chosen[answer.path] = better_answer(answer, chosen.get(answer.path))
        return chosen

    def list_month(self, endpoint: str, month: date) -> dict[date, list[str]]:
        """List the objects of an endpoint's responses for a month, by date; ``month`` is any date of it."""
        found: dict[date, list[str]] = {}
        for key in self._list(answers_month_prefix(endpoint, month)):
            found.setdefault(answers_date(key), []).append(key)
        return found

    def _list(self, prefix: str) -> list[str]:
        keys = [entry.key for entry in self._objects.list(prefix)]
        if self._part is not None:
            keys = [key for key in keys if _is_of(self._part, key)]
        if self._span is not None:
            keys = [key for key in keys if _overlaps(self._span, key)]
        return keys

    def _label(self) -> str:
        """Return what the names of this store's objects say of the lines that they are about."""
        part = f"-part{self._part}" if self._part else ""
        return part + (f"-span{'~'.join(map(_escape, self._span))}" if self._span else "")

    def _read_all(self, keys: Sequence[str]) -> Iterable[list[Answer]]:
        if len(keys) <= 1:
            return [self._read(key) for key in keys]
        with ThreadPoolExecutor(min(READERS, len(keys)), "answers") as readers:
            return list(readers.map(self._read, keys))

    def _read(self, key: str) -> list[Answer]:
        stored = self._objects.get(key)
        try:
            lines = _unpack(stored).decode().removesuffix("\n").split("\n")
            return [_parse_line(line, key) for line in lines]
        except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, RecursionError) as error:
            raise AnswersCorruptError(
                f"{self._objects.uri(key)} is not an object of responses ({type(error).__name__}: {error}); delete it"
                " and collect its date again"
            ) from error


def require_one_source(answers: Iterable[Answer]) -> str | None:
    """Return the one source of the completed ones among some responses, None where there are none.

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
                f"responses of two sources would be mixed: {first.path} comes from {first.source}, {answer.path} from "
                f"{answer.source}; collect the date again from one of them (collect_again), or give each source a "
                "bucket of its own"
            )
    return first.source if first else None


def better_answer(answer: Answer, other: Answer | None) -> Answer:
    """Choose the completed one of two responses of one path, of two the newer one; ``other`` where they are alike."""
    if other is None or (answer.completed, answer.time) > (other.completed, other.time):
        return answer
    return other


def _is_of(part: str, key: str) -> bool:
    """Whether an object may hold responses about a part's lines: it names that part, or none of as many."""
    named = _PART.search(key)
    return named is None or named[1] == part or named[1].partition("of")[2] != part.partition("of")[2]


def _overlaps(span: tuple[str, str], key: str) -> bool:
    """Whether an object may hold responses about symbols of a span: it names one that overlaps, or none."""
    named = _SPAN.search(key)
    return named is None or (unquote(named[1]) <= span[1] and span[0] <= unquote(named[2]))


def _escape(symbol: str) -> str:
    return quote(symbol, safe="").replace("~", "%7E")


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
    # mtime would otherwise be now, and equal responses would make unequal objects.
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=GZIP_LEVEL, mtime=0)


def _unpack(stored: bytes) -> bytes:
    """Decompress an object, which may claim to hold more than memory does."""
    with gzip.GzipFile(fileobj=io.BytesIO(stored)) as unpacked:
        body = unpacked.read(LARGEST_OBJECT + 1)
    if len(body) > LARGEST_OBJECT:
        raise ValueError(f"holds more than {LARGEST_OBJECT} bytes")
    return body


def _object_name(answers: Sequence[Answer], body: bytes, label: str) -> str:
    newest = max(answer.time for answer in answers).astimezone(UTC)
    return f"{newest:%Y%m%dT%H%M%S.%fZ}{label}-{hashlib.sha256(body).hexdigest()[:12]}.jsonl.gz"


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
        raise ValueError("a text is not a string")
    if not isinstance(answer.status, int | None) or isinstance(answer.status, bool) or answer.time.tzinfo is None:
        raise ValueError("a status or time cannot be read")
    if not EARLIEST <= answer.time <= LATEST:
        raise ValueError(f"the time {answer.time} cannot be that of a call")
    (answer.path + answer.source).encode()  # half a surrogate pair cannot be encoded
    return answer
