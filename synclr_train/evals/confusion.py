"""Confusion matrices (row: truth, column: prediction) and every measure that follows from them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Num


def confusion_matrix(
    truths: Int[np.ndarray, " n"], predictions: Int[np.ndarray, " n"], num_classes: int
) -> Int[np.ndarray, "k k"]:
    """Counts of every pair of true and predicted class."""
    pairs = truths.astype(np.int64) * num_classes + predictions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def recalls(matrix: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b k"]:
    """Share of each true class that was predicted right; NaN for a class that does not occur."""
    return _ratio(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1))


def intersections_over_unions(matrix: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b k"]:
    """IoU of each class; NaN for a class that neither occurs nor is predicted."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    return _ratio(hits, matrix.sum(-1) + matrix.sum(-2) - hits)


def mean_iou(matrix: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """IoU averaged over the classes that occur or are predicted (mIoU)."""
    return np.asarray(np.nanmean(intersections_over_unions(matrix), axis=-1))


def mean_recall(matrix: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Recall averaged over the classes that occur (mAcc)."""
    return np.asarray(np.nanmean(recalls(matrix), axis=-1))


def overall_accuracy(matrix: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Share of everything counted that was predicted right (aAcc)."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1).sum(-1)
    return _ratio(np.asarray(hits), np.asarray(matrix.sum((-2, -1))))


def by_name(values: Float[np.ndarray, " k"], class_names: Sequence[str]) -> dict[str, float]:
    """Per-class values by class name, classes without a value left out."""
    return {
        name: float(value) for name, value in zip(class_names, values, strict=True) if not np.isnan(value)
    }


def _ratio(hits: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(hits, total, out=np.full(np.shape(total), np.nan), where=total > 0)
