"""From files to a version: what is published, what is repaired, and what cannot happen whatever the files say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from mag7.index.facts import REAL, read_facts, read_packaged_tables
from mag7.index.splits import SPLITS
from mag7.lake.fact_log import FactEntry, FactLog, FactsDamagedError, FactsMissingError, FactsOvertakenError
from mag7.lake.keys import constituent_files_prefix, document_key, fact_doubt_key, fact_log_key, fact_table_key
from mag7.lake.objects import ObjectStore
from mag7.polygon.errors import UnreachableError
from mag7.settings import read_settings
from mag7.tasks.collector import Collector
from mag7.tasks.constituents import Outcome, list_repairs, publish_proposal
from mag7.tasks.doubt import DoubtDamagedError, MembersInDoubtError, find_evening, require_members
from mag7.tasks.facts import pin_newest
from mag7.tasks.proposal import make_proposal, propose_facts
from mag7.tasks.received import read_files
from mag7.tasks.sources import SourceFailedError, fetch, list_sources, report_sources
from mag7.tasks.stored_files import gather
from mag7.tasks.window import make_window
from sandbox.polygon.fund_files import write_csv, write_workbook
from sandbox.polygon.holdings import IVV, SPY, list_held
from sandbox.polygon.market import load_market
from tests.evening_market import EveningMarket, serve_evenings

CONFIRMED = date(2026, 10, 6)
DAY, SESSION = date(2026, 10, 7), date(2026, 10, 8)
EARLY_RENAME = b"""ticker,symbol,first_session,last_session,source
KO,KO,,2026-10-09,the exchange
KO,KOLA,2026-10-12,,the exchange
"""
SPLIT = b"ticker,execution_date,split_from,split_to,source\nNVDA,2026-10-05,1,2,a filing\n"


@pytest.fixture(scope="module")
def served() -> Iterator[EveningMarket]:
    with serve_evenings() as market:
        yield market


@pytest.fixture
def market(aws: None, served: EveningMarket, monkeypatch: pytest.MonkeyPatch) -> EveningMarket:
    """The offline market as the provider; files come through the inbox."""
    served.turn_to(SESSION)
    for name, value in served.environment().items():
        if name.startswith("POLYGON"):
            monkeypatch.setenv(name, value)
    return served


def put_holdings(store: ObjectStore, day: date = DAY) -> None:
    """Put both funds' files into the inbox."""
    market = load_market(day)
    row = market.session_row(day)
    assert row is not None
    store.put("inbox/ivv.csv", write_csv("iShares Core S&P 500 ETF", day, list_held(market, IVV, row)))
    store.put("inbox/spy.xlsx", write_workbook("SPDR® S&P 500® ETF Trust", SPY, day, list_held(market, SPY, row)))


def receive(store: ObjectStore, session: date = SESSION) -> list[Any]:
    window = make_window("evening", [session], pin_newest(store, read_settings()).name)
    return read_files(window, [fetch(source) for source in list_sources(window)])


def publish(store: ObjectStore, session: date = SESSION, **given: str) -> Outcome:
    return publish_proposal(store, read_settings(), session, **given)


def newest(store: ObjectStore) -> FactEntry:
    entry = FactLog(store).newest()
    assert entry is not None
    return entry


