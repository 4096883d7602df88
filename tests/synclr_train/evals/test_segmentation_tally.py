"""Streamed counts give what a brute-force reading of all pixels gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.evals.confusion import class_counts, mean_class_accuracy, mean_iou, pixel_accuracy
from synclr_train.evals.fine_tuned_segmentation import constant_counts
from synclr_train.evals.protocol import Protocol
from synclr_train.evals.segmentation_datasets import IGNORED
from synclr_train.evals.segmentation_tally import METRICS, Tally, scores_of_counts

PROTOCOL = Protocol(name="p", dataset="d", dataset_digest="0", split="test")
NAMES = tuple("abcdefghijk")


def scenes(seed, num_classes, num_images=4):
    draws = np.random.default_rng(seed)
    for _ in range(num_images):
        shape = tuple(draws.integers(1, 9, 2))
        truth = draws.integers(0, num_classes, shape)
        truth[draws.random(shape) < 0.2] = IGNORED
        yield truth, draws.integers(0, num_classes, shape)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_metrics_are_those_of_counting_pixel_by_pixel(seed, num_classes):
    tally, pairs = Tally(num_classes), []
    for truth, prediction in scenes(seed, num_classes):
        tally.add(truth, prediction)
        pairs += [(t, p) for t, p in zip(truth.ravel(), prediction.ravel(), strict=True) if t != IGNORED]
    if not pairs:
        return
    ious, recalls = [], []
    for label in range(num_classes):
        both = sum(t == p == label for t, p in pairs)
        either = sum(label in (t, p) for t, p in pairs)
        true = sum(t == label for t, _ in pairs)
        ious += [both / either] if either else []
        recalls += [both / true] if true else []
    totals = np.stack(tally.images).sum(0)
    assert float(mean_iou(totals)) == pytest.approx(np.mean(ious))
    assert float(mean_class_accuracy(totals)) == pytest.approx(np.mean(recalls))
    assert float(pixel_accuracy(totals)) == pytest.approx(np.mean([t == p for t, p in pairs]))
    np.testing.assert_array_equal(totals, class_counts(tally.confusion))
    assert tally.confusion.sum() == len(pairs)


def test_scores_carry_interval_classes_and_protocol():
    tally = Tally(3)
    for truth, prediction in scenes(7, 2, num_images=12):
        tally.add(truth, prediction)
    scores = scores_of_counts("model", np.stack(tally.images)[None], PROTOCOL, ("a", "b", "never"))
    assert [score.metric for score in scores] == list(METRICS)
    for score in scores:
        assert score.ci_low < score.value < score.ci_high
        assert score.protocol_fingerprint == PROTOCOL.fingerprint
        assert set(score.per_class) == {"a", "b"}
        assert score.num_test == 12


def test_the_constant_baseline_is_the_best_single_class():
    tally, best = Tally(3), Tally(3)
    pairs = list(scenes(3, 3))
    for truth, prediction in pairs:
        tally.add(truth, prediction)
    label = int(tally.confusion.sum(1).argmax())
    for truth, _ in pairs:
        best.add(truth, np.full_like(truth, label))
    np.testing.assert_array_equal(constant_counts(np.stack(tally.images)), np.stack(best.images))


def test_perfect_masks_score_one():
    counts = np.full((1, 6, 3, 11), 5)
    scores = scores_of_counts("model", counts, PROTOCOL, NAMES)
    assert {(score.value, score.ci_low, score.ci_high) for score in scores} == {(1.0, 1.0, 1.0)}


def test_interval_shrinks_with_more_images():
    draws = np.random.default_rng(0)
    widths = []
    for num_images in (10, 160):
        counts = class_counts(draws.integers(0, 50, (1, num_images, 11, 11)))
        score = scores_of_counts("model", counts, PROTOCOL, NAMES)[0]
        widths.append(score.ci_high - score.ci_low)
    assert widths[1] < widths[0] / 2


def test_repeats_are_averaged_after_the_ratio():
    """Repeats of unlike size: the mean of their scores, not the score of their sum."""
    counts = class_counts(
        np.random.default_rng(1).integers(0, 50, (3, 5, 4, 4)) * [[[[1]]], [[[9]]], [[[40]]]]
    )
    for score in scores_of_counts("model", counts, PROTOCOL, NAMES[:4]):
        alone = [scores_of_counts("model", one[None], PROTOCOL, NAMES[:4]) for one in counts]
        same = [each for scores in alone for each in scores if each.metric == score.metric]
        assert score.value == pytest.approx(np.mean([each.value for each in same]))
        assert score.per_class["a"] == pytest.approx(np.mean([each.per_class["a"] for each in same]))
