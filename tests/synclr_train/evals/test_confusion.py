"""Confusion counts and IoU agree with a slow count pixel by pixel."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.evals.confusion import (
    by_name,
    class_counts,
    class_ious,
    class_recalls,
    confusion_matrix,
    mean_class_accuracy,
    mean_iou,
    pixel_accuracy,
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
    counts = class_counts(matrix)
    ious = [slow_iou(truth, prediction, label) for label in range(5)]
    found = [slow_recall(truth, prediction, label) for label in range(5)]
    np.testing.assert_allclose(class_ious(counts), ious)
    np.testing.assert_allclose(recalls(matrix), found)
    np.testing.assert_allclose(class_recalls(counts), found)
    np.testing.assert_allclose(mean_iou(counts), np.mean([iou for iou in ious if not math.isnan(iou)]))
    np.testing.assert_allclose(
        mean_class_accuracy(counts), np.mean([one for one in found if not math.isnan(one)])
    )
    np.testing.assert_allclose(
        pixel_accuracy(counts), np.mean([t == p for t, p in zip(truth, prediction, strict=True)])
    )


def test_batches_are_measured_one_by_one():
    matrices = np.random.default_rng(0).integers(0, 9, (3, 2, 4, 4))
    np.testing.assert_allclose(recalls(matrices)[1, 0], recalls(matrices[1, 0]))
    counts = class_counts(matrices)
    for measure in (class_recalls, class_ious, mean_iou, pixel_accuracy, mean_class_accuracy):
        np.testing.assert_allclose(measure(counts)[1, 0], measure(class_counts(matrices[1, 0])))


def test_absent_classes_are_left_out_by_name():
    assert by_name(np.array([0.5, np.nan, 1.0]), ["a", "b", "c"]) == {"a": 0.5, "c": 1.0}