@pytest.mark.usefixtures("market")
class TestPublished:
    def test_files_that_agree_confirm_the_evening_and_only_the_column_changes(self, store: ObjectStore) -> None:
        for day in (date(2026, 10, 5), CONFIRMED, DAY):
            store.put(document_key(day), b"{}")
        put_holdings(store)
        receive(store)
        outcome = publish(store)

        entry = newest(store)
        assert outcome["after"] == entry.name != outcome["before"]
        assert (entry.source, entry.decided_by) == ("simulated", "rule: files agree")
        assert len(entry.sources) == 2
        assert read_facts(FactLog(store).read_tables(entry)).confirmed_through == SESSION
        # The 7th was provisional and is confirmed; the 6th was right already, the 8th is not published.
        assert (outcome["repair"], outcome["questions"], outcome["failures"]) == (["2026-10-07"], [], [])

    def test_without_files_nothing_changes(self, store: ObjectStore) -> None:
        before = newest(store)
        outcome = publish(store)

        assert outcome == {"before": before.name, "after": before.name, "questions": [], "repair": [], "failures": []}

    def test_a_second_run_of_an_evening_publishes_nothing(self, store: ObjectStore) -> None:
        put_holdings(store)
        receive(store)
        first = publish(store)
        assert publish(store)["after"] == first["after"]

    def test_a_second_try_lists_the_repairs_of_the_first(self, store: ObjectStore) -> None:
        store.put(document_key(DAY), b"{}")
        put_holdings(store)
        receive(store)
        base = newest(store).name
        first = publish(store, since=base)

        assert publish(store, since=base)["repair"] == first["repair"] == ["2026-10-07"]

    def test_an_earlier_evening_takes_nothing_back(self, store: ObjectStore) -> None:
        put_holdings(store)
        receive(store)
        first = publish(store)

        assert publish(store, date(2026, 10, 2))["after"] == first["after"]
        assert find_evening(store, date(2026, 10, 2)) == SESSION

    def test_a_version_of_somebody_else_is_started_from(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_holdings(store)
        receive(store)
        append, tries = FactLog.append, list[int]()

        def overtaken(self: FactLog, entry: FactEntry, tables: dict[str, bytes]) -> FactEntry:
            tries.append(entry.number)
            if len(tries) == 1:
                raise FactsOvertakenError("meanwhile")
            return append(self, entry, tables)

        monkeypatch.setattr(FactLog, "append", overtaken)
        publish(store)
        assert tries == [2, 2]

    def test_who_is_overtaken_all_the_time_says_so(self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
        put_holdings(store)
        receive(store)

        def overtaken(*_: object) -> None:
            raise FactsOvertakenError("meanwhile")

        monkeypatch.setattr(FactLog, "append", overtaken)
        with pytest.raises(FactsOvertakenError):
            publish(store)
        assert newest(store).number == 1
        assert store.find(fact_doubt_key()) is None


@pytest.mark.usefixtures("market")
class TestRows:
    def test_they_become_part_of_a_version_once_with_their_file(self, store: ObjectStore) -> None:
        store.put("inbox/splits-nvda.csv", SPLIT)
        receive(store)
        publish(store)

        entry = newest(store)
        assert (entry.decided_by, entry.changes) == (
            "person: the inbox",
            ("+ splits.csv: NVDA,2026-10-05,1,2,a filing",),
        )
        (source,) = entry.sources
        assert store.get(source.key) == SPLIT
        # A later version may change such a row: the file is not added a second time.
        assert list(store.list(constituent_files_prefix("inbox-rows"))) == []
        receive(store)
        assert publish(store)["after"] == entry.name

    def test_rows_that_are_there_already_change_nothing(self, store: ObjectStore) -> None:
        store.put("inbox/splits.csv", read_packaged_tables()[SPLITS])
        assert [item["failure"] for item in receive(store)] == [""]
        assert publish(store)["after"] == newest(store).name == FactLog(store).read(1).name

    def test_rows_of_sessions_that_are_not_confirmed_wait(self, store: ObjectStore) -> None:
        store.put("inbox/symbol_history.csv", EARLY_RENAME)
        receive(store)
        (kept,) = store.list(constituent_files_prefix("inbox-rows"))
        proposed = make_proposal(store, read_settings(), SESSION)
        outcome = publish(store)

        assert [one.key for one in proposed.early] == [kept.key]
        assert outcome["after"] == outcome["before"]
        assert list(store.list(constituent_files_prefix("inbox-rows"))) == [kept]

    def test_a_task_that_is_repeated_names_what_it_put_aside(self, store: ObjectStore) -> None:
        store.put("inbox/splits.csv", SPLIT.replace(b",1,2,", b",0,2,"))
        window = make_window("evening", [SESSION], pin_newest(store, read_settings()).name)
        fetched = [fetch(source) for source in list_sources(window)]
        first, second = read_files(window, fetched), read_files(window, fetched)

        assert [bool(item["failure"]) for item in first] == [bool(item["failure"]) for item in second] == [True]
        assert "cannot be used and was moved to s3://" in second[0]["failure"]

    def test_what_a_person_announces_long_before_is_not_forgotten(self, store: ObjectStore) -> None:
        store.put("inbox/changes.csv", b"effective_date,added,removed\n2026-10-26,QQQQQ,LYV\n")
        receive(store)

        assert [one.symbol for one in gather(store, date(2026, 10, 23)).announcements] == ["QQQQQ", "LYV"]

    def test_a_stored_file_that_cannot_be_read_stops_no_evening(self, store: ObjectStore) -> None:
        put_holdings(store)
        receive(store)
        store.put(f"{constituent_files_prefix('changes')}session=2026-10-07/0123456789abcdef-page", b"<html>")
        proposed = make_proposal(store, read_settings(), SESSION)

        assert proposed.decision.confirmed_through == SESSION
        assert ["/session=2026-10-07/" in one for one in proposed.failures] == [True]

    def test_rows_that_come_to_contradict_a_later_version_stop_no_evening(self, store: ObjectStore) -> None:
        """As where another writer published another row between the check and the proposal."""
        key = f"{constituent_files_prefix('inbox-rows')}session=2026-10-08/0123456789abcdef-splits.csv"
        store.put(key, SPLIT.replace(b",1,2,", b",0,2,"))
        put_holdings(store)
        window = make_window("evening", [SESSION])
        read = [fetch(source) for source in list_sources(window)]
        proposed = make_proposal(store, read_settings(), SESSION)
        assert proposed.decision.confirmed_through == SESSION
        outcome = publish(store)

        assert outcome["after"] != outcome["before"]
        assert "splits.csv" in outcome["failures"][0]
        with pytest.raises(SourceFailedError, match=r"splits\.csv"):
            report_sources([], outcome)
        # The next evening moves it aside, and names it for the last time.
        pin_newest(store, read_settings())
        assert any("splits.csv" in item["failure"] for item in read_files(window, read))
        assert list(store.list(constituent_files_prefix("inbox-rows"))) == []


@pytest.mark.usefixtures("market")
class TestWhatCannotBe:
    def test_a_symbol_that_the_provider_does_not_know_does_not_join(self, store: ObjectStore) -> None:
        store.put("inbox/changes.csv", b"effective_date,added,removed\n2026-10-12,QQQQQ,LYV\n")
        put_holdings(store)
        assert [item["failure"] for item in receive(store)] == ["", "", ""]
        report = propose_facts(make_window("evening", [SESSION], newest(store).name))

        assert report["edits"] == [edit for edit in report["edits"] if edit.startswith("index_membership_span.csv")]
        publish(store)
        facts = read_facts(FactLog(store).read_tables(newest(store)))
        assert not any(stay.ticker == "QQQQQ" for stay in facts.membership.stays)
        assert any(stay.ticker == "LYV" and stay.member_to is None for stay in facts.membership.stays)

    def test_a_change_on_a_day_that_is_no_session_is_put_aside(self, store: ObjectStore) -> None:
        store.put("inbox/changes.csv", b"effective_date,added,removed\n2026-10-10,ZZAAA,LYV\n")

        (read,) = receive(store)
        assert "expected an effective date that is a session" in read["failure"]

    def test_a_silent_provider_lets_what_needs_it_wait_and_is_named(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def silent(*_: object) -> None:
            raise UnreachableError("the provider", "does not answer")

        monkeypatch.setattr(Collector, "ask_optional", silent)
        store.put("inbox/changes.csv", b"effective_date,added,removed\n2026-10-12,ZZAAA,LYV\n")
        put_holdings(store)
        receive(store)
        outcome = publish(store)

        assert outcome["failures"][0].startswith("the provider's ticker details: ")
        assert read_facts(FactLog(store).read_tables(newest(store))).confirmed_through == SESSION

    @pytest.mark.parametrize("key", [fact_log_key(1), "table"])
    @pytest.mark.parametrize("damage", [b"{}", None])
    def test_a_damaged_version_stops_the_evening_and_the_restored_one_goes_on(
        self, store: ObjectStore, key: str, damage: bytes | None
    ) -> None:
        put_holdings(store)
        receive(store)
        entry = newest(store)
        key = fact_table_key(SPLITS, entry.tables[SPLITS]) if key == "table" else key
        body = store.get(key)
        store.put(key, damage) if damage is not None else store.delete([key])
        with pytest.raises((FactsDamagedError, FactsMissingError)):
            publish(store)
        assert FactLog(store).list_numbers() in ([1], [])

        store.put(key, body)
        assert publish(store)["before"] == entry.name
        assert newest(store).number == 2


class TestRepairs:
    def test_a_change_repairs_its_sessions_and_the_one_after(self, store: ObjectStore) -> None:
        before = read_facts(read_packaged_tables())
        tables = read_packaged_tables()
        row = next(line for line in tables["index_membership.csv"].splitlines() if line.startswith(b"LYV,"))
        ended = row.replace(b",,", b",2026-10-02,", 1)
        after = read_facts(
            {**tables, "index_membership.csv": tables["index_membership.csv"].replace(row, ended)}, source=REAL
        )
        for day in (date(2026, 10, 1), date(2026, 10, 2), date(2026, 10, 5), DAY):
            store.put(document_key(day), b"{}")

        assert list_repairs(store, before, after, DAY) == [date(2026, 10, 5), DAY]
        assert list_repairs(store, before, before, DAY) == []

    def test_one_session_of_another_list_repairs_it_and_the_session_after(self, store: ObjectStore) -> None:
        tables = read_packaged_tables()
        row = next(line for line in tables["index_membership.csv"].splitlines() if line.startswith(b"TWLO,"))
        later = tables["index_membership.csv"].replace(row, row.replace(b"2026-10-06", DAY.isoformat().encode()))
        for day in (date(2026, 10, 5), CONFIRMED, DAY, SESSION):
            store.put(document_key(day), b"{}")
        before, after = read_facts(tables), read_facts({**tables, "index_membership.csv": later})

        assert list_repairs(store, before, after, SESSION) == [CONFIRMED, DAY]


class TestDoubt:
    def test_too_much_doubt_refuses_provisional_sessions_only(self, store: ObjectStore) -> None:
        facts = read_facts(read_packaged_tables())
        store.put(
            fact_doubt_key(),
            b'{"session": "2026-10-08", "confirmed_through": "2026-10-06", "symbols": ["AME"], "pct": 0.51}',
        )

        require_members(store, facts, [CONFIRMED])
        with pytest.raises(MembersInDoubtError, match=r"0\.51 % of the index is in doubt \(AME\), at most 0\.5 %"):
            require_members(store, facts, [CONFIRMED, DAY])

    def test_doubt_of_a_size_that_no_file_shows_refuses(self, store: ObjectStore) -> None:
        body = b'{"session": "2026-10-08", "confirmed_through": "2026-10-06", "symbols": ["AAPL"], "pct": null}'
        store.put(fact_doubt_key(), body)

        with pytest.raises(MembersInDoubtError, match=r"whose size no file shows is in doubt \(AAPL\)"):
            require_members(store, read_facts(read_packaged_tables()), [DAY])

    @pytest.mark.parametrize(
        "body",
        [
            b'{"session": "2026-10-08", "confirmed_through": "2026-10-06", "symbols": ["AME"], "pct": 0.5}',
            b'{"session": "2026-10-08", "confirmed_through": "2026-10-05", "symbols": ["AME"], "pct": 9}',
            b'{"session": "2026-10-08", "confirmed_through": "2026-10-06", "symbols": [], "pct": 0}',
        ],
    )
    def test_little_doubt_or_that_of_another_list_does_not(self, store: ObjectStore, body: bytes) -> None:
        store.put(fact_doubt_key(), body)
        require_members(store, read_facts(read_packaged_tables()), [DAY])

    def test_ten_provisional_sessions_warn(self, store: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
        facts = read_facts(read_packaged_tables())
        require_members(store, facts, [date(2026, 10, 19)])
        assert "put holdings of IVV and SPY" not in caplog.text
        require_members(store, facts, [date(2026, 10, 20)])
        assert "10 sessions before: put holdings of IVV and SPY" in caplog.text

    def test_a_damaged_note_is_named(self, store: ObjectStore) -> None:
        store.put(fact_doubt_key(), b"{")
        with pytest.raises(DoubtDamagedError, match=r"facts/doubt\.json is damaged: delete it and run"):
            require_members(store, read_facts(read_packaged_tables()), [DAY])
