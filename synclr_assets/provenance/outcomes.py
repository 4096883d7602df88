"""What each scored image gave, read back from a model's folder, and what resampling the images says of scores.

A score is a mean over repeats and classes, of a ratio of sums over images or of an average precision; the
evaluation left those counts, or the order of the images.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_train.ranking import average_precisions_of_resamples

NUM_RESAMPLES = 2000
RESAMPLES_AT_ONCE = 50
SEED = 20231222
INTERVAL_PERCENT = (2.5, 97.5)
ROUNDING = 1e-6


@dataclass(frozen=True)
class Outcomes:
    """Counts behind one score: `hits` [repeats, images, classes], `totals` the same or with one repeat."""

    hits: np.ndarray
    totals: np.ndarray

    @property
    def value(self) -> float:
        """The score itself."""
        return float(self.values(np.ones((1, self.num_images)), np.ones((1, self.num_repeats)))[0])

    @property
    def num_repeats(self) -> int:
        return int(self.hits.shape[0])

    @property
    def num_images(self) -> int:
        return int(self.hits.shape[1])

    def values(self, image_counts: np.ndarray, repeat_counts: np.ndarray) -> np.ndarray:
        """The score [b] of every resample, given how often it drew each image [b, images] and repeat [b, repeats].

        A class that a resample holds no count of is left out of that resample's mean.
        """
        hits, totals = (np.tensordot(image_counts, part, axes=(1, 1)) for part in (self.hits, self.totals))
        ratios = np.divide(hits, totals, out=np.full(hits.shape, np.nan), where=totals > 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a repeat without any class is NaN
            of_repeat = np.nanmean(ratios, axis=-1)
        return np.asarray((of_repeat * repeat_counts).sum(1) / repeat_counts.sum(1))


@dataclass(frozen=True)
class Rankings:
    """The images' order in each class: `ranks` [repeats, images, classes], `present` and `counted` [images,
    classes]."""

    ranks: np.ndarray
    present: np.ndarray
    counted: np.ndarray

    @property
    def value(self) -> float:
        """The score itself, a mean average precision."""
        return float(self.values(np.ones((1, self.num_images)), np.ones((1, self.num_repeats)))[0])

    @property
    def num_repeats(self) -> int:
        return int(self.ranks.shape[0])

    @property
    def num_images(self) -> int:
        return int(self.ranks.shape[1])

    def values(self, image_counts: np.ndarray, repeat_counts: np.ndarray) -> np.ndarray:
        """The score [b] of every resample, given how often it drew each image [b, images] and repeat [b, repeats].

        A class that no image of a resample shows is left out of that resample's mean.
        """
        classes = range(self.ranks.shape[2])
        precisions = [
            [
                average_precisions_of_resamples(
                    ranks[:, each], self.present[:, each], self.counted[:, each], image_counts
                )
                for each in classes
            ]
            for ranks in self.ranks
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a resample without any class is NaN
            of_repeat = np.nanmean(precisions, axis=1).T
        return np.asarray((of_repeat * repeat_counts).sum(1) / repeat_counts.sum(1))


@dataclass(frozen=True)
class Difference:
    """How much higher the first model scores than the second on the same images, with its 95 % interval."""

    first: str
    second: str
    value: float
    ci_low: float
    ci_high: float

    @property
    def ahead(self) -> str | None:
        """The model that is ahead; None where the interval holds zero."""
        if self.ci_low > 0:
            return self.first
        return self.second if self.ci_high < 0 else None


def outcomes_of(
    store: Store, model: Mapping[str, Any], score: Mapping[str, Any]
) -> Outcomes | Rankings | None:
    """What stands behind a recorded score of the model, or None where its evaluation left none.

    Raises StoreError where the counts do not give the recorded score.
    """
    name = f"/outcomes-{score['protocol_fingerprint']}.npz"
    folder = f"{model['key']}/evals/{score['asset']}"
    found = [key for key in store.blobs.keys(folder) if key.endswith(name)]
    if not found:
        return None
    with np.load(io.BytesIO(store.blobs.read(found[0])), allow_pickle=False) as arrays:
        outcomes = _read(arrays, score["metric"])
    if outcomes is None:
        return None
    if outcomes.num_images != score["num_test"] or abs(outcomes.value - score["value"]) > ROUNDING:
        raise StoreError(
            f"{found[0]} gives {outcomes.value:.4f} over {outcomes.num_images} images for {score['metric']}, "
            f"but {score['value']:.4f} over {score['num_test']} is recorded: materialise {score['asset']} again."
        )
    return outcomes


def _read(arrays: Mapping[str, np.ndarray], metric: str) -> Outcomes | Rankings | None:
    if f"{metric}.ranks" in arrays:
        return Rankings(*(arrays[f"{metric}.{part}"] for part in ("ranks", "present", "counted")))
    if f"{metric}.hits" in arrays:
        return Outcomes(*(arrays[f"{metric}.{part}"].astype(np.float64) for part in ("hits", "totals")))
    return None


def paired_differences(outcomes: Mapping[str, Outcomes | Rankings]) -> list[Difference]:
    """Every pair of models by id, in order: both scored on the same 2000 resamples of images (and episodes).

    The interval is the central 95 % of the resampled differences, widened where needed to hold the difference.
    """
    ids = list(outcomes)
    if len(ids) < 2:
        return []
    resampled = _resampled([outcomes[model_id] for model_id in ids])
    differences = []
    for one, first in enumerate(ids):
        for other in range(one + 1, len(ids)):
            value = outcomes[first].value - outcomes[ids[other]].value
            low, high = np.percentile(resampled[one] - resampled[other], INTERVAL_PERCENT)
            differences.append(
                Difference(first, ids[other], value, min(float(low), value), max(float(high), value))
            )
    return differences


def _resampled(outcomes: Sequence[Outcomes | Rankings]) -> np.ndarray:
    """The scores [models, resamples], one draw of images and repeats serving all models."""
    shapes = {(each.num_repeats, each.num_images) for each in outcomes}
    assert len(shapes) == 1, f"one protocol gave outcomes of several shapes: {shapes}"
    num_repeats, num_images = shapes.pop()
    draws = np.random.default_rng(SEED)
    values = []
    for start in range(0, NUM_RESAMPLES, RESAMPLES_AT_ONCE):
        size = min(RESAMPLES_AT_ONCE, NUM_RESAMPLES - start)
        images = draws.multinomial(num_images, np.full(num_images, 1 / num_images), size=size)
        repeats = draws.multinomial(num_repeats, np.full(num_repeats, 1 / num_repeats), size=size)
        values.append([each.values(images.astype(np.float64), repeats) for each in outcomes])
    return np.concatenate(values, axis=1)
