"""From errors and captions read to new sampling weights: one bounded step, a proposal that nothing acts upon.

If the error e of a concept falls with the captions r read of it as 1/r, the next caption lowers it by e/r, and
the sum of errors is least where captions are shared in proportion to w * sqrt(e/r).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

PRIOR_ERRORS = 2.0
"""Errors at the mean rate that every class is given beside its own, so that a few test images move little."""
MAX_STEP = 2.0
"""No weight moves by more than this factor at once."""
NEED_FLOOR = 1e-6
"""Of the largest sqrt(error / captions read)."""
_BISECTIONS = 60


def shrunk_errors(values: Sequence[float], images_per_class: float) -> list[float]:
    """`1 - value` of each class, drawn towards the mean error as by PRIOR_ERRORS errors more.

    With m the mean error and n the images of a class: m * (n * (1 - value) + PRIOR_ERRORS) / (n * m + PRIOR_ERRORS).
    """
    mean = sum(1 - value for value in values) / len(values)
    return [
        mean * (images_per_class * (1 - value) + PRIOR_ERRORS) / (images_per_class * mean + PRIOR_ERRORS)
        for value in values
    ]


def step_weights(
    weights: Sequence[float],
    errors: Sequence[float],
    captions_read: Sequence[float],
    max_step: float = MAX_STEP,
) -> list[float]:
    """`w * clip(k * sqrt(error / captions read), 1 / max_step, max_step)`, with k such that the sum stays.

    Less than one caption read counts as one. Without any error the weights stay as they are.
    """
    assert max_step >= 1, max_step
    needs = [math.sqrt(e / max(r, 1.0)) for e, r in zip(errors, captions_read, strict=True)]
    largest = max(needs, default=0.0)
    if largest == 0:
        return list(weights)

    def stepped(log_factor: float) -> list[float]:
        factor = math.exp(log_factor)
        return [
            weight * min(max(factor * need, 1 / max_step), max_step)
            for weight, need in zip(weights, needs, strict=True)
        ]

    # Without a floor a concept without any error could not take what the others' bounds leave over.
    needs = [max(need, largest * NEED_FLOOR) for need in needs]
    low = math.log(1 / max_step / largest)
    high = math.log(max_step / min(needs))
    total = sum(weights)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(stepped(middle)) < total else (low, middle)
    return stepped(high)
