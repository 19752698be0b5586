"""Which facts a run works with: the lake's newest at its first task, that version in every later one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from mag7.index.facts import (
    REAL,
    FactsSimulatedError,
    digest_tables,
    load_packaged_facts,
    name_version,
    read_packaged_tables,
)
from mag7.index.membership import SPAN
from mag7.index.pinned import FactsNotPinnedError, pinned, pinned_facts
from mag7.index.tables import FactTableInvalidError
from mag7.lake.fact_log import FactEntry, FactLog, FactsMissingError
from mag7.lake.keys import fact_log_key
from mag7.lake.objects import ObjectStore
from mag7.polygon.source import SIMULATED
from mag7.settings import read_settings
from mag7.tasks.facts import (
    CHECKOUT,
    FactsChangedError,
    pin_newest,
    publish_newer_checkout,
    publish_packaged,
    require_current,
    with_facts,
)
from mag7.tasks.window import Window, make_window

pytestmark = pytest.mark.usefixtures("aws")


def learn(
    store: ObjectStore, *, source: str = REAL, decided_by: str = "a rule", tables: dict[str, bytes] | None = None
) -> FactEntry:
    """Append a version that confirms members through 2026-10-07."""
    log = FactLog(store)
    newest = log.newest()
    number = newest.number + 1 if newest else 1
    tables = tables or {
        **read_packaged_tables(),
        SPAN: read_packaged_tables()[SPAN].replace(b"2026-10-06", b"2026-10-07"),
    }
    digests = digest_tables(tables)
    known = datetime.now(UTC) + timedelta(seconds=number)
    entry = FactEntry(
        number, name_version(digests), source, known, decided_by, newest.version if newest else None, digests
    )
    return log.append(entry, tables)


@with_facts
def confirmed_through(window: Window) -> str:
    """A task that says which facts it works with."""
    return pinned_facts().confirmed_through.isoformat()


def test_setup_puts_the_checkouts_tables_there_once(store: ObjectStore) -> None:
    entry = publish_packaged(store)

    assert (entry.number, entry.decided_by, entry.source) == (1, CHECKOUT, REAL)
    assert FactLog(store).list_numbers() == [1]
    assert FactLog(store).read_tables(entry) == read_packaged_tables()


def test_a_task_works_with_the_version_that_its_run_is_pinned_to_whatever_came_since(store: ObjectStore) -> None:
    first = pin_newest(store, read_settings())
    second = learn(store)

    assert confirmed_through(make_window("run", [], first.name)) == "2026-10-06"
    assert confirmed_through(make_window("run", [], second.name)) == "2026-10-07"
    assert pin_newest(store, read_settings()) == second


def test_without_setup_a_run_says_what_to_do(store: ObjectStore) -> None:
    store.delete([fact_log_key(1)])

    with pytest.raises(FactsMissingError, match="holds no version of the facts: run mag7_setup, then run this again"):
        pin_newest(store, read_settings())


def test_facts_of_the_simulated_market_never_serve_a_real_provider(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(store, source=SIMULATED)

    with pytest.raises(
        FactsSimulatedError, match="the responses come from polygon: give the simulated market a bucket"
    ):
        pin_newest(store, read_settings())
    monkeypatch.setenv("POLYGON_BASE_URL", "http://127.0.0.1:8001")
    assert pin_newest(store, read_settings()).source == SIMULATED


def test_a_version_with_a_broken_table_is_refused_by_its_row(store: ObjectStore) -> None:
    learn(
        store, tables={**read_packaged_tables(), SPAN: b"first_session,last_session,source\n2026-10-06,2020-11-30,x\n"}
    )

    with pytest.raises(FactTableInvalidError, match=r"index_membership_span.csv line 2"):
        pin_newest(store, read_settings())


def test_a_newer_checkouts_tables_become_a_version_where_nothing_was_learned_since(store: ObjectStore) -> None:
    older = {**read_packaged_tables(), SPAN: read_packaged_tables()[SPAN].replace(b"2026-10-06", b"2026-10-05")}
    learn(store, decided_by=CHECKOUT, tables=older)
    store.delete([fact_log_key(1)])
    newer = publish_newer_checkout(store)

    assert newer is not None
    assert (newer.number, newer.tables) == (3, dict(load_packaged_facts().digests))
    assert any(change.startswith(f"- {SPAN}: ") for change in newer.changes)
    assert publish_newer_checkout(store) is None


def test_what_the_lake_has_learned_is_not_overwritten_by_a_checkout(
    store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    learned = {**read_packaged_tables(), SPAN: read_packaged_tables()[SPAN].replace(b"2026-10-06", b"2026-10-07")}
    learn(store, tables=learned)
    store.delete([fact_log_key(1)])

    assert publish_newer_checkout(store) is None
    assert "are not taken over" in caplog.text
    assert f"- {SPAN}: 2020-11-30,2026-10-07" in caplog.text


class TestCurrent:
    """What a run that began on an older version may still publish."""

    @pytest.fixture
    def pinned_name(self, store: ObjectStore) -> str:
        return publish_packaged(store).name

    def test_sessions_that_a_newer_version_leaves_alone(self, store: ObjectStore, pinned_name: str) -> None:
        window = make_window("run", [date(2026, 10, 5), date(2026, 10, 6)], pinned_name)
        require_current(store, window)
        learn(store)
        require_current(store, window)

    def test_a_session_that_was_confirmed_meanwhile_is_not_published_as_provisional(
        self, store: ObjectStore, pinned_name: str
    ) -> None:
        newest = learn(store).name
        window = make_window("run", [date(2026, 10, 6), date(2026, 10, 7)], pinned_name)

        with pytest.raises(FactsChangedError, match=rf"facts {newest} were .* change 2026-10-07: clear the run"):
            require_current(store, window)

    def test_a_session_whose_lines_changed_meanwhile(self, store: ObjectStore, pinned_name: str) -> None:
        table = read_packaged_tables()["symbol_history.csv"]
        renamed = table + b"KO,KO,,2026-10-05,a test\nKO,KOLA,2026-10-06,,a test\n"
        learn(store, tables={**read_packaged_tables(), "symbol_history.csv": renamed})

        require_current(store, make_window("run", [date(2026, 10, 5)], pinned_name))
        with pytest.raises(FactsChangedError, match="change 2026-10-06: "):
            require_current(store, make_window("run", [date(2026, 10, 5), date(2026, 10, 6)], pinned_name))


def test_without_a_pin_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mag7.index.pinned._pinned", [])

    with pytest.raises(FactsNotPinnedError, match="no version of the facts is pinned"):
        confirmed_through(make_window("run", []))


def test_a_pin_inside_a_block_ends_with_it() -> None:
    before = pinned_facts()
    with pinned(load_packaged_facts()) as inside:
        assert pinned_facts() is inside
    assert pinned_facts() is before
