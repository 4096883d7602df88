"""What a process sees at a step: the crops of its captions, a pure function of (shards, seed, step, rank).

Nothing depends on how many processes load: a resumed run, other workers or another number of devices see the
same captions, and an image the same crops, at the same step.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from synclr_train.caption_order import CaptionOrder
from synclr_train.cropping import Cutter
from synclr_train.draws import image_keys
from synclr_train.group_cache import GroupCache
from synclr_train.shard_files import ShardError, ShardFile
from synclr_train.shards import Quarantined, ShardIndex, read_group

REMOTE_READS_AT_ONCE = 32

Cuts = tuple[UInt8[np.ndarray, "g 3 gs gs"], UInt8[np.ndarray, "l 3 ls ls"]]
"""Global and local crops of one image."""


@dataclass(frozen=True)
class StepBatch:
    """What one process sees at one step; image i belongs to caption `caption_rows[i // views]`."""

    step: int
    global_crops: UInt8[Tensor, "g 3 gs gs"]
    """Crop c of image i is at row c * num_images + i."""
    local_crops: UInt8[Tensor, "l 3 ls ls"]
    """Likewise; empty when the recipe cuts none."""
    image_keys: Int[Tensor, " images"]
    """What every image draws its random numbers from, as signed bits."""
    caption_rows: Int[Tensor, " captions"]
    """Row of each caption in the shard index."""
    shard_numbers: Int[Tensor, " captions"]
    """Shard of each caption."""
    quarantined: tuple[Quarantined, ...]
    """Captions that could not be decoded; captions of the epoch's other steps stand in for them."""

    def pin_memory(self) -> "StepBatch":
        """The batch in page-locked memory, from which copies to a GPU overlap with its work."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def to(self, device: torch.device) -> "StepBatch":
        """The batch with its crops and rows on `device`; keys and shard numbers stay where they are used."""
        moved = ("global_crops", "local_crops", "caption_rows")
        changes: dict[str, Any] = {name: getattr(self, name).to(device, non_blocking=True) for name in moved}
        return dataclasses.replace(self, **changes)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "StepBatch":
        tensors: dict[str, Any] = {
            each.name: change(getattr(self, each.name))
            for each in dataclasses.fields(self)
            if isinstance(getattr(self, each.name), Tensor)
        }
        return dataclasses.replace(self, **tensors)


@dataclass
class StepDataset(Dataset[StepBatch]):
    """`dataset[step]` is what process `rank` of `num_ranks` sees at `step`."""

    index: ShardIndex
    order: CaptionOrder
    cutter: Cutter
    rank: int = 0
    num_ranks: int = 1
    encoded_cache_bytes: int = 0
    """Memory for encoded groups that later epochs read again."""
    group_cache: GroupCache | None = None
    """Folder for groups read over a network."""
    _kept: dict[int, list[bytes]] = field(default_factory=dict, init=False, repr=False)
    _kept_bytes: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError when the captions of a step cannot be split evenly over `num_ranks`."""
        if self.order.captions_per_step % self.num_ranks:
            raise ValueError(
                f"batch.captions {self.order.captions_per_step} cannot be split evenly over {self.num_ranks} "
                "devices: choose a multiple"
            )
        self.captions_per_rank = self.order.captions_per_step // self.num_ranks
        self.first_position = self.rank * self.captions_per_rank

    def __getitem__(self, step: int) -> StepBatch:
        rows = self.order.rows(step)[self.first_position :][: self.captions_per_rank].tolist()
        used: list[int] = []
        cuts: list[Cuts] = []
        quarantined: list[Quarantined] = []
        for position, (row, read) in enumerate(self._reads(rows), start=self.first_position):
            row, cut = self._first_good(step, position, row, read, quarantined)
            used.append(row)
            cuts += cut
        keys = np.concatenate([self._keys(step, row) for row in used])
        return StepBatch(
            step=step,
            global_crops=_by_crop([global_crops for global_crops, _ in cuts]),
            local_crops=_by_crop([local_crops for _, local_crops in cuts]),
            image_keys=torch.from_numpy(keys.view(np.int64)),
            caption_rows=torch.tensor(used),
            shard_numbers=torch.from_numpy(self.index.records["shard"][used].astype(np.int64)),
            quarantined=tuple(quarantined),
        )

    def _first_good(
        self,
        step: int,
        position: int,
        row: int,
        read: Callable[[], list[bytes]],
        quarantined: list[Quarantined],
    ) -> tuple[int, list[Cuts]]:
        """The caption at `position`, or the first that can stand in for it."""
        substitutes = iter(self.order.substitutes(step, position).tolist())
        while True:
            try:
                return row, self._cut(step, row, read())
            except ShardError:
                raise
            except ValueError as error:
                quarantined.append(self.index.quarantine(row, str(error)))
            if (row := next(substitutes, -1)) < 0:
                raise ShardError(
                    f"a caption of step {step} cannot be decoded, nor can any that could stand in for it "
                    f"({quarantined[0].reason}): pack the shards again"
                )
            read = partial(self._read, row)

    def _cut(self, step: int, row: int, views: list[bytes]) -> list[Cuts]:
        cuts = []
        for view, (encoded, key) in enumerate(zip(views, self._keys(step, row), strict=True)):
            try:
                cuts.append(self.cutter.cut(encoded, key))
            except ValueError as error:
                raise ValueError(f"view {view} cannot be decoded ({error})") from error
        return cuts

    def _keys(self, step: int, row: int) -> np.ndarray:
        caption_id = bytes(self.index.records["caption_id"][row])
        return image_keys(self.order.seed, self.order.epoch_of(step), caption_id, self.index.num_views)

    def _reads(self, rows: list[int]) -> Iterator[tuple[int, Callable[[], list[bytes]]]]:
        """Each row and how to get its encoded views; remote ones are under way already."""
        if not self.index.is_remote:
            yield from ((row, partial(self._read, row)) for row in rows)
            return
        with ThreadPoolExecutor(REMOTE_READS_AT_ONCE) as pool:
            pending = [(row, pool.submit(self._read, row)) for row in rows]
            yield from ((row, future.result) for row, future in pending)

    def _read(self, row: int) -> list[bytes]:
        if row in self._kept:
            return self._kept[row]
        read = self.group_cache.read if self.group_cache else ShardFile.read
        views = read_group(self.index, row, read)
        size = sum(map(len, views))
        if self._kept_bytes + size <= self.encoded_cache_bytes:
            self._kept[row] = views
            self._kept_bytes += size
        return views


def _by_crop(crops_of_images: list[np.ndarray]) -> Tensor:
    """(images, crops, 3, side, side) as crops of all images one after the other, the first crop first."""
    num_crops, *shape = crops_of_images[0].shape
    stacked = np.empty((num_crops, len(crops_of_images), *shape), dtype=np.uint8)
    for image, crops in enumerate(crops_of_images):
        stacked[:, image] = crops
    return torch.from_numpy(stacked).flatten(0, 1)


def pass_through(batch: StepBatch) -> StepBatch:
    """A batch as it is: the collate function of a loader whose items are whole batches."""
    return batch
