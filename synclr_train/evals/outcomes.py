"""What every scored image gave, kept beside a model's scores so that two models can be compared image by image.

A metric is a mean over repeats and classes, of a ratio of sums over images or of an average precision, which
needs the order of the images. Holds no statistics.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from synclr_train.evals.confusion import HITS, PREDICTED, TRUE
from synclr_train.evals.labelled_images import PRESENT, UNDECIDED, Measure
from synclr_train.evals.scores import write_arrays


@dataclass(frozen=True)
class Outcomes:
    """Counts whose ratio of sums is a score; a repeat is a few-shot episode, k the classes averaged over."""

    hits: Integer[np.ndarray, "repeats n k"]
    totals: Integer[np.ndarray, "repeats_or_1 n k"]


@dataclass(frozen=True)
class Rankings:
    """The order of the images in each class, from which average precisions follow; equal decisions share a rank."""

    ranks: Int[np.ndarray, "repeats n k"]
    present: Bool[np.ndarray, "n k"]
    counted: Bool[np.ndarray, "n k"]
    """False where it is undecided whether the image shows the class."""


def outcomes_file(protocol_fingerprint: str) -> str:
    """Name of the file; the protocol is in it, so that counts never stand for a score of another protocol."""
    return f"outcomes-{protocol_fingerprint}.npz"


def outcomes_of(
    measure: Measure, answers: np.ndarray, labels: np.ndarray, num_classes: int
) -> Outcomes | Rankings:
    """What stands behind a data set's measure. `answers` are predicted classes [repeats n] and `labels` [n], or
    decision values [repeats n k] and `labels` [n k] where an image shows several classes."""
    if measure == "map_11_point":
        return rankings(answers, labels)
    if measure == "accuracy":
        return correctness(answers, labels)
    return image_recalls(answers, labels, num_classes)


def rankings(decisions: Float[np.ndarray, "repeats n k"], labels: Int[np.ndarray, "n k"]) -> Rankings:
    """Mean average precision: where each image stands in each class, 0 for the least decided."""
    ranks = np.stack(
        [
            np.stack([np.unique(column, return_inverse=True)[1] for column in repeat.T], axis=1)
            for repeat in decisions
        ]
    )
    return Rankings(ranks, labels == PRESENT, labels != UNDECIDED)


def correctness(predictions: Int[np.ndarray, "repeats n"], labels: Int[np.ndarray, " n"]) -> Outcomes:
    """Accuracy: one hit for each image whose class was predicted."""
    hits = (predictions == labels).astype(np.uint8)[:, :, None]
    return Outcomes(hits, np.ones((1, len(labels), 1), np.uint8))


def image_recalls(
    predictions: Int[np.ndarray, "repeats n"], labels: Int[np.ndarray, " n"], num_classes: int
) -> Outcomes:
    """Mean per class: of each class, its images that were predicted right, of those it has."""
    own = (labels[:, None] == np.arange(num_classes)).astype(np.uint8)
    return Outcomes((predictions == labels).astype(np.uint8)[:, :, None] * own, own[None])


def overlaps(counts: Int[np.ndarray, "repeats n 3 k"]) -> Outcomes:
    """Mean IoU: intersection and union of each class in each image, in pixels."""
    hits = counts[..., HITS, :]
    return Outcomes(hits, counts[..., TRUE, :] + counts[..., PREDICTED, :] - hits)


def pixel_recalls(counts: Int[np.ndarray, "repeats n 3 k"]) -> Outcomes:
    """Mean class accuracy: pixels of each class that were predicted right, of those it has."""
    return Outcomes(counts[..., HITS, :], counts[..., TRUE, :])


def pixel_hits(counts: Int[np.ndarray, "repeats n 3 k"]) -> Outcomes:
    """Pixel accuracy: pixels predicted right, of all that count."""
    hits, true = (counts[..., each, :].sum(-1, keepdims=True) for each in (HITS, TRUE))
    return Outcomes(hits, true)


def write_outcomes(
    folder: Path, protocol_fingerprint: str, by_metric: Mapping[str, Outcomes | Rankings]
) -> Path:
    """Writes every metric's arrays in one rename, as `METRIC.hits`, `METRIC.totals` and so on; returns the path."""
    arrays = {
        f"{metric}.{field.name}": _smallest(getattr(each, field.name))
        for metric, each in by_metric.items()
        for field in fields(each)
    }
    path = folder / outcomes_file(protocol_fingerprint)
    write_arrays(path, arrays)
    return path


def _smallest(values: np.ndarray) -> np.ndarray:
    """Counts in the smallest unsigned type that holds them; booleans as they are."""
    if values.dtype == np.bool_:
        return values
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
