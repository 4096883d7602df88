"""What every scored image gave, kept beside a model's scores so that two models can be compared image by image.

Every metric here is a mean over repeats and classes of a ratio of sums over images. Holds no statistics.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, Integer

from synclr_train.evals.scores import write_arrays


@dataclass(frozen=True)
class Outcomes:
    """Counts whose ratio of sums is a score; a repeat is a few-shot episode, k the classes averaged over."""

    hits: Integer[np.ndarray, "repeats n k"]
    totals: Integer[np.ndarray, "repeats_or_1 n k"]


def outcomes_file(protocol_fingerprint: str) -> str:
    """Name of the file; the protocol is in it, so that counts never stand for a score of another protocol."""
    return f"outcomes-{protocol_fingerprint}.npz"


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


def overlaps(confusions: Int[np.ndarray, "repeats n k k"]) -> Outcomes:
    """Mean IoU: intersection and union of each class in each image, in pixels."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    return Outcomes(hits, confusions.sum(-1) + confusions.sum(-2) - hits)


def class_recalls(confusions: Int[np.ndarray, "repeats n k k"]) -> Outcomes:
    """Mean class accuracy: pixels of each class that were predicted right, of those it has."""
    return Outcomes(np.diagonal(confusions, axis1=-2, axis2=-1), confusions.sum(-1))


def pixel_hits(confusions: Int[np.ndarray, "repeats n k k"]) -> Outcomes:
    """Pixel accuracy: pixels predicted right, of all that count."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1).sum(-1, keepdims=True)
    return Outcomes(hits, confusions.sum((-2, -1))[..., None])


def write_outcomes(folder: Path, protocol_fingerprint: str, by_metric: Mapping[str, Outcomes]) -> Path:
    """Writes the counts of every metric in one rename, as `METRIC.hits` and `METRIC.totals`; returns the path."""
    arrays = {}
    for metric, outcomes in by_metric.items():
        arrays[f"{metric}.hits"] = _smallest(outcomes.hits)
        arrays[f"{metric}.totals"] = _smallest(outcomes.totals)
    path = folder / outcomes_file(protocol_fingerprint)
    write_arrays(path, arrays)
    return path


def _smallest(counts: Integer[np.ndarray, "..."]) -> Integer[np.ndarray, "..."]:
    """The counts in the smallest unsigned type that holds them."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
