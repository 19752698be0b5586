"""The split basis of a count, judged by the company's own counts beside the split, never by its name."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mag7.index.share_counts import ReferenceCount
from mag7.index.splits import Split, SplitTable, load_splits
from mag7.market.shares import AcceptedCount, CountWrongError, Origin
from mag7.market.split_basis import (
    DIVIDED,
    UNCONFIRMED,
    SplitBasisInputs,
    SplitCounts,
    list_relevant_splits,
    probe_sessions,
    settle_split_basis,
)

NVIDIA, TESLA, ALPHABET = "0001045810", "0001318605", "0001652044"
FOUR = Split("X-a", "A", date(2021, 7, 20), Decimal(1), Decimal(4), "test")
TEN = Split("X-a", "A", date(2024, 6, 10), Decimal(1), Decimal(10), "test")
EIGHTH = Split("X-a", "A", date(2021, 8, 2), Decimal(8), Decimal(1), "test")


def settle(
    count: int, session: date, *splits: SplitCounts, reference: int | None = None, seven: bool = False
) -> AcceptedCount:
    known = None
    if reference is not None:
        known = (
            ReferenceCount("X-a", date(2021, 1, 31), reference, "a filing", "0001045810-21-000010"),
            Fraction(reference),
        )
    inputs = SplitBasisInputs(session, splits, known, one_of_seven=seven)
    return settle_split_basis(AcceptedCount(count, Origin.WEIGHTED), inputs)


class TestLaterSplit:
    def test_a_count_that_stands_on_it_already_is_divided(self) -> None:
        """Nvidia on 2020-11-30: the provider's count is of autumn 2021, after 4 for 1."""
        settled = settle(2_490_000_000, date(2020, 11, 30), SplitCounts(FOUR, after=2_495_000_000))

        assert (settled.count, settled.flags, settled.splits) == (622_500_000, (DIVIDED,), (FOUR,))
        assert settled.divisor == 4

    def test_a_count_from_before_it_is_left_alone(self) -> None:
        settled = settle(620_000_000, date(2020, 11, 30), SplitCounts(FOUR, after=2_495_000_000))

        assert (settled.count, settled.flags, settled.splits) == (620_000_000, (), ())

    def test_a_reverse_split_multiplies(self) -> None:
        settled = settle(1_100_000_000, date(2021, 7, 30), SplitCounts(EIGHTH, after=1_098_000_000))

        assert settled.count == 8_800_000_000

    def test_each_of_several_is_judged_on_its_own(self) -> None:
        """On 2020-11-30 the count includes the split of 2021, not that of 2024."""
        splits = SplitCounts(FOUR, after=2_495_000_000), SplitCounts(TEN, after=24_530_000_000)

        assert settle(2_490_000_000, date(2020, 11, 30), *splits).splits == (FOUR,)
        assert settle(24_500_000_000, date(2020, 11, 30), *splits).splits == (FOUR, TEN)
        assert settle(622_500_000, date(2020, 11, 30), *splits).splits == ()

    def test_the_count_before_it_serves_where_none_is_known_after_it(self) -> None:
        """Nvidia on 2024-06-07, in the evening: the split is three days ahead."""
        split = SplitCounts(TEN, before=2_460_000_000)

        assert settle(24_600_000_000, date(2024, 6, 7), split).count == 2_460_000_000
        assert settle(2_460_000_000, date(2024, 6, 7), split).splits == ()

    def test_the_count_after_it_comes_first(self) -> None:
        """Before autumn 2021 both counts beside a split are the later one."""
        split = SplitCounts(FOUR, after=2_490_000_000, before=2_490_000_000)

        assert settle(2_490_000_000, date(2020, 11, 30), split).splits == (FOUR,)

    def test_one_of_which_nothing_tells_is_flagged(self) -> None:
        settled = settle(2_490_000_000, date(2020, 11, 30), SplitCounts(FOUR))

        assert (settled.count, settled.flags) == (2_490_000_000, (UNCONFIRMED,))

    def test_one_of_which_nothing_tells_follows_a_later_one_that_the_count_stands_on(self) -> None:
        splits = SplitCounts(FOUR), SplitCounts(TEN, after=24_530_000_000)

        assert settle(24_500_000_000, date(2020, 11, 30), *splits).splits == (FOUR, TEN)

    @pytest.mark.parametrize("count", [800_000_000, 100_000_000, 400_000_000])
    def test_splits_in_opposite_directions_are_told_apart(self, count: int) -> None:
        """1 for 8 and then 4 for 1: 800, 100 and 400 million shares."""
        four = Split("X-a", "A", date(2023, 3, 1), Decimal(1), Decimal(4), "test")
        splits = SplitCounts(EIGHTH, after=100_000_000), SplitCounts(four, after=400_000_000)

        assert settle(count, date(2020, 11, 30), *splits).count == 800_000_000


