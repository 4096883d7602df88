"""Confusion matrices (row: truth, column: prediction), three counts per class, and every measure of them.

Hits, truths and predictions of each class are enough for every measure, at a hundredth of a matrix's memory.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Num

HITS, TRUE, PREDICTED = 0, 1, 2


def confusion_matrix(
    truths: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"], num_classes: int
) -> Int[np.ndarray, "k k"]:
    """Counts of every pair of true and predicted class."""
    pairs = truths.astype(np.int64) * num_classes + predictions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_counts(matrix: Num[np.ndarray, "*b k k"]) -> Num[np.ndarray, "*b 3 k"]:
    """Per class: how often it was predicted right, how often it is true, how often it was predicted."""
    return np.stack([np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2)], axis=-2)


def recalls(matrix: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b k"]:
    """Share of each true class that was predicted right; NaN for a class that does not occur."""
    return class_recalls(class_counts(matrix))


def class_recalls(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b k"]:
    """Recall; NaN for a class that does not occur."""
    return _ratio(counts[..., HITS, :], counts[..., TRUE, :])


def class_ious(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b k"]:
    """Intersection over union; NaN for a class that neither occurs nor is predicted."""
    hits = counts[..., HITS, :]
    return _ratio(hits, counts[..., TRUE, :] + counts[..., PREDICTED, :] - hits)


def mean_iou(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b"]:
    """IoU averaged over the classes that occur or are predicted (mIoU)."""
    return np.asarray(np.nanmean(class_ious(counts), axis=-1))


def mean_class_accuracy(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b"]:
    """Recall averaged over the classes that occur (mAcc)."""
    return np.asarray(np.nanmean(class_recalls(counts), axis=-1))


def pixel_accuracy(counts: Num[np.ndarray, "*b 3 k"]) -> Float[np.ndarray, "*b"]:
    """Share of everything counted that was predicted right (aAcc)."""
    return _ratio(np.asarray(counts[..., HITS, :].sum(-1)), np.asarray(counts[..., TRUE, :].sum(-1)))


def by_name(values: Float[np.ndarray, " k"], class_names: Sequence[str]) -> dict[str, float]:
    """Per-class values by class name, classes without a value left out."""
    return {
        name: float(value) for name, value in zip(class_names, values, strict=True) if not np.isnan(value)
    }


def _ratio(hits: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(hits, total, out=np.full(np.shape(total), np.nan), where=total > 0)
