"""The rules one by one, on the sessions after the known table, with invented companies (simulated)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mag7.constituents.announcements import Action, Announcement
from mag7.constituents.decision import Decision, ProposalInputs, list_changed_sessions
from mag7.constituents.facts import Facts, Table
from mag7.constituents.identities import Identity, Wanted
from mag7.constituents.propose import propose
from mag7.constituents.questions import Answer, Kind, Question, QuestionInvalidError, Verdict
from mag7.constituents.readings import IVV, SPY, Reading
from mag7.index.membership import ShareClasses
from mag7.session_calendar import NotASessionError
from tests.unit.constituents.replay import END, decide, make_reading, members, symbols, tell, truth

DAYS = [date(2026, 10, day) for day in (6, 7, 8, 9, 12, 13, 14, 15, 16)]
D0, D1, D2, D3, D4, D5, *_ = DAYS
INDEX = symbols(END)
LEAVERS = ("AOS", "HRL", "MOS", "DVA", "ERIE", "SWKS", "FRT", "BEN")
JOINERS = ("ZZA", "ZZB", "ZZC", "ZZD", "ZZE", "ZZF", "ZZG")


def ask(wanted: Iterable[Wanted], known: Sequence[Identity] = ()) -> tuple[Identity, ...]:
    """Invented companies have symbols that begin with ZZ; all other symbols are as in the table."""
    found = []
    for one in wanted:
        given = [identity for identity in known if identity.symbol == one.symbol]
        if given:
            found.append(replace(given[0], day=one.day))
        elif one.symbol.startswith("ZZ"):
            number = sum(map(ord, one.symbol))
            found.append(Identity(one.symbol, one.day, True, f"Simulated Company {one.symbol}", f"0009{number:06d}"))
        else:
            found += tell([one])
    return tuple(found)


def knowing(*known: Identity) -> Callable[[Iterable[Wanted]], tuple[Identity, ...]]:
    return lambda wanted: ask(wanted, known)


def swap(joins: Iterable[str], leaves: Iterable[str]) -> frozenset[str]:
    return INDEX - set(leaves) | set(joins)


def files(day: date, held: Iterable[str] = INDEX, funds: Sequence[str] = (IVV, SPY)) -> list[Reading]:
    return [make_reading(fund, day, held) for fund in funds]


def state(
    effective: date,
    joins: Iterable[str] = (),
    leaves: Iterable[str] = (),
    sources: Sequence[str] = ("a", "b"),
    **more: str,
) -> list[Announcement]:
    found = [(Action.JOINS, symbol) for symbol in joins] + [(Action.LEAVES, symbol) for symbol in leaves]
    return [
        Announcement(effective, action, symbol, None, D0, source, source * 64, **more)  # type: ignore[arg-type]
        for action, symbol in found
        for source in sources
    ]


def run(
    session: date, *given: Sequence[Reading] | Sequence[Announcement], facts: Facts | None = None, **more: object
) -> Decision:
    """Decide with readings and announcements in any order."""
    readings = [one for many in given for one in many if isinstance(one, Reading)]
    announcements = [one for many in given for one in many if isinstance(one, Announcement)]
    return decide(facts or truth(), session, readings, announcements, **{"ask": ask, **more})  # type: ignore[arg-type]


def held(decision: Decision, day: date) -> set[str]:
    return {symbol for symbol, _ in members(decision.facts, day)}


class TestStated:
    change = state(D2, ["ZZA"], ["AOS"])

    def test_two_sources_make_it_apply_from_its_date_as_provisional(self) -> None:
        decision = run(D1, files(D0), self.change)

        assert decision.confirmed_through == D1
        assert [(one.action, one.symbol, one.effective) for one in decision.provisional] == [
            (Action.LEAVES, "AOS", D2),
            (Action.JOINS, "ZZA", D2),
        ]
        assert held(decision, D1) == INDEX
        assert held(decision, D2) == swap(["ZZA"], ["AOS"])

    def test_on_its_date_it_is_not_confirmed_and_by_the_first_file_that_shows_it_it_is(self) -> None:
        day = run(D2, files(D0), files(D1), self.change)
        after = run(D3, files(D1), files(D2, swap(["ZZA"], ["AOS"])), self.change, facts=day.facts)

        assert (day.confirmed_through, after.confirmed_through) == (D1, D3)
        assert day.doubtful == ("AOS", "ZZA")
        assert after.provisional == after.doubtful == ()
        assert {edit.table for edit in after.edits} == {Table.SPAN}

    def test_one_source_does_not_apply_but_holds_the_session_back(self) -> None:
        once = state(D2, ["ZZA"], ["AOS"], ["a"])
        before, day = run(D1, files(D0), once), run(D2, files(D1), once)

        assert held(day, D2) == INDEX
        assert (before.confirmed_through, day.confirmed_through) == (D1, D1)
        assert "ZZA joins 2026-10-08: waits for files" in day.reasons[0]

    def test_one_source_dates_what_files_show(self) -> None:
        """IVV's file shows it a session early, SPY's not before its date."""
        once = state(D2, ["ZZA"], ["AOS"], ["a"])
        changed = swap(["ZZA"], ["AOS"])
        decision = run(D3, files(D1, changed, [IVV]), files(D1, funds=[SPY]), files(D2, changed), once)

        assert decision.confirmed_through == D3
        assert held(decision, D1) == INDEX
        assert held(decision, D2) == changed

    def test_a_person_is_enough(self) -> None:
        decision = run(D1, files(D0), state(D2, ["ZZA"], ["AOS"], ["a"], person="operator"))

        assert held(decision, D2) == swap(["ZZA"], ["AOS"])
        assert {edit.decided.by for edit in decision.edits if edit.table is Table.MEMBERSHIP} == {"person: operator"}

    def test_what_files_after_its_date_do_not_show_is_taken_back(self) -> None:
        day = run(D2, files(D1), self.change)
        after = run(D4, files(D2), files(D3), self.change, facts=day.facts)

        assert after.confirmed_through == D4
        assert held(after, D4) == INDEX
        assert "a, b: ZZA joins 2026-10-08, but files since do not show it" in after.refused
        taken_back = [edit for edit in after.edits if edit.table is Table.MEMBERSHIP]
        assert [(bool(edit.before), bool(edit.after)) for edit in taken_back] == [(True, True), (True, False)]
        assert {edit.decided.by for edit in taken_back} == {"rule: nothing states it"}

    def test_a_symbol_that_the_provider_does_not_know_changes_nothing(self) -> None:
        """Not even what is stated beside it."""
        unknown = knowing(Identity("ZZA", D1, known=False))
        decision = run(D1, files(D0), self.change, ask=unknown)
        day = run(D2, files(D1), self.change, ask=unknown)

        assert held(decision, D2) == held(day, D2) == INDEX
        assert (decision.confirmed_through, day.confirmed_through) == (D1, D1)
        assert "ZZA joins 2026-10-08: the provider has no details of ZZA yet" in day.refused or day.wanted

    def test_a_symbol_that_is_in_no_line_cannot_leave(self) -> None:
        decision = run(D1, files(D0), state(D2, leaves=["ZZQ"]))

        assert held(decision, D2) == INDEX
        assert decision.refused == (
            "ZZQ leaves 2026-10-08: no line of the index has that symbol on the session before",
        )

    def test_the_seven_do_not_leave_because_two_sources_say_so(self) -> None:
        decision = run(D2, files(D1), state(D2, ["ZZA"], ["AAPL"]))

        assert "AAPL" in held(decision, D2)
        assert decision.confirmed_through == D1

    def test_a_spin_off_joins_before_the_line_leaves_that_it_replaces(self) -> None:
        stated = [*state(D2, ["ZZA"]), *state(D3, leaves=["AOS"])]
        decision = run(D4, files(D2, swap(["ZZA"], [])), files(D3, swap(["ZZA"], ["AOS"])), stated)

        assert decision.confirmed_through == D4
        assert [len(held(decision, day)) for day in (D1, D2, D3)] == [503, 504, 503]

    def test_sources_that_disagree_on_the_date_by_a_session_are_one_change(self) -> None:
        stated = [*state(D2, ["ZZA"], ["AOS"], ["a", "b"]), *state(D3, ["ZZA"], ["AOS"], ["c"])]
        decision = run(D4, files(D2, swap(["ZZA"], ["AOS"])), files(D3, swap(["ZZA"], ["AOS"])), stated)

        assert decision.confirmed_through == D4
        assert "ZZA" in held(decision, D2)

    def test_a_source_that_postpones_a_change_states_it_once(self) -> None:
        first = state(D2, ["ZZA"], ["AOS"], ["a"], person="p")
        later = [replace(one, effective=D5, announced_on=D1) for one in first]
        decision = run(D3, files(D2), first, later)

        assert decision.confirmed_through == D3
        assert held(decision, D4) == INDEX
        assert "ZZA" in held(decision, D5)


class TestUnstated:
    changed = swap(["ZZA"], ["AOS"])

    def test_the_first_file_that_shows_it_holds_the_session_back(self) -> None:
        decision = run(D3, files(D1), files(D2, self.changed))

        assert held(decision, D3) == INDEX
        assert (decision.confirmed_through, decision.questions) == (D1, ())
        assert decision.doubtful == ("AOS", "ZZA")
        assert decision.doubtful_pct == Decimal("0.02")

    def test_two_successive_files_of_both_funds_decide_and_date_it(self) -> None:
        decision = run(D4, files(D1), files(D2, self.changed), files(D3, self.changed))

        assert decision.confirmed_through == D4
        assert held(decision, D1) == INDEX
        assert held(decision, D2) == self.changed
        rows = [edit for edit in decision.edits if edit.table is Table.MEMBERSHIP]
        assert {edit.decided.by for edit in rows} == {"rule: both funds in two successive files"}
        assert (rows[0].after or {})["member_to"] == str(D1)

    def test_a_fund_that_shows_it_on_the_eve_does_not_date_it(self) -> None:
        readings = [
            *files(D0),
            *files(D1, self.changed, [IVV]),
            *files(D1, INDEX, [SPY]),
            *files(D2, self.changed),
            *files(D3, self.changed),
        ]
        assert held(run(D4, readings), D1) == INDEX
        assert held(run(D4, readings), D2) == self.changed

    def test_what_was_confirmed_too_early_is_put_right(self) -> None:
        """IVV alone agreed on the evening before; its file was a session behind."""
        confirmed = run(D2, files(D1, funds=[IVV])).facts
        decision = run(D4, files(D1), files(D2, self.changed), files(D3, self.changed), facts=confirmed)

        assert confirmed.confirmed_through == D2
        assert held(decision, D2) == self.changed
        assert list_changed_sessions(confirmed, decision.facts, D0, D3) == (D2, D3)

    @pytest.mark.parametrize(
        ("joins", "leaves", "why"),
        [
            pytest.param(JOINERS[:6], LEAVERS[:6], "6 pairs are more than 5", id="six pairs"),
            pytest.param(["ZZA"], ["AAPL"], "AAPL is one of the seven", id="one of the seven"),
            pytest.param([], LEAVERS[:4], "the index would have 499 lines", id="499 lines"),
            pytest.param(JOINERS[:4], [], "the index would have 507 lines", id="507 lines"),
        ],
    )
    def test_what_is_large_is_one_question(self, joins: Sequence[str], leaves: Sequence[str], why: str) -> None:
        changed = swap(joins, leaves)
        decision = run(D4, files(D1), files(D2, changed), files(D3, changed))

        (question,) = decision.questions
        assert question.kind is Kind.UNSTATED
        assert {(one.action, one.symbol) for one in question.items} == {
            *((Action.JOINS, one) for one in joins),
            *((Action.LEAVES, one) for one in leaves),
        }
        assert why in question.text
        assert held(decision, D4) == INDEX
        assert decision.confirmed_through == D1

    def test_half_a_per_cent_is_a_question_and_so_is_an_unknown_weight(self) -> None:
        for weights in ({"ZZA": Decimal("0.5")}, {}):
            readings = [*files(D1), *files(D2, self.changed), *files(D3, self.changed)]
            heavy = [replace(one, weights=one.weights | weights if weights else {}) for one in readings]
            assert len(run(D4, heavy).questions) == 1

    def test_one_fund_alone_is_a_question(self) -> None:
        decision = run(
            D5,
            files(D1),
            files(D2, self.changed, [IVV]),
            files(D3, self.changed, [IVV]),
            files(D4, self.changed, [IVV]),
        )

        assert len(decision.questions) == 1
        assert "not in two successive files of two funds" in decision.questions[0].text

    def test_the_other_fund_may_be_a_file_behind_before_anybody_is_asked(self) -> None:
        readings = [*files(D1), *files(D2, self.changed, [IVV]), *files(D3, self.changed)]

        assert run(D4, [*readings, *files(D2, INDEX, [SPY])]).questions == ()


class TestAnswers:
    joins, leaves = JOINERS[:6], LEAVERS[:6]
    changed = swap(joins, leaves)
    shown = (*files(D1), *files(D2, changed), *files(D3, changed))

    @property
    def question(self) -> Question:
        return run(D4, self.shown).questions[0]

    def test_the_same_question_has_one_id_however_much_is_found_out_later(self) -> None:
        later = run(D5, self.shown, files(D4, self.changed)).questions[0]

        assert self.question.id == later.id
        assert len(later.id) == 16
        assert (
            self.question.id
            != run(D4, files(D1), *(files(day, swap(self.joins, LEAVERS[1:7])) for day in (D2, D3))).questions[0].id
        )

    def test_a_question_is_stored_and_read_back_and_a_changed_one_refused(self) -> None:
        document = json.loads(json.dumps(self.question.to_document()))

        assert Question.from_document(document) == self.question
        with pytest.raises(QuestionInvalidError, match=f"its content has the id {self.question.id}"):
            Question.from_document({**document, "id": "0" * 16})
        with pytest.raises(QuestionInvalidError, match="a stored question is damaged"):
            Question.from_document({**document, "items": [{}]})

    def test_what_a_later_answer_reverses_does_not_come_again(self) -> None:
        accepted = Answer(self.question, Verdict.ACCEPTED, "one")
        first = run(D4, self.shown, answers=[accepted]).facts
        items = tuple(
            replace(item, action=Action.LEAVES if item.action is Action.JOINS else Action.JOINS)
            for item in self.question.items
        )
        back = Answer(Question(Kind.UNSTATED, items, "it was none", D2), Verdict.ACCEPTED, "another")
        decision = run(D4, self.shown, answers=[accepted, back], facts=first)

        assert held(decision, D4) == INDEX

    def test_accepted_it_is_the_list_and_confirmed(self) -> None:
        answer = Answer(self.question, Verdict.ACCEPTED, "operator")
        decision = run(D4, self.shown, answers=[answer])

        assert decision.confirmed_through == D4
        assert decision.questions == ()
        assert held(decision, D2) == self.changed
        assert held(decision, D1) == INDEX
        by = {edit.decided.by for edit in decision.edits if edit.table is Table.MEMBERSHIP}
        assert by == {"person: operator"}
        assert run(D5, self.shown, files(D4, self.changed), facts=decision.facts, answers=[answer]).questions == ()

    def test_the_effective_date_of_an_answer_counts(self) -> None:
        answer = Answer(self.question, Verdict.ACCEPTED, "operator", effective=D3)
        decision = run(D4, self.shown, answers=[answer])

        assert (held(decision, D2), held(decision, D3)) == (INDEX, self.changed)

    def test_rejected_it_is_not_asked_again_and_holds_nothing_back(self) -> None:
        answer = Answer(self.question, Verdict.REJECTED, "operator")
        for session, more in ((D4, ()), (D5, files(D4, self.changed))):
            decision = run(session, self.shown, more, answers=[answer])

            assert decision.questions == ()
            assert decision.confirmed_through == session
            assert held(decision, session) == INDEX

    def test_a_rejection_lapses_when_files_show_it_again(self) -> None:
        """Rejected once; after months of files without it, both funds show it: that is a new question."""
        answer = Answer(self.question, Verdict.REJECTED, "operator")
        first = run(D5, self.shown, files(D4), answers=[answer])
        assert (first.confirmed_through, first.questions) == (D5, ())
        again = [files(day, self.changed) for day in DAYS[5:8]]
        last = run(DAYS[8], files(D4), *again, answers=[answer], facts=first.facts)

        assert last.confirmed_through == D5
        (question,) = last.questions
        assert (question.again, question.id != self.question.id) == (1, True)
        assert Question.from_document(json.loads(json.dumps(question.to_document()))) == question
        rejected_again = [answer, Answer(question, Verdict.REJECTED, "operator")]
        assert run(DAYS[8], files(D4), *again, answers=rejected_again, facts=first.facts).questions == ()

    def test_another_change_beside_a_rejected_one_is_asked(self) -> None:
        answer = Answer(self.question, Verdict.REJECTED, "operator")
        more = swap([*self.joins, "ZZG"], [*self.leaves, "AAPL"])
        decision = run(D5, self.shown, files(D4, more), answers=[answer])
        last = run(
            DAYS[6], files(D3, self.changed), files(D4, more), files(D5, more), answers=[answer], facts=decision.facts
        )

        assert [[one.symbol for one in question.items] for question in last.questions] == [["ZZG", "AAPL"]]

    def test_left_open_it_stays_a_question_and_is_answered_later(self) -> None:
        left = Answer(self.question, Verdict.LEFT_OPEN, "operator")
        decision = run(D4, self.shown, answers=[left])

        assert decision.questions[0].id == self.question.id
        assert decision.confirmed_through == D1
        later = Answer(self.question, Verdict.ACCEPTED, "another")
        readings = [*self.shown, *files(D4, self.changed)]
        assert run(D5, readings, answers=[left, later], facts=decision.facts).confirmed_through == D5

    def test_two_persons_who_decide_at_once_are_two_answers_on_one_base(self) -> None:
        """The second one to publish must propose again; its edits depend on the base alone."""
        answers = [Answer(self.question, verdict, "one") for verdict in (Verdict.ACCEPTED, Verdict.REJECTED)]
        first = [run(D4, self.shown, answers=[one]) for one in answers]
        again = run(D4, self.shown, answers=[answers[1]], facts=first[0].facts)

        assert held(first[0], D4) == self.changed
        assert held(first[1], D4) == INDEX
        # On the newer base the change is in the list already: a rejection of the difference changes nothing of it.
        assert held(again, D4) == self.changed


class TestWho:
    def test_a_company_under_a_new_symbol_neither_leaves_nor_joins(self) -> None:
        cik = truth().ciks.on("0000091142", END)
        new = knowing(Identity("ZZA", D2, name="Smith Holdings", cik=cik))
        decision = run(D3, files(D1), files(D2, swap(["ZZA"], ["AOS"]), [SPY]), ask=new)

        assert decision.confirmed_through == D3
        assert {edit.table for edit in decision.edits} == {Table.SYMBOLS, Table.SPAN}
        assert held(decision, D1) == INDEX
        assert held(decision, D2) == swap(["ZZA"], ["AOS"])

    def test_a_security_under_a_new_symbol_needs_nobody(self) -> None:
        before = make_reading(SPY, D1, INDEX, cusips={"AOS": "831865209"})
        after = make_reading(SPY, D2, swap(["ZZA"], ["AOS"]), cusips={"ZZA": "831865209"})
        decision = run(D3, [before, after], ask=knowing(Identity("ZZA", D2, known=False)))

        assert decision.confirmed_through == D3
        assert {one.symbol for one in decision.facts.symbols["AOS"]} == {"AOS", "ZZA"}

    def test_stated_as_leaving_and_joining_it_is_still_one_company(self) -> None:
        cik = truth().ciks.on("0000091142", END)
        new = knowing(Identity("ZZA", D2, name="Smith Holdings", cik=cik))
        decision = run(D1, files(D0), state(D2, ["ZZA"], ["AOS"]), ask=new)

        assert {edit.table for edit in decision.edits} == {Table.SYMBOLS, Table.SPAN}
        assert held(decision, D2) == swap(["ZZA"], ["AOS"])

    def test_a_symbol_taken_over_by_another_company_is_a_leaving_and_a_joining(self) -> None:
        """The key of the new line has the year, as the symbol is another line's."""
        other = knowing(Identity("AOS", D2, name="Simulated Company", cik="0009000077"))
        identities = other([Wanted("AOS", D2), Wanted("AOS", D3)])
        changed = [*files(D1), *files(D2), *files(D3)]
        decision = run(D4, changed, ask=other, identities=identities)

        stays = {stay.ticker: stay for stay in decision.facts.membership.stays if stay.ticker.startswith("AOS")}
        assert held(decision, D4) == INDEX
        assert stays["AOS"].member_to is not None
        assert (stays["AOS-2026"].issuer, stays["AOS-2026"].company) == ("0009000077", "Simulated Company")
        assert decision.facts.symbols["AOS-2026"][0].symbol == "AOS"
        assert decision.confirmed_through == D4

    def test_a_security_that_changed_under_its_symbol_makes_the_provider_be_asked(self) -> None:
        before = make_reading(SPY, D1, INDEX, cusips={"AOS": "831865209"})
        after = make_reading(SPY, D2, INDEX, cusips={"AOS": "000000SIM"})

        wanted = propose(truth(), ProposalInputs([before, after]), D3).wanted

        assert wanted == (Wanted("AOS", D2),)

    def test_a_main_line_does_not_leave_while_another_line_stays(self) -> None:
        alone, both = (run(D1, files(D0), state(D2, leaves=one)) for one in (["NWSA"], ["NWSA", "NWS"]))

        assert {"NWSA", "NWS"} <= held(alone, D2)
        assert "whose line NWS stays in the index; from that date on, make NWS the main line" in alone.refused[0]
        assert not {"NWSA", "NWS"} & held(both, D2)

    def test_a_company_that_returns_has_its_key_and_a_second_stay(self) -> None:
        decision = run(D1, files(D0), state(D2, ["LKQ"], ["AOS"]))

        stays = [stay for stay in decision.facts.membership.stays if stay.ticker == "LKQ"]
        assert [stay.member_from for stay in stays][1:] == [D2]
        assert {stay.issuer for stay in stays} == {stays[0].issuer}

    def test_another_line_of_a_member_is_no_main_line(self) -> None:
        cik = truth().ciks.on("0000091142", END)
        decision = run(D1, files(D0), state(D2, ["ZZA"], ["HRL"]), ask=knowing(Identity("ZZA", D2, name="B", cik=cik)))

        lines = {stay.ticker: stay for stay in decision.facts.membership.stays if stay.issuer == "0000091142"}
        assert [lines[one].main_line for one in ("AOS", "ZZA")] == [True, False]
        assert {stay.share_classes for stay in lines.values()} == {ShareClasses.SEVERAL}

    def test_a_company_without_a_cik_gets_a_key_of_its_name(self) -> None:
        two = knowing(Identity("ZZA", D2, name="Vylor"), Identity("ZZB", D2, name="Ünited & Co."))
        decision = run(D1, files(D0), state(D2, ["ZZA", "ZZB"], ["AOS", "HRL"]), ask=two)

        issuers = {stay.ticker: stay.issuer for stay in decision.facts.membership.stays}
        assert (issuers["ZZA"], issuers["ZZB"]) == ("X-vylor-2", "X-nited-co")

    def test_a_new_cik_of_the_same_company_is_a_new_period(self) -> None:
        old = truth().ciks.on("0000091142", END)
        told = [
            Identity("AOS", D1, name="A. O. Smith Corporation", cik=old),
            Identity("AOS", D2, name="A. O. Smith Corporation", cik="0009000088"),
        ]
        decision = run(D3, files(D1), files(D2), identities=told)

        assert [decision.facts.ciks.on("0000091142", day) for day in (D1, D2)] == [old, "0009000088"]
        assert decision.confirmed_through == D3
        rows = [edit for edit in decision.edits if edit.table is Table.CIKS]
        assert [(edit.before is None, (edit.after or {})["first_session"]) for edit in rows] == [
            (False, ""),
            (True, str(D2)),
        ]

    def test_a_new_cik_without_earlier_details_begins_where_it_was_seen(self) -> None:
        old = truth().ciks.on("0000091142", END)
        told = [Identity("AOS", D2, name="A. O. Smith Corporation", cik="0009000088", simulated=True)]
        decision = run(D3, files(D1), files(D2), identities=told, simulated=True)

        assert [decision.facts.ciks.on("0000091142", day) for day in (D0, D1, D2)] == [old, old, "0009000088"]
        assert decision.simulated  # a simulated identity alone makes the version a simulated one


