"""Fetch files from sources and read them: a source that sends false data or nothing changes nothing and is named."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import PurePosixPath

import pytest

from mag7.index.facts import read_packaged_tables
from mag7.index.pinned import pinned_facts
from mag7.lake.keys import constituent_files_prefix, inbox_prefix, refused_file_key
from mag7.lake.objects import ObjectStore
from mag7.sessions import previous_session
from mag7.tasks import sources
from mag7.tasks.received import Fetched, read_files
from mag7.tasks.sources import SourceFailedError, TermsNotReadError, fetch, list_sources, report_sources
from mag7.tasks.stored_files import gather
from mag7.tasks.window import Window, make_window
from sandbox.polygon.faults import Fault
from sandbox.polygon.fund_files import write_csv
from sandbox.polygon.holdings import IVV, list_held, list_other
from sandbox.polygon.market import load_market
from tests.evening_market import EveningMarket, serve_evenings

SESSION = date(2026, 10, 8)
DAY = previous_session(SESSION)
WINDOW: Window = make_window("evening", [SESSION])


@pytest.fixture(scope="module")
def served() -> Iterator[EveningMarket]:
    with serve_evenings() as market:
        yield market


@pytest.fixture
def market(aws: None, served: EveningMarket, monkeypatch: pytest.MonkeyPatch) -> EveningMarket:
    """The offline market on the evening of the session, with every source on."""
    monkeypatch.setattr(sources, "BACKOFF", 0.0)
    served.bend.clear()
    served.turn_to(SESSION)
    for name, value in served.environment().items():
        monkeypatch.setenv(name, value)
    return served


def run(window: Window = WINDOW) -> list[Fetched]:
    """The tasks of an evening up to the read files."""
    return read_files(window, [fetch(source) for source in list_sources(window)])


def failures(read: list[Fetched]) -> list[str]:
    return [f"{item['label']}: {item['failure']}" for item in read if item["failure"]]


def kept(store: ObjectStore) -> list[str]:
    """The kinds of the files that a proposal rests on, with their sessions."""
    keys = (entry.key.removeprefix(constituent_files_prefix()) for entry in store.list(constituent_files_prefix()))
    return [key.partition("/")[0] + " " + key.partition("session=")[2][:10] for key in keys]


def put(store: ObjectStore, name: str, body: bytes) -> None:
    store.put(inbox_prefix() + name, body)


class TestListed:
    @pytest.mark.usefixtures("aws")
    def test_only_the_inbox_is_on_by_default(self) -> None:
        assert [(one["kind"], one["url"]) for one in list_sources(WINDOW)] == [("inbox", "")]

    @pytest.mark.parametrize("kind", ["ivv", "spy", "changes"])
    def test_an_address_whose_terms_nobody_read_is_refused(
        self, market: EveningMarket, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        monkeypatch.setenv("MAG7_TERMS_READ", ",".join({"ivv", "spy", "changes"} - {kind}))

        with pytest.raises(TermsNotReadError, match=f"MAG7_{kind.upper()}_URL .* then add {kind} there"):
            list_sources(WINDOW)
        assert market.asked == [] or "/funds/" not in market.asked[-1]

    def test_ivv_is_asked_for_the_sessions_that_are_not_stored(self, market: EveningMarket, store: ObjectStore) -> None:
        run()
        assert [one["session"] for one in list_sources(WINDOW) if one["kind"] == "ivv"] == []
        later = make_window("evening", [date(2026, 10, 9)])
        (asked,) = [one for one in list_sources(later) if one["kind"] == "ivv"]
        assert asked["session"] == "2026-10-08"
        assert asked["url"].endswith("asOfDate=20261008")

    def test_an_address_without_a_date_is_asked_once(
        self, market: EveningMarket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAG7_IVV_URL", f"{market.address}/funds/ivv.csv")

        assert [one["session"] for one in list_sources(WINDOW) if one["kind"] == "ivv"] == [str(DAY)]


class TestFetched:
    def test_everything_is_stored_as_received(self, market: EveningMarket, store: ObjectStore) -> None:
        read = run()

        assert failures(read) == []
        assert {item.partition(" ")[0] for item in kept(store)} == {"ivv", "spy", "changes"}
        assert report_sources(read, {"failures": []}) is None  # type: ignore[func-returns-value]

    @pytest.mark.parametrize(
        ("fault", "why"),
        [
            (Fault(kind="status", path="spy", status=503), "status 503"),
            (Fault(kind="status", path="spy", status=429, retry_after=3600), "status 429"),
            (Fault(kind="status", path="spy", status=404), "status 404"),
            (Fault(kind="truncate", path="spy"), "no file came: "),
        ],
        ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else None,
    )
    def test_a_silent_source_is_named_and_the_others_are_used(
        self, market: EveningMarket, store: ObjectStore, fault: Fault, why: str
    ) -> None:
        market.turn_to(SESSION, fault)
        read = run()

        (failure,) = failures(read)
        assert failure.startswith(f"spy {DAY}: ")
        assert why in failure
        assert f"ivv {DAY}" in kept(store)
        with pytest.raises(SourceFailedError, match=f"1 of the sources could not be used.* spy {DAY}"):
            report_sources(read, {"failures": []})

    def test_a_source_that_does_not_respond_in_time_or_at_all_is_silent(
        self, market: EveningMarket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "SECONDS", 0.05)
        market.bend["/funds/spy.xlsx"] = sleep
        monkeypatch.setenv("MAG7_CHANGES_URL", "http://127.0.0.1:9/changes?token=secret")
        said = failures(run())

        assert f"changes {DAY}: no file came: ConnectionError" in [one.partition(";")[0] for one in said]
        assert any(one.startswith(f"spy {DAY}: no file came: ") for one in said)
        assert "secret" not in str(said)

    def test_a_source_that_never_stops_sending_is_cut_off(
        self, market: EveningMarket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "LARGEST_FILE", 1000)

        assert all("more than 1000 bytes" in one for one in failures(run()))


def sleep(body: bytes) -> bytes:
    time.sleep(0.3)
    return body


def send(body: bytes) -> Callable[[bytes], bytes]:
    return lambda _: body


class TestRead:
    @pytest.mark.parametrize(
        ("kind", "path", "why"),
        [
            (
                "yesterday",
                "ivv.*20261007",
                r"ivv 2026-10-07: .*expected holdings as of 2026-10-07, found .* 2026-10-06",
            ),
            ("yesterday", "spy", r"spy 2026-10-07: .*expected holdings as of 2026-10-07, found .* 2026-10-06"),
            ("half_file", "ivv.*20261007", r"ivv 2026-10-07: "),
            ("half_file", "spy", r"spy 2026-10-07: .*expected a whole workbook"),
            ("other_fund", "ivv.*20261007", r"ivv 2026-10-07: .*S&P Mid-Cap"),
            ("other_fund", "spy", r"spy 2026-10-07: .*expected the fund SPY, found MDY"),
            ("few_lines", "ivv.*20261007", r"ivv 2026-10-07: .*480"),
            ("few_lines", "spy", r"spy 2026-10-07: .*480"),
            ("not_json", "changes", r"changes 2026-10-07: .*expected a table of changes"),
        ],
    )
    def test_a_source_that_lies_is_put_aside_and_the_next_good_file_is_used(
        self, market: EveningMarket, store: ObjectStore, kind: str, path: str, why: str
    ) -> None:
        market.turn_to(SESSION, Fault(kind=kind, path=path))
        read = run()

        (failure,) = failures(read)
        assert re.match(why, failure)
        name = failure.partition(":")[0]
        assert name not in kept(store)
        assert any(store.list(refused_file_key(constituent_files_prefix(name.partition(" ")[0]))))
        market.turn_to(SESSION)
        assert failures(run()) == []
        assert name in kept(store)

    @pytest.mark.parametrize("path", ["/funds/ivv.csv", "/funds/spy.xlsx"])
    @pytest.mark.parametrize("body", [b"", b"<!DOCTYPE html><html><body>Please accept our terms</body></html>"])
    def test_a_page_with_status_200_is_no_file(self, market: EveningMarket, path: str, body: bytes) -> None:
        market.bend[path] = send(body)
        said = failures(run())

        assert said
        assert all("an empty file" in one or "a web page" in one for one in said)

    def test_a_file_that_is_not_out_yet_is_no_failure_and_asked_for_again(
        self, market: EveningMarket, store: ObjectStore
    ) -> None:
        tomorrow = make_window("evening", [date(2026, 10, 9)])
        read = [item for item in run(tomorrow) if item["label"] == "ivv 2026-10-08"]

        assert [(item["key"], item["failure"]) for item in read] == [("", "")]
        assert "ivv 2026-10-08" not in kept(store)
        assert "ivv 2026-10-08" in [one["label"] for one in list_sources(tomorrow)]

    def test_a_workbook_may_be_newer_than_the_session_before(self, market: EveningMarket, store: ObjectStore) -> None:
        market.turn_to(date(2026, 10, 9))

        assert failures(run()) == []
        assert {one.as_of for one in gather(store, date(2026, 10, 6)).readings if one.fund == "SPY"} == {SESSION}

    def test_simulated_files_are_not_used_where_the_facts_are_real(
        self, market: EveningMarket, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("POLYGON_SOURCE")
        said = failures(run())

        assert {one.partition(" ")[0] for one in said} == {"ivv", "spy", "changes"}
        assert all("simulated by the offline market, and this lake holds real facts" in one for one in said)
        assert kept(store) == []


class TestInbox:
    def test_a_file_goes_where_its_name_says(self, market: EveningMarket, store: ObjectStore) -> None:
        held = load_market(SESSION)
        row = held.session_row(DAY)
        assert row is not None
        put(store, "IVV holdings (1).csv", write_csv("iShares Core S&P 500 ETF", DAY, list_held(held, IVV, row)))
        put(store, "changes.csv", b"effective_date,added,removed\n2026-10-12,ZZAAA,LYV\n")
        put(store, "", b"")
        put(store, "folder/", b"")
        read = run()

        assert failures(read) == []
        assert {"inbox-ivv 2026-10-08", "inbox-changes 2026-10-08"} <= {*kept(store)}
        assert [entry.key for entry in store.list(inbox_prefix())] == ["inbox/", "inbox/folder/"]
        # Of two files of one session the person's counts.
        assert [one.source for one in gather(store, DAY).readings if (one.fund, one.as_of) == ("IVV", DAY)][-1] == (
            "IVV IVV-holdings-1-.csv"
        )

    def test_a_name_that_tells_nothing_stays_and_is_named(self, market: EveningMarket, store: ObjectStore) -> None:
        put(store, "holdings.csv", b"x")

        assert "the name of inbox/holdings.csv does not say what it is" in failures(run())[0]
        assert store.find("inbox/holdings.csv") is not None

    def test_another_funds_file_under_the_right_title_is_put_aside(
        self, market: EveningMarket, store: ObjectStore
    ) -> None:
        held = load_market(SESSION)
        row = held.session_row(DAY)
        assert row is not None
        others = [one for one in list_other(held, IVV, row) if one.line.key not in pinned_tickers()]
        mixed = [*list_held(held, IVV, row)[:380], *others[:123]]
        put(store, "ivv.csv", write_csv("iShares Core S&P 500 ETF", DAY, tuple(mixed)))
        (failure,) = failures(run())

        assert failure.startswith("inbox-ivv 2026-10-08: ")
        assert "it may be another fund's; put the file of IVV into the inbox" in failure or "expected" in failure
        assert "inbox-ivv 2026-10-08" not in kept(store)

    @pytest.mark.parametrize(
        ("name", "body", "why"),
        [
            ("splits.csv", b"ticker,day\nNVDA,2024-06-10\n", "must have the columns"),
            ("splits.csv", b"\xff\xfe\x00", "splits.csv"),
            ("splits-new.csv", b"ticker,execution_date,split_from,split_to,source\nNVDA,2026-10-05,0,10,me\n", "zero"),
            ("splits.csv", b"ticker,execution_date,split_from,split_to,source\nNVDA,2026-02-30,1,10,me\n", "date"),
            ("splits.csv", b"ticker,execution_date,split_from,split_to,source\nNVDA\n", "values"),
            (
                "index_membership.csv",
                b"ticker,company,issuer,sector,main_line,share_classes,member_from,member_to,note\n"
                b"AAPL,Apple Inc.,0000320193,Information Technology,true,one,2026-01-02,,\n",
                "overlaps",
            ),
            (
                "issuer_ciks.csv",
                b"issuer,cik,first_session,last_session,source\nX-nobody,0000000001,,,me\n",
                "X-nobody",
            ),
            ("session_overrides.csv", b"date,kind,close,announced,source\n2026-10-12,half,,,me\n", "half"),
        ],
    )
    def test_rows_that_cannot_be_are_put_aside_and_the_rest_goes_on(
        self, market: EveningMarket, store: ObjectStore, name: str, body: bytes, why: str
    ) -> None:
        put(store, name, body)
        put(store, "splits-good.csv", GOOD_SPLIT)
        read = run()

        (failure,) = failures(read)
        assert failure.startswith("inbox-rows 2026-10-08: ")
        assert why in failure
        assert [PurePosixPath(one.key).name[17:] for one in gather(store, DAY).rows] == ["splits-good.csv"]
        assert failures(run()) == []

    def test_rows_may_rest_on_the_rows_of_another_file(self, market: EveningMarket, store: ObjectStore) -> None:
        put(store, "issuer_ciks.csv", b"issuer,cik,first_session,last_session,source\nX-new,0009999999,,,me\n")
        header = read_packaged_tables()["index_membership.csv"].splitlines()[0]
        put(store, "index_membership.csv", header + b"\nZZNEW,New,X-new,Energy,true,one,2026-10-08,,\n")

        assert failures(run()) == []
        assert len(gather(store, DAY).rows) == 2


def test_what_a_page_no_longer_announces_is_withdrawn_unless_it_has_happened(store: ObjectStore) -> None:
    def page(session: str, *symbols: str) -> None:
        rows = "".join(f"2026-10-12,{symbol},\n" for symbol in symbols)
        store.put(
            f"raw/constituents/changes/session={session}/x-changes.csv",
            f"effective_date,added,removed\n{rows}".encode(),
        )

    page("2026-10-06", "KEPT", "GONE", "DONE")
    page("2026-10-08", "KEPT", "DONE")
    page("2026-10-12", "KEPT")

    assert {one.symbol for one in gather(store, DAY).announcements} == {"KEPT", "DONE"}


GOOD_SPLIT = b"ticker,execution_date,split_from,split_to,source\nNVDA,2026-10-05,1,2,a filing\n"


def pinned_tickers() -> set[str]:
    return {stay.ticker for stay in pinned_facts().membership.on(DAY)}
