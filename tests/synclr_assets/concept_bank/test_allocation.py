"""Largest remainder: exact sums, fair to within one caption, ties by order."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.concept_bank.allocation import allocate

WEIGHTS = st.lists(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False), min_size=1, max_size=30
)


@given(st.integers(0, 10**9), WEIGHTS)
def test_counts_sum_exactly_and_stay_within_one_of_the_exact_share(num_captions, weights):
    counts = allocate(num_captions, weights)
    assert sum(counts) == num_captions
    total = sum(map(Fraction, weights))
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - num_captions * Fraction(weight) / total) < 1


@given(st.integers(0, 10**6), WEIGHTS)
def test_a_heavier_weight_never_gets_less(num_captions, weights):
    by_weight = sorted(zip(weights, allocate(num_captions, weights), strict=True))
    for (lighter, fewer), (heavier, more) in pairwise(by_weight):
        assert fewer <= more or lighter == heavier


def test_the_largest_remainders_get_what_is_left():
    assert allocate(10, [1.0, 2.0, 4.0]) == [1, 3, 6]


def test_equal_remainders_go_to_the_earlier_weight():
    assert allocate(5, [1.0, 1.0, 1.0]) == [2, 2, 1]
    assert allocate(1, [1.0, 1.0]) == [1, 0]


def test_nothing_is_lost_at_the_ends_of_the_float_range():
    assert allocate(7, [5e-324, 1.7e308]) == [0, 7]


def test_nothing_can_be_shared_over_nothing():
    with pytest.raises(ValueError, match="weights is empty"):
        allocate(3, [])


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_no_positive_number_is_refused(weight):
    with pytest.raises(ValueError, match=r"weights\[1\] is .*; give a positive finite number"):
        allocate(3, [1.0, weight])


def test_a_negative_budget_is_refused():
    with pytest.raises(ValueError, match="num_captions is -1"):
        allocate(-1, [1.0])
