"""Which sessions are asked about: few where a count is constant, all of them where there is no usable count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.market.observation import Observation, agree
from mag7.market.search import choose_sessions, count_steps, list_gaps
from mag7.market.shares import AcceptedCount, Origin
from mag7.polygon.answers import Answer
from mag7.sessions import list_sessions, month_ends

EVE, LAST = month_ends(date(2024, 12, 13))
MONTH = list_sessions(EVE, LAST)
"""The 22 sessions of a search of December 2024, with the last one of November."""

LONGEST = 25
DAYS = list_sessions(date(2024, 11, 1), date(2024, 12, 31))[:LONGEST]

Series = Mapping[date, int | None]


def observe(day: date, count: int | None, origin: Origin = Origin.WEIGHTED, source: str = "polygon") -> Observation:
    """The observation of a day: a count, or (None) no count that can be accepted."""
    answer = Answer(f"details/{day}", datetime(2025, 1, 2, tzinfo=UTC), 200, source, "")
    accepted = None if count is None else AcceptedCount(count, origin)
    return Observation(day, answer.time, accepted, None, (answer,))


def observe_all(counts: Series) -> dict[date, Observation]:
    return {day: observe(day, count) for day, count in counts.items()}


class Search:
    """A search run to its end against a provider's counts, with the sessions that it asked about, step by step."""

    def __init__(
        self,
        series: Series,
        needed: Sequence[date] | None = None,
        observed: Mapping[date, Observation] | None = None,
        likely: Sequence[date] = (),
    ) -> None:
        self.needed = list(series) if needed is None else list(needed)
        self.observed = dict(observed or {})
        self.steps: list[list[date]] = []
        while chosen := choose_sessions(self.needed, self.observed, likely):
            assert len(set(chosen)) == len(chosen)
            assert set(chosen) <= set(self.needed) - self.observed.keys()
            self.steps.append(chosen)
            self.observed |= {day: observe(day, series[day]) for day in chosen}

    @property
    def asked(self) -> list[date]:
        return [day for step in self.steps for day in step]

    def found(self, day: date) -> int | None:
        """The count of a needed session: its own, or that of the observed sessions on both sides, which must agree."""
        own = self.observed.get(day)
        if own is None:
            own = self.observed[max(other for other in self.observed if other < day)]
            assert agree(own, self.observed[min(other for other in self.observed if other > day)])
        return None if own.accepted is None else own.accepted.count


@st.composite
def standing_counts(draw: st.DrawFn) -> Series:
    """Counts that are constant between changes, and never return to an earlier value."""
    days = DAYS[: draw(st.integers(1, LONGEST))]
    changes = draw(st.sets(st.sampled_from(days)))
    counts = draw(st.permutations(range(1, LONGEST + 2)))
    return {day: counts[sum(change <= day for change in changes)] for day in days}


def count_changes(series: Series) -> int:
    return len(set(series.values())) - 1


@given(standing_counts(), st.data())
def test_the_counts_found_are_the_providers(series: Series, data: st.DataObject) -> None:
    """Whichever sessions are needed, observed before or likely."""
    days = sorted(series)
    some = st.sets(st.sampled_from(days))
    needed = sorted(data.draw(some))
    known = {day: observe(day, series[day]) for day in data.draw(some)}
    search = Search(series, needed, known, sorted(data.draw(some)))

    assert {day: search.found(day) for day in needed} == {day: series[day] for day in needed}


@given(standing_counts())
def test_a_search_takes_its_ends_and_a_halving_for_each_change(series: Series) -> None:
    search = Search(series)

    assert len(search.asked) <= 2 + count_changes(series) * ceil(log2(len(series) + 1))
    assert len(search.steps) <= 1 + ceil(log2(len(series) + 1))


def test_a_month_in_which_nothing_changes_takes_two_calls_and_with_its_first_end_known_one() -> None:
    series = dict.fromkeys(MONTH, 7)

    assert Search(series).steps == [[EVE, LAST]]
    assert Search(series, observed={EVE: observe(EVE, 7)}).steps == [[LAST]]
    assert Search(series, observed={EVE: observe(EVE, 7), LAST: observe(LAST, 7)}).steps == []


@pytest.mark.parametrize("place", range(1, len(MONTH)))
def test_a_change_on_a_day_that_is_likely_takes_the_two_sessions_beside_it(place: int) -> None:
    """Between the ends of a month; where it is beside one of them, that one is asked for anyway."""
    series = {day: 1 if number < place else 2 for number, day in enumerate(MONTH)}
    search = Search(series, likely=MONTH[place - 1 : place + 1])

    assert set(search.asked) == {EVE, LAST, *MONTH[place - 1 : place + 1]}
    assert len(search.asked) <= 4


