"""Pixel counts as predictions stream by, and the scores and outcomes of counts: the same for every head.

The confusion matrix of all images says what was taken for what; three counts per class and image are enough for
every measure and for resampling images.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from synclr_train.evals.confusion import (
    by_name,
    class_counts,
    class_ious,
    class_recalls,
    confusion_matrix,
    mean_class_accuracy,
    mean_iou,
    pixel_accuracy,
)
from synclr_train.evals.outcomes import Outcomes, overlaps, pixel_hits, pixel_recalls
from synclr_train.evals.protocol import Protocol
from synclr_train.evals.scores import BOOTSTRAP_RESAMPLES, Score, interval_around
from synclr_train.evals.segmentation_datasets import IGNORED


@dataclass
class Tally:
    """What has been seen of one subject's predictions so far."""

    num_classes: int
    confusion: Int[np.ndarray, "k k"] = field(init=False)
    """Pixels by true (row) and predicted (column) class."""
    images: list[Int[np.ndarray, "3 k"]] = field(init=False, default_factory=list)
    """Per image and class: pixels hit, pixels of the class, pixels predicted as it."""

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.num_classes, self.num_classes), dtype=np.int64)

    def add(self, truth: Int[np.ndarray, "h w"], prediction: Int[np.ndarray, "h w"]) -> None:
        """Counts one image; pixels whose truth is IGNORED count nowhere."""
        counted = truth != IGNORED
        matrix = confusion_matrix(truth[counted], prediction[counted], self.num_classes)
        self.confusion += matrix
        self.images.append(class_counts(matrix))


@dataclass(frozen=True)
class Metric:
    """One number of the literature from pixel counts `[*b, 3, k]`."""

    measure: Callable[[np.ndarray], np.ndarray]
    per_class: Callable[[np.ndarray], np.ndarray]
    """Its values per class; for pixel accuracy, which has none, the recalls."""
    outcomes: Callable[[np.ndarray], Outcomes]
    """The counts behind it, image by image."""


METRICS = {
    "mean_iou": Metric(mean_iou, class_ious, overlaps),
    "pixel_accuracy": Metric(pixel_accuracy, class_recalls, pixel_hits),
    "mean_class_accuracy": Metric(mean_class_accuracy, class_recalls, pixel_recalls),
}
"""By name: mIoU, aAcc and mAcc."""


def scores_of_counts(
    subject: str,
    counts: Int[np.ndarray, "repeats n 3 k"],
    protocol: Protocol,
    class_names: tuple[str, ...],
) -> list[Score]:
    """Every metric from every image's pixel counts, as means over repeats, with intervals over resampled images."""
    num_images = counts.shape[1]
    draws = np.random.default_rng(protocol.seed)
    weights = draws.multinomial(num_images, np.full(num_images, 1 / num_images), size=BOOTSTRAP_RESAMPLES)
    weights = weights.astype(np.float64)
    resampled = np.stack([np.tensordot(weights, one, axes=1) for one in counts])
    totals = counts.sum(1)
    scores = []
    for name, metric in METRICS.items():
        value = float(metric.measure(totals).mean())
        low, high = interval_around(value, metric.measure(resampled).mean(0))
        scores.append(
            Score(
                subject=subject,
                dataset=protocol.dataset,
                metric=name,
                value=value,
                ci_low=low,
                ci_high=high,
                num_test=num_images,
                split=protocol.split,
                protocol=protocol.name,
                protocol_fingerprint=protocol.fingerprint,
                per_class=by_name(metric.per_class(totals).mean(0), class_names),
            )
        )
    return scores


def outcomes_of_counts(counts: Int[np.ndarray, "repeats n 3 k"]) -> dict[str, Outcomes]:
    """By metric: the counts of every image, for pairwise comparison."""
    return {name: metric.outcomes(counts) for name, metric in METRICS.items()}
