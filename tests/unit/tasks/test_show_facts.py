"""make facts: each kind of facts with its version, since when, how far confirmed, its sources, and what is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mag7.index.facts import KINDS, REAL, digest_tables, name_version, read_packaged_tables
from mag7.index.membership import SPAN
from mag7.lake.fact_log import FactEntry, FactLog, FactsMissingError, FactSource
from mag7.lake.objects import ObjectStore
from mag7.tasks.show_facts import main, read_moment, show_facts

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def learned(store: ObjectStore) -> FactEntry:
    """A second version, an hour later, that confirms one more session."""
    log = FactLog(store)
    first = log.newest()
    assert first is not None
    tables = read_packaged_tables()
    tables[SPAN] = tables[SPAN].replace(b"2026-10-06", b"2026-10-07")
    digests = digest_tables(tables)
    entry = FactEntry(
        number=2,
        version=name_version(digests),
        source=REAL,
        known_since=first.known_since + timedelta(hours=1),
        decided_by="rule: files agree",
        supersedes=first.version,
        tables=digests,
        sources=(FactSource("holdings of IVV", "00" * 32),),
        note="the evening of 2026-10-08",
    )
    return log.append(entry, tables)


def find(text: str, start: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line


def test_every_kind_is_shown_with_what_it_came_from(learned: FactEntry) -> None:
    text = show_facts()

    assert text.startswith(f"facts {learned.name}, source public sources")
    assert "members confirmed through 2026-10-07" in text
    assert all(any(line.startswith(f"{kind} ") for line in text.splitlines()) for kind in KINDS)
    confirmed = {kind: find(text, f"{kind} ").split() for kind in ("symbols", "splits", "references")}
    assert confirmed["symbols"][5] == "2026-10-07"
    assert confirmed["splits"][5:8] == ["in", "each", "run"]
    assert confirmed["references"][5] == "2026-07-15"  # Alphabet's, the oldest of the seven's newest filings
    assert "holdings of IVV" in text
    assert "include/data/issuer_ciks.csv" in text


def test_as_known_then_is_the_version_of_that_moment(learned: FactEntry) -> None:
    before = learned.known_since - timedelta(minutes=1)

    assert "members confirmed through 2026-10-06" in show_facts(before)
    assert "00000002" not in show_facts(before)
    with pytest.raises(FactsMissingError, match="holds no version of the facts that was known at 2020-01-01"):
        show_facts(datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "soon", "2026-11-01", "2026-11-01T12:00:00"])
def test_what_is_no_moment_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FactsMissingError, match="is not a moment with a zone"):
        read_moment(text)
    assert main(["--known-at", text]) == 1
    assert capsys.readouterr().err.startswith("facts: ")
