"""Splits in the lake: a file a day of execution, which holds every company's split of that day that a run ever knew.

The input is the ``splits`` of the accepted sessions' documents. A run adds what it knows and replaces what it knows
otherwise; it deletes nothing, as the index of another run's sessions had other companies. Two runs may write a day at
once: each writes only over what it has read, and reads again where the other was faster. What does not change is not
written.
"""

from __future__ import annotations

import io
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from mag7.errors import Mag7Error, one_line
from mag7.lake.catalog import Partition, register_partitions
from mag7.lake.keys import (
    DATABASE,
    analytics_key,
    split_day_key,
    split_day_prefix,
    staged_document_key,
    staged_splits_key,
)
from mag7.lake.objects import ObjectStore
from mag7.lake.tables import SPLITS, Column

log = logging.getLogger(__name__)

TRIES = 8
"""How often a day is read and written again where other runs write it at the same moment."""


LEAST_PART, MOST_PART = 1e-24, 1e24
"""The provider's numbers lie between them, too."""


class SplitInvalidError(Mag7Error):
    """A document's entry of splits is not what a document holds."""


class SplitFileDamagedError(Mag7Error):
    """A file of splits in the lake cannot be read."""


class SplitDayContestedError(Mag7Error):
    """Other runs wrote a day's splits each time that this one was about to."""

    transient = True


@dataclass(frozen=True)
class StoredSplit:
    """A row of the table: ``split_from`` shares of a company became ``split_to``; ``ticker`` is its main line."""

    execution_date: date
    issuer: str
    ticker: str
    split_from: float
    split_to: float
    source: str

    @property
    def key(self) -> tuple[date, str]:
        """What identifies it: a company splits once a day."""
        return self.execution_date, self.issuer

    @property
    def factor(self) -> float:
        """How many shares one share became."""
        return self.split_to / self.split_from

    def __str__(self) -> str:
        ratio = f"{self.split_to:g} for {self.split_from:g}"
        return f"{ratio} ({self.source}) for {self.ticker} on {self.execution_date}"


def publish_splits(store: ObjectStore, glue: Any, run: str, sessions: Iterable[date]) -> list[date]:
    """Publish what the sessions' staged documents know; returns the days whose files were written.

    The run's file for COPY is left in staging: the splits of all its days as the lake holds them now, also where there
    is none (COPY wants a file). It is a copy because COPY compares sizes and another run may rewrite a day meanwhile.
    Raises SplitInvalidError before anything is written.
    """
    days: defaultdict[date, list[StoredSplit]] = defaultdict(list)
    for split in read_splits(store, run, sessions):
        days[split.execution_date].append(split)
    held = {day: _read_day(store, day) for day in sorted(days)}
    changed = [day for day in held if merge_splits(held[day], days[day]) != held[day]]
    # The flat file is what the next run compares with, so it is written last: a day that it holds is published whole.
    for day in changed:
        _write_day(store, split_day_key(day), days[day], partitioned=True)
    partitions = [Partition((day.isoformat(),), store.uri(split_day_prefix(day))) for day in changed]
    register_partitions(glue, DATABASE, SPLITS, partitions)
    for day in changed:
        held[day] = _write_day(store, analytics_key(SPLITS.name, day), days[day], partitioned=False)
    store.put(staged_splits_key(run), encode_splits([split for day in held.values() for split in day]))
    return changed


def read_splits(store: ObjectStore, run: str, sessions: Iterable[date]) -> list[StoredSplit]:
    """Read what a window's staged documents know, each split once, by day and company, as the newest session has it.

    A session that is built again brings the list of its own day, from before the provider may have changed an entry.
    Raises SplitInvalidError for an entry that is none.
    """
    found: dict[tuple[date, str], StoredSplit] = {}
    for session in sorted(sessions):
        for split in _read_document(store, run, session):
            known = found.get(split.key, split)
            if known.factor != split.factor:
                log.warning("the document of %s knows %s: taken instead of %s", session, split, known)
            found[split.key] = split
    return [split for _, split in sorted(found.items())]


def _read_document(store: ObjectStore, run: str, session: date) -> list[StoredSplit]:
    key = staged_document_key(run, session)
    try:
        document = json.loads(store.get(key))
    except (ValueError, RecursionError) as damaged:
        raise SplitInvalidError(
            f"{store.uri(key)} is no JSON ({one_line(str(damaged))}); run build_market_data of this run again"
        ) from damaged
    if not isinstance(document, dict) or not isinstance(document.get("splits"), list):
        raise SplitInvalidError(f"{store.uri(key)} has no list of splits; run build_market_data of this run again")
    return [_read_entry(entry, store.uri(key)) for entry in document["splits"]]


