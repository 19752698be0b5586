"""The known changes from July 2025 to October 2026 through the rules, from the table as it was before them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from mag7.constituents.announcements import Announcement
from mag7.constituents.decision import Decision
from mag7.constituents.facts import Facts
from mag7.constituents.questions import Kind
from mag7.constituents.readings import IVV, SPY
from mag7.sessions import list_sessions, next_session, previous_session
from tests.unit.constituents.replay import (
    END,
    SOURCES,
    START,
    as_of,
    decide,
    list_announcements,
    members,
    read_exactly,
    run_daily,
    truth,
)

LINES_504 = ["2025-10-30", "2025-11-03", "2026-06-01", "2026-06-29", "2026-10-01", "2026-10-02", "2026-10-05"]


def differ(facts: Facts, through: date = END) -> dict[date, tuple[list[str], list[str]]]:
    """The sessions on which the lines are not the true ones, with extra and missing ones."""
    found = {}
    for day in list_sessions(START, through):
        ours, true = members(facts, day), members(truth(), day)
        if ours != true:
            found[day] = (sorted(x for x, _ in ours - true), sorted(x for x, _ in true - ours))
    return found


@pytest.fixture(scope="module")
def stated_twice() -> tuple[Decision, ...]:
    return tuple(run_daily(as_of(), END, announcements=list_announcements()))


class TestDaily:
    def test_every_session_has_its_lines_and_symbols_exactly(self, stated_twice: Sequence[Decision]) -> None:
        facts = stated_twice[-1].facts

        assert differ(facts) == {}
        counts = {day: len(members(facts, day)) for day in list_sessions(START, END)}
        assert [str(day) for day, count in counts.items() if count == 504] == LINES_504
        assert set(counts.values()) == {503, 504}

    def test_each_evening_already_had_the_lines_of_its_session(self, stated_twice: Sequence[Decision]) -> None:
        """A change that two sources state applies from its date on, before any file shows it."""
        wrong = [
            one.session for one in stated_twice if members(one.facts, one.session) != members(truth(), one.session)
        ]

        assert wrong == []

    def test_a_session_is_confirmed_on_its_evening_unless_something_changed(
        self, stated_twice: Sequence[Decision]
    ) -> None:
        late = [one.session for one in stated_twice if one.confirmed_through < one.session]
        changed = sorted({one.effective for one in list_announcements()})

        assert late == changed
        assert all(
            one.confirmed_through == previous_session(one.session) for one in stated_twice if one.session in late
        )

    def test_nobody_was_asked_anything_and_nothing_refused(self, stated_twice: Sequence[Decision]) -> None:
        assert [one.session for one in stated_twice if one.questions or one.refused] == []

    def test_most_evenings_only_move_the_confirmed_session(self, stated_twice: Sequence[Decision]) -> None:
        quiet = [one for one in stated_twice if {edit.table for edit in one.edits} == {"index_membership_span.csv"}]

        assert len(quiet) > 200
        for one in quiet:
            (edit,) = one.edits
            assert (edit.before or {})["last_session"] == str(one.confirmed_before)
            assert (edit.after or {})["last_session"] == str(one.confirmed_through)

    def test_every_new_company_has_its_cik_as_key_and_identifier(self, stated_twice: Sequence[Decision]) -> None:
        facts = stated_twice[-1].facts
        joined = {stay.ticker: stay for stay in facts.membership.stays if stay.member_from > START}

        assert {ticker: stay.issuer for ticker, stay in joined.items() if stay.issuer.startswith("X-")} == {
            "ILMN": "X-illumina",
            "VYLR": "X-vylor",
        }
        assert facts.ciks.on(joined["FDXF"].issuer, END) == "0002082247"
        # Joined as SATS: the key stays what it was then, and the symbol is a row.
        assert {one.symbol for one in facts.symbols["SATS"]} == {"SATS", "ECHO"}

    @pytest.mark.slow
    def test_one_source_is_enough_where_files_show_it(self) -> None:
        *_, last = run_daily(as_of(), END, announcements=list_announcements(SOURCES[:1]))

        assert differ(last.facts, date(2026, 10, 5)) == {}

    @pytest.mark.slow
    def test_without_any_announcement_the_files_date_changes_within_a_session(self) -> None:
        decisions = tuple(run_daily(as_of(), END))

        # SPY showed SOLS under its symbol before regular trading that day, which nothing else explains.
        assert differ(decisions[-1].facts, date(2026, 10, 5)) == {date(2025, 10, 30): ([], ["SOLS"])}
        # Only one fund held Dayforce for the sessions after it was bought.
        asked = {question.id: question for one in decisions for question in one.questions}
        assert [[item.symbol for item in question.items] for question in asked.values()] == [["DAY"]]


class TestGap:
    @pytest.mark.parametrize("sources", [SOURCES, SOURCES[:1]])
    @pytest.mark.parametrize("fund", [IVV, SPY])
    def test_two_files_and_the_announcements_close_a_gap_of_fifteen_months(
        self, fund: str, sources: Sequence[str]
    ) -> None:
        facts = as_of()
        for day in (date(2026, 8, 20), END):
            decision = decide(facts, day, [read_exactly(fund, day)], known(sources, day))
            facts = decision.facts

            assert decision.confirmed_through == day
            assert (decision.questions, decision.refused) == ((), ())

        assert differ(facts) == {}

    def test_both_files_in_one_run_do_the_same(self) -> None:
        readings = [read_exactly(IVV, day) for day in (date(2026, 8, 20), END)]

        decision = decide(as_of(), END, readings, known(SOURCES, END))

        assert decision.confirmed_through == END
        assert differ(decision.facts) == {}

    def test_without_announcements_all_that_is_missing_is_one_question(self) -> None:
        day = date(2026, 8, 20)

        decision = decide(as_of(), day, [read_exactly(fund, day) for fund in (IVV, SPY)])

        (question,) = decision.questions
        assert question.kind is Kind.UNSTATED
        # Renames are found by their CIK, and companies that joined and left in between by nothing.
        changed = {item.symbol for item in question.items}
        assert {"RDDT", "AVB", "PARA"} <= changed
        assert not {"SOLS", "FI", "FISV", "BK", "BNY"} & changed
        before, after = ({issuer for _, issuer in members(truth(), one)} for one in (START, day))
        assert len(question.items) == len(before ^ after)
        assert question.text.startswith("26 lines join and 26 leave since 2026-08-20, as files show; nobody stated it")
        assert decision.confirmed_through == START
        assert {edit.table for edit in decision.edits} == {"symbol_history.csv"}

    def test_an_old_list_without_files_asks_for_two_once(self) -> None:
        asked = [decide(as_of(), day).questions for day in (date(2025, 7, 30), date(2025, 7, 31), date(2025, 8, 29))]

        assert asked[0] == ()
        (first,), (later,) = asked[1:]
        assert first.kind is Kind.FILES_MISSING
        assert first.id == later.id
        assert "put the holdings of IVV and of SPY as of 2025-07-30 into the inbox" in first.text


def known(sources: Sequence[str], day: date) -> tuple[Announcement, ...]:
    return tuple(one for one in list_announcements(sources) if one.announced_on and one.announced_on <= day)


def test_files_of_the_session_before_confirm_a_session_and_older_ones_only_their_own() -> None:
    day = next_session(START)
    confirmed = {}
    for session in list_sessions(day, date(2025, 7, 22)):
        decision = decide(as_of(), session, [read_exactly(SPY, day)], list_announcements())
        confirmed[str(session)] = str(decision.confirmed_through)

    assert confirmed == {"2025-07-18": "2025-07-18", "2025-07-21": "2025-07-21", "2025-07-22": "2025-07-18"}
