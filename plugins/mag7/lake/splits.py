"""Splits in the lake: one file for each execution date, with every company's split of that date.

The input are the splits in the accepted sessions' documents. A run adds its splits and replaces those that differ. It
deletes nothing, as the index of another run's sessions had other companies. Two runs may write a date at the same time:
each writes only over what it has read, and reads again where the other was faster. Unchanged files are not written.
"""

from __future__ import annotations

import io
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from mag7.errors import Mag7Error, one_line
from mag7.lake.catalog import Partition, register_partitions
from mag7.lake.keys import (
    DATABASE,
    analytics_key,
    split_day_key,
    split_day_prefix,
    staged_splits_key,
)
from mag7.lake.objects import ObjectStore
from mag7.lake.tables import SPLITS

log = logging.getLogger(__name__)

TRIES = 8
"""Attempts to read and write a date's file where other runs write it at the same time."""


def _cut_source(text: str) -> str:
    """Cut a text to its column's bytes without breaking a character."""
    column = next(column for column in SPLITS.columns if column.name == "source")
    return text.encode()[: column.varchar_bytes].decode(errors="ignore")


Text = Annotated[str, Field(min_length=1)]
Part = Annotated[float, Field(ge=1e-24, le=1e24)]
"""One side of a ratio; the provider's numbers lie between these bounds, too."""


class SplitFileDamagedError(Mag7Error):
    """A file of splits in the lake cannot be read."""


class SplitDayContestedError(Mag7Error):
    """Other runs wrote a date's splits at every attempt of this one."""

    transient = True


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid", defer_build=True))
class StoredSplit:
    """A row of the table: ``split_from`` shares of a company became ``split_to``; ``ticker`` is its main line."""

    execution_date: date
    issuer: Text
    ticker: Text
    split_from: Part
    split_to: Part
    source: Annotated[Text, AfterValidator(_cut_source)]

    @property
    def key(self) -> tuple[date, str]:
        """The key of a split: a company splits once a day."""
        return self.execution_date, self.issuer

    @property
    def factor(self) -> float:
        """How many shares one share became."""
        return self.split_to / self.split_from

    def __str__(self) -> str:
        ratio = f"{self.split_to:g} for {self.split_from:g}"
        return f"{ratio} ({self.source}) for {self.ticker} on {self.execution_date}"


def publish_splits(store: ObjectStore, glue: Any, run: str, known: Mapping[date, Iterable[StoredSplit]]) -> list[date]:
    """Publish the splits of a run's sessions; returns the days whose files were written.

    The run's file for COPY is written to staging: all splits of its days as the lake holds them now, also where there
    is none (COPY needs a file). It is a copy because COPY compares sizes and another run may rewrite a day meanwhile.
    """
    days: defaultdict[date, list[StoredSplit]] = defaultdict(list)
    for split in join_sessions(known):
        days[split.execution_date].append(split)
    held = {day: _read_day(store, day) for day in sorted(days)}
    changed = [day for day in held if merge_splits(held[day], days[day]) != held[day]]
    # The next run compares with the flat file, so it is written last: a day that it holds is published completely.
    for day in changed:
        _write_day(store, split_day_key(day), days[day], partitioned=True)
    partitions = [Partition((day.isoformat(),), store.uri(split_day_prefix(day))) for day in changed]
    register_partitions(glue, DATABASE, SPLITS, partitions)
    for day in changed:
        held[day] = _write_day(store, analytics_key(SPLITS.name, day), days[day], partitioned=False)
    store.put(staged_splits_key(run), encode_splits([split for day in held.values() for split in day]))
    return changed


def join_sessions(known: Mapping[date, Iterable[StoredSplit]]) -> list[StoredSplit]:
    """Join the splits of sessions, each once, by day and company, as the newest session has it.

    A rebuilt session brings the list of its own day, from before the provider may have edited an entry.
    """
    found: dict[tuple[date, str], StoredSplit] = {}
    for session, splits in sorted(known.items()):
        for split in splits:
            before = found.get(split.key, split)
            if before.factor != split.factor:
                log.warning("the document of %s has %s: used instead of %s", session, split, before)
            found[split.key] = split
    return [split for _, split in sorted(found.items())]


def merge_splits(held: Iterable[StoredSplit], known: Iterable[StoredSplit]) -> list[StoredSplit]:
    """Join two lists by key, where ``known`` replaces ``held``; in the order of the keys."""
    by_key = {split.key: split for split in (*held, *known)}
    return [by_key[key] for key in sorted(by_key)]


def _read_day(store: ObjectStore, day: date) -> list[StoredSplit]:
    key = analytics_key(SPLITS.name, day)
    version = store.find(key)
    return [] if version is None else decode_splits(version.body, store.uri(key))


def _write_day(store: ObjectStore, key: str, known: Sequence[StoredSplit], *, partitioned: bool) -> list[StoredSplit]:
    """Merge one day's known splits into its file; returns what the file then holds."""
    (day,) = {split.execution_date for split in known}
    for _ in range(TRIES):
        before = store.find(key)
        held = decode_splits(before.body, store.uri(key), day) if before else []
        merged = merge_splits(held, known)
        if merged == held or store.replace(key, encode_splits(merged, partitioned=partitioned), before):
            return merged
    raise SplitDayContestedError(f"other runs wrote {store.uri(key)} {TRIES} times meanwhile: clear publish_splits")


def encode_splits(splits: Sequence[StoredSplit], *, partitioned: bool = False) -> bytes:
    """Write splits as a Parquet file of the declared columns; without splits, the schema alone."""
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
        return [StoredSplit(**{**row, **given}) for row in rows]
    except (pa.ArrowException, OSError, TypeError, ValueError, OverflowError) as damaged:
        raise SplitFileDamagedError(
            f"{place} is not a file of splits ({one_line(str(damaged))}): delete it, then clear publish_splits"
        ) from damaged
