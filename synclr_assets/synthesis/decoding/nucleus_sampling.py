"""Drawing tokens from a nucleus (top-p) with noise of each sequence's own, so that no neighbour matters.

Every number of noise is a hash of (sequence key, step, token id): it depends neither on the batch, nor on the order
of sequences, nor on the device. Knows no model and no torch: candidates come as arrays.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

UInt64s = NDArray[np.uint64]

_STEP_STRIDE = np.uint64(0x9E3779B97F4A7C15)
_TOKEN_STRIDE = np.uint64(0xD1B54A32D192ED03)


def noise_key(caption_id: str, attempt: int) -> int:
    """The 64-bit key of all noise of one caption's attempt."""
    digest = hashlib.blake2b(f"caption-noise/{caption_id}/{attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def gumbel_noise(
    keys: UInt64s, steps: NDArray[np.int64], token_ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Standard Gumbel numbers [rows, candidates], one for each (key, step, token id).

    keys and steps: [rows]; token_ids: [rows, candidates]. A counter-based generator: two rounds of the SplitMix64
    finaliser (Steele, Lea & Flood 2014), first over the step, then over the token.
    """
    with np.errstate(over="ignore"):
        streams = _mix(keys + _STEP_STRIDE * (steps.astype(np.uint64) + np.uint64(1)))
        bits = _mix(streams[:, None] + _TOKEN_STRIDE * (token_ids.astype(np.uint64) + np.uint64(1)))
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(-np.log(uniform))


def draw_tokens(
    log_probs: NDArray[np.float64],
    token_ids: NDArray[np.int64],
    keys: UInt64s,
    steps: NDArray[np.int64],
    top_p: float,
) -> NDArray[np.int64]:
    """One token id per row, drawn from the smallest set of candidates that holds at least `top_p`.

    log_probs: [rows, candidates], after the temperature, normalised over the whole vocabulary; token_ids: the
    same shape. The candidates must hold the nucleus; equal probabilities are ranked by token id. The draw is
    Gumbel-max, so a probability that is off by a relative e changes a token with a chance of order e.
    """
    if (log_probs[:, 1:] >= log_probs[:, :-1]).any():
        order = np.lexsort((token_ids, -log_probs), axis=-1)
        log_probs = np.take_along_axis(log_probs, order, axis=-1)
        token_ids = np.take_along_axis(token_ids, order, axis=-1)
    probabilities = np.exp(log_probs)
    mass_before = np.cumsum(probabilities, axis=-1) - probabilities
    mass_before[:, 0] = 0.0
    noisy = log_probs + gumbel_noise(keys, steps, token_ids)
    winner = np.argmax(np.where(mass_before < top_p, noisy, -np.inf), axis=-1)
    return token_ids[np.arange(len(winner)), winner]


def _mix(x: UInt64s) -> UInt64s:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
