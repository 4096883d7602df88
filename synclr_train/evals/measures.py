"""From predictions or decision values to the number a data set is scored by, with its bootstrap interval.

Accuracy, recall averaged over classes, and VOC2007's 11-point mean average precision (SynCLR appendix B).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from synclr_train.evals.labelled_images import PRESENT, UNDECIDED, Measure
from synclr_train.evals.scores import BOOTSTRAP_RESAMPLES, interval_around
from synclr_train.ranking import average_precisions_of_resamples


def score_of(
    measure: Measure,
    outcomes: Float[np.ndarray, "repeats n"],
    labels: Int[np.ndarray, " n"],
    image_weights: Float[np.ndarray, " n"] | None = None,
    repeat_weights: Float[np.ndarray, " repeats"] | None = None,
) -> float:
    """Accuracy or mean per class of right (1) and wrong (0) outcomes, averaged over the repeats.

    Weights say how often a resample drew an image or a repeat. A class that was not drawn has no recall.
    """
    mean_outcome = np.average(outcomes, axis=0, weights=repeat_weights)
    weights = np.ones(len(labels)) if image_weights is None else image_weights
    if measure == "accuracy":
        return float(np.average(mean_outcome, weights=weights))
    hits = np.bincount(labels, weights * mean_outcome)
    totals = np.bincount(labels, weights)
    return float(np.mean(hits[totals > 0] / totals[totals > 0]))


def average_precision_11(
    decisions: Float[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    image_weights: Float[np.ndarray, " n"] | None = None,
) -> float:
    """VOC2007's average precision: the mean, over recalls 0, 0.1, ... 1, of the best precision at that recall
    or beyond. Undecided ("difficult") images are left out, as in the devkit; NaN without a present one."""
    weights = np.ones(len(labels)) if image_weights is None else image_weights
    found = average_precisions_of_resamples(
        decisions, labels == PRESENT, labels != UNDECIDED, weights[np.newaxis]
    )
    return float(found[0])


def mean_average_precision_11(
    decisions: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n k"],
    image_weights: Float[np.ndarray, " n"] | None = None,
) -> float:
    """`average_precision_11` averaged over the classes that occur."""
    return float(np.nanmean(average_precisions_11(decisions, labels, image_weights)))


def average_precisions_11(
    decisions: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n k"],
    image_weights: Float[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, " k"]:
    """`average_precision_11` of every class."""
    return np.array(
        [
            average_precision_11(decisions[:, number], labels[:, number], image_weights)
            for number in range(labels.shape[1])
        ]
    )


def bootstrap(
    num_images: int,
    num_repeats: int,
    score: Callable[[np.ndarray, np.ndarray], float],
    *,
    seed: int,
    resample_repeats: bool = False,
    num_resamples: int = BOOTSTRAP_RESAMPLES,
) -> tuple[float, float]:
    """95 % percentile interval of `score(image counts, repeat counts)` over resampled images.

    With `resample_repeats` the repeats (few-shot episodes) are resampled as well, so that the interval covers
    the luck of the draw of shots and of test images both. It is widened where needed to hold the score itself.
    """
    draws = np.random.default_rng(seed)
    image_share, repeat_share = np.full(num_images, 1 / num_images), np.full(num_repeats, 1 / num_repeats)
    ones = np.ones(num_repeats)
    values = np.empty(num_resamples)
    for resample in range(num_resamples):
        images = draws.multinomial(num_images, image_share).astype(np.float64)
        repeats = (
            draws.multinomial(num_repeats, repeat_share).astype(np.float64) if resample_repeats else ones
        )
        values[resample] = score(images, repeats)
    return interval_around(score(np.ones(num_images), ones), values[~np.isnan(values)])
