"""Which entries of the provider's list of splits are applied: closes and counts decide, never the list itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.index.splits import Split
from mag7.market.listed_splits import Judgement, Market, is_usual, judge_listed
from mag7.sessions import list_sessions, next_session, previous_session

SESSION = date(2024, 6, 14)
DAY = date(2024, 5, 15)


def listed(day: date, split_from: float, split_to: float) -> Split:
    return Split("X-a", "A", day, Decimal(str(split_from)), Decimal(str(split_to)), "provider")


def judge(
    *entries: Split,
    session: date = SESSION,
    closes: Mapping[date, float] | None = None,
    counts: Mapping[date, int] | None = None,
    facts: tuple[Split, ...] = (),
) -> Judgement:
    """Judge entries by closes and counts of some days, each of which is valid until the next day that is named."""
    known_closes, known_counts = dict(sorted((closes or {}).items())), dict(sorted((counts or {}).items()))

    def close(day: date) -> Decimal | None:
        found = [value for since, value in known_closes.items() if since <= day]
        return Decimal(str(found[-1])) if found else None

    def count(day: date) -> int | None:
        found = [value for since, value in known_counts.items() if since <= day]
        return found[-1] if found else None

    ordered = sorted(entries, key=lambda split: (split.execution_date, split.factor))
    return judge_listed(ordered, facts, Market(session, close, count))


def known_until(session: date) -> Market:
    """A company whose close and count were constant until a session, and are not known after it."""
    return Market(
        session,
        lambda day: Decimal(300) if day <= session else None,
        lambda day: 10**9 if day <= session else None,
    )


def held(judgement: Judgement) -> list[str]:
    assert judgement.clash is None
    return [str(split) for split in judgement.held]


def refused(judgement: Judgement) -> list[str]:
    return [f"{item.split}: {item.reason}" for item in judgement.refused]


LONG_AGO = date(2020, 1, 2)


class TestSpinOff:
    """GE on 2023-01-04: the close fell by the value of GE HealthCare; the count did not change."""

    GE = listed(date(2023, 1, 4), 1000, 1281)
    CLOSES: Mapping[date, float] = {LONG_AGO: 85.9, date(2023, 1, 4): 67.06}

    @pytest.mark.parametrize("session", [date(2022, 6, 8), date(2023, 1, 3), date(2023, 1, 4), date(2023, 3, 1)])
    def test_a_count_that_stands_says_that_nothing_split(self, session: date) -> None:
        found = judge(self.GE, session=session, closes=self.CLOSES, counts={LONG_AGO: 1_092_000_000})

        assert held(found) == []
        (reason,) = refused(found)
        assert reason.startswith("1281 for 1000 on 2023-01-04: ")
        assert "1,092,000,000" in reason
        assert found.refused[0].settled

    def test_a_close_alone_does_not_prove_an_odd_ratio(self) -> None:
        found = judge(self.GE, session=date(2023, 1, 4), closes=self.CLOSES)

        assert held(found) == []
        assert refused(found) == [
            "1281 for 1000 on 2023-01-04: the close went from 85.9 on 2023-01-03 to 67.06 on 2023-01-04, as in a"
            " spin-off"
        ]
        assert not found.refused[0].settled

    @pytest.mark.parametrize(
        ("split_from", "split_to"), [(1000, 1324), (1000, 1196), (1000, 6178), (1000, 2390), (1, 1.281), (1253, 1000)]
    )
    def test_others_of_its_kind(self, split_from: float, split_to: float) -> None:
        entry = listed(DAY, split_from, split_to)
        closes = {LONG_AGO: 100.0, DAY: 100 * split_from / split_to}

        assert held(judge(entry, closes=closes, counts={LONG_AGO: 10**9})) == []

    def test_a_count_that_moved_proves_any_ratio(self) -> None:
        counts = {LONG_AGO: 1_000_000_000, date(2023, 2, 1): 1_290_000_000}

        assert held(judge(self.GE, session=date(2022, 6, 8), counts=counts)) == ["1281 for 1000 on 2023-01-04"]


class TestUsualSplit:
    @pytest.mark.parametrize(("split_from", "split_to"), [(1, 2), (1, 10), (2, 3), (8, 1), (1, 1.5), (1, 50)])
    def test_a_close_that_moved_by_it_proves_it(self, split_from: float, split_to: float) -> None:
        entry = listed(DAY, split_from, split_to)
        closes = {LONG_AGO: 300.0, DAY: 300 * split_from / split_to * 1.04}

        assert held(judge(entry, closes=closes)) == [str(entry)]

    def test_it_is_proved_although_the_count_comes_late(self) -> None:
        closes = {LONG_AGO: 300.0, DAY: 148.0}

        assert held(judge(listed(DAY, 1, 2), closes=closes, counts={LONG_AGO: 10**9})) == [f"2 for 1 on {DAY}"]

    def test_one_that_neither_close_nor_count_supports_is_not_applied(self) -> None:
        found = judge(listed(DAY, 1, 2), closes={LONG_AGO: 300.0}, counts={LONG_AGO: 10**9})

        assert (held(found), len(found.refused), found.refused[0].settled) == ([], 1, True)

    def test_where_nothing_is_known_the_list_is_believed(self) -> None:
        assert held(judge(listed(DAY, 1, 2))) == [f"2 for 1 on {DAY}"]

    def test_one_that_lies_ahead_is_believed(self) -> None:
        ahead = next_session(SESSION, 300)

        found = judge_listed((listed(ahead, 1, 2),), (), known_until(SESSION))
        assert held(found) == [f"2 for 1 on {ahead}"]

    def test_a_split_and_a_spin_off_on_one_day(self) -> None:
        """Honeywell on 2026-06-29: 1 for 2, and half of the company spun off; the count shows it."""
        day = date(2026, 6, 29)
        closes, counts = {LONG_AGO: 220.0, day: 230.7}, {LONG_AGO: 636_000_000, day: 318_000_000}

        found = judge(listed(day, 2, 1), session=day, closes=closes, counts=counts)
        assert held(found) == ["1 for 2 on 2026-06-29"]

    @pytest.mark.parametrize("moved", [-10, -7, -3, -1, 1, 4, 8])
    def test_one_that_is_listed_some_days_off_is_found_where_the_close_moved(self, moved: int) -> None:
        right = next_session(DAY, moved) if moved > 0 else previous_session(DAY, -moved)
        closes, counts = {LONG_AGO: 300.0, right: 148.0}, {LONG_AGO: 10**9, right: 2 * 10**9}

        session = next_session(DAY, 10)
        assert held(judge(listed(DAY, 1, 2), session=session, closes=closes, counts=counts)) == [f"2 for 1 on {right}"]
        assert held(judge(listed(DAY, 1, 2), closes=closes)) == [f"2 for 1 on {right}"]

    def test_a_small_ratio_cannot_be_told_and_is_not_applied(self) -> None:
        found = judge(listed(DAY, 1000, 1048), closes={LONG_AGO: 80.0, DAY: 76.0})

        assert held(found) == []
        assert refused(found) == ["1048 for 1000 on 2024-05-15: neither a close nor a count can show a ratio below 5/4"]


class TestPostponed:
    FIRST, SECOND = date(2024, 3, 1), date(2024, 5, 3)

    @pytest.mark.parametrize("right", [FIRST, SECOND])
    @pytest.mark.parametrize("session", [date(2023, 6, 1), date(2024, 4, 1), date(2024, 6, 14)])
    def test_the_close_says_which_day_it_was(self, right: date, session: date) -> None:
        assert (self.SECOND - self.FIRST).days == 63
        found = judge(
            listed(self.FIRST, 1, 2),
            listed(self.SECOND, 1, 2),
            session=session,
            closes={LONG_AGO: 300.0, right: 151.0},
            counts={LONG_AGO: 10**9, right: 2 * 10**9},
        )

        assert held(found) == [f"2 for 1 on {right}"]
        assert [item.split.execution_date for item in found.refused] == [
            day for day in (self.FIRST, self.SECOND) if day != right
        ]

    def test_without_closes_the_count_says_that_it_was_one(self) -> None:
        found = judge(
            listed(self.FIRST, 1, 2),
            listed(self.SECOND, 1, 2),
            session=date(2023, 6, 1),
            counts={LONG_AGO: 10**9, self.SECOND: 2 * 10**9},
        )

        assert held(found) == [f"2 for 1 on {self.SECOND}"]

    def test_while_the_second_day_lies_ahead_the_first_does_not_count(self) -> None:
        found = judge(
            listed(self.FIRST, 1, 2), listed(self.SECOND + timedelta(days=20), 1, 2), session=date(2024, 3, 20)
        )
        assert len(found.held) == 2  # nothing is known of either

        ahead = date(2024, 5, 23)
        entries = listed(self.FIRST, 1, 2), listed(ahead, 1, 2)
        found = judge_listed(entries, (), known_until(date(2024, 3, 20)))
        assert held(found) == [f"2 for 1 on {ahead}"]

    def test_two_splits_that_both_happened_stay_two(self) -> None:
        closes = {LONG_AGO: 300.0, self.FIRST: 151.0, self.SECOND: 75.0}
        counts = {LONG_AGO: 10**9, self.FIRST: 2 * 10**9, self.SECOND: 4 * 10**9}
        entries = listed(self.FIRST, 1, 2), listed(self.SECOND, 1, 2)

        assert len(held(judge(*entries, closes=closes, counts=counts))) == 2
        assert len(held(judge(*entries, session=date(2022, 6, 1), counts=counts))) == 2


class TestContradiction:
    def test_the_ratio_that_the_close_moved_by_is_right(self) -> None:
        found = judge(listed(DAY, 1, 3), listed(DAY, 1, 2), closes={LONG_AGO: 300.0, DAY: 98.0})

        assert held(found) == [f"3 for 1 on {DAY}"]
        assert [item.split.factor for item in found.refused] == [2]

    def test_the_ratio_that_the_count_moved_by_is_right(self) -> None:
        counts = {LONG_AGO: 10**9, DAY: 3 * 10**9}

        assert held(judge(listed(DAY, 1, 3), listed(DAY, 1, 2), counts=counts)) == [f"3 for 1 on {DAY}"]

    def test_where_nothing_tells_the_contradiction_stays(self) -> None:
        found = judge(listed(DAY, 1, 3), listed(DAY, 1, 2))

        assert found.held == ()
        assert "contradict each other" in (found.clash or "")


def test_usual_ratios_are_those_by_which_companies_split() -> None:
    usual = [
        Fraction("3.00003"),
        Fraction("0.333333"),
        Fraction(2),
        Fraction(3, 2),
        Fraction(5, 2),
        Fraction(1, 8),
        Fraction(50),
        Fraction(1, 3),
    ]
    odd = [Fraction(1281, 1000), Fraction(5, 4), Fraction(2007, 1000), Fraction(1000, 1253), Fraction(21, 20)]

    assert [ratio for ratio in usual if not is_usual(ratio)] == []
    assert [ratio for ratio in odd if is_usual(ratio)] == []


RATIOS = st.sampled_from([(1, 2), (1, 3), (2, 3), (1, 10), (8, 1), (1000, 1281), (1000, 6178)])
DAYS = st.sampled_from(list_sessions(date(2023, 1, 3), date(2024, 12, 31)))


@given(DAYS, RATIOS, DAYS, st.integers(-250, 250))
def test_an_entry_that_neither_close_nor_count_supports_never_changes_a_cap(
    day: date, ratio: tuple[int, int], session: date, wiggle: int
) -> None:
    closes = {LONG_AGO: 100.0, day: 100 * (1 + wiggle / 10_000)}
    found = judge(listed(day, *ratio), session=session, closes=closes, counts={LONG_AGO: 10**9})

    assert held(found) == []
    assert len(found.refused) == 1


@given(st.data(), DAYS, RATIOS, st.integers(0, 62))
def test_a_split_that_the_count_confirms_is_applied_whatever_the_order_of_the_entries(
    data: st.DataObject, day: date, ratio: tuple[int, int], apart: int
) -> None:
    """Also where it is listed again under another day, or with another ratio."""
    right = listed(day, *ratio)
    wrong = [listed(day + timedelta(days=apart), *ratio), listed(day, 1, 5)]
    before = 72_000_000_000
    counts = {LONG_AGO: before, day: int(before * right.factor)}
    closes = {LONG_AGO: 10_000.0, day: float(10_000 / right.factor)}
    session = data.draw(DAYS)
    orders = [data.draw(st.permutations([right, *wrong])) for _ in range(2)]
    found = [judge(*order, session=session, closes=closes, counts=counts) for order in orders]

    assert found[0] == found[1]
    assert held(found[0]) == [str(right)]
