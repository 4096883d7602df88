"""Which captions a step sees, and their decoded images: a pure function of (shards, seed, step, rank).

The order of captions is one permutation per (seed, epoch), cut into steps and then into ranks, so that a
resumed run, other loader processes or another number of devices see the same captions at the same step.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from synclr_train.shards import Quarantined, ShardError, ShardIndex, read_caption_images


@dataclass(frozen=True)
class StepBatch:
    """What one process sees at one step; image i belongs to caption `caption_rows[i // views]`."""

    step: int
    images: UInt8[Tensor, "n 3 s s"]
    caption_rows: Int[Tensor, " captions"]
    """Row of each caption in the shard index."""
    quarantined: tuple[Quarantined, ...]
    """Captions that could not be decoded; the next captions of the epoch stand in for them."""


class CaptionOrder:
    """The captions of every step: each epoch is a fresh permutation, its incomplete last step dropped."""

    def __init__(self, num_captions: int, captions_per_step: int, seed: int) -> None:
        """Raises ShardError when one step asks for more captions than there are."""
        if captions_per_step > num_captions:
            raise ShardError(
                f"a step takes {captions_per_step} captions but the shards hold {num_captions}: "
                "give more shards or a recipe with a smaller batch.captions"
            )
        self.num_captions, self.captions_per_step, self.seed = num_captions, captions_per_step, seed
        self.steps_per_epoch = num_captions // captions_per_step
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def epoch_order(self, epoch: int) -> np.ndarray:
        """All caption rows in the order of `epoch`."""
        if epoch != self._epoch:
            generator = np.random.default_rng([self.seed, epoch])
            self._epoch, self._order = epoch, generator.permutation(self.num_captions)
        return self._order

    def rows(self, step: int) -> np.ndarray:
        """Caption rows of `step`, over all devices."""
        epoch, within = divmod(step, self.steps_per_epoch)
        return self.epoch_order(epoch)[within * self.captions_per_step :][: self.captions_per_step]

    def substitutes(self, step: int, position: int) -> np.ndarray:
        """Caption rows to try, in order, when the caption at `position` of `step` cannot be decoded."""
        epoch, within = divmod(step, self.steps_per_epoch)
        after = np.roll(self.epoch_order(epoch), -(within + 1) * self.captions_per_step)
        num_others = self.num_captions - self.captions_per_step
        return np.concatenate([np.roll(after[:num_others], -position), after[num_others:]])


class StepDataset(Dataset[StepBatch]):
    """`dataset[step]` is what process `rank` of `num_ranks` sees at `step`."""

    def __init__(
        self,
        index: ShardIndex,
        order: CaptionOrder,
        *,
        source_size: int,
        cache_bytes: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        """`source_size` is the side of the decoded images, in pixels; `cache_bytes` of them are kept.

        Raises ValueError when the captions of a step cannot be split evenly over `num_ranks`.
        """
        if order.captions_per_step % num_ranks:
            raise ValueError(
                f"batch.captions {order.captions_per_step} cannot be split evenly over {num_ranks} devices: "
                "choose a multiple"
            )
        self.index, self.order, self.source_size = index, order, source_size
        bytes_per_caption = index.num_views * 3 * source_size**2
        self.num_cached, self._cache = cache_bytes // bytes_per_caption, dict[int, np.ndarray]()
        self.captions_per_rank = order.captions_per_step // num_ranks
        self.first_position = rank * self.captions_per_rank

    def __getitem__(self, step: int) -> StepBatch:
        rows = self.order.rows(step)[self.first_position :][: self.captions_per_rank]
        decoded: list[np.ndarray] = []
        used: list[int] = []
        quarantined: list[Quarantined] = []
        for position, row in enumerate(rows, start=self.first_position):
            caption, images = self._read_first_good(step, position, int(row), quarantined)
            used.append(caption)
            decoded.append(images)
        return StepBatch(
            step=step,
            images=torch.from_numpy(np.concatenate(decoded)),
            caption_rows=torch.tensor(used),
            quarantined=tuple(quarantined),
        )

    def _read_first_good(
        self, step: int, position: int, row: int, quarantined: list[Quarantined]
    ) -> tuple[int, np.ndarray]:
        try:
            return row, self._read(row)
        except ValueError as error:
            quarantined.append(self._quarantine(row, error))
        for substitute in self.order.substitutes(step, position):
            try:
                return int(substitute), self._read(int(substitute))
            except ValueError as error:
                quarantined.append(self._quarantine(int(substitute), error))
        raise ShardError("no image of any shard can be decoded: the shards are damaged, pack them again")

    def _read(self, row: int) -> np.ndarray:
        if row in self._cache:
            return self._cache[row]
        images = read_caption_images(self.index, row, self.source_size)
        if len(self._cache) < self.num_cached:
            self._cache[row] = images
        return images

    def _quarantine(self, row: int, error: ValueError) -> Quarantined:
        shard = self.index.paths[self.index.shard_numbers[row]].name
        return Quarantined(shard, self.index.caption_ids[row].decode(), str(error))


def pass_through(batch: StepBatch) -> StepBatch:
    """A batch as it is: the collate function of a loader whose items are whole batches."""
    return batch
