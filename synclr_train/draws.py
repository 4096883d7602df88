"""Random numbers that belong to an image, not to a process: a hash of (seed, epoch, caption, view, place).

Whatever order, batch, rank or worker an image is met in, it draws the same numbers. Holds no distribution but
the uniform one.
"""

import hashlib

import numpy as np
from jaxtyping import Float, UInt64

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
"""Step between two states of SplitMix64 (Steele, Lea and Flood 2014): one draw is one mixed state."""
STREAM_LENGTH = 2**20
"""Draws of a key before its next stream begins; no stream is ever as long."""


def image_keys(seed: int, epoch: int, caption_id: bytes, num_views: int) -> UInt64[np.ndarray, " views"]:
    """One 64-bit key per view of a caption in an epoch."""
    content = seed.to_bytes(8, "little") + epoch.to_bytes(8, "little") + caption_id
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return mix(np.frombuffer(digest, np.uint64) + _states(0, num_views))


def uniforms(keys: UInt64[np.ndarray, " n"], stream: int, num_draws: int) -> Float[np.ndarray, "n num_draws"]:
    """Numbers in [0, 1), float64: the first `num_draws` of a key's stream of that number."""
    states = keys[:, None] + _states(stream * STREAM_LENGTH, num_draws)
    return (mix(states) >> np.uint64(11)) * 2.0**-53


def mix(states: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """SplitMix64's output function: a bijection of 64 bits in which every bit depends on every bit."""
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return states ^ (states >> np.uint64(31))


def _states(first: int, num: int) -> UInt64[np.ndarray, " num"]:
    return np.arange(first + 1, first + num + 1, dtype=np.uint64) * np.uint64(GOLDEN_GAMMA)
