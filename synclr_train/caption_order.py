"""The order of captions: one shuffle of all captions per (seed, epoch), cut into steps.

A place in the order is computed, not looked up, so that a run starts at any step at once and memory does not
grow with the captions.
"""

import numpy as np
from jaxtyping import Int

from synclr_train.draws import mix
from synclr_train.shard_files import ShardError

FEISTEL_ROUNDS = 8


class CaptionOrder:
    """The captions of every step; what is left of an epoch after its last whole step is dropped."""

    def __init__(self, num_captions: int, captions_per_step: int, seed: int) -> None:
        """Raises ShardError when one step asks for more captions than there are."""
        if captions_per_step > num_captions:
            raise ShardError(
                f"a step takes {captions_per_step} captions but the shards hold {num_captions}: "
                "give more shards or a recipe with a smaller batch.captions"
            )
        self.num_captions, self.captions_per_step, self.seed = num_captions, captions_per_step, seed
        self.steps_per_epoch = num_captions // captions_per_step

    def epoch_of(self, step: int) -> int:
        """The epoch that `step` belongs to, from 0."""
        return step // self.steps_per_epoch

    def rows(self, step: int) -> Int[np.ndarray, " captions"]:
        """Caption rows of `step`, over all devices."""
        epoch, within = divmod(step, self.steps_per_epoch)
        places = np.arange(self.captions_per_step) + within * self.captions_per_step
        return shuffled(places, self.num_captions, self.seed, epoch)

    def substitutes(self, step: int, position: int) -> Int[np.ndarray, " others"]:
        """Caption rows to try, in order, when the caption at `position` of `step` cannot be decoded.

        They are the captions at the same position of the epoch's other steps: no two positions of a step can
        come to the same one.
        """
        epoch, within = divmod(step, self.steps_per_epoch)
        others = (within + np.arange(1, self.steps_per_epoch)) % self.steps_per_epoch
        return shuffled(others * self.captions_per_step + position, self.num_captions, self.seed, epoch)


def shuffled(places: Int[np.ndarray, " n"], num_items: int, seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    """The items at `places` of a shuffle of `num_items`: a bijection of [0, num_items) named by seed and epoch.

    A Feistel network permutes the next power of four; what falls outside is sent through it again.
    """
    half_bits = max(1, ((num_items - 1).bit_length() + 1) // 2)
    round_keys = np.random.SeedSequence([seed, epoch]).generate_state(FEISTEL_ROUNDS, np.uint64)
    items = _permute(places.astype(np.uint64), half_bits, round_keys)
    outside = items >= num_items
    while outside.any():
        items[outside] = _permute(items[outside], half_bits, round_keys)
        outside = items >= num_items
    return items.astype(np.int64)


def _permute(values: np.ndarray, half_bits: int, round_keys: np.ndarray) -> np.ndarray:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in round_keys:
        left, right = right, left ^ (mix(right ^ key) & mask)
    return (left << shift) | right
