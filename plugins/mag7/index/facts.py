"""Facts: what is known of the index beside the provider's responses, as one immutable version.

The tables of include/data are the first version. Later versions are in the lake (mag7.lake.fact_log) and have the same
tables. Two runs with the same version and the same responses give the same figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from mag7.errors import Mag7Error
from mag7.index import pinned
from mag7.index.count_jumps import COUNT_JUMPS, CountJump, read_count_jumps
from mag7.index.identifiers import ISSUER_CIKS, LINE_FIGIS, Identifiers, read_ciks, read_figis
from mag7.index.membership import MEMBERSHIP, SPAN, MembershipTable, read_membership
from mag7.index.share_counts import REFERENCES, ReferenceCount, read_references
from mag7.index.splits import SPLITS, SplitTable, read_splits
from mag7.index.symbols import SYMBOL_HISTORY, SymbolPeriod, read_symbols
from mag7.index.tables import FactTable
from mag7.paths import DATA
from mag7.session_calendar import OVERRIDES, Override, read_overrides, use_overrides

KINDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "membership": (MEMBERSHIP, SPAN),
        "symbols": (SYMBOL_HISTORY,),
        "identifiers": (ISSUER_CIKS, LINE_FIGIS),
        "splits": (SPLITS,),
        "count_jumps": (COUNT_JUMPS,),
        "references": (REFERENCES,),
        "closures": (OVERRIDES,),
    }
)
"""The tables of each kind of fact."""

REAL: Final = "public sources"
"""The source of real facts, such as the tables of include/data."""

TABLES: Final = tuple(name for names in KINDS.values() for name in names)


class FactsIncompleteError(Mag7Error):
    """A version of the facts lacks a table."""


class FactsSimulatedError(Mag7Error):
    """Facts of the simulated market would be used with responses of another source."""


@dataclass(frozen=True)
class IndexFacts:
    """One facts version, read and checked as a whole.

    ``digests`` are the SHA-256 of its tables by name. ``source`` is REAL or that of the simulated market. ``name`` is
    the version's name in the lake's log, empty where it is not from the lake.
    """

    membership: MembershipTable
    symbols: Mapping[str, tuple[SymbolPeriod, ...]]
    ciks: Identifiers
    figis: Identifiers
    splits: SplitTable
    references: Mapping[str, tuple[ReferenceCount, ...]]
    count_jumps: tuple[CountJump, ...] = ()
    overrides: tuple[Override, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    source: str = REAL
    name: str = ""

    @property
    def version(self) -> str:
        """The version's id, a hash of its tables: equal tables are one version."""
        return name_version(self.digests)

    def require_source(self, source: str, simulated: str) -> None:
        """Raise FactsSimulatedError where simulated facts would be used with another source's responses."""
        if self.source == simulated and source != simulated:
            raise FactsSimulatedError(
                f"the facts {self.name or self.version} are those of the simulated market, but the responses come from "
                f"{source}: give the simulated market a bucket of its own"
            )

    @property
    def confirmed_through(self) -> date:
        """The last session with confirmed members."""
        return self.membership.last_session


def name_version(digests: Mapping[str, str]) -> str:
    """Name a version by the digests of its tables: 16 hexadecimal digits."""
    listed = "\n".join(f"{name} {digest}" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def digest_tables(tables: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each table by its name."""
    return {name: hashlib.sha256(body).hexdigest() for name, body in sorted(tables.items())}


def read_facts(tables: Mapping[str, bytes], source: str = REAL, name: str = "") -> IndexFacts:
    """Read a version from its tables by name, with every check of each table.

    Raises FactsIncompleteError where a table is missing, and FactTableInvalidError or OverrideInvalidError, which name
    the row, where a row is invalid or contradicts another.
    """
    missing = [file_name for file_name in TABLES if file_name not in tables]
    if missing:
        raise FactsIncompleteError(f"the facts lack {', '.join(missing)}: publish a version that holds every table")

    def table(file_name: str) -> FactTable:
        return FactTable(file_name, tables[file_name])

    membership = read_membership(table(MEMBERSHIP), table(SPAN))
    symbols = read_symbols(table(SYMBOL_HISTORY))
    return IndexFacts(
        membership=membership,
        symbols=symbols,
        ciks=read_ciks(table(ISSUER_CIKS), membership),
        figis=read_figis(table(LINE_FIGIS), membership),
        splits=read_splits(table(SPLITS), membership),
        references=read_references(table(REFERENCES), membership),
        count_jumps=read_count_jumps(table(COUNT_JUMPS), membership),
        overrides=read_overrides(OVERRIDES, tables[OVERRIDES]),
        digests=MappingProxyType(digest_tables({file_name: tables[file_name] for file_name in TABLES})),
        source=source,
        name=name,
    )


def read_packaged_tables() -> dict[str, bytes]:
    """Read the tables of this checkout by name."""
    return {name: (DATA / name).read_bytes() for name in TABLES}


@lru_cache(maxsize=1)
def load_packaged_facts() -> IndexFacts:
    """Load the facts of this checkout; cached."""
    return read_facts(read_packaged_tables())


def pin_facts(facts: IndexFacts) -> None:
    """Pin a version for the rest of the process, with its closures."""
    pinned.pin(facts)
    use_overrides(facts.overrides)
