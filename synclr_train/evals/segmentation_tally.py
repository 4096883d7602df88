"""Pixel counts as predictions stream by: one confusion matrix in all, three numbers per class and image.

The confusion matrix says what was taken for what; the counts per image are enough for every measure and for
resampling images, at a hundredth of the memory of a matrix per image.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, Num

from synclr_train.evals.confusion import by_name, confusion_matrix
from synclr_train.evals.outcomes import Outcomes
from synclr_train.evals.protocol import Protocol
from synclr_train.evals.scores import BOOTSTRAP_RESAMPLES, Score, interval_around
from synclr_train.evals.segmentation_datasets import IGNORED

HITS, TRUE, PREDICTED = 0, 1, 2


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
        self.images.append(np.stack([np.diagonal(matrix), matrix.sum(1), matrix.sum(0)]))


def mean_iou(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b"]:
    """mIoU: over the classes that occur or are predicted."""
    return np.asarray(np.nanmean(class_ious(counts), axis=-1))


def mean_class_accuracy(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b"]:
    """mAcc: recall over the classes that occur."""
    return np.asarray(np.nanmean(class_recalls(counts), axis=-1))


def pixel_accuracy(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b"]:
    """aAcc: share of all counted pixels that are right."""
    return np.asarray(counts[..., HITS, :].sum(-1) / counts[..., TRUE, :].sum(-1))


def class_ious(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b k"]:
    """Intersection over union; NaN for a class that neither occurs nor is predicted."""
    hits = counts[..., HITS, :]
    return _ratio(hits, counts[..., TRUE, :] + counts[..., PREDICTED, :] - hits)


def class_recalls(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b k"]:
    """Recall; NaN for a class that does not occur."""
    return _ratio(counts[..., HITS, :], counts[..., TRUE, :])


METRICS = {
    "mean_iou": (mean_iou, class_ious),
    "pixel_accuracy": (pixel_accuracy, class_recalls),
    "mean_class_accuracy": (mean_class_accuracy, class_recalls),
}
"""By name: the measure and its values per class."""


def outcomes_of_images(images: Int[np.ndarray, "n 3 k"]) -> dict[str, Outcomes]:
    """The counts behind each metric, image by image."""
    hits, true, predicted = (images[None, :, row] for row in (HITS, TRUE, PREDICTED))
    return {
        "mean_iou": Outcomes(hits, true + predicted - hits),
        "pixel_accuracy": Outcomes(hits.sum(-1, keepdims=True), true.sum(-1, keepdims=True)),
        "mean_class_accuracy": Outcomes(hits, true),
    }


def scores_of_tally(
    subject: str, tally: Tally, protocol: Protocol, class_names: tuple[str, ...]
) -> list[Score]:
    """mIoU, pixel accuracy (aAcc) and mean class accuracy (mAcc), with intervals over resampled images."""
    images = np.stack(tally.images)
    totals = images.sum(0)
    num_images = len(images)
    draws = np.random.default_rng(protocol.seed)
    weights = draws.multinomial(num_images, np.full(num_images, 1 / num_images), size=BOOTSTRAP_RESAMPLES)
    resampled = np.tensordot(weights.astype(np.float64), images, axes=1)
    scores = []
    for metric, (measure, per_class) in METRICS.items():
        value = float(measure(totals))
        low, high = interval_around(value, measure(resampled))
        scores.append(
            Score(
                subject=subject,
                dataset=protocol.dataset,
                metric=metric,
                value=value,
                ci_low=low,
                ci_high=high,
                num_test=num_images,
                split=protocol.split,
                protocol=protocol.name,
                protocol_fingerprint=protocol.fingerprint,
                per_class=by_name(per_class(totals), class_names),
            )
        )
    return scores


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
