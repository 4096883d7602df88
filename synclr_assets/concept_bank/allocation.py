"""Sharing a caption budget over weighted concepts, exactly and without drawing anything."""

import math
from collections.abc import Sequence


def allocate(num_captions: int, weights: Sequence[float]) -> list[int]:
    """Captions per weight by largest remainder; equal remainders go to the earlier weight.

    The counts sum to `num_captions`, and each is within 1 of `num_captions * weight / sum(weights)`; the
    arithmetic is on integers, so no weight is too small or too large. Raises ValueError for a negative
    budget, for no weights, and for a weight that is not a positive finite number.
    """
    if num_captions < 0:
        raise ValueError(f"num_captions is {num_captions}; give zero or more.")
    if not weights:
        raise ValueError("weights is empty; give one positive number per concept.")
    for index, weight in enumerate(weights):
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"weights[{index}] is {weight}; give a positive finite number.")
    ratios = [weight.as_integer_ratio() for weight in weights]
    # Denominators of floats are powers of two, so the largest is a common one.
    common = max(denominator for _, denominator in ratios)
    scaled = [numerator * (common // denominator) for numerator, denominator in ratios]
    total = sum(scaled)
    counts = [num_captions * share // total for share in scaled]
    remainders = [num_captions * share % total for share in scaled]
    by_remainder = sorted(range(len(weights)), key=lambda index: -remainders[index])
    for index in by_remainder[: num_captions - sum(counts)]:
        counts[index] += 1
    return counts