def _read_entry(entry: Any, place: str) -> StoredSplit:
    try:
        split = StoredSplit(
            date.fromisoformat(entry["execution_date"]),
            _read_text(entry["issuer"]),
            _read_text(entry["ticker"]),
            _read_part(entry["split_from"]),
            _read_part(entry["split_to"]),
            _cut(_read_text(entry["source"]), _find_column("source")),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as wrong:
        raise _invalid(entry, place) from wrong
    return split


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a text is no text")
    value.encode()  # half a surrogate pair is no text, and no file can hold it
    return value


def _read_part(value: Any) -> float:
    """Read a side of a ratio; what counts shares is neither endless nor next to nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is no number")
    part = float(value)
    if not LEAST_PART <= part <= MOST_PART:
        raise ValueError("a number is out of bounds")
    return part


def _invalid(entry: Any, place: str) -> SplitInvalidError:
    try:
        shown = one_line(json.dumps(entry))
    except RecursionError:
        shown = "an endless entry"
    return SplitInvalidError(f"{place} holds {shown} among its splits, which is none: run build_market_data again")


def _cut(text: str, column: Column) -> str:
    """Cut a text to its column's bytes without breaking a character."""
    return text.encode()[: column.varchar_bytes].decode(errors="ignore")


def _find_column(name: str) -> Column:
    return next(column for column in SPLITS.columns if column.name == name)


def merge_splits(held: Iterable[StoredSplit], known: Iterable[StoredSplit]) -> list[StoredSplit]:
    """Join two lists by key, where what is ``known`` replaces what was ``held``; in the order of the keys."""
    by_key = {split.key: split for split in (*held, *known)}
    return [by_key[key] for key in sorted(by_key)]


def _read_day(store: ObjectStore, day: date) -> list[StoredSplit]:
    key = analytics_key(SPLITS.name, day)
    version = store.find(key)
    return [] if version is None else decode_splits(version.body, store.uri(key))


def _write_day(store: ObjectStore, key: str, known: Sequence[StoredSplit], *, partitioned: bool) -> list[StoredSplit]:
    """Merge one day's known splits into its file; returns what the file holds then."""
    (day,) = {split.execution_date for split in known}
    for _ in range(TRIES):
        before = store.find(key)
        held = decode_splits(before.body, store.uri(key), day) if before else []
        merged = merge_splits(held, known)
        if merged == held or store.replace(key, encode_splits(merged, partitioned=partitioned), before):
            return merged
    raise SplitDayContestedError(f"other runs wrote {store.uri(key)} {TRIES} times meanwhile: clear publish_splits")


def encode_splits(splits: Sequence[StoredSplit], *, partitioned: bool = False) -> bytes:
    """Write splits as a Parquet file of the declared columns; no split gives the schema alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"date": pa.date32(), "double": pa.float64(), "string": pa.string()}
    columns = SPLITS.partitioned_columns if partitioned else SPLITS.columns
    schema = pa.schema([(column.name, kinds[column.glue_type]) for column in columns])
    rows = [{name: value for name, value in asdict(split).items() if name in schema.names} for split in splits]
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), written, compression="snappy")
    return written.getvalue()


def decode_splits(body: bytes, place: str, day: date | None = None) -> list[StoredSplit]:
    """Read a Parquet file of splits; ``day`` is that of a partitioned file. Raises SplitFileDamagedError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    given: Mapping[str, Any] = {} if day is None else {"execution_date": day}
    try:
        rows = pq.ParquetFile(io.BytesIO(body)).read().to_pylist()
        return [_read_row({**row, **given}) for row in rows]
    except (pa.ArrowException, OSError, TypeError, ValueError, OverflowError) as damaged:
        raise SplitFileDamagedError(
            f"{place} is not a file of splits ({one_line(str(damaged))}): delete it, then clear publish_splits"
        ) from damaged


def _read_row(row: Mapping[str, Any]) -> StoredSplit:
    if row.keys() != {column.name for column in SPLITS.columns} or type(row["execution_date"]) is not date:
        raise TypeError("other columns than those of splits")
    issuer, ticker, source = (_read_text(row[name]) for name in ("issuer", "ticker", "source"))
    split_from, split_to = (_read_part(row[name]) for name in ("split_from", "split_to"))
    return StoredSplit(row["execution_date"], issuer, ticker, split_from, split_to, source)