class TestEvidence:
    def test_a_day_that_is_no_session_is_refused(self) -> None:
        with pytest.raises(NotASessionError, match="2026-10-10 is not a session of XNYS"):
            propose(truth(), ProposalInputs(), date(2026, 10, 10))

    def test_without_files_nothing_changes(self) -> None:
        decision = run(D2)

        assert (decision.edits, decision.confirmed_through) == ((), D0)
        assert decision.reasons == ("there is no fund's file since 2026-10-06",)

    def test_a_source_that_is_silent_does_not_stop_the_other(self) -> None:
        decision = run(D4, files(D1), files(D2, funds=[IVV]), files(D3, funds=[IVV]))

        assert decision.confirmed_through == D4

    def test_another_funds_file_is_left_out(self) -> None:
        strangers = [f"Q{one}{two}" for one in "ABCDEFGHIJ" for two in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
        other = make_reading(SPY, D2, [*strangers, *sorted(INDEX)[:243]])
        decision = run(D3, files(D1), files(D2, funds=[IVV]), [other])

        assert decision.confirmed_through == D3
        assert "SPY 2026-10-08: only 243 of its 503 lines are in the index as known" in decision.refused[0]

    def test_simulated_evidence_never_reaches_a_real_lake(self) -> None:
        simulated = [replace(one, simulated=True) for one in files(D1)]
        stated = [replace(one, simulated=True) for one in state(D2, ["ZZA"], ["AOS"])]

        real, allowed = run(D2, simulated, stated), run(D2, simulated, stated, simulated=True)

        assert real.edits == ()
        assert "IVV 2026-10-07: simulated by the offline market, and this lake holds real facts" in real.refused[0]
        assert allowed.simulated and not real.simulated
        assert held(allowed, D2) == swap(["ZZA"], ["AOS"])

    def test_a_file_of_a_session_to_come_and_a_date_that_is_none_are_left_out(self) -> None:
        stated = [replace(one, effective=date(2026, 10, 10)) for one in state(D2, ["ZZA"])]
        decision = run(D1, files(D0), files(D3, swap(["ZZA"], ["AOS"])), stated)

        assert decision.confirmed_through == D1
        assert [one.partition(":")[0] for one in decision.refused] == ["IVV 2026-10-09", "SPY 2026-10-09", "a", "b"]

    @settings(max_examples=12, deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(0, 5), st.integers(0, 5), st.sampled_from([1, 2]))
    def test_the_order_of_evidence_does_not_matter_and_again_changes_nothing(
        self, chance: random.Random, joins: int, leaves: int, sources: int
    ) -> None:
        stated = state(D3, JOINERS[:joins], LEAVERS[:leaves], ["a", "b"][:sources])
        quiet = swap(["ZZG"], ["BEN"])
        later = quiet - set(LEAVERS[:leaves]) | set(JOINERS[:joins])
        readings = [*files(D1), *files(D2, quiet), *files(D3, later)]
        first = run(D4, readings, stated)
        chance.shuffle(readings)
        chance.shuffle(stated)
        shuffled = run(D4, readings, stated)
        again = run(D4, readings, stated, facts=first.facts)

        assert (shuffled.edits, shuffled.facts, shuffled.questions) == (first.edits, first.facts, first.questions)
        assert [edit for edit in again.edits if edit.table is not Table.SPAN] == []
        assert again.facts.membership.stays == first.facts.membership.stays