class TestCountThatComesLate:
    """For some sessions after a split the provider's count is still that of the last filing."""

    SESSION = date(2024, 7, 15)

    @pytest.mark.parametrize(
        "known", [{"before": 2_470_000_000}, {"after": 24_530_000_000}, {"before": 2_300_000_000, "after": None}]
    )
    def test_it_is_multiplied_where_close_and_count_tell(self, known: dict[str, int | None]) -> None:
        settled = settle(2_460_000_000, self.SESSION, SplitCounts(TEN, **known, close_step=Fraction(99, 10)))

        assert (settled.count, settled.flags, settled.lagging) == (24_600_000_000, ("multiplied_by_split",), (TEN,))
        assert (settled.splits, settled.divisor) == ((), Fraction(1, 10))

    def test_of_a_reverse_split_it_is_divided(self) -> None:
        split = SplitCounts(EIGHTH, before=8_800_000_000, close_step=Fraction(1, 8))

        assert settle(8_780_000_000, date(2021, 8, 20), split).count == 1_097_500_000

    @pytest.mark.parametrize("step", [None, Fraction(1), Fraction(5), Fraction(1, 10)])
    def test_without_a_close_that_moved_by_the_split_it_fails(self, step: Fraction | None) -> None:
        with pytest.raises(CountWrongError, match="does not include the split"):
            settle(2_460_000_000, self.SESSION, SplitCounts(TEN, before=2_470_000_000, close_step=step))

    def test_one_that_is_not_the_count_before_it_fails(self) -> None:
        with pytest.raises(CountWrongError, match="does not include the split"):
            settle(3_100_000_000, self.SESSION, SplitCounts(TEN, before=2_470_000_000, close_step=Fraction(10)))

    def test_a_count_on_the_new_basis_is_left_alone(self) -> None:
        split = SplitCounts(TEN, before=2_470_000_000, close_step=Fraction(10))

        assert settle(24_600_000_000, self.SESSION, split).flags == ()

    def test_two_splits_that_it_comes_late_to(self) -> None:
        two = Split("X-a", "A", date(2024, 5, 1), Decimal(1), Decimal(2), "test")
        splits = (
            SplitCounts(two, before=1_000_000_000, close_step=Fraction(2)),
            SplitCounts(TEN, before=1_000_000_000, close_step=Fraction(10)),
        )

        assert settle(1_000_000_000, self.SESSION, *splits).count == 20_000_000_000


class TestOneOfTheSeven:
    def test_needs_a_reference_where_nothing_tells(self) -> None:
        with pytest.raises(CountWrongError, match=r"no reference count within 800 days"):
            settle(2_490_000_000, date(2020, 11, 30), SplitCounts(FOUR), seven=True)

        settled = settle(620_000_000, date(2020, 11, 30), SplitCounts(FOUR), seven=True, reference=619_000_000)
        assert (settled.count, settled.flags) == (620_000_000, (UNCONFIRMED,))

    @pytest.mark.parametrize(
        ("count", "times"), [(2_490_000_000, "4.02"), (31_000_000, "0.0501"), (206_000_000, "0.333")]
    )
    def test_is_refused_where_the_reference_is_far(self, count: int, times: str) -> None:
        """Four times too large, twenty times too small, three times too small."""
        with pytest.raises(CountWrongError, match=f"is {times} times the reference count 619,000,000") as refused:
            settle(count, date(2020, 11, 30), reference=619_000_000, seven=True)
        assert "a filing" in str(refused.value)

    @pytest.mark.parametrize("count", [527_000_000, 711_000_000])
    def test_is_used_within_15_per_cent(self, count: int) -> None:
        assert settle(count, date(2020, 11, 30), reference=619_000_000, seven=True).count == count

    def test_is_refused_where_the_repaired_count_is_far(self) -> None:
        with pytest.raises(CountWrongError, match="reference count"):
            settle(4_000_000_000, date(2020, 11, 30), SplitCounts(FOUR, after=3_990_000_000), reference=619_000_000)


