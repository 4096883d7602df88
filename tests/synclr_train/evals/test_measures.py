"""Measures agree with plain definitions and with scikit-learn; intervals hold their value and shrink."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, precision_recall_curve

from synclr_train.evals.labelled_images import UNDECIDED
from synclr_train.evals.measures import average_precision_11, bootstrap, mean_average_precision_11, score_of


def bootstrap_interval(outcomes: np.ndarray, *, seed: int, resample_repeats: bool = False):
    labels = np.zeros(outcomes.shape[1], dtype=np.int64)
    return bootstrap(
        outcomes.shape[1],
        len(outcomes),
        lambda images, repeats: score_of("accuracy", outcomes, labels, images, repeats),
        seed=seed,
        resample_repeats=resample_repeats,
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 99))
def test_interval_holds_the_mean(outcomes, seed):
    values = np.array([outcomes], dtype=float)
    low, high = bootstrap_interval(values, seed=seed)
    assert 0 <= low <= values.mean() <= high <= 1


def test_interval_has_the_width_that_theory_expects():
    outcomes = (np.arange(400) % 2).astype(float)[None]
    low, high = bootstrap_interval(outcomes, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.1)


def test_resampling_episodes_widens_the_interval():
    outcomes = np.repeat((np.arange(10) % 2).astype(float)[:, None], 200, axis=1)
    assert bootstrap_interval(outcomes, seed=0) == pytest.approx((0.5, 0.5))
    low, high = bootstrap_interval(outcomes, seed=0, resample_repeats=True)
    assert high - low > 0.4


def test_interval_depends_on_the_seed_alone():
    outcomes = np.random.default_rng(1).random((3, 50))
    assert bootstrap_interval(outcomes, seed=5) == bootstrap_interval(outcomes, seed=5)
    assert bootstrap_interval(outcomes, seed=5) != bootstrap_interval(outcomes, seed=6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_mean_per_class_is_the_balanced_accuracy(pairs):
    labels, predictions = (np.array(column) for column in zip(*pairs, strict=True))
    outcomes = (labels == predictions).astype(float)[None]
    recalls = [outcomes[0, labels == label].mean() for label in np.unique(labels)]
    assert score_of("mean_per_class", outcomes, labels) == pytest.approx(np.mean(recalls))


def test_mean_per_class_agrees_with_scikit_learn():
    draws = np.random.default_rng(0)
    labels, predictions = draws.integers(0, 6, 200), draws.integers(0, 6, 200)
    ours = score_of("mean_per_class", (labels == predictions).astype(float)[None], labels)
    assert ours == pytest.approx(balanced_accuracy_score(labels, predictions))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40), st.data())
def test_average_precision_is_the_devkits_rule(pairs, data):
    decisions, present = (np.array(column) for column in zip(*pairs, strict=True))
    present[data.draw(st.integers(0, len(pairs) - 1))] = True
    precision, recall, _ = precision_recall_curve(present, decisions)
    expected = np.mean([precision[recall >= level - 1e-12].max() for level in np.linspace(0, 1, 11)])
    # scikit-learn ends its curve with precision 1 at recall 0, which no threshold reaches.
    reached = [precision[:-1][recall[:-1] >= level - 1e-12].max() for level in np.linspace(0, 1, 11)]
    ours = average_precision_11(decisions.astype(float), present.astype(np.int64))
    assert ours == pytest.approx(np.mean(reached))
    assert ours <= expected + 1e-12


def test_a_ranking_worked_by_hand():
    decisions = np.array([0.9, 0.8, 0.7, 0.6])
    # Precision 1 up to recall 1/2 (levels 0 to 0.5), then 2/3 (levels 0.6 to 1).
    expected = (6 * 1 + 5 * 2 / 3) / 11
    assert average_precision_11(decisions, np.array([1, 0, 1, 0])) == pytest.approx(expected)
    undecided = average_precision_11(decisions, np.array([1, UNDECIDED, 1, 0]))
    assert undecided == pytest.approx(1)


def test_a_class_that_never_occurs_has_no_say_in_the_mean():
    decisions = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert mean_average_precision_11(decisions, np.array([[1, 0], [0, 0]])) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_drawing_an_image_twice_is_the_same_as_having_it_twice(seed):
    draws = np.random.default_rng(seed)
    labels, counts = draws.integers(0, 2, 12), draws.integers(0, 3, 12).astype(float)
    labels[0], counts[0] = 1, 1
    decisions = draws.integers(0, 6, 12).astype(float)
    twice = np.repeat(np.arange(12), counts.astype(int))
    weighted = average_precision_11(decisions, labels, counts)
    assert weighted == pytest.approx(average_precision_11(decisions[twice], labels[twice]))