def test_likely_days_are_not_asked_about_where_the_ends_agree() -> None:
    assert Search(dict.fromkeys(MONTH, 7), likely=MONTH[8:10]).asked == [EVE, LAST]


def test_the_middle_one_of_several_likely_days_comes_first() -> None:
    observed = {EVE: observe(EVE, 1), LAST: observe(LAST, 2)}

    assert choose_sessions(MONTH, observed, [MONTH[1], MONTH[12], MONTH[20]]) == [MONTH[12]]


@given(standing_counts(), st.data())
def test_where_nothing_is_told_every_session_is_asked_for_or_lies_between_two_that_agree(
    series: Series, data: st.DataObject
) -> None:
    missing = data.draw(st.sets(st.sampled_from(sorted(series))))
    series = {day: None if day in missing else count for day, count in series.items()}
    search = Search(series)

    for day in set(series) - search.observed.keys():
        before = search.observed[max(other for other in search.observed if other < day)]
        after = search.observed[min(other for other in search.observed if other > day)]
        assert agree(before, after)


def test_a_line_of_which_nothing_is_told_is_asked_about_on_every_session() -> None:
    assert sorted(Search(dict.fromkeys(MONTH)).asked) == list(MONTH)


def test_a_count_missing_at_one_end_alone_is_halved_towards_it() -> None:
    search = Search({day: None if day == LAST else 7 for day in MONTH})

    assert search.asked[:2] == [EVE, LAST]
    assert search.asked[2:] == sorted(search.asked[2:])
    assert MONTH[-2] in search.observed
    assert len(search.asked) <= 2 + ceil(log2(len(MONTH)))


def test_a_count_that_changes_and_changes_back_between_the_ends_is_overlooked() -> None:
    """The price of few calls: the error lasts less than a month, as the ends of each month are asked about."""
    search = Search({day: 8 if 5 <= number < 15 else 7 for number, day in enumerate(MONTH)})

    assert search.asked == [EVE, LAST]
    assert {search.found(day) for day in MONTH} == {7}


def test_a_count_that_changes_back_at_an_end_is_seen() -> None:
    series = {day: 8 if number >= 15 else 7 for number, day in enumerate(MONTH)}

    assert [Search(series).found(day) for day in MONTH] == list(series.values())


def test_the_same_count_of_another_field_or_source_is_no_agreement() -> None:
    series = dict.fromkeys(MONTH, 7)
    for other in (observe(EVE, 7, Origin.SHARE_CLASS), observe(EVE, 7, source="simulated")):
        search = Search(series, needed=MONTH[1:], observed={EVE: other})

        # New observations agree only with each other, so the session next to the end must be observed itself.
        assert MONTH[1] in search.observed
        assert {search.found(day) for day in MONTH} == {7}


def test_gaps_lie_between_what_is_known() -> None:
    first, second, third, fourth, fifth = MONTH[:5]
    observed = observe_all({second: 1, fourth: 2})

    assert list_gaps(MONTH[:5], observed) == [
        (None, [first], observed[second]),
        (observed[second], [third], observed[fourth]),
        (observed[fourth], [fifth], None),
    ]
    assert list_gaps(MONTH[:5], observe_all({first: 1, fifth: 1})) == []
    assert list_gaps([], observed) == []


def test_a_session_that_is_not_needed_is_in_no_gap() -> None:
    observed = observe_all({MONTH[0]: 1, MONTH[-1]: 2})
    ((_, days, _),) = list_gaps(MONTH[4:8], observed)

    assert days == list(MONTH[4:8])
    assert choose_sessions(MONTH[4:8], observed) == [MONTH[6]]


@pytest.mark.parametrize(("days", "steps"), [(1, 1), (2, 2), (3, 2), (4, 3), (20, 5)])
def test_a_gap_takes_a_call_a_halving(days: int, steps: int) -> None:
    observed = observe_all({MONTH[0]: 1, MONTH[-1]: 2})

    assert count_steps((observed[MONTH[0]], list(MONTH[1 : 1 + days]), observed[MONTH[-1]])) == steps


@pytest.mark.parametrize(("days", "ends", "steps"), [(1, 2, 1), (20, 2, 2), (20, 1, 1)])
def test_a_gap_without_its_ends_takes_those(days: int, ends: int, steps: int) -> None:
    known = None if ends == 2 else observe(MONTH[0], 1)

    assert count_steps((known, list(MONTH[1 : 1 + days]), None)) == steps
