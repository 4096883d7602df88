"""The counts left for pairwise comparison give back exactly the metrics they stand behind."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.evals.confusion import class_counts
from synclr_train.evals.labelled_images import ABSENT, PRESENT, UNDECIDED
from synclr_train.evals.measures import average_precisions_11
from synclr_train.evals.outcomes import (
    Outcomes,
    correctness,
    image_recalls,
    outcomes_file,
    rankings,
    write_outcomes,
)
from synclr_train.evals.segmentation_tally import METRICS, outcomes_of_counts


def value(outcomes: Outcomes) -> float:
    hits, totals = outcomes.hits.sum(1).astype(float), outcomes.totals.sum(1).astype(float)
    totals = np.broadcast_to(totals, hits.shape)
    ratios = np.divide(hits, totals, out=np.full(hits.shape, np.nan), where=totals > 0)
    return float(np.nanmean(ratios, axis=-1).mean())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 9), st.integers(1, 3))
def test_counts_of_images_give_every_segmentation_metric(
    seed: int, classes: int, images: int, repeats: int
) -> None:
    confusions = np.random.default_rng(seed).integers(0, 50, (repeats, images, classes, classes))
    counts = class_counts(confusions)
    found = outcomes_of_counts(counts)
    assert set(found) == set(METRICS)
    for metric, outcomes in found.items():
        assert value(outcomes) == pytest.approx(METRICS[metric].measure(counts.sum(1)).mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 25))
def test_ranks_give_the_average_precisions_of_their_decisions(seed: int, classes: int, images: int) -> None:
    """Equal decisions, classes that no image shows and undecided images among them."""
    draws = np.random.default_rng(seed)
    decisions = draws.integers(-4, 4, (2, images, classes)) / 3
    labels = draws.choice([PRESENT, ABSENT, UNDECIDED], (images, classes))
    found = rankings(decisions, labels)
    assert np.array_equal(found.present, labels == PRESENT)
    for repeat, ranks in enumerate(found.ranks):
        assert ranks.max() < 8
        expected = average_precisions_11(decisions[repeat], labels)
        np.testing.assert_array_equal(average_precisions_11(ranks.astype(float), labels), expected)


def test_correctness_gives_accuracy_over_all_repeats() -> None:
    predictions = np.array([[0, 1, 2, 2], [0, 0, 2, 1]])
    assert value(correctness(predictions, np.array([0, 1, 2, 1]))) == pytest.approx(6 / 8)


def test_image_recalls_give_the_mean_per_class() -> None:
    predictions, labels = np.array([[0, 1, 0, 2], [0, 0, 0, 2]]), np.array([0, 0, 0, 2])
    assert value(image_recalls(predictions, labels, 4)) == pytest.approx(np.mean([(2 / 3 + 1) / 2, 1]))


def test_the_file_names_its_protocol_and_keeps_counts_in_their_smallest_type(tmp_path: Path) -> None:
    outcomes = Outcomes(np.array([[[300], [2]]]), np.array([[[1000], [2]]]))
    path = write_outcomes(tmp_path, "abc", {"some_metric": outcomes})
    assert path.name == outcomes_file("abc") == "outcomes-abc.npz"
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["some_metric.hits"].tolist() == [[[300], [2]]]
        assert arrays["some_metric.totals"].dtype == np.uint16
