"""Average precisions of many resamples at once are those of the drawn images, one resample after the other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.ranking import average_precisions_of_resamples


def by_hand(decisions, present, counted, times):
    """The devkit's rule, threshold by threshold, over the drawn images."""
    drawn = [i for i in range(len(decisions)) for _ in range(times[i]) if counted[i]]
    num_present = sum(present[i] for i in drawn)
    if not num_present:
        return np.nan
    points = []
    for threshold in {decisions[i] for i in drawn}:
        taken = [i for i in drawn if decisions[i] >= threshold]
        hits = sum(present[i] for i in taken)
        points.append((hits / num_present, hits / len(taken)))
    return np.mean([max((p for r, p in points if r >= level / 10 - 1e-12), default=0) for level in range(11)])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15), st.booleans())
def test_every_resample_follows_the_devkits_rule(seed, num_images, as_ranks):
    draws = np.random.default_rng(seed)
    decisions = draws.integers(0, 6, num_images).astype(np.uint8 if as_ranks else np.float64)
    present, counted = draws.random(num_images) < 0.4, draws.random(num_images) < 0.8
    image_counts = draws.integers(0, 3, (4, num_images))
    measured = average_precisions_of_resamples(decisions, present & counted, counted, image_counts)
    expected = [by_hand(decisions, present & counted, counted, times) for times in image_counts]
    np.testing.assert_allclose(measured, expected, atol=1e-12)