class TestEarlierSplit:
    def test_a_count_from_before_it_is_wrong_and_not_repaired(self) -> None:
        with pytest.raises(CountWrongError, match=r"does not include the split 10 for 1 on 2024-06-10"):
            settle(2_460_000_000, date(2024, 6, 12), SplitCounts(TEN, after=24_530_000_000))
        with pytest.raises(CountWrongError, match=r"2,455,000,000 before it"):
            settle(2_460_000_000, date(2024, 6, 12), SplitCounts(TEN, before=2_455_000_000))

    def test_a_count_on_it_is_right(self) -> None:
        settled = settle(24_600_000_000, date(2024, 6, 10), SplitCounts(TEN, before=2_455_000_000))

        assert (settled.count, settled.flags, settled.splits) == (24_600_000_000, (), ())

    def test_a_count_that_stands_on_a_later_one_too_is_right(self) -> None:
        """Between 1 for 8 and 4 for 1, given on the basis after both."""
        four = Split("X-a", "A", date(2021, 10, 1), Decimal(1), Decimal(4), "test")
        splits = SplitCounts(EIGHTH, after=400_000_000), SplitCounts(four, after=400_000_000)

        assert settle(400_000_000, date(2021, 8, 20), *splits).count == 100_000_000

    def test_a_frozen_count_beside_it_does_not_mislead(self) -> None:
        """On 2021-08-02 Nvidia's count and those 100 days before and after are all of autumn 2021."""
        split = SplitCounts(FOUR, after=2_490_000_000, before=2_490_000_000)

        assert settle(2_490_000_000, date(2021, 8, 2), split).count == 2_490_000_000


def test_contested_splits_make_every_count_wrong() -> None:
    inputs = SplitBasisInputs(date(2024, 1, 2), contested="two splits that contradict")
    with pytest.raises(CountWrongError, match="two splits that contradict"):
        settle_split_basis(AcceptedCount(5, Origin.WEIGHTED), inputs)


class TestWhichSplits:
    def test_later_ones_and_those_of_the_last_100_days_count(self) -> None:
        table = load_splits()
        days = {
            session: [split.execution_date for split in list_relevant_splits(table, TESLA, session)]
            for session in (date(2020, 12, 8), date(2020, 12, 10), date(2022, 8, 25), date(2022, 12, 5))
        }

        assert [len(found) for found in days.values()] == [2, 1, 1, 0]

    def test_stock_dividends_are_left_out(self) -> None:
        small = Split("X-a", "A", date(2024, 6, 10), Decimal(100), Decimal(105), "test")

        assert list_relevant_splits(SplitTable({"X-a": (small,)}), "X-a", date(2024, 1, 2)) == ()

    def test_counts_are_asked_for_100_days_away_on_sessions(self) -> None:
        (split,) = load_splits().of(ALPHABET)

        # 2022-10-26 and 2022-04-09, which was a Saturday
        assert probe_sessions(load_splits(), split) == (date(2022, 10, 26), date(2022, 4, 8))

    def test_no_other_split_lies_between(self) -> None:
        near = Split("X-a", "A", FOUR.execution_date + timedelta(days=30), Decimal(1), Decimal(2), "test")
        table = SplitTable({"X-a": (FOUR, near)})

        assert probe_sessions(table, FOUR)[0] == date(2021, 8, 18)
        assert probe_sessions(table, near)[1] == FOUR.execution_date


FACTORS = st.sampled_from([Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4), Fraction(20), Fraction(1, 8)])


@given(
    st.lists(FACTORS, min_size=1, max_size=4),
    st.data(),
)
def test_a_count_on_any_split_basis_gives_the_same_count(factors: list[Fraction], data: st.DataObject) -> None:
    """Splits both ways, issuance of up to 8 per cent, counts beside splits known after or before them, or both."""
    true = data.draw(st.integers(50_000_000, 20_000_000_000)) * 8**4
    basis = data.draw(st.integers(0, len(factors)))
    levels = list(accumulate(factors, lambda level, factor: level * factor, initial=Fraction(1)))
    # 3 for 1 twice and then 8 to 1 come to 9 for 8, which issuance hides.
    assume(all(one == other or max(one / other, other / one) > 1.4 for one, other in combinations(levels, 2)))
    splits = []
    for place, factor in enumerate(factors):
        split = Split("X-a", "A", date(2021 + place, 3, 1), Decimal(factor.denominator), Decimal(factor.numerator), "t")
        drift = Fraction(data.draw(st.integers(92, 108)), 100)
        after, before = round(true * levels[place + 1] * drift), round(true * levels[place] * drift)
        known = data.draw(st.sampled_from(["both", "after", "before"]))
        splits.append(SplitCounts(split, after if known != "before" else None, before if known != "after" else None))
    count = round(true * levels[basis])

    inputs = SplitBasisInputs(date(2020, 11, 30), tuple(splits))
    settled = settle_split_basis(AcceptedCount(count, Origin.WEIGHTED), inputs)

    assert settled.count == pytest.approx(true, rel=1e-6)
    assert round(settled.count * settled.divisor) == pytest.approx(count, rel=1e-6)
