"""Confusion counts and IoU agree with a slow count pixel by pixel."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.evals.confusion import (
    by_name,
    confusion_matrix,
    intersections_over_unions,
    mean_iou,
    mean_recall,
    overall_accuracy,
    recalls,
)


def slow_iou(truth: list[int], prediction: list[int], label: int) -> float:
    both = sum(t == label and p == label for t, p in zip(truth, prediction, strict=True))
    either = sum(t == label or p == label for t, p in zip(truth, prediction, strict=True))
    return both / either if either else math.nan


def slow_recall(truth: list[int], prediction: list[int], label: int) -> float:
    found = [p == label for t, p in zip(truth, prediction, strict=True) if t == label]
    return sum(found) / len(found) if found else math.nan


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=80))
def test_measures_match_the_slow_count(pairs):
    truth, prediction = [t for t, _ in pairs], [p for _, p in pairs]
    matrix = confusion_matrix(np.array(truth), np.array(prediction), 5)
    assert matrix.sum() == len(pairs)
    ious = [slow_iou(truth, prediction, label) for label in range(5)]
    found = [slow_recall(truth, prediction, label) for label in range(5)]
    np.testing.assert_allclose(intersections_over_unions(matrix), ious)
    np.testing.assert_allclose(recalls(matrix), found)
    np.testing.assert_allclose(mean_iou(matrix), np.mean([iou for iou in ious if not math.isnan(iou)]))
    np.testing.assert_allclose(mean_recall(matrix), np.mean([one for one in found if not math.isnan(one)]))
    np.testing.assert_allclose(
        overall_accuracy(matrix), np.mean([t == p for t, p in zip(truth, prediction, strict=True)])
    )


def test_batches_are_measured_one_by_one():
    draws = np.random.default_rng(0)
    matrices = draws.integers(0, 9, (3, 2, 4, 4))
    for measure in (recalls, intersections_over_unions, mean_iou, overall_accuracy, mean_recall):
        np.testing.assert_allclose(measure(matrices)[1, 0], measure(matrices[1, 0]))


def test_absent_classes_are_left_out_by_name():
    assert by_name(np.array([0.5, np.nan, 1.0]), ["a", "b", "c"]) == {"a": 0.5, "c": 1.0}
