"""Print what is known of the index: ``python -m mag7.tasks.show_facts [--known-at 2026-11-01T12:00:00+00:00]``.

For each kind of facts: the version, since when it is known, how far it is confirmed, its sources, and what is due.
``--known-at`` prints the version that was the newest at that moment. Reads the lake through the Airflow connection
aws_default and the settings, as the tasks do, and makes no call to the provider.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from mag7.errors import Mag7Error
from mag7.index.fact_ages import list_due
from mag7.index.facts import KINDS, IndexFacts
from mag7.lake.fact_log import FactEntry, FactLog, FactsMissingError
from mag7.sessions import last_closed_session
from mag7.settings import read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.facts import pin_version


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the facts; returns the exit code, 1 with one line on standard error where there are none."""
    parser = argparse.ArgumentParser(prog="python -m mag7.tasks.show_facts", description=__doc__)
    parser.add_argument("--known-at", default=None, help="a moment with its zone: the facts as they were known then")
    options = parser.parse_args(arguments)
    try:
        print(show_facts(None if options.known_at is None else read_moment(options.known_at)))
    except Mag7Error as error:
        print(f"facts: {error}", file=sys.stderr)
        return 1
    return 0


def read_moment(text: str) -> datetime:
    """Read an aware moment; raises FactsMissingError for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise FactsMissingError(f"{text!r} is not a moment with a zone, such as 2026-11-01T12:00:00+00:00")
    return moment


def show_facts(known_at: datetime | None = None) -> str:
    """Format the newest version, or the one that was known at a moment; raises FactsMissingError for none."""
    store = open_store(read_settings())
    entries = FactLog(store).list_entries()
    known = [entry for entry in entries if known_at is None or entry.known_since <= known_at]
    if not known:
        raise FactsMissingError(
            f"{store.uri('facts/')} holds no version of the facts"
            + ("" if known_at is None else f" that was known at {known_at.isoformat()}")
            + ": run mag7_setup"
        )
    day = last_closed_session(known_at or datetime.now(UTC))
    facts = pin_version(store, known[-1].name)
    return tabulate(known, facts, list_due(facts, day))


def tabulate(entries: Sequence[FactEntry], facts: IndexFacts, due: Sequence[str]) -> str:
    """Format the last of some entries, oldest first, with the time since which each kind of facts is as it is."""
    newest = entries[-1]
    lines = [
        f"facts {newest.name}, source {newest.source}",
        f"known since {newest.known_since:%Y-%m-%d %H:%M} UTC, decided by {newest.decided_by}; "
        f"members confirmed through {facts.confirmed_through}",
        f"{'kind':<12} {'digest':<10} {'rows':>5}  {'known since':<16}  {'confirmed through':<17}  from",
    ]
    for kind, names in KINDS.items():
        for name in names:
            first = _find_first(entries, name, newest.tables)
            known = f"{first.known_since:%Y-%m-%d %H:%M}"
            lines.append(
                f"{kind:<12} {newest.tables[name][:8]:<10} {_count_rows(facts, name):>5}  {known}"
                f"  {_tell_confirmed(facts, kind):<17}  {_name(first, name)}"
            )
    lines += [f"due: {sentence}" for sentence in due] or ["nothing is due"]
    lines += [f"{entry.known_since:%Y-%m-%d %H:%M} {entry.name}: {entry.note}" for entry in entries[-5:]]
    return "\n".join(lines)


def _name(entry: FactEntry, table: str) -> str:
    """Return what a table came from: the sources of its own name, else all of the entry."""
    own = [source.name for source in entry.sources if source.name.endswith(table)]
    named = ", ".join(dict.fromkeys(own or [source.name for source in entry.sources])) or entry.decided_by
    return named if table in named else f"{table}: {named}"


def _tell_confirmed(facts: IndexFacts, kind: str) -> str:
    """Return how far a kind of facts is confirmed: by funds' files, by the provider, or by its newest row."""
    if kind in {"membership", "symbols", "identifiers"}:
        return facts.confirmed_through.isoformat()
    if kind == "splits":
        return "in each run"
    if kind == "references":
        # As far as the one of the seven whose newest filing is the oldest.
        return min(max(one.as_of for one in known) for known in facts.references.values()).isoformat()
    days = [jump.first_session for jump in facts.count_jumps] if kind == "count_jumps" else []
    days += [override.date for override in facts.overrides] if kind == "closures" else []
    return f"{max(days)}, a row" if days else "no row"


def _find_first(entries: Sequence[FactEntry], name: str, tables: Mapping[str, str]) -> FactEntry:
    """Find the entry since which a table is what it is now."""
    first = entries[-1]
    for entry in reversed(entries):
        if entry.tables.get(name) != tables[name]:
            break
        first = entry
    return first


def _count_rows(facts: IndexFacts, name: str) -> int:
    counts = {
        "index_membership.csv": len(facts.membership.stays),
        "index_membership_span.csv": 1,
        "symbol_history.csv": sum(map(len, facts.symbols.values())),
        "issuer_ciks.csv": sum(map(len, facts.ciks.periods.values())),
        "line_figis.csv": sum(map(len, facts.figis.periods.values())),
        "splits.csv": sum(map(len, facts.splits.splits.values())),
        "count_jumps.csv": len(facts.count_jumps),
        "share_count_references.csv": sum(map(len, facts.references.values())),
        "session_overrides.csv": len(facts.overrides),
    }
    return counts[name]


if __name__ == "__main__":
    sys.exit(main())
