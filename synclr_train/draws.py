"""Random numbers that belong to an image, not to a process: a hash of (seed, epoch, caption, view, place).

Whatever order, batch, rank or worker an image is met in, it draws the same numbers. Holds no distribution but
the uniform one.
"""

import hashlib
from collections.abc import Sequence

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
    views = np.arange(1, num_views + 1, dtype=np.uint64)
    return mix(np.frombuffer(digest, np.uint64) + views * np.uint64(GOLDEN_GAMMA))


def uniforms(
    keys: UInt64[np.ndarray, " n"], streams: Sequence[int], num_draws: int
) -> Float[np.ndarray, "n streams num_draws"]:
    """Numbers in [0, 1), float64: the first `num_draws` of each of a key's `streams`."""
    places = np.array(streams, dtype=np.uint64)[:, None] * np.uint64(STREAM_LENGTH) + np.arange(
        1, num_draws + 1, dtype=np.uint64
    )
    return (mix(keys[:, None, None] + places * np.uint64(GOLDEN_GAMMA)) >> np.uint64(11)) * 2.0**-53


def mix(states: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """SplitMix64's output function: a bijection of 64 bits in which every bit depends on every bit."""
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return states ^ (states >> np.uint64(31))
