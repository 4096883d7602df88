"""VOC2007's 11-point average precision of one class, for many resamples of the images at once. Numpy alone."""

import numpy as np

RECALL_LEVELS = np.linspace(0, 1, 11)
ROUNDING = 1e-12


def average_precisions_of_resamples(
    decisions: np.ndarray, present: np.ndarray, counted: np.ndarray, image_counts: np.ndarray
) -> np.ndarray:
    """The mean, over recalls 0, 0.1, ... 1, of the best precision at that recall or beyond: [resamples].

    `decisions` [images], or their ranks, order the images, equal ones together; `present` and `counted` [images]
    are booleans, and what is not counted ("difficult" in the devkit) takes no part. `image_counts` [resamples,
    images] say how often each image was drawn. NaN for a resample without an image that shows the class.
    """
    order = np.flatnonzero(counted)
    order = order[np.argsort(-decisions[order].astype(np.float64), kind="stable")]
    places_of_present = np.flatnonzero(present[order])
    if len(places_of_present) == 0:
        return np.full(len(image_counts), np.nan)
    # The best precision at a recall or beyond is found behind an image that shows the class, its equals included.
    ends_of_equals = np.flatnonzero(np.append(np.diff(decisions[order].astype(np.float64)) != 0, True))
    ends = np.unique(ends_of_equals[np.searchsorted(ends_of_equals, places_of_present)])
    drawn = image_counts[:, order]
    seen = np.cumsum(drawn, axis=1)[:, ends]
    num_present = np.searchsorted(places_of_present, ends, side="right")
    hits = np.cumsum(drawn[:, places_of_present], axis=1)[:, num_present - 1]
    precision = np.divide(hits, seen, out=np.zeros(hits.shape), where=seen > 0)
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    values = np.full(len(hits), np.nan)
    for resample in np.flatnonzero(hits[:, -1] > 0):
        recall = hits[resample] / hits[resample, -1]
        places = np.searchsorted(recall, RECALL_LEVELS - ROUNDING)
        values[resample] = best_from_here[resample, places].mean()
    return values
